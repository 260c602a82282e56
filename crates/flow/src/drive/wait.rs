//! Waits. A direct call waits where it is, as long as its caller would; a run of a flow is written down and let go of.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::{Callback, CorrelationId, Fault, Headers, HttpResponse, StepRecord, WaitReason, WaitRecord};
use snaphook_store::Wake;

use super::Scope;
use super::checkpoint::UnderWay;

/// What became of a wait for time.
pub(super) enum Waited {
    Over,
    /// There is not so much time.
    NoTime,
    /// The run is written down; somebody goes on with it later.
    Parked,
}

/// What became of the wait for a callback.
pub(super) enum Called {
    Back(Box<Callback>),
    /// It did not come in time.
    Not,
    Parked,
}

impl Scope<'_> {
    /// Waits before the next attempt. `under_way` is asked where the step is only when the run is written down.
    pub(super) async fn wait(
        &mut self,
        delay: Duration,
        reason: WaitReason,
        step: &mut StepRecord,
        under_way: impl FnOnce() -> UnderWay,
    ) -> Result<Waited, Fault> {
        if delay.is_zero() {
            return Ok(Waited::Over);
        }
        if self.flow.is_none() {
            if self.deadline.saturating_duration_since(Instant::now()) <= delay {
                return Ok(Waited::NoTime);
            }
            let since = self.inner.parts.clock.now();
            tokio::time::sleep(delay).await;
            self.waited(reason, since, self.inner.parts.clock.now());
            return Ok(Waited::Over);
        }
        let now = self.inner.parts.clock.now();
        let until = match step.waits.last_mut().filter(|wait| wait.ended_at.is_none()) {
            Some(begun) if now >= begun.until => {
                begun.ended_at = Some(now);
                self.waited(begun.reason, begun.since, now);
                return Ok(Waited::Over);
            }
            Some(begun) => begun.until,
            None => begin(step, reason, now, delay),
        };
        self.save(under_way(), Some(step), Wake::At(until), None).await?;
        self.inner.due.at(until);
        Ok(Waited::Parked)
    }

    /// Waits for the callback that the request has asked for.
    pub(super) async fn await_callback(
        &mut self,
        correlation: CorrelationId,
        timeout: Duration,
        step: &mut StepRecord,
        under_way: impl FnOnce() -> UnderWay,
    ) -> Result<Called, Fault> {
        let now = self.inner.parts.clock.now();
        let until = match step.waits.last().filter(|wait| wait.ended_at.is_none()) {
            Some(begun) => begun.until,
            None => begin(step, WaitReason::Callback, now, timeout),
        };
        let came = self.callback().await?.map(|callback| self.masked(callback)).transpose()?;
        if came.is_none() && now < until {
            self.save(under_way(), Some(step), Wake::Callback(&correlation, until), None).await?;
            // It may have come while the run was written down, which the store then knows.
            self.inner.due.at(now);
            self.inner.due.at(until);
            return Ok(Called::Parked);
        }
        if let Some(wait) = step.waits.last_mut() {
            wait.ended_at = Some(now);
            self.waited(wait.reason, wait.since, now);
        }
        self.ledger.heard = came.is_some().then_some(correlation);
        Ok(came.map_or(Called::Not, |callback| Called::Back(Box::new(callback))))
    }
}

/// The names under which a callback's texts are looked through as an answer's headers are.
const TEXTS: [&str; 3] = ["document-status", "error-code", "error-text"];

impl Scope<'_> {
    /// A callback is an answer of where the run's requests went, which may repeat what they carried.
    fn masked(&self, mut callback: Callback) -> Result<Callback, Fault> {
        let own = self.secrets.as_ref().map(|secrets| secrets.sealed(self.inner, &self.tenant.name));
        let Some(secrets) = self.used.with(own) else { return Ok(callback) };
        let texts = [&mut callback.document_status, &mut callback.error_code, &mut callback.error_text];
        let mut answer = HttpResponse { status: 200, headers: Headers::default(), body: callback.body.bytes };
        for (name, text) in TEXTS.into_iter().zip(&texts) {
            if let Some(text) = text {
                answer.headers.set(name, text.as_str());
            }
        }
        let limit = self.tenant.limits.response_body_bytes;
        let answer = self.inner.parts.egress.masked(&self.tenant.name, &secrets, answer, limit)?;
        for (name, text) in TEXTS.into_iter().zip(texts) {
            *text = answer.headers.get(name).map(str::to_owned);
        }
        callback.body.bytes = answer.body;
        Ok(callback)
    }
}

/// Writes a wait into the step's record; gives its end.
fn begin(step: &mut StepRecord, reason: WaitReason, now: Timestamp, length: Duration) -> Timestamp {
    let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
    let came = if step.attempts.is_empty() { step.hooks.len() } else { step.attempts.len() };
    step.waits.push(WaitRecord { reason, after: u32::try_from(came).unwrap_or(u32::MAX), since: now, until, ended_at: None });
    until
}
