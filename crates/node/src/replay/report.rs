//! What came of replays, in a few lines for people and whole as JSON.

use serde_json::{Map, Value, json};

use crate::diff;
use crate::problem::{CliError, Problem};
use crate::timeline::grouped;

/// Runs that differ and are shown in full, and reasons why runs failed; the rest are counted.
const SHOWN: usize = 5;

/// What became of one run.
pub(super) enum Fate {
    /// The node's answer.
    Replayed(Value),
    /// It invoked none of the scripts.
    NotUsed,
    NotEnded,
    /// Why the node cannot.
    NotRecorded(String),
    /// The node would not: a version that is gone, a hook that a version lacks, a node that is busy.
    Failed(Problem),
}

/// All runs that were looked at: sums, and the first of what is of interest, however many they are.
#[derive(Default)]
pub(crate) struct Report {
    /// Whose fuel is summed up; all when empty.
    scripts: Vec<String>,
    same: usize,
    different: usize,
    not_used: usize,
    not_ended: usize,
    not_recorded: usize,
    failed: usize,
    fuel: Fuel,
    /// The first runs that differ, with their answers.
    differences: Vec<(String, Value)>,
    /// The first reasons why runs failed.
    reasons: Vec<Reason>,
    /// Why the first one was not recorded.
    why_not_recorded: Option<String>,
}

/// Fuel of the invocations that are of interest.
#[derive(Default)]
struct Fuel {
    invocations: u64,
    before: u64,
    after: u64,
}

/// Why runs failed: one entry for all that failed alike.
struct Reason {
    problem: Problem,
    count: usize,
    /// The first of them.
    run: String,
}

impl Report {
    pub(crate) fn new(scripts: &Map<String, Value>) -> Self {
        Self { scripts: scripts.keys().cloned().collect(), ..Self::default() }
    }

    /// Takes one run into account.
    pub(super) fn add(&mut self, run: String, fate: Fate) {
        match fate {
            Fate::NotUsed => self.not_used += 1,
            Fate::NotEnded => self.not_ended += 1,
            Fate::NotRecorded(why) => {
                self.not_recorded += 1;
                self.why_not_recorded.get_or_insert(why);
            }
            Fate::Failed(problem) => {
                self.failed += 1;
                let alike = |reason: &Reason| (&reason.problem.code, &reason.problem.detail) == (&problem.code, &problem.detail);
                match self.reasons.iter().position(alike) {
                    Some(at) => self.reasons[at].count += 1,
                    None if self.reasons.len() < SHOWN => self.reasons.push(Reason { problem, count: 1, run }),
                    None => {}
                }
            }
            Fate::Replayed(answer) => {
                self.count_fuel(&answer);
                if answer["same"] == true {
                    self.same += 1;
                    return;
                }
                self.different += 1;
                if self.differences.len() < SHOWN {
                    self.differences.push((run, answer));
                }
            }
        }
    }

    fn count_fuel(&mut self, answer: &Value) {
        let of_interest = |invocation: &&Value| {
            self.scripts.is_empty() || self.scripts.iter().any(|name| invocation["script"].as_str() == Some(name.as_str()))
        };
        for invocation in invocations(answer).filter(of_interest) {
            self.fuel.invocations += 1;
            self.fuel.before += invocation["fuel_before"].as_u64().unwrap_or_default();
            self.fuel.after += invocation["fuel_after"].as_u64().unwrap_or_default();
        }
    }

    /// Whether nothing was looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.replayed() + self.not_used + self.not_ended + self.not_recorded + self.failed == 0
    }

    fn replayed(&self) -> usize {
        self.same + self.different
    }

    pub(crate) fn verdict(&self) -> Result<(), CliError> {
        let (all, failed) = (self.replayed(), self.failed);
        match (self.different, failed) {
            (0, 0) if all == 0 => Err(CliError::Start("none of these runs could be replayed".to_owned())),
            (0, 0) => Ok(()),
            (different, 0) => Err(CliError::NotAsExpected(format!("{different} of {all} runs differ"))),
            (0, failed) => Err(CliError::NotAsExpected(format!("{failed} of {} runs could not be replayed", all + failed))),
            (different, failed) => {
                Err(CliError::NotAsExpected(format!("{different} of {all} runs differ, and {failed} more could not be replayed")))
            }
        }
    }

    /// The first differences, then the sums, which are what one looks for.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (run, answer) in &self.differences {
            out += &one(run, answer);
            out.push('\n');
        }
        if self.different > SHOWN {
            out += &format!("… and {} more runs that differ\n\n", self.different - SHOWN);
        }
        out += &format!("{} of {} replayed runs decided the same, {} did not\n", self.same, self.replayed(), self.different);
        out += &self.fuel.text(&self.scripts);
        if self.failed > 0 {
            out += &format!("{} could not be replayed\n", self.failed);
        }
        for Reason { problem, count, run } in &self.reasons {
            let place = problem.path.as_ref().map(|path| format!(" (at {path})")).unwrap_or_default();
            out += &format!("          {count} × {}: {}{place}, first run {run}\n", problem.code, problem.detail);
        }
        let left_out = [("without these scripts", self.not_used), ("not recorded", self.not_recorded), ("not ended", self.not_ended)];
        let left_out: Vec<_> = left_out.into_iter().filter(|(_, count)| *count > 0).map(|(why, count)| format!("{count} {why}")).collect();
        if !left_out.is_empty() {
            out += &format!("left out: {}\n", left_out.join(", "));
        }
        if let Some(why) = &self.why_not_recorded {
            out += &format!("          {why}\n");
        }
        out
    }

    pub(crate) fn json(&self) -> Value {
        let Fuel { invocations, before, after } = self.fuel;
        let differences = self.differences.iter().map(|(run, answer)| json!({"run": run, "invocations": differing(answer)}));
        let reasons = self.reasons.iter().map(|Reason { problem: Problem { status, code, detail, path, .. }, count, run }| {
            json!({"count": count, "status": status, "code": code, "detail": detail, "path": path, "run": run})
        });
        json!({
            "replayed": self.replayed(),
            "same": self.same,
            "different": self.different,
            "failed": {"count": self.failed, "reasons": reasons.collect::<Vec<_>>()},
            "left_out": {"not_used": self.not_used, "not_recorded": self.not_recorded, "not_ended": self.not_ended},
            "fuel": {"invocations": invocations, "before": before, "after": after},
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}

impl Fuel {
    fn text(&self, scripts: &[String]) -> String {
        let Self { invocations, before, after } = *self;
        if invocations == 0 {
            return String::new();
        }
        let whose = if scripts.is_empty() { "all scripts".to_owned() } else { scripts.join(", ") };
        let (each_before, each_after) = (before / invocations, after / invocations);
        format!(
            "fuel of {whose}: {} → {} per invocation{}, over {} invocations\n",
            grouped(each_before),
            grouped(each_after),
            change(before, after),
            grouped(invocations)
        )
    }
}

/// By how much, in tenths of a per cent.
fn change(before: u64, after: u64) -> String {
    if before == 0 || before == after {
        return String::new();
    }
    let (sign, by) = if after > before { ('+', after - before) } else { ('−', before - after) };
    let tenths = u128::from(by) * 1000 / u128::from(before);
    format!(" ({sign}{}.{} %)", tenths / 10, tenths % 10)
}

/// One run: every invocation on a line, with the difference below it where there is one.
pub(super) fn one(run: &str, answer: &Value) -> String {
    let mut out = format!("run {run}\n");
    for invocation in invocations(answer) {
        let text = |key: &str| invocation[key].as_str().unwrap_or_default();
        let number = |key: &str| invocation[key].as_u64().unwrap_or_default();
        let (before, after) = (number("fuel_before"), number("fuel_after"));
        let versions = match (number("version_before"), number("version_after")) {
            (before, after) if before == after => format!("{}@{before}", text("script")),
            (before, after) => format!("{}@{before} → @{after}", text("script")),
        };
        let same = invocation["same"] == true;
        let fuel = if before == after {
            format!("{} fuel", grouped(before))
        } else {
            format!("{} → {} fuel{}", grouped(before), grouped(after), change(before, after))
        };
        out += &format!("  {} {}, {} {versions}: {fuel}\n", if same { "same   " } else { "differs" }, text("step"), text("hook"));
        if !same {
            out += &diff::lines(&invocation["before"], &invocation["after"], "      ");
        }
        if let Some(note) = invocation["note"].as_str() {
            out += &format!("      ({note})\n");
        }
    }
    out
}

fn invocations(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["invocations"].as_array().into_iter().flatten()
}

fn differing(answer: &Value) -> Vec<&Value> {
    invocations(answer).filter(|invocation| invocation["same"] != true).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(same: bool, fuel_after: u64) -> Fate {
        Fate::Replayed(json!({"same": same, "invocations": [{"step": "Price", "hook": "step", "script": "price", "version_before": 1,
            "version_after": 2, "same": same, "before": {"decision": {"kind": "return"}, "payload": {"total": 1}},
            "after": {"decision": {"kind": "return"}, "payload": {"total": if same { 1 } else { 2 }}}, "fuel_before": 1000, "fuel_after": fuel_after}]}))
    }

    fn failed(code: &str, detail: &str) -> Fate {
        Fate::Failed(Problem::read(404, json!({"code": code, "detail": detail, "path": "scripts.price"}).to_string().as_bytes()))
    }

    fn report(fates: Vec<(&str, Fate)>) -> Report {
        let mut report = Report::new(&Map::from_iter([("price".to_owned(), json!(2))]));
        for (run, fate) in fates {
            report.add(run.to_owned(), fate);
        }
        report
    }

    #[test]
    fn sums_and_first_differences_are_told() {
        let fates = vec![
            ("a", answer(true, 900)),
            ("b", answer(false, 950)),
            ("c", Fate::NotUsed),
            ("d", Fate::NotRecorded("run `d` was too large".to_owned())),
        ];
        let found = report(fates);
        let expected = "run b\n  differs Price, step price@1 → @2: 1,000 → 950 fuel (−5.0 %)\n          },\n          \"payload\": {\n      \
                        -     \"total\": 1\n      +     \"total\": 2\n          }\n        }\n\n\
                        1 of 2 replayed runs decided the same, 1 did not\n\
                        fuel of price: 1,000 → 925 per invocation (−7.5 %), over 2 invocations\n\
                        left out: 1 without these scripts, 1 not recorded\n          run `d` was too large\n";
        assert_eq!(found.text(), expected);
        assert!(matches!(found.verdict(), Err(CliError::NotAsExpected(_))));
        assert_eq!(found.json()["differences"][0]["run"], "b");
        assert!(report(vec![("a", answer(true, 1))]).verdict().is_ok());
        assert!(report(vec![("a", Fate::NotEnded)]).verdict().is_err(), "nothing was shown");
    }

    #[test]
    fn a_run_that_fails_is_told_and_the_others_count() {
        let found = report(vec![
            ("a", failed("not-found", "there is no version 2")),
            ("b", answer(true, 1000)),
            ("c", failed("not-found", "there is no version 2")),
            ("d", failed("overloaded", "too much")),
        ]);
        let expected = "1 of 1 replayed runs decided the same, 0 did not\n\
                        fuel of price: 1,000 → 1,000 per invocation, over 1 invocations\n3 could not be replayed\n          \
                        2 × not-found: there is no version 2 (at scripts.price), first run a\n          \
                        1 × overloaded: too much (at scripts.price), first run d\n";
        assert_eq!(found.text(), expected);
        let Err(CliError::NotAsExpected(said)) = found.verdict() else { panic!("a failed run is no success") };
        assert_eq!(said, "3 of 4 runs could not be replayed");
        assert_eq!((&found.json()["failed"]["count"], &found.json()["failed"]["reasons"][0]["count"]), (&json!(3), &json!(2)));
    }

    #[test]
    fn however_many_differ_only_the_first_are_kept() {
        let found = report((0..100).map(|_| ("x", answer(false, 1))).collect());
        assert_eq!((found.differences.len(), &found.json()["different"]), (SHOWN, &json!(100)));
    }
}
