//! What becomes of an answered request, and what follows a failed one: again, a callback, the end.

use std::time::Duration;

use bytes::Bytes;
use snaphook_model::{Blame, Callback, Code, Fault, Hook, HttpResponse, Payload, Polling};

use super::{Call, End, Failed, Failure, Repeat, Stage, answered};
use crate::machine::path::ResponsePath;
use crate::machine::retry_after::retry_after;
use crate::template::Condition;

impl Call<'_> {
    /// No script had anything against the response: the status check stands unless one said to go on.
    pub(super) fn settle(&mut self) {
        if !self.so_far.proceed && !self.plan.accept.allows(self.so_far.response.status) {
            let detail = format!("the upstream answered {}; accepted: {}", self.so_far.response.status, self.plan.accept.describe());
            return self.attempt_failed(Fault::new(Code::Status, detail));
        }
        let settled = self.blocked_by().and_then(|blocked| match blocked {
            Some(fault) => Ok(Err(fault)),
            None => Ok(Ok((self.store()?, self.payload()?))),
        });
        match settled {
            Ok(Ok((stored, payload))) => {
                self.so_far.errors.push(None);
                self.so_far.stored = stored;
                self.so_far.result = payload;
                match self.plan.awaits {
                    Some(waits) => self.so_far.stage = Stage::Callback(waits),
                    None => self.enter(Hook::PostHook),
                }
            }
            Ok(Err(blocked)) => match self.plan.polling {
                Some(polling) => self.poll(polling, blocked),
                // No failure: nothing is tried again, and there is nothing to recover from.
                None => {
                    self.so_far.errors.push(Some(blocked.clone()));
                    self.so_far.stage = Stage::Done(End::Failed(Failure { repeat: Repeat::Never, ..Failure::of(blocked) }));
                }
            },
            Err(fault) => self.attempt_failed(fault),
        }
    }

    /// Why the call ends blocked, if its condition is not met. A script that says to go on stands over the condition too.
    fn blocked_by(&self) -> Result<Option<Fault>, Fault> {
        let Some(Condition { path, expected, .. }) = self.plan.condition.as_ref().filter(|_| !self.so_far.proceed) else { return Ok(None) };
        let expected = self.so_far.expected.as_ref().unwrap_or(expected);
        let found = path.find(&self.so_far.response.body, "continue_if")?;
        let found = found.as_deref().map(|found| std::str::from_utf8(found).unwrap_or_default());
        if found.is_some_and(|found| Condition::fits(found, expected)) {
            return Ok(None);
        }
        let has = found.map_or_else(|| "nothing".to_owned(), |found| format!("`{}`", shortened(found)));
        let detail = format!("the response has {has} at `{}`; the run goes on with `{}` there", path.text(), shortened(expected));
        Ok(Some(Fault::new(Code::Blocked, detail).in_field("continue_if")))
    }

    /// What is kept of the response: all of it or nothing.
    fn store(&self) -> Result<Vec<(String, String)>, Fault> {
        let find = |(name, path): &(String, ResponsePath)| {
            let found = path.find(&self.so_far.response.body, "store_data").map_err(|fault| Fault { code: Code::StorePath, ..fault })?;
            let text =
                |found: Bytes| String::from_utf8(found.into()).map_err(|_| Fault::new(Code::StorePath, "what is to be stored is no UTF-8"));
            found.map(text).transpose()?.map(|found| (name.clone(), found)).ok_or_else(|| {
                let body = String::from_utf8_lossy(&self.so_far.response.body);
                let detail =
                    format!("the response has nothing at `{}`, which is to be stored as `{name}`: {}", path.text(), shortened(&body));
                Fault::new(Code::StorePath, detail).in_field(format!("store_data.{name}"))
            })
        };
        self.plan.store.iter().map(find).collect()
    }

    fn payload(&mut self) -> Result<Payload, Fault> {
        if let Some(returned) = self.so_far.returned.take() {
            return Ok(returned);
        }
        if let Some(file) = &self.so_far.saved {
            return Ok(file.clone());
        }
        match &self.plan.payload_path {
            Some(path) => path.pick(&self.so_far.response.body).map(Payload::json),
            None => Ok(received(&self.so_far.response)),
        }
    }

    /// The condition is not met yet: the same again after a while, if there may be another request.
    fn poll(&mut self, polling: Polling, unmet: Fault) {
        if self.so_far.attempt < polling.amount {
            self.so_far.errors.push(Some(unmet.clone()));
            self.so_far.stage = Stage::Wait(Duration::from_secs(polling.interval.into()), unmet);
        } else {
            let detail = format!("{} after {} requests", unmet.detail, self.so_far.attempt);
            self.request_failed(Failure::of(Fault { code: Code::PollingExhausted, detail, ..unmet }));
        }
    }

    /// The upstream said how the step ended.
    pub(super) fn called_back(&mut self, use_body: bool, callback: Callback) {
        if callback.ok {
            self.so_far.result = if use_body { callback.body } else { self.so_far.original.payload().clone() };
            return self.enter(Hook::PostHook);
        }
        let text = callback.error_text.as_deref().unwrap_or("no text");
        let detail = match &callback.error_code {
            Some(code) => format!("the upstream called back with a failure: {code}, {text}"),
            None => format!("the upstream called back with a failure: {text}"),
        };
        let failure = Failure::of(Fault::new(Code::CallbackFailed, detail));
        self.failed(Failure { document: Some(Box::new(callback)), ..failure });
    }

    pub(super) fn can_retry(&self) -> bool {
        self.so_far.retries < self.plan.retry.attempts && self.plan.polling.is_none_or(|polling| self.so_far.attempt < polling.amount)
    }

    /// The next attempt, after the delay that belongs to it, or after a longer one that the upstream asked for. `fault` is why. A step without
    /// a delay is tried again at once, whatever the upstream asks for.
    pub(super) fn retry(&mut self, fault: Fault) {
        self.so_far.retries += 1;
        self.so_far.errors.push(Some(fault.clone()));
        let delay = self.plan.retry.delay(self.so_far.retries);
        if delay.is_zero() {
            self.begin_attempt();
        } else {
            let asked = retry_after(&self.so_far.response).unwrap_or_default();
            self.so_far.stage = Stage::Wait(delay.max(asked), fault);
        }
    }

    /// An attempt failed without a script's decision. Again, if that may help: the world may have changed, and a script's failure may have
    /// come from what the upstream answered this time.
    pub(super) fn attempt_failed(&mut self, fault: Fault) {
        if self.can_retry() && (fault.code.retryable() || fault.blame() == Blame::Guest) {
            self.retry(fault);
        } else {
            self.request_failed(Failure::of(fault));
        }
    }

    /// The latest attempt failed for good.
    pub(super) fn request_failed(&mut self, mut failure: Failure) {
        // Whoever looks at the upstream first may do it again.
        if failure.fault.code == Code::OutcomeUnknown {
            failure.repeat = Repeat::Never;
        }
        self.so_far.errors.push(Some(failure.fault.clone()));
        self.failed(failure);
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        if failure.repeat == Repeat::Asked {
            // The run is made again as a whole, so this is not the call's final failure.
            self.so_far.stage = Stage::Done(End::Failed(failure));
        } else {
            self.so_far.failure = Some(Failed { failure, status: self.so_far.response.status, replaced: None });
            self.enter(Hook::PostFail);
        }
    }
}

/// The beginning of a text that an upstream sent, for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 500;
    if text.len() <= MOST { text.to_owned() } else { format!("{}…", &text[..text.floor_char_boundary(MOST)]) }
}

/// A response's body as payload, byte for byte.
fn received(response: &HttpResponse) -> Payload {
    answered(&response.headers, &response.body)
}
