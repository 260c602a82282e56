//! From the guest's types to the model's. No judgement here: `check` looks at what came out.

use snaphook_model::{self as model, Decision, Headers};

use crate::abi::{
    FailingOut, LevelOut, NewRequestOut, NewResponseOut, PayloadOut, PostFailOut, PostHookOut, PostRequestOut, PreHookOut, PreRequestOut,
    ReasonCodeOut, RejectionOut, ScopeOut, StepOut, TriggerOut, TriggerResponseOut,
};

/// What a hook answers, as a decision of the model.
pub(crate) trait Decided {
    fn decision(self) -> Decision;
}

impl From<LevelOut> for model::LogLevel {
    fn from(level: LevelOut) -> Self {
        match level {
            LevelOut::Metric => Self::Metric,
            LevelOut::Trace => Self::Trace,
            LevelOut::Debug => Self::Debug,
            LevelOut::Info => Self::Info,
            LevelOut::Log => Self::Log,
            LevelOut::Warn => Self::Warn,
            LevelOut::Error => Self::Error,
        }
    }
}

impl From<ScopeOut> for model::VariableScope {
    fn from(scope: ScopeOut) -> Self {
        match scope {
            ScopeOut::Variables => Self::Variables,
            ScopeOut::Meta => Self::Meta,
            ScopeOut::Config => Self::Config,
            ScopeOut::StepResults => Self::StepResults,
            ScopeOut::FlowState => Self::FlowState,
            ScopeOut::TenantState => Self::TenantState,
        }
    }
}

impl From<ReasonCodeOut> for model::ReasonCode {
    fn from(code: ReasonCodeOut) -> Self {
        match code {
            ReasonCodeOut::Number(number) => Self::Number(number),
            ReasonCodeOut::Text(text) => Self::Text(text),
        }
    }
}

/// Headers with their names in lower case, as the next guest finds them everywhere else.
fn lowered(mut headers: Vec<(String, String)>) -> Headers {
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    Headers(headers)
}

impl From<NewRequestOut> for model::NewRequest {
    fn from(request: NewRequestOut) -> Self {
        Self { method: request.method, url: request.url, headers: lowered(request.headers), body: request.body }
    }
}

impl From<NewResponseOut> for model::NewResponse {
    fn from(response: NewResponseOut) -> Self {
        Self { status: response.status, headers: lowered(response.headers), body: response.body }
    }
}

impl From<PayloadOut> for model::Payload {
    fn from(payload: PayloadOut) -> Self {
        Self { bytes: payload.bytes, content_type: payload.content_type }
    }
}

impl From<TriggerResponseOut> for model::TriggerResponse {
    fn from(response: TriggerResponseOut) -> Self {
        Self { status: response.status, headers: lowered(response.headers), body: response.body }
    }
}

impl From<RejectionOut> for model::Rejection {
    fn from(rejection: RejectionOut) -> Self {
        Self { status: rejection.status, code: rejection.code.map(Into::into), message: rejection.message }
    }
}

impl From<RejectionOut> for model::ReplacedFailure {
    fn from(failure: RejectionOut) -> Self {
        Self { status: failure.status, code: failure.code.map(Into::into), message: failure.message }
    }
}

impl From<FailingOut> for model::FailingDecision {
    fn from(failing: FailingOut) -> Self {
        Self { message: failing.message, code: failing.code.map(Into::into) }
    }
}

impl Decided for PreHookOut {
    fn decision(self) -> Decision {
        Decision::PreHook(match self {
            PreHookOut::Call(arguments) => model::PreHookDecision::Call(arguments),
            PreHookOut::Reject(rejection) => model::PreHookDecision::Reject(rejection.into()),
            PreHookOut::Respond(response) => model::PreHookDecision::Respond(response.into()),
        })
    }
}

impl Decided for PreRequestOut {
    fn decision(self) -> Decision {
        Decision::PreRequest(match self {
            PreRequestOut::Send(request) => model::PreRequestDecision::Send(request.map(Into::into)),
            PreRequestOut::Reject(rejection) => model::PreRequestDecision::Reject(rejection.into()),
            PreRequestOut::Respond(response) => model::PreRequestDecision::Respond(response.into()),
        })
    }
}

impl Decided for PostRequestOut {
    fn decision(self) -> Decision {
        Decision::PostRequest(match self {
            PostRequestOut::None(payload) => model::PostRequestDecision::None(payload.map(Into::into)),
            PostRequestOut::Proceed(payload) => model::PostRequestDecision::Proceed(payload.map(Into::into)),
            PostRequestOut::RetryStep(message) => model::PostRequestDecision::RetryStep(message),
            PostRequestOut::RetryRun(message) => model::PostRequestDecision::RetryRun(message),
            PostRequestOut::Fail(failing) => model::PostRequestDecision::Fail(failing.into()),
            PostRequestOut::Reauthenticate(message) => model::PostRequestDecision::Reauthenticate(message),
        })
    }
}

impl Decided for PostHookOut {
    fn decision(self) -> Decision {
        Decision::PostHook(match self {
            PostHookOut::Keep => model::PostHookDecision::Keep,
            PostHookOut::Replace(payload) => model::PostHookDecision::Replace(payload.into()),
            PostHookOut::Reject(rejection) => model::PostHookDecision::Reject(rejection.into()),
        })
    }
}

impl Decided for PostFailOut {
    fn decision(self) -> Decision {
        Decision::PostFail(match self {
            PostFailOut::Keep => model::PostFailDecision::Keep,
            PostFailOut::Recover(payload) => model::PostFailDecision::Recover(payload.into()),
            PostFailOut::Replace(failure) => model::PostFailDecision::Replace(failure.into()),
        })
    }
}

impl Decided for StepOut {
    fn decision(self) -> Decision {
        Decision::Step(model::StepDecision(self.map(Into::into)))
    }
}

impl Decided for TriggerOut {
    fn decision(self) -> Decision {
        Decision::Trigger(model::TriggerDecision { payload: self.payload.map(Into::into), response: self.response.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::{self as model, Headers};

    use crate::abi::{NewRequestOut, NewResponseOut, TriggerResponseOut};

    #[test]
    fn header_names_are_lowered_and_values_are_not() {
        let headers = || vec![("X-Sign".to_owned(), "A".to_owned()), ("x-sign".to_owned(), "B".to_owned())];
        let expected: Headers = [("x-sign", "A"), ("x-sign", "B")].into_iter().collect();
        let request = NewRequestOut { method: "GET".to_owned(), url: String::new(), headers: headers(), body: None };
        assert_eq!(model::NewRequest::from(request).headers, expected);
        let response = NewResponseOut { status: 200, headers: headers(), body: "".into() };
        assert_eq!(model::NewResponse::from(response).headers, expected);
        let response = TriggerResponseOut { status: 200, headers: headers(), body: None };
        assert_eq!(model::TriggerResponse::from(response).headers, expected);
    }
}
