//! Runs as they are recorded and shown: the shape of `GET /v1/runs/{id}`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    BodyText, Code, Decision, DocumentRecord, Fault, Hook, LogEntry, Name, PostFailDecision, PostHookDecision, PostRequestDecision,
    PreHookDecision, PreRequestDecision, ReasonCode, Retention, SubjectId, Usage, WaitRecord,
};

/// Names a run; a UUID of version 7, so ids sort by the time the run was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub uuid::Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "`flow-format` explains the words")]
pub enum RunStatus {
    Queued,
    Running,
    Waiting,
    Succeeded,
    Partial,
    Failed,
    Blocked,
    Cancelled,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Partial, Self::Failed, Self::Blocked, Self::Cancelled];

    /// Whether nothing follows.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Blocked | Self::Cancelled)
    }

    /// The word in documents and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Where a step is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum StepStatus {
    Running,
    Waiting,
    Succeeded,
    Failed,
    Blocked,
}

/// One execution of a flow version, or a direct call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Names the run.
    pub id: RunId,
    /// Absent for a direct call.
    pub flow: Option<Name>,
    /// Absent for a direct call.
    pub flow_version: Option<u32>,
    /// `connector/endpoint` of a direct call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Whom the run is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// Where the run is in its life.
    pub status: RunStatus,
    /// Why it failed.
    pub code: Option<Code>,
    /// The failure in a sentence, or a script's own message.
    pub message: Option<String>,
    /// The run that this one repeats.
    pub retry_of: Option<RunId>,
    /// The run that repeats this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_run: Option<RunId>,
    /// From 1; a repeated run counts on.
    pub attempt: u32,
    /// When it began, or when it is due.
    pub started_at: Timestamp,
    /// Absent until it has ended.
    pub ended_at: Option<Timestamp>,
    /// What became of the document that the run is about; absent for a direct call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentRecord>,
    /// How long what it leaves is kept; absent where the tenant's usual times hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Whether its payloads are not kept any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payloads_removed: bool,
    /// Below what the run's span hangs; absent where nobody had begun a trace, or none are exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// Sums over all invocations.
    pub usage: RunUsage,
    /// The trigger's script; absent where none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Invocation>,
    /// In order.
    pub steps: Vec<StepRecord>,
}

impl RunRecord {
    /// All invocations: the trigger's, then those of each step, and of its requests.
    pub fn invocations(&self) -> impl Iterator<Item = &Invocation> {
        self.trigger.iter().chain(self.steps.iter().flat_map(StepRecord::invocations))
    }
}

/// A span in a trace, as W3C Trace Context writes it. Kept with a run, since another node may go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceParent {
    /// The header of that name.
    pub traceparent: String,
    /// Likewise, where the caller sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// Sums over the invocations of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Usage`")]
pub struct RunUsage {
    pub fuel: u64,
    pub wall_us: u64,
}

/// One step of a run; a direct call has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's name; `connector/endpoint` in a direct call.
    pub name: String,
    /// How it ended.
    pub status: StepStatus,
    /// Why it failed.
    pub code: Option<Code>,
    /// The failure in a sentence, or a script's own message.
    pub message: Option<String>,
    /// Hooks that run once per call, and the script of a script step: once for each of its attempts, in order.
    pub hooks: Vec<Invocation>,
    /// Requests, in order.
    pub attempts: Vec<Attempt>,
    /// Times in which the run held nothing but its row, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitRecord>,
}

impl StepRecord {
    /// Those of the step itself, then those of its requests.
    fn invocations(&self) -> impl Iterator<Item = &Invocation> {
        self.hooks.iter().chain(self.attempts.iter().flat_map(|attempt| &attempt.hooks))
    }
}

/// One request of a step, with its hooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the first of its hooks began.
    pub started_at: Timestamp,
    /// With its hooks.
    pub duration_ms: u64,
    /// `pre-request` and `post-request`.
    pub hooks: Vec<Invocation>,
    /// Absent when a hook kept it from being sent.
    pub request: Option<RequestRecord>,
    /// Status 0 when there was none.
    pub response: Option<ResponseRecord>,
    /// Why the attempt failed.
    pub error: Option<Fault>,
}

/// A request as it went out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct RequestRecord {
    pub method: String,
    pub url: String,
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub body: BodyText,
}

/// A response as it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct ResponseRecord {
    pub status: u16,
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub body: BodyText,
}

/// One call of one hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// Which hook.
    pub hook: Hook,
    /// Whose code.
    pub script: Name,
    /// Which version of it.
    pub version: u32,
    /// Absent when the invocation failed.
    pub decision: Option<DecisionRecord>,
    /// Why the invocation failed.
    pub fault: Option<Fault>,
    /// What it spent, beside its limits.
    pub usage: Usage,
    /// In order.
    pub logs: Vec<LogEntry>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_us: u64,
}

/// What a hook decided, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct DecisionRecord {
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<ReasonCode>,
}

impl From<&Decision> for DecisionRecord {
    fn from(decision: &Decision) -> Self {
        let mut record = Self { kind: decision.kind().to_owned(), message: None, status: None, reason_code: None };
        match decision {
            Decision::PreHook(PreHookDecision::Reject(rejection))
            | Decision::PreRequest(PreRequestDecision::Reject(rejection))
            | Decision::PostHook(PostHookDecision::Reject(rejection)) => {
                record.message = Some(rejection.message.clone());
                record.status = Some(rejection.status);
                record.reason_code.clone_from(&rejection.code);
            }
            Decision::PostFail(PostFailDecision::Replace(failure)) => {
                record.message = Some(failure.message.clone());
                record.status = Some(failure.status);
                record.reason_code.clone_from(&failure.code);
            }
            Decision::PreHook(PreHookDecision::Respond(response)) | Decision::PreRequest(PreRequestDecision::Respond(response)) => {
                record.status = Some(response.status);
            }
            Decision::PostRequest(PostRequestDecision::Fail(failing)) => {
                record.message.clone_from(&failing.message);
                record.reason_code.clone_from(&failing.code);
            }
            Decision::PostRequest(
                PostRequestDecision::RetryStep(message)
                | PostRequestDecision::RetryRun(message)
                | PostRequestDecision::Reauthenticate(message),
            ) => record.message.clone_from(message),
            Decision::PreHook(PreHookDecision::Call(_))
            | Decision::PreRequest(PreRequestDecision::Send(_))
            | Decision::PostRequest(PostRequestDecision::None(_) | PostRequestDecision::Proceed(_))
            | Decision::PostHook(PostHookDecision::Keep | PostHookDecision::Replace(_))
            | Decision::PostFail(PostFailDecision::Keep | PostFailDecision::Recover(_))
            | Decision::Step(_) => {}
            Decision::Trigger(decision) => record.status = decision.response.as_ref().map(|response| response.status),
        }
        record
    }
}
