//! The words of the domain as types: names, limits, hooks, decisions, documents, runs, faults.
//!
//! Pure: no async function, no I/O, no clock and no chance. Everything here can be built, compared and printed in a test.
//! HTTP status codes of our own answers are not known here; `api` alone maps outcomes to them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod audit;
mod body;
mod connection;
pub mod connector;
mod context;
mod decision;
mod document;
mod fault;
pub mod files;
pub mod flow;
mod history;
mod hook;
mod limits;
mod message;
mod name;
mod on_error;
mod place;
mod quota;
mod raw;
pub mod request;
mod result_key;
mod retention;
mod run;
mod run_cost;
mod run_summary;
mod script;
mod secret;
mod signature;
mod state;
pub mod strict;
mod subject;
mod tenant;
mod token;
mod trigger;
mod waiting;

pub use audit::{AuditAction, AuditRecord, Author, Who};
pub use body::BodyText;
pub use connection::{Connection, ConnectionDraft, ConnectionKind, ConnectionStatus, FieldRule, Place, TOKEN_HEADERS};
pub use connector::{Binding, Connector, Endpoint, HookBindings, Retry};
pub use context::{Context, Exchange, HookInput, LogEntry, LogLevel, Told, TriggerRequest, VariableScope, VariableWrite, Variables};
pub use decision::{
    Decision, FailingDecision, NewRequest, NewResponse, PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision,
    PreRequestDecision, ReasonCode, Rejection, ReplacedFailure, StepDecision, TriggerDecision, TriggerResponse,
};
pub use document::DocumentRecord;
pub use fault::{Blame, Code, Fault, Invalid, Origin};
pub use flow::{Flow, Step, StepAction};
pub use history::{EventKind, RunEvent, WaitReason, WaitRecord};
pub use hook::{Hook, HookSet};
pub use limits::{Limits, LimitsChange, Usage};
pub use message::{Headers, HttpRequest, HttpResponse, Payload};
pub use name::{Name, NameError, TenantName};
pub use on_error::{ErrorPolicy, MAX_WAITS_S, OnError};
pub use place::PlaceOf;
pub use quota::{Quota, QuotaChange, Weight};
pub use request::{ContinueIf, Encode};
pub use result_key::result_key;
pub use retention::{Retention, RetentionDocument, TenantRetention};
pub use run::{
    Attempt, DecisionRecord, Invocation, RequestRecord, ResponseRecord, RunId, RunRecord, RunStatus, RunUsage, StepRecord, StepStatus,
    TraceParent,
};
pub use run_cost::RunCost;
pub use run_summary::{NearLimit, RunSummary};
pub use script::{Dialect, Import, Language, ScriptKind, ScriptVersion, Warning};
pub use secret::{SealedSecret, SecretName, SecretNameError};
pub use signature::{PLACEHOLDER, PLACEHOLDER_RANDOM, SignatureScheme, Signed, find_placeholder};
pub use state::{RunState, STATE_ENTRY_BYTES, STATE_KEY_BYTES, StateChanges, StateSeen, state_entry_bytes};
pub use subject::{Subject, SubjectId, SubjectValues};
pub use tenant::{EgressPolicy, Grants, HostRule, Tenant, TenantDocument};
pub use token::{TokenRecord, TokenScope, TokenScopes};
pub use trigger::{Trigger, TriggerAuth};
pub use waiting::{AsyncStep, Callback, CorrelationId, Polling};
