//! Runs as they are recorded and shown: the shape of `GET /v1/runs/{id}`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    BodyText, Code, Decision, Fault, Hook, LogEntry, Name, PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision,
    PreRequestDecision, ReasonCode, SubjectId, Usage,
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

/// How a step or attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum StepStatus {
    Succeeded,
    Waiting,
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
    /// Sums over all invocations.
    pub usage: RunUsage,
    /// The trigger's script; absent where none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Invocation>,
    /// In order.
    pub steps: Vec<StepRecord>,
}

/// The state of the document that a run is about, in the words of those who send documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// One of [`DocumentRecord::STATUSES`], or one that the tenant has added.
    pub status: String,
    /// What a callback gave as status and nobody knows.
    pub technical_status: Option<String>,
    /// What a callback gave with its failure.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_text: Option<String>,
}

impl DocumentRecord {
    /// Statuses that every tenant has.
    pub const STATUSES: [&str; 10] = [
        "Inbox",
        "Initialize",
        "Processing",
        "Batching",
        "Awaiting Confirmation",
        "Failed",
        "Ignored",
        "Ready for test",
        "Outbox",
        "Completed",
    ];

    /// The document of a run in this state, where nobody has said more.
    #[must_use]
    pub fn of(status: RunStatus) -> Self {
        let status = match status {
            RunStatus::Queued => "Inbox",
            RunStatus::Running => "Processing",
            RunStatus::Waiting => "Awaiting Confirmation",
            RunStatus::Succeeded | RunStatus::Partial => "Completed",
            RunStatus::Failed => "Failed",
            RunStatus::Blocked | RunStatus::Cancelled => "Ignored",
        };
        Self { status: status.to_owned(), technical_status: None, error_code: None, error_text: None }
    }

    /// The document after a callback that said `Failed`. `known` are the statuses that the tenant has added.
    #[must_use]
    pub fn failed(status: Option<&str>, known: &[String]) -> Self {
        let mut document = Self::of(RunStatus::Failed);
        if let Some(status) = status {
            let all = Self::STATUSES.into_iter().chain(known.iter().map(String::as_str));
            match all.into_iter().find(|known| known.eq_ignore_ascii_case(status)) {
                Some(known) => document.status = known.to_owned(),
                None => document.technical_status = Some(status.to_owned()),
            }
        }
        document
    }
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
