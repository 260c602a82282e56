//! One call: facts in, next action out. Where the documents leave a choice, it is made in this file and said here.
//!
//! - Reject and respond, of `pre-hook` and `pre-request` alike, end the call: neither `post-hook` nor `post-fail` runs.
//! - Every other failure is final when its retries are used up, a guest fault in `pre-hook` too, and then `post-fail` runs.
//! - A guest fault in `post-hook` or `post-fail` ends the call with that fault; the failure before it stays in its attempt's record.

mod decide;

use bytes::Bytes;
use snaphook_model::{
    Blame, Code, Decision, Fault, Headers, Hook, HookInput, HttpRequest, HttpResponse, NewResponse, Payload, ReasonCode, Rejection,
};

use super::input::{Arguments, as_json};
use super::path::ResponsePath;
use super::plan::CallPlan;
use crate::template::{Condition, Filled, FilledFiles, Form};

/// A call and everything that has happened in it.
#[derive(Debug, Clone)]
pub struct Call<'p> {
    plan: &'p CallPlan,
    /// Whether another run may follow where a script asks for one.
    may_repeat_run: bool,
    /// As the caller gave them; the hooks after the call see these.
    original: Arguments,
    /// As the pre-hooks made them.
    arguments: Arguments,
    /// From 1; 0 before the first.
    attempt: u32,
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
    stored: Vec<(String, Bytes)>,
    /// The final failure, once there is one.
    failure: Option<Failed>,
    /// Why each ended attempt failed.
    errors: Vec<Option<Fault>>,
    stage: Stage,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Hook(Hook, usize),
    Fill,
    Request,
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
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Why.
    pub fault: Fault,
    /// What a script gave as the code of its `fail`.
    pub reason: Option<ReasonCode>,
    /// Whether the run may be made again.
    pub repeat: Repeat,
}

/// Whether a failed run is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone)]
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
        let mut call = Self {
            plan,
            may_repeat_run,
            original: arguments.clone(),
            arguments,
            attempt: 0,
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
        call.enter(Hook::PreHook);
        call
    }

    /// What to do next. Asking twice gives the same.
    #[must_use]
    pub fn next(&self) -> Action<'_> {
        match &self.stage {
            Stage::Hook(hook, index) => Action::RunHook { hook: *hook, index: *index, input: self.input(*hook) },
            Stage::Fill => Action::FillRequest(self.plan, self.arguments.payload()),
            Stage::Request => Action::SendRequest(&self.request),
            Stage::Done(end) => Action::Finish(end),
        }
    }

    /// The latest attempt, from 1; 0 before the first has begun.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What the request sends in place of its body.
    #[must_use]
    pub const fn form(&self) -> Option<&Form> {
        self.files.form.as_ref()
    }

    /// The name under which the response is kept.
    #[must_use]
    pub fn save_as(&self) -> Option<&str> {
        self.files.save_as.as_deref()
    }

    /// Whether the latest attempt's response was good, or a script went on with it.
    #[must_use]
    pub fn response_counts(&self) -> bool {
        self.response.status != 0 && matches!(self.errors.last(), Some(None))
    }

    /// Why each ended attempt failed, in order; none for one that did not.
    #[must_use]
    pub fn attempt_errors(&self) -> &[Option<Fault>] {
        &self.errors
    }

    /// What of the response is kept, by name, as JSON text; and the response's body, or what describes it where it is kept as a file. To be
    /// asked once the call has succeeded.
    #[must_use]
    pub fn take_kept(&mut self) -> (Vec<(String, Bytes)>, Bytes) {
        let body = self.saved.as_ref().map_or(&self.response.body, |file| &file.bytes).clone();
        (std::mem::take(&mut self.stored), body)
    }

    /// How the call ended; none while it has not.
    #[must_use]
    pub fn into_end(self) -> Option<End> {
        match self.stage {
            Stage::Done(end) => Some(end),
            Stage::Hook(..) | Stage::Fill | Stage::Request => None,
        }
    }

    /// Takes a fact in.
    ///
    /// # Errors
    /// When it does not answer [`Call::next`]; the call is then as it was.
    pub fn apply(&mut self, event: Event) -> Result<(), IllegalEvent> {
        match (&self.stage, event) {
            (&Stage::Hook(hook, index), Event::Decided(decision)) => self.decided(hook, index, decision)?,
            (&Stage::Hook(hook, _), Event::Faulted(fault)) => self.faulted(hook, fault),
            (Stage::Fill, Event::Filled(filled)) => self.filled(filled),
            (Stage::Fill, Event::NotFilled(fault)) => self.attempt_failed(fault),
            (Stage::Request, Event::Responded(response)) => {
                self.response = response;
                self.enter(Hook::PostRequest);
            }
            (Stage::Request, Event::Saved(response, file)) => {
                self.response = response;
                self.saved = Some(file);
                self.enter(Hook::PostRequest);
            }
            (Stage::Request, Event::NotAnswered(fault)) => self.attempt_failed(fault),
            (_, event) => return Err(self.illegal(event.kind())),
        }
        Ok(())
    }

    fn illegal(&self, happened: &'static str) -> IllegalEvent {
        let awaited = match &self.stage {
            Stage::Hook(hook, index) => format!("script {index} of {hook}"),
            Stage::Fill => "a request with its templates filled in".to_owned(),
            Stage::Request => "the answer to a request".to_owned(),
            Stage::Done(_) => "nothing".to_owned(),
        };
        IllegalEvent::new(awaited, happened)
    }

    fn enter(&mut self, hook: Hook) {
        if self.plan.bound.of(hook) > 0 {
            self.stage = Stage::Hook(hook, 0);
        } else {
            self.leave(hook);
        }
    }

    fn advance(&mut self, hook: Hook, index: usize) {
        if index + 1 < self.plan.bound.of(hook) {
            self.stage = Stage::Hook(hook, index + 1);
        } else {
            self.leave(hook);
        }
    }

    fn leave(&mut self, hook: Hook) {
        match hook {
            Hook::PreHook => self.begin_attempt(),
            Hook::PreRequest => self.stage = Stage::Request,
            Hook::PostRequest => self.settle(),
            Hook::PostHook | Hook::Step | Hook::Trigger => self.stage = Stage::Done(End::Succeeded(std::mem::take(&mut self.result))),
            Hook::PostFail => {
                let Some(failed) = self.failure.take() else { return };
                self.stage = Stage::Done(match failed.replaced {
                    Some(rejection) => End::Rejected(rejection),
                    None => End::Failed(failed.failure),
                });
            }
        }
    }

    fn begin_attempt(&mut self) {
        self.attempt += 1;
        self.response = HttpResponse::default();
        self.saved = None;
        self.returned = None;
        self.proceed = false;
        if self.plan.has_templates() {
            self.stage = Stage::Fill;
        } else {
            match self.plan.fill_plain(self.arguments.payload()) {
                Ok(filled) => self.filled(filled),
                Err(fault) => self.attempt_failed(fault),
            }
        }
    }

    fn filled(&mut self, Filled { request, expected, files }: Filled) {
        self.request = request;
        self.expected = expected;
        self.files = files;
        self.enter(Hook::PreRequest);
    }

    /// No script had anything against the response: the status check stands unless one said to go on.
    fn settle(&mut self) {
        if !self.proceed && !self.plan.accept.allows(self.response.status) {
            let detail = format!("the upstream answered {}; accepted: {}", self.response.status, self.plan.accept.describe());
            return self.attempt_failed(Fault::new(Code::Status, detail));
        }
        let settled = self.blocked_by().and_then(|blocked| match blocked {
            Some(fault) => Ok(Err(fault)),
            None => Ok(Ok((self.store()?, self.payload()?))),
        });
        match settled {
            Ok(Ok((stored, payload))) => {
                self.errors.push(None);
                self.stored = stored;
                self.result = payload;
                self.enter(Hook::PostHook);
            }
            // No failure: nothing is tried again, and there is nothing to recover from.
            Ok(Err(blocked)) => {
                self.errors.push(Some(blocked.clone()));
                self.stage = Stage::Done(End::Failed(Failure { fault: blocked, reason: None, repeat: Repeat::Never }));
            }
            Err(fault) => self.attempt_failed(fault),
        }
    }

    /// Why the call ends blocked, if its condition is not met. A script that says to go on stands over the condition too.
    fn blocked_by(&self) -> Result<Option<Fault>, Fault> {
        let Some(Condition { path, expected, .. }) = self.plan.condition.as_ref().filter(|_| !self.proceed) else { return Ok(None) };
        let expected = self.expected.as_ref().unwrap_or(expected);
        let found = path.find(&self.response.body, "continue_if")?;
        let found = found.as_deref().map(|found| std::str::from_utf8(found).unwrap_or_default());
        if found.is_some_and(|found| Condition::fits(found, expected)) {
            return Ok(None);
        }
        let has = found.map_or_else(|| "nothing".to_owned(), |found| format!("`{}`", shortened(found)));
        let detail = format!("the response has {has} at `{}`; the run goes on with `{}` there", path.text(), shortened(expected));
        Ok(Some(Fault::new(Code::Blocked, detail).in_field("continue_if")))
    }

    /// What is kept of the response: all of it or nothing.
    fn store(&self) -> Result<Vec<(String, Bytes)>, Fault> {
        let find = |(name, path): &(String, ResponsePath)| {
            let found = path.find(&self.response.body, "store_data").map_err(|fault| Fault { code: Code::StorePath, ..fault })?;
            found.map(|found| (name.clone(), found)).ok_or_else(|| {
                let body = String::from_utf8_lossy(&self.response.body);
                let detail =
                    format!("the response has nothing at `{}`, which is to be stored as `{name}`: {}", path.text(), shortened(&body));
                Fault::new(Code::StorePath, detail).in_field(format!("store_data.{name}"))
            })
        };
        self.plan.store.iter().map(find).collect()
    }

    fn payload(&mut self) -> Result<Payload, Fault> {
        if let Some(returned) = self.returned.take() {
            return Ok(returned);
        }
        if let Some(file) = &self.saved {
            return Ok(file.clone());
        }
        match &self.plan.payload_path {
            Some(path) => path.pick(&self.response.body).map(Payload::json),
            None => Ok(received(&self.response)),
        }
    }

    fn can_retry(&self) -> bool {
        self.attempt <= self.plan.retries
    }

    /// An attempt failed without a script's decision. Again, if that may help: the world may have changed, and a script's failure may have
    /// come from what the upstream answered this time.
    fn attempt_failed(&mut self, fault: Fault) {
        if self.can_retry() && (fault.code.retryable() || fault.blame() == Blame::Guest) {
            self.errors.push(Some(fault));
            self.begin_attempt();
        } else {
            self.request_failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy });
        }
    }

    /// The latest attempt failed for good.
    fn request_failed(&mut self, failure: Failure) {
        self.errors.push(Some(failure.fault.clone()));
        self.failed(failure);
    }

    fn failed(&mut self, failure: Failure) {
        if failure.repeat == Repeat::Asked {
            // The run is made again as a whole, so this is not the call's final failure.
            self.stage = Stage::Done(End::Failed(failure));
        } else {
            self.failure = Some(Failed { failure, status: self.response.status, replaced: None });
            self.enter(Hook::PostFail);
        }
    }
}

impl End {
    /// The payload for the next step. An answer that a hook made itself is its step's payload, whatever its status.
    #[must_use]
    pub fn payload(&self) -> Option<Payload> {
        match self {
            Self::Succeeded(payload) | Self::Ignored(_, payload) => Some(payload.clone()),
            Self::Responded(NewResponse { headers, body, .. }) => Some(answered(headers, body)),
            Self::Rejected(_) | Self::Failed(_) => None,
        }
    }
}

impl IllegalEvent {
    pub(super) const fn new(awaited: String, happened: &'static str) -> Self {
        Self { awaited, happened }
    }
}

impl Event {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Decided(_) => "a decision",
            Self::Faulted(_) => "a script's failure",
            Self::Filled(_) | Self::NotFilled(_) => "a request's templates",
            Self::Responded(_) | Self::Saved(..) => "a response",
            Self::NotAnswered(_) => "a request's failure",
        }
    }
}

/// The beginning of a text that an upstream sent, for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 500;
    if text.len() <= MOST { text.to_owned() } else { format!("{}…", &text[..text.floor_char_boundary(MOST)]) }
}

/// A response's body as payload, byte for byte. An upstream that names no media type gets the one that its body fits.
fn received(response: &HttpResponse) -> Payload {
    answered(&response.headers, &response.body)
}

/// The same for the parts of an answer, an upstream's or a hook's.
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
