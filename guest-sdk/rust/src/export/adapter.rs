//! Generated types to ours and back, around each hook.

use std::marker::PhantomData;
use std::panic::{self, PanicHookInfo};

use crate::bindings::host::snaphook::hook::types as wit;
use crate::bindings::{post_fail, post_hook, post_request, pre_hook, pre_request, step, trigger};
use crate::{
    Call, CallResult, Config, Connection, Context, Error, ErrorKind, Failing, Failure, Meta, NewResponse, Payload, PostFail,
    PostFailDecision, PostHook, PostHookDecision, PostRequest, PostRequestDecision, PreHook, PreHookDecision, PreRequest,
    PreRequestDecision, ReasonCode, Rejection, Request, Response, State, Step, StepInput, StepResults, Trigger, TriggerRequest, Variables,
    log,
};

/// Implements the generated traits for whatever hooks `T` has.
pub struct Adapter<T>(PhantomData<T>);

/// A panic becomes a trap, which cannot carry a message; so the message goes into the log first.
fn log_panics() {
    fn hook(info: &PanicHookInfo<'_>) {
        log::error(info.to_string());
    }
    panic::set_hook(Box::new(hook));
}

impl<T: PreHook> pre_hook::exports::snaphook::hook::pre_hook::Guest for Adapter<T> {
    fn pre_hook(
        connector: String,
        endpoint: String,
        context: wit::Context,
    ) -> Result<pre_hook::exports::snaphook::hook::pre_hook::Decision, wit::Fault> {
        use pre_hook::exports::snaphook::hook::pre_hook::Decision as D;
        log_panics();
        Ok(match T::pre_hook(Call::from_host(connector, endpoint), context.into())? {
            PreHookDecision::Call(arguments) => D::Call(arguments),
            PreHookDecision::Reject(rejection) => D::Reject(rejection.into()),
            PreHookDecision::Respond(response) => D::Respond(response.into()),
        })
    }
}

impl<T: PreRequest> pre_request::exports::snaphook::hook::pre_request::Guest for Adapter<T> {
    fn pre_request(
        request: wit::Request,
        context: wit::Context,
    ) -> Result<pre_request::exports::snaphook::hook::pre_request::Decision, wit::Fault> {
        use pre_request::exports::snaphook::hook::pre_request::Decision as D;
        log_panics();
        let request = Request::from_host(request.method, request.url, request.headers);
        Ok(match T::pre_request(request, context.into())? {
            PreRequestDecision::Send(request) => D::Send(request.map(Into::into)),
            PreRequestDecision::Reject(rejection) => D::Reject(rejection.into()),
            PreRequestDecision::Respond(response) => D::Respond(response.into()),
        })
    }
}

impl<T: PostRequest> post_request::exports::snaphook::hook::post_request::Guest for Adapter<T> {
    fn post_request(
        response: wit::Response,
        context: wit::Context,
    ) -> Result<post_request::exports::snaphook::hook::post_request::Decision, wit::Fault> {
        use post_request::exports::snaphook::hook::post_request::{Decision as D, Failing as F};
        log_panics();
        let response = Response::from_host(response.method, response.url, response.status, response.headers);
        Ok(match T::post_request(response, context.into())? {
            PostRequestDecision::None(payload) => D::None(payload.map(Into::into)),
            PostRequestDecision::Proceed(payload) => D::Proceed(payload.map(Into::into)),
            PostRequestDecision::RetryStep(message) => D::RetryStep(message),
            PostRequestDecision::RetryRun(message) => D::RetryRun(message),
            PostRequestDecision::Fail(Failing { message, code }) => D::Fail(F { message, code: code.map(Into::into) }),
            PostRequestDecision::Reauthenticate(message) => D::Reauthenticate(message),
        })
    }
}

impl<T: PostHook> post_hook::exports::snaphook::hook::post_hook::Guest for Adapter<T> {
    fn post_hook(
        status: u16,
        headers: wit::Headers,
        context: wit::Context,
    ) -> Result<post_hook::exports::snaphook::hook::post_hook::Decision, wit::Fault> {
        use post_hook::exports::snaphook::hook::post_hook::Decision as D;
        log_panics();
        Ok(match T::post_hook(CallResult::from_host(status, headers), context.into())? {
            PostHookDecision::Keep => D::Keep,
            PostHookDecision::Replace(payload) => D::Replace(payload.into()),
            PostHookDecision::Reject(rejection) => D::Reject(rejection.into()),
        })
    }
}

impl<T: PostFail> post_fail::exports::snaphook::hook::post_fail::Guest for Adapter<T> {
    fn post_fail(
        failure: wit::Failure,
        context: wit::Context,
    ) -> Result<post_fail::exports::snaphook::hook::post_fail::Decision, wit::Fault> {
        use post_fail::exports::snaphook::hook::post_fail::Decision as D;
        log_panics();
        let failure = Failure::from_host(failure.status, failure.code, failure.message);
        Ok(match T::post_fail(failure, context.into())? {
            PostFailDecision::Keep => D::Keep,
            PostFailDecision::Recover(payload) => D::Recover(payload.into()),
            PostFailDecision::Replace(with) => {
                let code = with.code.map(Into::into);
                D::Replace(wit::ReplacedFailure { status: with.status, code, message: with.message })
            }
        })
    }
}

impl<T: Step> step::exports::snaphook::hook::step::Guest for Adapter<T> {
    fn step(content_type: String, context: wit::Context) -> Result<Option<wit::Payload>, wit::Fault> {
        log_panics();
        let payload = T::step(StepInput::from_host(content_type), context.into())?;
        Ok(payload.map(Into::into))
    }
}

impl<T: Trigger> trigger::exports::snaphook::hook::trigger::Guest for Adapter<T> {
    fn trigger(
        request: trigger::exports::snaphook::hook::trigger::Request,
        context: wit::Context,
    ) -> Result<trigger::exports::snaphook::hook::trigger::Decision, wit::Fault> {
        use trigger::exports::snaphook::hook::trigger::{Decision as D, Response as R};
        log_panics();
        let request = TriggerRequest::from_host(request.method, request.url, request.path, request.headers);
        let decision = T::trigger(request, context.into())?;
        let response = decision.response.map(|made| R { status: made.status, headers: made.headers.into(), body: made.body });
        Ok(D { payload: decision.payload.map(Into::into), response })
    }
}

impl From<wit::Context> for Context {
    fn from(given: wit::Context) -> Self {
        Self {
            tenant: given.tenant,
            flow: given.flow,
            step: given.step,
            run_id: given.run_id,
            attempt: given.attempt,
            started_at_ms: given.started_at_ms,
            now_ms: given.now_ms,
            seed: given.seed,
            deadline_ms: given.deadline_ms,
            test_run: given.test_run,
            variables: Variables,
            meta: Meta,
            config: Config,
            step_results: StepResults,
            connection: Connection,
            state: State::default(),
            parms: given.parms,
        }
    }
}

impl From<Request> for wit::NewRequest {
    fn from(mut request: Request) -> Self {
        let body = request.take_replaced_body();
        Self { method: request.method, url: request.url, headers: request.headers.into(), body }
    }
}

impl From<NewResponse> for wit::NewResponse {
    fn from(response: NewResponse) -> Self {
        Self { status: response.status, headers: response.headers.into(), body: response.body }
    }
}

impl From<Payload> for wit::Payload {
    fn from(payload: Payload) -> Self {
        Self { bytes: payload.bytes, content_type: payload.content_type }
    }
}

impl From<Rejection> for wit::Rejection {
    fn from(rejection: Rejection) -> Self {
        Self { status: rejection.status, code: rejection.code.map(Into::into), message: rejection.message }
    }
}

impl From<ReasonCode> for wit::ReasonCode {
    fn from(code: ReasonCode) -> Self {
        match code {
            ReasonCode::Number(number) => Self::Number(number),
            ReasonCode::Text(text) => Self::Text(text),
        }
    }
}

impl From<Error> for wit::Fault {
    fn from(error: Error) -> Self {
        let at = error.location();
        let kind = match error.kind() {
            ErrorKind::Threw => wit::FaultKind::Threw,
            ErrorKind::Contract => wit::FaultKind::Contract,
        };
        // A place inside the standard library would only mislead whoever looks there.
        let known = !at.file().contains("/library/core/src/");
        let location = known.then(|| wit::Location { line: at.line(), column: at.column() });
        let stack = if known { ["at ", at.file()].concat() } else { String::new() };
        Self { kind, message: error.message().to_owned(), location, stack }
    }
}
