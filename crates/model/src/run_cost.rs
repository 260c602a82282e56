//! What a run cost: overviews are made of thousands of them. From its summary, or read out of its record without the rest.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::run_summary::{Spent, is_near};
use crate::{Code, Hook, NearLimit, RunId, RunStatus, RunSummary, Usage};

/// What an overview wants to know of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCost {
    /// Names the run.
    pub id: RunId,
    /// The flow's name, or `connector/endpoint` of a direct call.
    pub of: String,
    /// Where the run is in its life.
    pub status: RunStatus,
    /// When it began, or when it is due.
    pub started_at: Timestamp,
    /// Absent until it has ended.
    pub ended_at: Option<Timestamp>,
    /// Time in hooks, in microseconds.
    pub hooks_us: u64,
    /// Time in requests to upstreams without their hooks, in microseconds. A record has requests in whole milliseconds.
    pub requests_us: u64,
    /// Limits of which an invocation used 80 % or more.
    pub near: Vec<NearLimit>,
}

/// The parts of [`crate::RunRecord`] that count here.
#[derive(Deserialize)]
struct Record<'a> {
    id: RunId,
    #[serde(borrow)]
    flow: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call: Option<Cow<'a, str>>,
    status: RunStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    #[serde(borrow, default)]
    trigger: Option<Invocation<'a>>,
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
}

#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow)]
    hooks: Vec<Invocation<'a>>,
    #[serde(borrow)]
    attempts: Vec<Attempt<'a>>,
}

#[derive(Deserialize)]
struct Attempt<'a> {
    duration_ms: u64,
    #[serde(borrow)]
    hooks: Vec<Invocation<'a>>,
}

#[derive(Deserialize)]
struct Invocation<'a> {
    hook: Hook,
    #[serde(borrow)]
    script: Cow<'a, str>,
    version: u32,
    fault: Option<Fault>,
    usage: Usage,
    duration_us: u64,
}

#[derive(Deserialize)]
struct Fault {
    code: Code,
    limit: Option<u64>,
    used: Option<u64>,
}

impl RunCost {
    /// Of a run of which a summary is kept. `wall_ms` is the tenant's limit, which is not in there.
    #[must_use]
    pub fn of(summary: RunSummary, (id, of): (RunId, String), status: RunStatus, started_at: Timestamp, wall_ms: u64) -> Self {
        let RunSummary { ended_at, hooks_us, requests_us, mut near, slow, .. } = summary;
        let slow = slow.into_iter().filter(|slow| is_near(slow.used, wall_ms));
        near.extend(slow.map(|slow| NearLimit { allowed: wall_ms, ..slow }));
        Self { id, of, status, started_at, ended_at, hooks_us, requests_us, near }
    }

    /// Reads it out of the JSON text of a record, where no summary is kept.
    ///
    /// # Errors
    /// When the text is no record.
    pub fn read(record: &str, wall_ms: u64) -> Result<Self, serde_json::Error> {
        let record: Record<'_> = serde_json::from_str(record)?;
        let mut summary = RunSummary { ended_at: record.ended_at, ..RunSummary::default() };
        summary.add(record.trigger.iter().map(Invocation::spent));
        for step in &record.steps {
            summary.add(step.hooks.iter().map(Invocation::spent));
            for attempt in &step.attempts {
                summary.add_request(attempt.duration_ms, attempt.hooks.iter().map(Invocation::spent));
            }
        }
        let of = record.flow.or(record.call).unwrap_or_default().into_owned();
        Ok(Self::of(summary, (record.id, of), record.status, record.started_at, wall_ms))
    }

    /// How long the run took, in microseconds; absent until it has ended.
    #[must_use]
    pub fn duration_us(&self) -> Option<u64> {
        u64::try_from(self.ended_at?.duration_since(self.started_at).as_micros()).ok()
    }
}

impl Invocation<'_> {
    fn spent(&self) -> Spent<'_> {
        let Self { hook, script, version, fault, usage, duration_us } = self;
        let fault = fault.as_ref().map(|Fault { code, limit, used }| (*code, *limit, *used));
        Spent { script, version: *version, hook: *hook, usage: *usage, duration_us: *duration_us, fault }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::RunCost;
    use crate::{RunRecord, RunStatus, RunSummary};

    fn invocation(hook: &str, usage: [u64; 5], fault: Value) -> Value {
        let [fuel, fuel_limit, memory_bytes, memory_limit_bytes, wall_us] = usage;
        let usage = json!({"fuel": fuel, "fuel_limit": fuel_limit, "memory_bytes": memory_bytes, "memory_limit_bytes": memory_limit_bytes,
            "wall_us": wall_us});
        json!({"hook": hook, "script": "price", "version": 3, "decision": null, "fault": fault, "usage": usage, "logs": [],
            "started_at": "2026-01-01T00:00:00Z", "duration_us": 400})
    }

    /// Written as a record is, and read back by it, so that the two do not drift apart.
    fn cost(trigger: Value, hooks: Value) -> RunCost {
        let attempt = json!({"started_at": "2026-01-01T00:00:00Z", "duration_ms": 12, "request": null, "response": null, "error": null,
            "hooks": [invocation("pre-request", [1, 10, 1, 10, 5], Value::Null)]});
        let step = json!({"name": "Order", "status": "failed", "code": null, "message": null, "hooks": hooks, "attempts": [attempt]});
        let record = json!({"id": "0199f0a0-0000-7000-8000-000000000000", "flow": "orders", "flow_version": 1, "status": "failed",
            "code": null, "message": "with \"quotes\"", "retry_of": null, "attempt": 1, "started_at": "2026-01-01T00:00:00Z",
            "ended_at": "2026-01-01T00:00:01.5Z", "usage": {"fuel": 1, "wall_us": 1}, "trigger": trigger, "steps": [step]});
        let record: RunRecord = serde_json::from_value(record).expect("a record");
        let read = RunCost::read(&serde_json::to_string(&record).expect("it was read"), 100).expect("a record");
        let kept = serde_json::to_string(&RunSummary::of(&record)).expect("it is plain");
        let summary = RunSummary::read(&kept).expect("it was written here");
        assert_eq!(summary.scripts, ["price"]);
        let of_summary = RunCost::of(summary, (record.id, "orders".to_owned()), record.status, record.started_at, 100);
        assert_eq!(of_summary, read, "a summary says the same as its record: {kept}");
        read
    }

    #[test]
    fn time_is_told_apart() {
        let quiet = || invocation("post-hook", [1, 10, 1, 10, 5], Value::Null);
        let cost = cost(quiet(), json!([quiet(), quiet()]));
        assert_eq!((cost.of.as_str(), cost.status, cost.duration_us()), ("orders", RunStatus::Failed, Some(1_500_000)));
        assert_eq!((cost.hooks_us, cost.requests_us), (1600, 11_600), "hooks of a request are none of its own time");
        assert_eq!(cost.near, []);
    }

    #[test]
    fn of_a_script_at_a_hook_the_worst_is_kept() {
        let of = |fuel, wall_us| invocation("pre-hook", [fuel, 100, 0, 100, wall_us], Value::Null);
        let near = cost(Value::Null, json!([of(85, 90_000), of(95, 80_000), of(90, 99_000)])).near;
        let near: Vec<_> = near.iter().map(|near| (near.limit, near.used, near.allowed)).collect();
        assert_eq!(near, [("fuel", 95, 100), ("wall_ms", 99, 100)]);
    }

    #[test]
    fn limits_are_near_from_four_fifths_on() {
        let hooks = json!([
            invocation("pre-hook", [80, 100, 79, 100, 79_999], Value::Null),
            invocation("post-hook", [0, 100, 0, 100, 80_000], Value::Null),
            invocation("post-fail", [0, 100, 50, 100, 0], json!({"code": "memory", "detail": "", "limit": 100, "used": 4000})),
        ]);
        let near = cost(invocation("trigger", [0, 10, 9, 10, 0], Value::Null), hooks).near;
        let near: Vec<_> = near.iter().map(|near| (near.hook.as_str(), near.limit, near.used, near.allowed)).collect();
        let expected = [
            ("trigger", "memory_bytes", 9, 10),
            ("pre-hook", "fuel", 80, 100),
            ("post-fail", "memory_bytes", 4000, 100),
            ("post-hook", "wall_ms", 80, 100),
        ];
        assert_eq!(near, expected);
    }
}
