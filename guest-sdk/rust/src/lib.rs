#![doc = include_str!("../README.md")]

mod body;
mod context;
pub mod crypto;
mod decision;
mod error;
mod export;
mod headers;
mod hooks;
mod host;
pub mod http;
mod input;
pub mod log;
mod trigger;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;

pub use context::{Config, Connection, Context, FlowState, Meta, State, StepResults, TenantState, Variables};
pub use decision::{
    Failing, NewResponse, Payload, PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision, PreRequestDecision,
    ReasonCode, Rejection, ReplacedFailure, TriggerDecision, TriggerResponse,
};
pub use error::{Error, ErrorKind, Result};
pub use headers::Headers;
pub use hooks::{PostFail, PostHook, PostRequest, PreHook, PreRequest, Step, Trigger};
pub use input::{Call, CallResult, Failure, Request, Response, StepInput};
pub use serde_json;
pub use serde_json::{Value, json};
pub use trigger::TriggerRequest;

#[doc(hidden)]
pub use export::__private;
