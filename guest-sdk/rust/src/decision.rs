//! What hooks decide. One type per hook, so an impossible answer does not compile.

use serde::Serialize;

use crate::{Headers, Request, Result};

/// Data passed from step to step, or given back to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The data.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub content_type: String,
}

impl Payload {
    /// Bytes of a media type.
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), content_type: content_type.into() }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::new("application/json", serde_json::to_vec(value)?))
    }

    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new("text/plain", text.into())
    }
}

/// A code of the guest's own, a number or a text, shown to the caller as `reason_code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonCode {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<i64> for ReasonCode {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for ReasonCode {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ReasonCode {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The call, or its result, is refused: the caller gets status, reason code and message. Converts into the decisions that allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// 400 to 599 is usual, 100 to 999 possible.
    pub status: u16,
    /// Shown as `reason_code`.
    pub code: Option<ReasonCode>,
    /// Shown as `status_message`.
    pub message: String,
}

impl Rejection {
    /// A rejection without a reason code.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into() }
    }

    /// The same with a reason code.
    #[must_use]
    pub fn code(mut self, code: impl Into<ReasonCode>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// An answer that a hook makes in place of the upstream's. Converts into the decisions that allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewResponse {
    /// 100 to 999.
    pub status: u16,
    /// In order.
    pub headers: Headers,
    /// Empty when there is none.
    pub body: Vec<u8>,
}

impl NewResponse {
    /// An answer without headers and body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: Vec::new() }
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same with a body. The content type stays as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a value as JSON and its content type.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.body = serde_json::to_vec(value)?;
        self.headers.set("content-type", "application/json");
        Ok(self)
    }
}

/// Of a [`PreHook`](crate::PreHook).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreHookDecision {
    /// Go on, with new arguments as JSON text or with those given.
    Call(Option<Vec<u8>>),
    /// No request is made; the caller gets the rejection.
    Reject(Rejection),
    /// No request is made; the caller gets the answer.
    Respond(NewResponse),
}

impl PreHookDecision {
    /// Go on with the arguments as they were given.
    #[must_use]
    pub const fn keep() -> Self {
        Self::Call(None)
    }

    /// Go on with these arguments.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    #[track_caller]
    pub fn call<T: Serialize + ?Sized>(arguments: &T) -> Result<Self> {
        Ok(Self::Call(Some(serde_json::to_vec(arguments)?)))
    }
}

/// Of a [`PreRequest`](crate::PreRequest).
#[derive(Debug, Clone, PartialEq)]
pub enum PreRequestDecision {
    /// Send the request as it was given, or a changed one.
    Send(Option<Request>),
    /// No request is made; the caller gets the rejection.
    Reject(Rejection),
    /// No request is made; this is taken as the upstream's answer.
    Respond(NewResponse),
}

impl PreRequestDecision {
    /// Send the request as it was given.
    #[must_use]
    pub const fn keep() -> Self {
        Self::Send(None)
    }
}

impl From<Request> for PreRequestDecision {
    fn from(request: Request) -> Self {
        Self::Send(Some(request))
    }
}

/// An explicit failure. Converts into a [`PostRequestDecision`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing {
    /// Shown in the run.
    pub message: Option<String>,
    /// Shown beside the message.
    pub code: Option<ReasonCode>,
}

impl Failing {
    /// A failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: None }
    }

    /// The same with a reason code.
    #[must_use]
    pub fn code(mut self, code: impl Into<ReasonCode>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// Of a [`PostRequest`](crate::PostRequest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostRequestDecision {
    /// Decide nothing: the status check and the condition stand. With a new payload or the one given.
    None(Option<Payload>),
    /// Go on whatever the status, with a new payload or the one given.
    Proceed(Option<Payload>),
    /// Send the request again; counts against the step's `retry`.
    RetryStep(Option<String>),
    /// Fail this run and start another with the same input, under the flow's `retry`.
    RetryRun(Option<String>),
    /// Fail the step without a retry.
    Fail(Failing),
    /// Authenticate anew, then send the request again; at most once per attempt.
    Reauthenticate(Option<String>),
}

impl PostRequestDecision {
    /// Decide nothing and keep the payload.
    #[must_use]
    pub const fn none() -> Self {
        Self::None(None)
    }

    /// Decide nothing, with another payload.
    #[must_use]
    pub const fn replace(payload: Payload) -> Self {
        Self::None(Some(payload))
    }

    /// Go on whatever the status.
    #[must_use]
    pub const fn proceed() -> Self {
        Self::Proceed(None)
    }

    /// Go on whatever the status, with another payload.
    #[must_use]
    pub const fn proceed_with(payload: Payload) -> Self {
        Self::Proceed(Some(payload))
    }

    /// Send the request again.
    pub fn retry_step(message: impl Into<String>) -> Self {
        Self::RetryStep(Some(message.into()))
    }

    /// Fail this run and start another.
    pub fn retry_run(message: impl Into<String>) -> Self {
        Self::RetryRun(Some(message.into()))
    }

    /// Fail the step.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::Fail(Failing::new(message))
    }

    /// Authenticate anew.
    pub fn reauthenticate(message: impl Into<String>) -> Self {
        Self::Reauthenticate(Some(message.into()))
    }
}

impl From<Failing> for PostRequestDecision {
    fn from(failing: Failing) -> Self {
        Self::Fail(failing)
    }
}

/// Of a [`PostHook`](crate::PostHook).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostHookDecision {
    /// Leave the result as it is.
    Keep,
    /// Give this in its place.
    Replace(Payload),
    /// Turn the done call into an error for the caller.
    Reject(Rejection),
}

impl From<Payload> for PostHookDecision {
    fn from(payload: Payload) -> Self {
        Self::Replace(payload)
    }
}

/// A failure in place of another. Converts into a [`PostFailDecision`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplacedFailure {
    /// The status that the caller gets.
    pub status: u16,
    /// Shown as `reason_code`.
    pub code: Option<ReasonCode>,
    /// Shown as `status_message`.
    pub message: String,
}

impl ReplacedFailure {
    /// A failure without a reason code.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into() }
    }

    /// The same with a reason code.
    #[must_use]
    pub fn code(mut self, code: impl Into<ReasonCode>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// Of a [`PostFail`](crate::PostFail).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostFailDecision {
    /// Leave the failure as it is.
    Keep,
    /// Succeed with this payload.
    Recover(Payload),
    /// Fail with this in place of the failure.
    Replace(ReplacedFailure),
}

impl From<ReplacedFailure> for PostFailDecision {
    fn from(failure: ReplacedFailure) -> Self {
        Self::Replace(failure)
    }
}

/// The answer of a trigger to the request that began the run, given once the run has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TriggerResponse {
    /// 200 to 599.
    pub status: u16,
    /// In order.
    pub headers: Headers,
    /// `None`: the caller gets a JSON object with the run's id as `executionId`.
    pub body: Option<Vec<u8>>,
}

impl TriggerResponse {
    /// An answer that names the run.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: None }
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same with a body, be it empty. The content type stays as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same with a value as JSON and its content type.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.body = Some(serde_json::to_vec(value)?);
        self.headers.set("content-type", "application/json");
        Ok(self)
    }
}

/// Of a [`Trigger`](crate::Trigger).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerDecision {
    /// What the first step is given; `None`: the request's body.
    pub payload: Option<Payload>,
    /// `None`: 200, and the run's id.
    pub response: Option<TriggerResponse>,
}

impl TriggerDecision {
    /// Pass the request's body on, and answer with the run's id.
    #[must_use]
    pub const fn keep() -> Self {
        Self { payload: None, response: None }
    }

    /// The same with another answer.
    #[must_use]
    pub fn respond(mut self, response: TriggerResponse) -> Self {
        self.response = Some(response);
        self
    }
}

impl From<Payload> for TriggerDecision {
    fn from(payload: Payload) -> Self {
        Self { payload: Some(payload), response: None }
    }
}

impl From<TriggerResponse> for TriggerDecision {
    fn from(response: TriggerResponse) -> Self {
        Self { payload: None, response: Some(response) }
    }
}

macro_rules! from_rejection {
    ($($decision:ident)*) => {$(
        impl From<Rejection> for $decision {
            fn from(rejection: Rejection) -> Self {
                Self::Reject(rejection)
            }
        }
    )*};
}
from_rejection!(PreHookDecision PreRequestDecision PostHookDecision);

macro_rules! from_response {
    ($($decision:ident)*) => {$(
        impl From<NewResponse> for $decision {
            fn from(response: NewResponse) -> Self {
                Self::Respond(response)
            }
        }
    )*};
}
from_response!(PreHookDecision PreRequestDecision);
