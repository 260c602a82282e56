//! What each hook's decision does to a call, and what each hook is given.

use snaphook_model::{
    Code, Decision, FailingDecision, Fault, Hook, HookInput, Payload, PostFailDecision, PostHookDecision, PostRequestDecision,
    PreHookDecision, PreRequestDecision, ReasonCode, Rejection, ReplacedFailure,
};

use super::{Call, End, Failure, IllegalEvent, Repeat, Stage};

impl Call<'_> {
    pub(super) fn faulted(&mut self, hook: Hook, fault: Fault) {
        match hook {
            Hook::PreRequest | Hook::PostRequest => self.attempt_failed(fault),
            Hook::PreHook => self.failed(Failure::of(fault)),
            Hook::PostHook | Hook::PostFail | Hook::Step | Hook::Trigger => {
                self.so_far.stage = Stage::Done(End::Failed(Failure::of(fault)));
            }
        }
    }

    pub(super) fn decided(&mut self, hook: Hook, index: usize, decision: Decision) -> Result<(), IllegalEvent> {
        match (hook, decision) {
            (Hook::PreHook, Decision::PreHook(decision)) => self.pre_hook(index, decision),
            (Hook::PreRequest, Decision::PreRequest(decision)) => self.pre_request(index, decision),
            (Hook::PostRequest, Decision::PostRequest(decision)) => self.post_request(index, decision),
            (Hook::PostHook, Decision::PostHook(decision)) => self.post_hook(index, decision),
            (Hook::PostFail, Decision::PostFail(decision)) => self.post_fail(index, decision),
            _ => return Err(self.illegal("another hook's decision")),
        }
        Ok(())
    }

    fn pre_hook(&mut self, index: usize, decision: PreHookDecision) {
        match decision {
            PreHookDecision::Call(arguments) => {
                if let Some(arguments) = arguments {
                    self.so_far.arguments = Payload::json(arguments).into();
                }
                self.advance(Hook::PreHook, index);
            }
            PreHookDecision::Reject(rejection) => self.so_far.stage = Stage::Done(End::Rejected(rejection)),
            PreHookDecision::Respond(response) => self.so_far.stage = Stage::Done(End::Responded(response)),
        }
    }

    fn pre_request(&mut self, index: usize, decision: PreRequestDecision) {
        match decision {
            PreRequestDecision::Send(request) => {
                if let Some(request) = request {
                    self.so_far.request = request.over(&self.so_far.request);
                }
                self.advance(Hook::PreRequest, index);
            }
            PreRequestDecision::Reject(rejection) => {
                self.so_far.errors.push(Some(Fault::new(Code::Rejected, rejection.message.clone())));
                self.so_far.stage = Stage::Done(End::Rejected(rejection));
            }
            PreRequestDecision::Respond(response) => {
                self.so_far.errors.push(None);
                self.so_far.stage = Stage::Done(End::Responded(response));
            }
        }
    }

    fn post_request(&mut self, index: usize, decision: PostRequestDecision) {
        let (payload, proceed) = match decision {
            PostRequestDecision::None(payload) => (payload, false),
            PostRequestDecision::Proceed(payload) => (payload, true),
            PostRequestDecision::RetryStep(message) => return self.retry_step(message),
            PostRequestDecision::RetryRun(message) => {
                let repeat = if self.so_far.may_repeat_run { Repeat::Asked } else { Repeat::Never };
                let fault = Fault::new(Code::ScriptFailed, message.unwrap_or_else(|| "the script asked for the run again".to_owned()));
                return self.request_failed(Failure { repeat, ..Failure::of(fault) });
            }
            PostRequestDecision::Fail(FailingDecision { message, code }) => {
                let fault = Fault::new(Code::ScriptFailed, message.unwrap_or_else(|| "the script decided that the step failed".to_owned()));
                return self.request_failed(Failure { reason: code, repeat: Repeat::Never, ..Failure::of(fault) });
            }
            PostRequestDecision::Reauthenticate(message) => return self.reauthenticate(message),
        };
        if payload.is_some() {
            self.so_far.returned = payload;
        }
        self.so_far.proceed |= proceed;
        self.advance(Hook::PostRequest, index);
    }

    fn retry_step(&mut self, message: Option<String>) {
        if self.can_retry() {
            let fault = Fault::new(Code::ScriptFailed, with_message("the script asked for the request again", message));
            return self.retry(fault);
        }
        let why = match self.plan.retry.attempts {
            0 => "the script asked for the request again, but the step has no `retry`".to_owned(),
            n => format!("the script asked for the request again, but the step's {n} further attempts are used up"),
        };
        let fault = Fault::new(Code::RetriesUsed, with_message(&why, message));
        self.request_failed(Failure::of(fault));
    }

    /// The request once more under a new token, which is fetched once for each attempt that `retry` allows.
    fn reauthenticate(&mut self, message: Option<String>) {
        let why = if !self.plan.renewable {
            "the script asked for a new authentication, but there is no connection to renew"
        } else if self.so_far.renewed_after == Some(self.so_far.retries) {
            "the script asked for a new authentication, but it was renewed already for this attempt"
        } else {
            let detail = with_message("the script asked for a new authentication", message);
            self.so_far.renewed_after = Some(self.so_far.retries);
            self.so_far.errors.push(Some(Fault::new(Code::ScriptFailed, detail)));
            self.so_far.stage = Stage::Renew;
            return;
        };
        self.request_failed(Failure::of(Fault::new(Code::ReauthenticateFailed, with_message(why, message))));
    }

    fn post_hook(&mut self, index: usize, decision: PostHookDecision) {
        match decision {
            PostHookDecision::Keep => {}
            PostHookDecision::Replace(payload) => self.so_far.result = payload,
            PostHookDecision::Reject(rejection) => {
                self.so_far.stage = Stage::Done(End::Rejected(rejection));
                return;
            }
        }
        self.advance(Hook::PostHook, index);
    }

    fn post_fail(&mut self, index: usize, decision: PostFailDecision) {
        match decision {
            PostFailDecision::Keep => {}
            PostFailDecision::Recover(payload) => {
                // There is no failure left for the rest of the list to see.
                self.so_far.stage = Stage::Done(End::Succeeded(payload));
                return;
            }
            PostFailDecision::Replace(ReplacedFailure { status, code, message }) => {
                if let Some(failed) = &mut self.so_far.failure {
                    failed.replaced = Some(Rejection { status, code, message });
                }
            }
        }
        self.advance(Hook::PostFail, index);
    }

    /// What the next script of a hook is given.
    pub(super) fn input(&self, hook: Hook) -> HookInput {
        match hook {
            Hook::PreHook => HookInput::PreHook {
                connector: self.plan.connector.clone(),
                endpoint: self.plan.endpoint.clone(),
                arguments: self.so_far.arguments.as_json(),
            },
            Hook::PreRequest => HookInput::PreRequest { request: self.so_far.request.clone() },
            Hook::PostRequest => HookInput::PostRequest {
                method: self.so_far.request.method.clone(),
                url: self.so_far.request.url.clone(),
                status: self.so_far.response.status,
                headers: self.so_far.response.headers.clone(),
                payload: self.so_far.returned.as_ref().map_or(&self.so_far.response.body, |payload| &payload.bytes).clone(),
                payload_type: self.so_far.returned.as_ref().map(|payload| payload.content_type.clone()),
            },
            Hook::PostHook | Hook::Step | Hook::Trigger => HookInput::PostHook {
                connector: self.plan.connector.clone(),
                endpoint: self.plan.endpoint.clone(),
                status: self.so_far.response.status,
                headers: self.so_far.response.headers.clone(),
                payload: self.so_far.result.bytes.clone(),
                payload_type: Some(self.so_far.result.content_type.clone()),
                arguments: self.so_far.original.as_json(),
            },
            Hook::PostFail => self.post_fail_input(),
        }
    }

    fn post_fail_input(&self) -> HookInput {
        let (connector, endpoint) = (self.plan.connector.clone(), self.plan.endpoint.clone());
        let arguments = self.so_far.original.as_json();
        let text = |code: &ReasonCode| match code {
            ReasonCode::Number(number) => number.to_string(),
            ReasonCode::Text(text) => text.clone(),
        };
        let Some(failed) = &self.so_far.failure else {
            return HookInput::PostFail { connector, endpoint, status: 0, code: String::new(), message: String::new(), arguments };
        };
        let (status, code, message) = match &failed.replaced {
            Some(rejection) => {
                (rejection.status, rejection.code.as_ref().map_or_else(|| Code::Rejected.to_string(), text), rejection.message.clone())
            }
            None => {
                let Failure { fault, reason, .. } = &failed.failure;
                (failed.status, reason.as_ref().map_or_else(|| fault.code.to_string(), text), fault.detail.clone())
            }
        };
        HookInput::PostFail { connector, endpoint, status, code, message, arguments }
    }
}

fn with_message(why: &str, message: Option<String>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{why}: {message}"),
        _ => why.to_owned(),
    }
}
