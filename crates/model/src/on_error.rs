//! What follows when a script step fails: `on_error` of flow-format.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// What follows when a script step fails. Absent: the run fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnError {
    /// What is done about it.
    pub policy: ErrorPolicy,
    /// Of `retry`: after the first, 0 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Of `retry`: before each further attempt, 0 to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u32>,
    /// Of `retry`: factor of the delay from one attempt to the next, 1 to 10; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u32>,
    /// Of `retry`: whether the run goes on when the last attempt failed too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_final: Option<bool>,
}

/// What is done about a failed script step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorPolicy {
    /// The run fails.
    #[default]
    Fail,
    /// The run goes on with the payload from before the step, and ends as `partial`.
    Ignore,
    /// The step is tried again.
    Retry,
}

/// Further attempts of a script step.
const MAX_ATTEMPTS: u32 = 10;
/// A longer wait belongs to the flow's own `retry`, whose runs hold nothing while they wait.
const MAX_DELAY_S: u32 = 60;
/// All waits of a flow together, in seconds: they hold the run, which has a quarter of an hour for everything.
pub const MAX_WAITS_S: u64 = 600;

impl OnError {
    /// Seconds to wait before an attempt, from 2; none where no attempt follows.
    #[must_use]
    pub fn wait_s(&self, attempt: u32) -> Option<u64> {
        let further = attempt.checked_sub(1)?;
        if self.policy != ErrorPolicy::Retry || further == 0 || further > self.attempts.unwrap_or(0) {
            return None;
        }
        let factor = u64::from(self.backoff.unwrap_or(1)).saturating_pow(further - 1);
        Some(u64::from(self.delay_s.unwrap_or(0)).saturating_mul(factor))
    }

    /// Whether the run goes on when nothing else is left to do.
    #[must_use]
    pub fn ignores(&self) -> bool {
        match self.policy {
            ErrorPolicy::Fail => false,
            ErrorPolicy::Ignore => true,
            ErrorPolicy::Retry => self.ignore_final.unwrap_or(false),
        }
    }

    /// All waits together, in seconds, when every attempt fails.
    #[must_use]
    pub fn waits_s(&self) -> u64 {
        (2..).map_while(|attempt| self.wait_s(attempt)).fold(0, u64::saturating_add)
    }

    pub(crate) fn check(&self, path: &str) -> Result<(), Invalid> {
        let given = [
            ("attempts", self.attempts.is_some()),
            ("delay_s", self.delay_s.is_some()),
            ("backoff", self.backoff.is_some()),
            ("ignore_final", self.ignore_final.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) if self.policy != ErrorPolicy::Retry => {
                return Err(Invalid::new(format!("{path}.{field}"), "belongs to the policy `retry`"));
            }
            _ => {}
        }
        if self.policy == ErrorPolicy::Retry && self.attempts.is_none() {
            return Err(Invalid::new(format!("{path}.attempts"), "the policy `retry` needs it: attempts after the first, 0 to 10"));
        }
        let ranges =
            [("attempts", self.attempts, 0..=MAX_ATTEMPTS), ("delay_s", self.delay_s, 0..=MAX_DELAY_S), ("backoff", self.backoff, 1..=10)];
        for (field, value, range) in ranges {
            if value.is_some_and(|value| !range.contains(&value)) {
                return Err(Invalid::new(format!("{path}.{field}"), format!("must be {} to {}", range.start(), range.end())));
            }
        }
        Ok(())
    }
}

/// Checks that the waits of a flow's steps fit into one run together; `waits` gives the path of each with its seconds.
pub(crate) fn check_waits(waits: impl Iterator<Item = (String, u64)>) -> Result<(), Invalid> {
    let mut sum = 0_u64;
    for (path, waits_s) in waits {
        sum = sum.saturating_add(waits_s);
        if sum > MAX_WAITS_S {
            let detail = format!(
                "the waits of the flow's `on_error` come to {sum} s by this step; a run can hold {MAX_WAITS_S} s of them. \
                 Wait shorter, or use the flow's own `retry`"
            );
            return Err(Invalid::new(path, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Flow, Invalid};

    use super::{ErrorPolicy, OnError};

    fn retry(attempts: u32, delay_s: u32, backoff: u32) -> OnError {
        let (attempts, delay_s, backoff) = (Some(attempts), Some(delay_s), Some(backoff));
        OnError { policy: ErrorPolicy::Retry, attempts, delay_s, backoff, ignore_final: None }
    }

    #[test]
    fn waits_grow_and_end() {
        let waits = |on_error: OnError| (0..5).map(|attempt| on_error.wait_s(attempt)).collect::<Vec<_>>();
        assert_eq!(waits(retry(2, 3, 2)), [None, None, Some(3), Some(6), None]);
        assert_eq!(waits(retry(0, 3, 2)), [None; 5]);
        assert_eq!(waits(OnError { policy: ErrorPolicy::Ignore, ..retry(2, 3, 2) }), [None; 5]);
        assert_eq!(retry(3, 5, 10).waits_s(), 555);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_path() {
        let parse = |steps: serde_json::Value| Flow::parse(json!({ "steps": steps }));
        let step = |on_error: serde_json::Value| json!([{"script": "s", "on_error": on_error}]);
        for (on_error, path) in [
            (json!({"policy": "again"}), "steps[0].on_error.policy"),
            (json!({}), "steps[0].on_error"),
            (json!({"policy": "retry"}), "steps[0].on_error.attempts"),
            (json!({"policy": "retry", "attempts": 11}), "steps[0].on_error.attempts"),
            (json!({"policy": "retry", "attempts": 1, "delay_s": 61}), "steps[0].on_error.delay_s"),
            (json!({"policy": "retry", "attempts": 1, "backoff": 0}), "steps[0].on_error.backoff"),
            (json!({"policy": "retry", "attempts": 1, "wait": 1}), "steps[0].on_error.wait"),
            (json!({"policy": "retry", "attempts": 3, "delay_s": 60, "backoff": 10}), "steps[0].on_error"),
            (json!({"policy": "ignore", "delay_s": 1}), "steps[0].on_error.delay_s"),
            (json!({"policy": "fail", "ignore_final": true}), "steps[0].on_error.ignore_final"),
        ] {
            let Invalid { path: found, detail } = parse(step(on_error.clone())).unwrap_err();
            assert_eq!(found, path, "{on_error}: {detail}");
        }
        let long = json!({"policy": "retry", "attempts": 10, "delay_s": 60});
        assert!(parse(step(long.clone())).is_ok());
        let two = json!([{"script": "s", "on_error": long}, {"script": "s", "on_error": {"policy": "retry", "attempts": 1, "delay_s": 1}}]);
        assert_eq!(parse(two).unwrap_err().path, "steps[1].on_error");
        let other = json!([{"url": "http://a.example", "on_error": {"policy": "ignore"}}]);
        assert_eq!(parse(other).unwrap_err().path, "steps[0].on_error");
    }
}
