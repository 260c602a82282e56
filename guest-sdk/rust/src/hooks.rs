//! The hooks as traits. A guest implements those it has and names them in [`export!`](crate::export).

use crate::{
    Call, CallResult, Context, Failure, Payload, PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision,
    PreRequestDecision, Request, Response, Result, StepInput, TriggerDecision, TriggerRequest,
};

/// Once per call, before anything is sent: may change the arguments, reject, or answer itself.
pub trait PreHook {
    /// Decides about a call.
    ///
    /// # Errors
    /// An error is the fault of the guest, and the call is not made.
    fn pre_hook(call: Call, context: Context) -> Result<PreHookDecision>;
}

/// Before every request: may change it, reject, or answer itself.
pub trait PreRequest {
    /// Decides about a request. A changed request counts when it is returned: `Ok(request.into())`.
    ///
    /// # Errors
    /// An error is the fault of the guest, and the request is not made.
    fn pre_request(request: Request, context: Context) -> Result<PreRequestDecision>;
}

/// After every response, whatever its status: may change the payload and decide how the step goes on.
pub trait PostRequest {
    /// Decides about a response.
    ///
    /// # Errors
    /// An error is the fault of the guest, and the step fails.
    fn post_request(response: Response, context: Context) -> Result<PostRequestDecision>;
}

/// Once per call, after success: may replace the result, or turn it into an error.
pub trait PostHook {
    /// Decides about a result.
    ///
    /// # Errors
    /// An error is the fault of the guest.
    fn post_hook(result: CallResult, context: Context) -> Result<PostHookDecision>;
}

/// Once per call, after final failure: may keep it, recover with a result, or replace it.
pub trait PostFail {
    /// Decides about a failure.
    ///
    /// # Errors
    /// An error is the fault of the guest.
    fn post_fail(failure: Failure, context: Context) -> Result<PostFailDecision>;
}

/// A script step of a flow.
pub trait Step {
    /// Gives the next payload; `None` keeps the one given.
    ///
    /// # Errors
    /// An error is the fault of the guest, and the step fails.
    fn step(payload: StepInput, context: Context) -> Result<Option<Payload>>;
}

/// What begins a run of a flow: a request to the flow's own address.
pub trait Trigger {
    /// Gives the payload of the first step and the answer to the request.
    ///
    /// # Errors
    /// An error is the fault of the guest, and the run fails before its first step.
    fn trigger(request: TriggerRequest, context: Context) -> Result<TriggerDecision>;
}
