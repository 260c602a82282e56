//! What happens in a run beside its invocations and requests: waits, and the events of its history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A time in which a step waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRecord {
    /// What it waited for.
    pub reason: WaitReason,
    /// Requests, or attempts of a script step, that came before it.
    pub after: u32,
    /// When it began.
    pub since: Timestamp,
    /// When it is over at the latest.
    pub until: Timestamp,
    /// When it was over; absent while it lasts.
    pub ended_at: Option<Timestamp>,
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitReason {
    /// The next attempt, after a failed one.
    Retry,
    /// The next request of a `polling`.
    Polling,
    /// The upstream's callback.
    Callback,
}

impl WaitReason {
    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Polling => "polling",
            Self::Callback => "callback",
        }
    }
}

/// One fact of a run's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// From 1, without gaps.
    pub seq: u32,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// In which step, where it was in one.
    pub step: Option<String>,
    /// In which of the step's attempts, from 1, where it was in one.
    pub attempt: Option<u32>,
    /// What belongs to the kind.
    #[serde(flatten)]
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// What can happen in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`http-api` explains the words")]
pub enum EventKind {
    RunStarted,
    HookCalled,
    RequestStarted,
    RequestEnded,
    Waiting,
    Resumed,
    StepEnded,
    RunEnded,
}
