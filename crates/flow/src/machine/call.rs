//! One call: facts in, next action out. Where the documents leave a choice, it is made in this file and said here.
//!
//! - Reject and respond, of `pre-hook` and `pre-request` alike, end the call: neither `post-hook` nor `post-fail` runs.
//! - Every other failure is final when its retries are used up, a guest fault in `pre-hook` too, and then `post-fail` runs.
//! - A guest fault in `post-hook` or `post-fail` ends the call with that fault; the failure before it stays in its attempt's record.

mod decide;
mod ends;
mod settle;

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{
    AsyncStep, Callback, Code, Decision, Fault, Headers, Hook, HookInput, HttpRequest, HttpResponse, NewResponse, Payload, ReasonCode,
    Rejection, WaitReason,
};

use super::input::{Arguments, as_json};
use super::plan::CallPlan;
use crate::template::{Filled, FilledFiles, Form};

/// A call and everything that has happened in it.
#[derive(Debug, Clone)]
pub struct Call<'p> {
    plan: &'p CallPlan,
    so_far: SoFar,
}

/// Everything that has happened in a call. With the plan it makes the call again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SoFar {
    /// Whether another run may follow where a script asks for one.
    may_repeat_run: bool,
    /// As the caller gave them; the hooks after the call see these.
    original: Arguments,
    /// As the pre-hooks made them.
    arguments: Arguments,
    /// From 1; 0 before the first.
    attempt: u32,
    /// How many of them were made because one before had failed.
    retries: u32,
    /// After how many of those a token was renewed for the last time.
    #[serde(default)]
    renewed_after: Option<u32>,
    /// Of the latest attempt.
    request: HttpRequest,
    /// What files the latest attempt sends and keeps.
    files: FilledFiles,
    /// What the latest attempt's condition expects, where a template says it.
    expected: Option<String>,
    /// Of the latest attempt; status 0 while there is none.
    response: HttpResponse,
    /// What stands for the response's body in the latest attempt, where it was kept as a file.
    saved: Option<Payload>,
    /// What post-request scripts made of the payload in the latest attempt.
    returned: Option<Payload>,
    /// Whether a post-request script said to go on whatever the status.
    proceed: bool,
    /// The payload, once the requests are done.
    result: Payload,
    /// What of the response is kept, by name, as JSON text; once the requests are done.
    stored: Vec<(String, String)>,
    /// The final failure, once there is one.
    failure: Option<Failed>,
    /// Why each ended attempt failed.
    errors: Vec<Option<Fault>>,
    stage: Stage,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Stage {
    Hook(Hook, usize),
    Fill,
    Request,
    /// Before the next attempt. The failure is final where there is no time to wait.
    Wait(Duration, Fault),
    Callback(AsyncStep),
    /// A new token, before the request is sent again.
    Renew,
    Done(End),
}

/// What to do next.
#[derive(Debug, Clone)]
pub enum Action<'c> {
    /// Run a script and tell what became of it: [`Event::Decided`] or [`Event::Faulted`].
    RunHook {
        /// Which hook.
        hook: Hook,
        /// Which script of the hook's list.
        index: usize,
        /// What it is given.
        input: HookInput,
    },
    /// Fill in the plan's templates with these arguments ([`CallPlan::fill`]) and tell what became of it: [`Event::Filled`] or
    /// [`Event::NotFilled`].
    FillRequest(&'c CallPlan, &'c Payload),
    /// Send a request and tell what became of it: [`Event::Responded`] or [`Event::NotAnswered`].
    SendRequest(&'c HttpRequest),
    /// Wait so long and tell so, or that there is no time for it: [`Event::Waited`] or [`Event::NoTime`].
    Wait(Duration),
    /// Wait for the upstream's callback, at most so long: [`Event::CalledBack`] or [`Event::NotCalledBack`].
    AwaitCallback(Duration),
    /// Have the connection's token renewed and tell what became of it: [`Event::Renewed`] or [`Event::NotRenewed`].
    Renew,
    /// Nothing: the call has ended.
    Finish(&'c End),
}

/// A fact.
#[derive(Debug, Clone)]
pub enum Event {
    /// The script decided.
    Decided(Decision),
    /// The script failed.
    Faulted(Fault),
    /// The request is ready.
    Filled(Filled),
    /// A template failed.
    NotFilled(Fault),
    /// The upstream answered.
    Responded(HttpResponse),
    /// The upstream answered, and its body is kept as a file, which this payload describes. The response has the body too where a script
    /// is there to see it.
    Saved(HttpResponse, Payload),
    /// No answer came, or the request was not allowed to leave.
    NotAnswered(Fault),
    /// The time is over.
    Waited,
    /// Whoever waits for the call would not wait so long.
    NoTime,
    /// The upstream called back.
    CalledBack(Callback),
    /// It did not.
    NotCalledBack,
    /// There is a new token.
    Renewed,
    /// There is none.
    NotRenewed(Fault),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// It succeeded.
    Succeeded(Payload),
    /// A hook answered itself.
    Responded(NewResponse),
    /// A hook rejected the call or its result, or replaced its failure.
    Rejected(Rejection),
    /// It failed.
    Failed(Failure),
    /// It failed, and the run goes on with this payload all the same: `on_error` of a script step says so.
    Ignored(Failure, Payload),
}

/// Why a call failed, and what may follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub fault: Fault,
    /// What a script gave as the code of its `fail`.
    pub reason: Option<ReasonCode>,
    /// Whether the run may be made again.
    pub repeat: Repeat,
    /// What a callback said of the document, where it was one that failed the step.
    pub document: Option<Box<Callback>>,
}

/// Whether a failed run is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repeat {
    /// No: a script decided that it failed.
    Never,
    /// As the flow's `retry` says.
    AsPolicy,
    /// A script asked for it; where the flow has no `retry`, once more after a while.
    Asked,
}

/// An event that does not answer the action that was asked for: a mistake of the driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{happened} cannot happen while {awaited} is awaited")]
pub struct IllegalEvent {
    awaited: String,
    happened: &'static str,
}

/// A final failure on its way through `post-fail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Failed {
    failure: Failure,
    /// The response's status, 0 without one.
    status: u16,
    /// What a script put in the failure's place.
    replaced: Option<Rejection>,
}

impl<'p> Call<'p> {
    /// A call with these arguments. `may_repeat_run` says whether a script that decides `retry-run` can have its way;
    /// else that decision is a final failure like any other.
    #[must_use]
    pub fn new(plan: &'p CallPlan, arguments: Arguments, may_repeat_run: bool) -> Self {
        let so_far = SoFar {
            may_repeat_run,
            original: arguments.clone(),
            arguments,
            attempt: 0,
            retries: 0,
            renewed_after: None,
            request: HttpRequest::default(),
            files: FilledFiles::default(),
            expected: None,
            response: HttpResponse::default(),
            saved: None,
            returned: None,
            proceed: false,
            result: Payload::default(),
            stored: Vec::new(),
            failure: None,
            errors: Vec::new(),
            stage: Stage::Request,
        };
        let mut call = Self { plan, so_far };
        call.enter(Hook::PreHook);
        call
    }

    /// A call as it was, to go on with it. Where the plan has become another one, a script that is not bound any more is passed over.
    #[must_use]
    pub fn resumed(plan: &'p CallPlan, so_far: SoFar) -> Self {
        let mut call = Self { plan, so_far };
        if let Stage::Hook(hook, index) = call.so_far.stage
            && index >= plan.bound.of(hook)
        {
            call.leave(hook);
        }
        call
    }

    /// Everything that has happened.
    #[must_use]
    pub const fn so_far(&self) -> &SoFar {
        &self.so_far
    }

    /// What to do next. Asking twice gives the same.
    #[must_use]
    pub fn next(&self) -> Action<'_> {
        match &self.so_far.stage {
            Stage::Hook(hook, index) => Action::RunHook { hook: *hook, index: *index, input: self.input(*hook) },
            Stage::Fill => Action::FillRequest(self.plan, self.so_far.arguments.payload()),
            Stage::Request => Action::SendRequest(&self.so_far.request),
            Stage::Wait(delay, _) => Action::Wait(*delay),
            Stage::Callback(waits) => Action::AwaitCallback(Duration::from_secs(waits.timeout_s.into())),
            Stage::Renew => Action::Renew,
            Stage::Done(end) => Action::Finish(end),
        }
    }

    /// The latest attempt, from 1; 0 before the first has begun.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.so_far.attempt
    }

    /// What the request sends in place of its body.
    #[must_use]
    pub const fn form(&self) -> Option<&Form> {
        self.so_far.files.form.as_ref()
    }

    /// The name under which the response is kept.
    #[must_use]
    pub fn save_as(&self) -> Option<&str> {
        self.so_far.files.save_as.as_deref()
    }

    /// Whether the latest attempt's response was good, or a script went on with it.
    #[must_use]
    pub fn response_counts(&self) -> bool {
        self.so_far.response.status != 0 && matches!(self.so_far.errors.last(), Some(None))
    }

    /// Whether the upstream is to call back when the request was accepted.
    #[must_use]
    pub const fn awaits_callback(&self) -> bool {
        self.plan.awaits.is_some()
    }

    /// Whether a request that changes something may be sent again when nobody knows what became of it.
    #[must_use]
    pub fn repeatable(&self) -> bool {
        self.plan.idempotent && matches!(self.so_far.request.method.as_str(), "POST" | "PATCH")
    }

    /// How many requests of the call the upstream has surely taken or refused, plus one. Requests that were not answered do not count: whatever
    /// follows them is the same request again.
    #[must_use]
    pub fn intents(&self) -> usize {
        let unanswered = |error: &&Option<Fault>| error.as_ref().is_some_and(|fault| matches!(fault.code, Code::Timeout | Code::Reset));
        self.so_far.errors.iter().filter(|error| !unanswered(error)).count() + 1
    }

    /// What a wait before the next attempt is for.
    #[must_use]
    pub fn wait_reason(&self) -> WaitReason {
        match &self.so_far.stage {
            Stage::Wait(_, Fault { code: Code::Blocked, .. }) => WaitReason::Polling,
            _ => WaitReason::Retry,
        }
    }

    /// Why each ended attempt failed, in order; none for one that did not.
    #[must_use]
    pub fn attempt_errors(&self) -> &[Option<Fault>] {
        &self.so_far.errors
    }

    /// What of the response is kept, by name, as JSON text; and the response's body, or what describes it where it is kept as a file. To be
    /// asked once the call has succeeded.
    #[must_use]
    pub fn take_kept(&mut self) -> (Vec<(String, String)>, Bytes) {
        let body = self.so_far.saved.as_ref().map_or(&self.so_far.response.body, |file| &file.bytes).clone();
        (std::mem::take(&mut self.so_far.stored), body)
    }

    /// How the call ended; none while it has not.
    #[must_use]
    pub fn into_end(self) -> Option<End> {
        match self.so_far.stage {
            Stage::Done(end) => Some(end),
            Stage::Hook(..) | Stage::Fill | Stage::Request | Stage::Wait(..) | Stage::Callback(_) | Stage::Renew => None,
        }
    }

    /// Takes a fact in.
    ///
    /// # Errors
    /// When it does not answer [`Call::next`]; the call is then as it was.
    pub fn apply(&mut self, event: Event) -> Result<(), IllegalEvent> {
        match (&self.so_far.stage, event) {
            (&Stage::Hook(hook, index), Event::Decided(decision)) => self.decided(hook, index, decision)?,
            (&Stage::Hook(hook, _), Event::Faulted(fault)) => self.faulted(hook, fault),
            (Stage::Fill, Event::Filled(filled)) => self.filled(filled),
            (Stage::Fill, Event::NotFilled(fault)) => self.attempt_failed(fault),
            (Stage::Request, Event::Responded(response)) => {
                self.so_far.response = response;
                self.enter(Hook::PostRequest);
            }
            (Stage::Request, Event::Saved(response, file)) => {
                self.so_far.response = response;
                self.so_far.saved = Some(file);
                self.enter(Hook::PostRequest);
            }
            (Stage::Request, Event::NotAnswered(fault)) => self.attempt_failed(fault),
            (Stage::Wait(..), Event::Waited) => self.begin_attempt(),
            (Stage::Wait(_, fault), Event::NoTime) => {
                let fault = fault.clone();
                self.so_far.errors.pop();
                self.request_failed(Failure::of(fault));
            }
            (Stage::Callback(waits), Event::CalledBack(callback)) => {
                let use_body = waits.use_body;
                self.called_back(use_body, callback);
            }
            (Stage::Callback(waits), Event::NotCalledBack) => {
                let detail = format!("the upstream did not call back within {} s", waits.timeout_s);
                self.failed(Failure::of(Fault::new(Code::CallbackTimeout, detail)));
            }
            (Stage::Renew, Event::Renewed) => self.begin_attempt(),
            (Stage::Renew, Event::NotRenewed(fault)) => {
                self.so_far.errors.pop();
                self.request_failed(Failure::of(fault));
            }
            (_, event) => return Err(self.illegal(event.kind())),
        }
        Ok(())
    }

    fn illegal(&self, happened: &'static str) -> IllegalEvent {
        let awaited = match &self.so_far.stage {
            Stage::Hook(hook, index) => format!("script {index} of {hook}"),
            Stage::Fill => "a request with its templates filled in".to_owned(),
            Stage::Request => "the answer to a request".to_owned(),
            Stage::Wait(..) => "the end of a wait".to_owned(),
            Stage::Callback(_) => "a callback".to_owned(),
            Stage::Renew => "a new token".to_owned(),
            Stage::Done(_) => "nothing".to_owned(),
        };
        IllegalEvent::new(awaited, happened)
    }

    fn enter(&mut self, hook: Hook) {
        if self.plan.bound.of(hook) > 0 {
            self.so_far.stage = Stage::Hook(hook, 0);
        } else {
            self.leave(hook);
        }
    }

    fn advance(&mut self, hook: Hook, index: usize) {
        if index + 1 < self.plan.bound.of(hook) {
            self.so_far.stage = Stage::Hook(hook, index + 1);
        } else {
            self.leave(hook);
        }
    }

    fn leave(&mut self, hook: Hook) {
        match hook {
            Hook::PreHook => self.begin_attempt(),
            Hook::PreRequest => self.so_far.stage = Stage::Request,
            Hook::PostRequest => self.settle(),
            Hook::PostHook | Hook::Step | Hook::Trigger => {
                self.so_far.stage = Stage::Done(End::Succeeded(std::mem::take(&mut self.so_far.result)))
            }
            Hook::PostFail => {
                let Some(failed) = self.so_far.failure.take() else { return };
                self.so_far.stage = Stage::Done(match failed.replaced {
                    Some(rejection) => End::Rejected(rejection),
                    None => End::Failed(failed.failure),
                });
            }
        }
    }

    fn begin_attempt(&mut self) {
        self.so_far.attempt += 1;
        self.so_far.response = HttpResponse::default();
        self.so_far.saved = None;
        self.so_far.returned = None;
        self.so_far.proceed = false;
        if self.plan.has_templates() {
            self.so_far.stage = Stage::Fill;
        } else {
            match self.plan.fill_plain(self.so_far.arguments.payload()) {
                Ok(filled) => self.filled(filled),
                Err(fault) => self.attempt_failed(fault),
            }
        }
    }

    fn filled(&mut self, Filled { request, expected, files }: Filled) {
        self.so_far.request = request;
        self.so_far.expected = expected;
        self.so_far.files = files;
        self.enter(Hook::PreRequest);
    }
}

/// The body of an answer, an upstream's or a hook's, as payload, byte for byte. Where no media type is named, it gets the one that its body fits.
fn answered(headers: &Headers, body: &Bytes) -> Payload {
    let content_type = headers.get("content-type").map_or_else(
        || {
            let payload = Payload::json(body.clone());
            if as_json(&payload) == payload.bytes {
                payload.content_type
            } else if std::str::from_utf8(body).is_ok() {
                "text/plain; charset=utf-8".to_owned()
            } else {
                "application/octet-stream".to_owned()
            }
        },
        str::to_owned,
    );
    Payload { bytes: body.clone(), content_type }
}
