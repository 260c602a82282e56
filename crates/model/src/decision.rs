//! What hooks decide. Mirrors the variants of `guest-sdk/wit/hooks.wit`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Headers, HttpRequest, Payload};

/// A reason code, a number or a text, as the script gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonCode {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl ReasonCode {
    /// The code as a JSON value of its own type.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

impl Serialize for ReasonCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReasonCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self::Text(text)),
            value => value.as_i64().map(Self::Number).ok_or_else(|| serde::de::Error::custom("a reason code is a whole number or a text")),
        }
    }
}

/// The call or its result is refused; the caller gets this status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Rejection {
    pub status: u16,
    pub code: Option<ReasonCode>,
    pub message: String,
}

/// A failure in place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct ReplacedFailure {
    pub status: u16,
    pub code: Option<ReasonCode>,
    pub message: String,
}

/// A request as a hook wants it sent. `body: None` keeps the body that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct NewRequest {
    pub method: String,
    pub url: String,
    pub headers: Headers,
    #[serde(with = "crate::raw::option")]
    pub body: Option<Bytes>,
}

impl NewRequest {
    /// The request to send, given the one that the hook saw.
    #[must_use]
    pub fn over(self, seen: &HttpRequest) -> HttpRequest {
        HttpRequest { method: self.method, url: self.url, headers: self.headers, body: self.body.unwrap_or_else(|| seen.body.clone()) }
    }
}

/// An answer that a hook made in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct NewResponse {
    pub status: u16,
    pub headers: Headers,
    #[serde(with = "crate::raw")]
    pub body: Bytes,
}

/// Of `pre-hook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreHookDecision {
    /// Go on, with new arguments (JSON text) or those given.
    Call(#[serde(with = "crate::raw::option")] Option<Bytes>),
    /// No request is made; the caller gets the rejection.
    Reject(Rejection),
    /// No request is made; the caller gets the answer.
    Respond(NewResponse),
}

/// Of `pre-request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreRequestDecision {
    /// Send the request as given, or a changed one.
    Send(Option<NewRequest>),
    /// No request is made; the caller gets the rejection.
    Reject(Rejection),
    /// No request is made; this is taken as the answer.
    Respond(NewResponse),
}

/// Message and code of an explicit failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct FailingDecision {
    pub message: Option<String>,
    pub code: Option<ReasonCode>,
}

/// Of `post-request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostRequestDecision {
    /// Decide nothing; status check and condition stand.
    None(Option<Payload>),
    /// Go on whatever the status.
    Proceed(Option<Payload>),
    /// Send the request again, counted against the step's retry.
    RetryStep(Option<String>),
    /// Fail this run and start another with the same input.
    RetryRun(Option<String>),
    /// Fail the step without a retry.
    Fail(FailingDecision),
    /// Authenticate anew, then send the request again.
    Reauthenticate(Option<String>),
}

/// Of `post-hook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostHookDecision {
    /// Leave the result.
    Keep,
    /// Give this in its place.
    Replace(Payload),
    /// Turn the done call into an error for the caller.
    Reject(Rejection),
}

/// Of `post-fail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostFailDecision {
    /// Leave the failure.
    Keep,
    /// Succeed with this payload.
    Recover(Payload),
    /// Fail with this in place of the failure.
    Replace(ReplacedFailure),
}

/// Of a script step: the next payload, or `None` to keep the one given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDecision(pub Option<Payload>);

/// The answer that a trigger gives to the request that began the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerResponse {
    /// 200 to 999.
    pub status: u16,
    /// Without those that frame the message.
    pub headers: Headers,
    /// Absent: the run's id stands in for it.
    #[serde(with = "crate::raw::option")]
    pub body: Option<Bytes>,
}

/// Of a flow's trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerDecision {
    /// What the first step is given; `None` for the request's body.
    pub payload: Option<Payload>,
    /// `None` for 200 without a body.
    pub response: Option<TriggerResponse>,
}

/// A decision of any hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "one variant per hook")]
pub enum Decision {
    PreHook(PreHookDecision),
    PreRequest(PreRequestDecision),
    PostRequest(PostRequestDecision),
    PostHook(PostHookDecision),
    PostFail(PostFailDecision),
    Step(StepDecision),
    Trigger(TriggerDecision),
}

impl Decision {
    /// The decision's name in run records and test runs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PreHook(PreHookDecision::Call(_)) => "call",
            Self::PreRequest(PreRequestDecision::Send(_)) => "send",
            Self::PreHook(PreHookDecision::Reject(_))
            | Self::PreRequest(PreRequestDecision::Reject(_))
            | Self::PostHook(PostHookDecision::Reject(_)) => "reject",
            Self::PreHook(PreHookDecision::Respond(_)) | Self::PreRequest(PreRequestDecision::Respond(_)) => "respond",
            Self::PostRequest(PostRequestDecision::None(_)) => "none",
            Self::PostRequest(PostRequestDecision::Proceed(_)) => "proceed",
            Self::PostRequest(PostRequestDecision::RetryStep(_)) => "retry-step",
            Self::PostRequest(PostRequestDecision::RetryRun(_)) => "retry-run",
            Self::PostRequest(PostRequestDecision::Fail(_)) => "fail",
            Self::PostRequest(PostRequestDecision::Reauthenticate(_)) => "reauthenticate",
            Self::PostHook(PostHookDecision::Keep) | Self::PostFail(PostFailDecision::Keep) => "keep",
            Self::PostHook(PostHookDecision::Replace(_)) | Self::PostFail(PostFailDecision::Replace(_)) => "replace",
            Self::PostFail(PostFailDecision::Recover(_)) => "recover",
            Self::Step(_) | Self::Trigger(_) => "return",
        }
    }
}
