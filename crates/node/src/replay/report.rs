//! What came of replays, in a few lines for people and whole as JSON.

use serde_json::{Map, Value, json};

use crate::diff;
use crate::problem::CliError;
use crate::timeline::grouped;

/// Runs that differ and are shown in full; the rest are counted.
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
}

/// All runs that were looked at.
pub(super) struct Report {
    fates: Vec<(String, Fate)>,
    /// Whose fuel is summed up; all when empty.
    scripts: Vec<String>,
}

/// Fuel of the invocations that are of interest.
#[derive(Default)]
struct Fuel {
    invocations: u64,
    before: u64,
    after: u64,
}

impl Report {
    pub(super) fn new(fates: Vec<(String, Fate)>, scripts: &Map<String, Value>) -> Self {
        Self { fates, scripts: scripts.keys().cloned().collect() }
    }

    fn replayed(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fates.iter().filter_map(|(run, fate)| match fate {
            Fate::Replayed(answer) => Some((run.as_str(), answer)),
            _ => None,
        })
    }

    fn different(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.replayed().filter(|(_, answer)| answer["same"] != true)
    }

    fn count(&self, fits: impl Fn(&Fate) -> bool) -> usize {
        self.fates.iter().filter(|(_, fate)| fits(fate)).count()
    }

    fn fuel(&self) -> Fuel {
        let mut sum = Fuel::default();
        let of_interest = |invocation: &&Value| {
            self.scripts.is_empty() || self.scripts.iter().any(|name| invocation["script"].as_str() == Some(name.as_str()))
        };
        for invocation in self.replayed().flat_map(|(_, answer)| invocations(answer)).filter(of_interest) {
            sum.invocations += 1;
            sum.before += invocation["fuel_before"].as_u64().unwrap_or_default();
            sum.after += invocation["fuel_after"].as_u64().unwrap_or_default();
        }
        sum
    }

    pub(super) fn verdict(&self) -> Result<(), CliError> {
        match (self.replayed().count(), self.different().count()) {
            (0, _) => Err(CliError::Start("none of these runs could be replayed".to_owned())),
            (_, 0) => Ok(()),
            (all, different) => Err(CliError::NotAsExpected(format!("{different} of {all} runs differ"))),
        }
    }

    /// The first differences, then the sums, which are what one looks for.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for (run, answer) in self.different().take(SHOWN) {
            out += &one(run, answer);
            out.push('\n');
        }
        let (all, different) = (self.replayed().count(), self.different().count());
        if different > SHOWN {
            out += &format!("… and {} more runs that differ\n\n", different - SHOWN);
        }
        out += &format!("{} of {all} replayed runs decided the same, {different} did not\n", all - different);
        out += &self.fuel().text(&self.scripts);
        let left_out = [
            ("without these scripts", self.count(|fate| matches!(fate, Fate::NotUsed))),
            ("not recorded", self.count(|fate| matches!(fate, Fate::NotRecorded(_)))),
            ("not ended", self.count(|fate| matches!(fate, Fate::NotEnded))),
        ];
        let left_out: Vec<_> = left_out.into_iter().filter(|(_, count)| *count > 0).map(|(why, count)| format!("{count} {why}")).collect();
        if !left_out.is_empty() {
            out += &format!("left out: {}\n", left_out.join(", "));
        }
        if let Some(why) = self.fates.iter().find_map(|(_, fate)| if let Fate::NotRecorded(why) = fate { Some(why) } else { None }) {
            out += &format!("          {why}\n");
        }
        out
    }

    pub(super) fn json(&self) -> Value {
        let fuel = self.fuel();
        let differences: Vec<Value> = self.different().map(|(run, answer)| json!({"run": run, "invocations": differing(answer)})).collect();
        json!({
            "replayed": self.replayed().count(),
            "same": self.replayed().count() - differences.len(),
            "different": differences.len(),
            "left_out": {
                "not_used": self.count(|fate| matches!(fate, Fate::NotUsed)),
                "not_recorded": self.count(|fate| matches!(fate, Fate::NotRecorded(_))),
                "not_ended": self.count(|fate| matches!(fate, Fate::NotEnded)),
            },
            "fuel": {"invocations": fuel.invocations, "before": fuel.before, "after": fuel.after},
            "differences": differences,
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

    #[test]
    fn sums_and_first_differences_are_told() {
        let fates = vec![
            ("a".to_owned(), answer(true, 900)),
            ("b".to_owned(), answer(false, 950)),
            ("c".to_owned(), Fate::NotUsed),
            ("d".to_owned(), Fate::NotRecorded("run `d` was too large".to_owned())),
        ];
        let scripts = Map::from_iter([("price".to_owned(), json!(2))]);
        let report = Report::new(fates, &scripts);
        let expected = "run b\n  differs Price, step price@1 → @2: 1,000 → 950 fuel (−5.0 %)\n          },\n          \"payload\": {\n      \
                        -     \"total\": 1\n      +     \"total\": 2\n          }\n        }\n\n\
                        1 of 2 replayed runs decided the same, 1 did not\n\
                        fuel of price: 1,000 → 925 per invocation (−7.5 %), over 2 invocations\n\
                        left out: 1 without these scripts, 1 not recorded\n          run `d` was too large\n";
        assert_eq!(report.text(), expected);
        assert!(matches!(report.verdict(), Err(CliError::NotAsExpected(_))));
        assert_eq!(report.json()["differences"][0]["run"], "b");
        assert!(Report::new(vec![("a".to_owned(), answer(true, 1))], &scripts).verdict().is_ok());
        assert!(Report::new(vec![("a".to_owned(), Fate::NotEnded)], &scripts).verdict().is_err(), "nothing was shown");
    }
}
