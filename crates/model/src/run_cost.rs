//! What a run cost, read out of its record without the rest: overviews are made of thousands of them.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{Code, Hook, RunId, RunStatus, Usage};

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

/// A limit of which an invocation used 80 % or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearLimit {
    /// Whose code.
    pub script: String,
    /// Which version of it.
    pub version: u32,
    /// Which hook.
    pub hook: Hook,
    /// The limit as [`crate::Limits`] names it, such as `fuel`.
    pub limit: &'static str,
    /// What was used, or wanted, in the limit's own unit.
    pub used: u64,
    /// What there was of it.
    pub allowed: u64,
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
    /// Reads it out of the JSON text of a record. `wall_ms` is the tenant's limit, which records do not hold.
    ///
    /// # Errors
    /// When the text is no record.
    pub fn read(record: &str, wall_ms: u64) -> Result<Self, serde_json::Error> {
        let record: Record<'_> = serde_json::from_str(record)?;
        let of = record.flow.or(record.call).unwrap_or_default().into_owned();
        let Record { id, status, started_at, ended_at, .. } = record;
        let mut cost = Self { id, of, status, started_at, ended_at, hooks_us: 0, requests_us: 0, near: Vec::new() };
        cost.add(record.trigger.as_slice(), wall_ms);
        for step in &record.steps {
            cost.add(&step.hooks, wall_ms);
            for attempt in &step.attempts {
                let in_hooks = cost.add(&attempt.hooks, wall_ms);
                cost.requests_us += (attempt.duration_ms * 1000).saturating_sub(in_hooks);
            }
        }
        Ok(cost)
    }

    /// How long the run took, in microseconds; absent until it has ended.
    #[must_use]
    pub fn duration_us(&self) -> Option<u64> {
        u64::try_from(self.ended_at?.duration_since(self.started_at).as_micros()).ok()
    }

    /// Adds invocations; gives the time that they took.
    fn add(&mut self, invocations: &[Invocation<'_>], wall_ms: u64) -> u64 {
        let took = invocations.iter().map(|invocation| invocation.duration_us).sum();
        self.hooks_us += took;
        self.near.extend(invocations.iter().flat_map(|invocation| invocation.near(wall_ms)));
        took
    }
}

impl Invocation<'_> {
    fn near(&self, wall_ms: u64) -> impl Iterator<Item = NearLimit> {
        let Usage { fuel, fuel_limit, memory_bytes, memory_limit_bytes, wall_us } = self.usage;
        let reached = self.fault.as_ref().and_then(Fault::limit);
        let spent = [("fuel", fuel, fuel_limit), ("memory_bytes", memory_bytes, memory_limit_bytes), ("wall_ms", wall_us / 1000, wall_ms)];
        // What was reached says itself how much was wanted.
        let spent = spent.into_iter().filter(move |(name, ..)| reached.is_none_or(|(reached, ..)| reached != *name));
        let near = spent.chain(reached).filter(|(_, used, allowed)| u128::from(*used) * 5 >= u128::from(*allowed) * 4);
        near.map(|(limit, used, allowed)| NearLimit {
            script: self.script.to_string(),
            version: self.version,
            hook: self.hook,
            limit,
            used,
            allowed,
        })
    }
}

impl Fault {
    /// The limit that an invocation ended at: its name, what was wanted of it, and what there was.
    fn limit(&self) -> Option<(&'static str, u64, u64)> {
        let name = match self.code {
            Code::Fuel => "fuel",
            Code::Deadline => "wall_ms",
            Code::Memory => "memory_bytes",
            Code::Output => "output_bytes",
            Code::HostCalls => "host_calls",
            _ => return None,
        };
        let allowed = self.limit?;
        Some((name, self.used.unwrap_or(allowed), allowed))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::RunCost;
    use crate::{RunRecord, RunStatus};

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
        RunCost::read(&serde_json::to_string(&record).expect("it was read"), 100).expect("a record")
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
            ("post-hook", "wall_ms", 80, 100),
            ("post-fail", "memory_bytes", 4000, 100),
        ];
        assert_eq!(near, expected);
    }
}
