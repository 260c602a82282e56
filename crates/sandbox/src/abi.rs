//! The types of `guest-sdk/wit` as they cross the border: borrowed on the way in, owned on the way out.
//!
//! Written by hand instead of generated, because generated bindings want every hook exported, copy bodies on their way in, and
//! name each type once per direction. The names in the attributes are checked against each component when it is loaded.

use bytes::Bytes;
use snaphook_model as model;
use wasmtime::component::{ComponentType, Lift, Lower, WasmStr};

/// Header pairs as the host lends them.
pub(crate) type HeadersIn<'a> = &'a [(String, String)];
/// Header pairs as the guest gave them.
pub(crate) type HeadersOut = Vec<(String, String)>;
/// What every hook answers.
pub(crate) type Answer<D> = (Result<D, FaultOut>,);

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct ContextIn<'a> {
    tenant: &'a str,
    flow: Option<&'a str>,
    step: Option<&'a str>,
    #[component(name = "run-id")]
    run_id: &'a str,
    attempt: u32,
    #[component(name = "started-at-ms")]
    started_at_ms: u64,
    #[component(name = "now-ms")]
    now_ms: u64,
    seed: u64,
    #[component(name = "deadline-ms")]
    deadline_ms: u32,
    parms: &'a str,
    #[component(name = "test-run")]
    test_run: bool,
}

impl<'a> ContextIn<'a> {
    /// Borrows a context; `run_id` is the run's id as text, which the model keeps as a number.
    /// The deadline is the whole limit and not what is left of it: the same invocation sees the same when it is repeated.
    pub(crate) fn new(context: &'a model::Context, run_id: &'a str, limits: &model::Limits) -> Self {
        Self {
            tenant: context.tenant.as_str(),
            flow: context.flow.as_deref(),
            step: context.step.as_deref(),
            run_id,
            attempt: context.attempt,
            started_at_ms: context.started_at_ms,
            now_ms: context.now_ms,
            seed: context.seed,
            deadline_ms: u32::try_from(limits.wall_ms).unwrap_or(u32::MAX),
            parms: &context.parms,
            test_run: context.test_run,
        }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct RequestIn<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: HeadersIn<'a>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct ResponseIn<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) status: u16,
    pub(crate) headers: HeadersIn<'a>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct FailureIn<'a> {
    pub(crate) status: u16,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
}

/// The request that begins a run.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct TriggerRequestIn<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: HeadersIn<'a>,
}

pub(crate) type PreHookIn<'a> = (&'a str, &'a str, ContextIn<'a>);
pub(crate) type PreRequestIn<'a> = (RequestIn<'a>, ContextIn<'a>);
pub(crate) type PostRequestIn<'a> = (ResponseIn<'a>, ContextIn<'a>);
pub(crate) type PostHookIn<'a> = (u16, HeadersIn<'a>, ContextIn<'a>);
pub(crate) type PostFailIn<'a> = (FailureIn<'a>, ContextIn<'a>);
pub(crate) type StepIn<'a> = (&'a str, ContextIn<'a>);
pub(crate) type TriggerIn<'a> = (TriggerRequestIn<'a>, ContextIn<'a>);

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct NewRequestOut {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: HeadersOut,
    pub(crate) body: Option<Bytes>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct NewResponseOut {
    pub(crate) status: u16,
    pub(crate) headers: HeadersOut,
    pub(crate) body: Bytes,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct PayloadOut {
    pub(crate) bytes: Bytes,
    #[component(name = "content-type")]
    pub(crate) content_type: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ReasonCodeOut {
    #[component(name = "number")]
    Number(i64),
    #[component(name = "text")]
    Text(String),
}

/// A rejection, or a failure in place of another: the two records are alike.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RejectionOut {
    pub(crate) status: u16,
    pub(crate) code: Option<ReasonCodeOut>,
    pub(crate) message: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct FailingOut {
    pub(crate) message: Option<String>,
    pub(crate) code: Option<ReasonCodeOut>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum PreHookOut {
    #[component(name = "call")]
    Call(Option<Bytes>),
    #[component(name = "reject")]
    Reject(RejectionOut),
    #[component(name = "respond")]
    Respond(NewResponseOut),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum PreRequestOut {
    #[component(name = "send")]
    Send(Option<NewRequestOut>),
    #[component(name = "reject")]
    Reject(RejectionOut),
    #[component(name = "respond")]
    Respond(NewResponseOut),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum PostRequestOut {
    #[component(name = "none")]
    None(Option<PayloadOut>),
    #[component(name = "proceed")]
    Proceed(Option<PayloadOut>),
    #[component(name = "retry-step")]
    RetryStep(Option<String>),
    #[component(name = "retry-run")]
    RetryRun(Option<String>),
    #[component(name = "fail")]
    Fail(FailingOut),
    #[component(name = "reauthenticate")]
    Reauthenticate(Option<String>),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum PostHookOut {
    #[component(name = "keep")]
    Keep,
    #[component(name = "replace")]
    Replace(PayloadOut),
    #[component(name = "reject")]
    Reject(RejectionOut),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum PostFailOut {
    #[component(name = "keep")]
    Keep,
    #[component(name = "recover")]
    Recover(PayloadOut),
    #[component(name = "replace")]
    Replace(RejectionOut),
}

pub(crate) type StepOut = Option<PayloadOut>;

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct TriggerResponseOut {
    pub(crate) status: u16,
    pub(crate) headers: HeadersOut,
    pub(crate) body: Option<Bytes>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct TriggerOut {
    pub(crate) payload: Option<PayloadOut>,
    pub(crate) response: Option<TriggerResponseOut>,
}

#[derive(ComponentType, Lift, Clone, Copy, PartialEq, Eq, Debug)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes these out of what the guest passes")]
pub(crate) enum FaultKindOut {
    #[component(name = "threw")]
    Threw,
    #[component(name = "contract")]
    Contract,
    #[component(name = "never-settles")]
    NeverSettles,
    #[component(name = "memory")]
    Memory,
    #[component(name = "deadline")]
    Deadline,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(record)]
pub(crate) struct LocationOut {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct FaultOut {
    pub(crate) kind: FaultKindOut,
    pub(crate) message: String,
    pub(crate) location: Option<LocationOut>,
    /// Positions in it are those of the text that runs, so it is not shown, and read only where it says in which file the script stood.
    pub(crate) stack: WasmStr,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes these out of what the guest passes")]
pub(crate) enum LevelOut {
    #[component(name = "metric")]
    Metric,
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "log")]
    Log,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes these out of what the guest passes")]
pub(crate) enum ScopeOut {
    #[component(name = "variables")]
    Variables,
    #[component(name = "meta")]
    Meta,
    #[component(name = "config")]
    Config,
    #[component(name = "step-results")]
    StepResults,
    #[component(name = "flow-state")]
    FlowState,
    #[component(name = "tenant-state")]
    TenantState,
}

#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum RefusalIn {
    #[component(name = "read-only")]
    ReadOnly,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-large")]
    TooLarge,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum AlgorithmOut {
    #[component(name = "sha1")]
    Sha1,
    #[component(name = "sha256")]
    Sha256,
    #[component(name = "sha384")]
    Sha384,
    #[component(name = "sha512")]
    Sha512,
}

/// How something is signed.
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes these out of what the guest passes")]
pub(crate) enum SchemeOut {
    #[component(name = "hmac-sha1")]
    HmacSha1,
    #[component(name = "hmac-sha256")]
    HmacSha256,
    #[component(name = "hmac-sha384")]
    HmacSha384,
    #[component(name = "hmac-sha512")]
    HmacSha512,
    #[component(name = "rsa-pkcs1-sha256")]
    RsaPkcs1Sha256,
    #[component(name = "rsa-pkcs1-sha384")]
    RsaPkcs1Sha384,
    #[component(name = "rsa-pkcs1-sha512")]
    RsaPkcs1Sha512,
    #[component(name = "rsa-pss-sha256")]
    RsaPssSha256,
    #[component(name = "rsa-pss-sha384")]
    RsaPssSha384,
    #[component(name = "rsa-pss-sha512")]
    RsaPssSha512,
    #[component(name = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    #[component(name = "ed25519")]
    Ed25519,
}

/// A request of the guest's own.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct HttpRequestOut {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: HeadersOut,
    pub(crate) body: Option<Bytes>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct HttpResponseIn {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl From<model::HttpResponse> for HttpResponseIn {
    fn from(response: model::HttpResponse) -> Self {
        Self { status: response.status, headers: response.headers.0, body: response.body }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct HttpFailureIn {
    code: &'static str,
    message: String,
}

impl From<model::Fault> for HttpFailureIn {
    fn from(fault: model::Fault) -> Self {
        Self { code: fault.code.as_str(), message: fault.detail }
    }
}
