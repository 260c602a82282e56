//! What lists and overviews want to know of a run, short enough to be kept beside its record: they look at thousands of runs for one answer.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Code, Hook, Invocation, RunRecord, Usage};

/// The name of the limit of time.
pub(crate) const WALL_MS: &str = "wall_ms";

/// Limits by the names that [`crate::Limits`] has for them.
const LIMITS: [&str; 5] = ["fuel", "memory_bytes", WALL_MS, "output_bytes", "host_calls"];

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// `connector/endpoint` of a direct call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The scripts that were invoked, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// Absent until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Time in hooks, in microseconds.
    pub hooks_us: u64,
    /// Time in requests to upstreams without their hooks, in microseconds. A record has requests in whole milliseconds.
    pub requests_us: u64,
    /// Limits of which an invocation used 80 % or more; of each script at each hook the worst.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearLimit>,
    /// The longest invocation of each script at each hook, if it took a millisecond. What there was of the time is the tenant's and not known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<NearLimit>,
}

/// By another name, since what is derived takes a reference for one into the text that is read.
type LimitName = &'static str;

/// A limit of which an invocation used 80 % or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearLimit {
    /// Whose code.
    pub script: String,
    /// Which version of it.
    pub version: u32,
    /// Which hook.
    pub hook: Hook,
    /// The limit as [`crate::Limits`] names it, such as `fuel`.
    #[serde(deserialize_with = "limit")]
    pub limit: LimitName,
    /// What was used, or wanted, in the limit's own unit.
    pub used: u64,
    /// What there was of it.
    pub allowed: u64,
}

/// What an invocation spent, wherever that was read.
pub(crate) struct Spent<'a> {
    pub(crate) script: &'a str,
    pub(crate) version: u32,
    pub(crate) hook: Hook,
    pub(crate) usage: Usage,
    pub(crate) duration_us: u64,
    /// Of an invocation that failed: why, how much there was of what it reached, and how much was wanted.
    pub(crate) fault: Option<(Code, Option<u64>, Option<u64>)>,
}

impl RunSummary {
    /// What a record comes to.
    #[must_use]
    pub fn of(record: &RunRecord) -> Self {
        let mut summary = Self { call: record.call.clone(), ended_at: record.ended_at, ..Self::default() };
        summary.add(record.trigger.iter().map(Spent::of));
        for step in &record.steps {
            summary.add(step.hooks.iter().map(Spent::of));
            for attempt in &step.attempts {
                summary.add_request(attempt.duration_ms, attempt.hooks.iter().map(Spent::of));
            }
        }
        summary
    }

    /// Reads it back from its JSON text.
    ///
    /// # Errors
    /// When the text is none.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Adds a request with its hooks, which took so long together.
    pub(crate) fn add_request<'a>(&mut self, duration_ms: u64, hooks: impl Iterator<Item = Spent<'a>>) {
        let in_hooks = self.add(hooks);
        self.requests_us += duration_ms.saturating_mul(1000).saturating_sub(in_hooks);
    }

    /// Adds invocations; gives the time that they took.
    pub(crate) fn add<'a>(&mut self, invocations: impl Iterator<Item = Spent<'a>>) -> u64 {
        let mut took = 0;
        for spent in invocations {
            took += spent.duration_us;
            if !self.scripts.iter().any(|known| known == spent.script) {
                self.scripts.push(spent.script.to_owned());
            }
            self.add_limits(&spent);
        }
        self.hooks_us += took;
        took
    }

    fn add_limits(&mut self, spent: &Spent<'_>) {
        let Usage { fuel, fuel_limit, memory_bytes, memory_limit_bytes, wall_us } = spent.usage;
        let reached = spent.reached();
        // What was reached says itself how much was wanted.
        let is_reached = |name| reached.is_some_and(|(reached, ..)| reached == name);
        let known = [("fuel", fuel, fuel_limit), ("memory_bytes", memory_bytes, memory_limit_bytes)];
        for (limit, used, allowed) in known.into_iter().filter(|(name, ..)| !is_reached(*name)).chain(reached) {
            if is_near(used, allowed) {
                keep_worst(&mut self.near, spent.of_limit(limit, used, allowed));
            }
        }
        if wall_us >= 1000 && !is_reached(WALL_MS) {
            keep_worst(&mut self.slow, spent.of_limit(WALL_MS, wall_us / 1000, 0));
        }
    }
}

/// Whether so much is nearly all, or more than all, of what there was.
pub(crate) fn is_near(used: u64, allowed: u64) -> bool {
    u128::from(used) * 5 >= u128::from(allowed) * 4
}

/// Of each script at each hook only the worst.
fn keep_worst(all: &mut Vec<NearLimit>, new: NearLimit) {
    let place = |near: &NearLimit| (near.version, near.hook, near.limit) == (new.version, new.hook, new.limit) && near.script == new.script;
    match all.iter_mut().find(|near| place(near)) {
        Some(worst) if new.compare(worst) == Ordering::Greater => *worst = new,
        Some(_) => {}
        None => all.push(new),
    }
}

impl NearLimit {
    /// By the part that was used; where nobody knows of how much, by what was used.
    fn compare(&self, other: &Self) -> Ordering {
        let part = |of: &Self, beside: &Self| u128::from(of.used) * u128::from(beside.allowed.max(1));
        part(self, other).cmp(&part(other, self))
    }
}

impl<'a> Spent<'a> {
    fn of(invocation: &'a Invocation) -> Self {
        let Invocation { script, version, hook, usage, duration_us, fault, .. } = invocation;
        let fault = fault.as_ref().map(|fault| (fault.code, fault.limit, fault.used));
        Self { script: script.as_str(), version: *version, hook: *hook, usage: *usage, duration_us: *duration_us, fault }
    }

    fn of_limit(&self, limit: &'static str, used: u64, allowed: u64) -> NearLimit {
        NearLimit { script: self.script.to_owned(), version: self.version, hook: self.hook, limit, used, allowed }
    }

    /// The limit that it ended at: its name, what was wanted of it, and what there was.
    fn reached(&self) -> Option<(&'static str, u64, u64)> {
        let (code, allowed, used) = self.fault?;
        let name = match code {
            Code::Fuel => "fuel",
            Code::Deadline => WALL_MS,
            Code::Memory => "memory_bytes",
            Code::Output => "output_bytes",
            Code::HostCalls => "host_calls",
            _ => return None,
        };
        let allowed = allowed?;
        Some((name, used.unwrap_or(allowed), allowed))
    }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimitName, D::Error> {
    let name = String::deserialize(deserializer)?;
    LIMITS.into_iter().find(|known| *known == name).ok_or_else(|| serde::de::Error::custom(format!("`{name}` is no limit")))
}
