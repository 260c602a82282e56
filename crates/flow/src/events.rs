//! What has happened in a run, as its history shows it: made from the record, of which each save only has more.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use snaphook_model::{Attempt, EventKind, Invocation, RunEvent, RunRecord, StepRecord, WaitRecord};

/// The events of a run so far, in order. A later record of the same run begins with the same events.
#[must_use]
pub fn of(record: &RunRecord) -> Vec<RunEvent> {
    let mut history = History { events: Vec::new(), step: None, attempt: None };
    history.add(record.started_at, EventKind::RunStarted, json!({"flow": record.flow, "attempt_of_run": record.attempt}));
    if let Some(trigger) = &record.trigger {
        history.hook(trigger);
    }
    let ended = record.status.has_ended();
    for (index, step) in record.steps.iter().enumerate() {
        history.step(step, ended || index + 1 < record.steps.len());
    }
    if let Some(at) = record.ended_at.filter(|_| ended) {
        history.step = None;
        history.add(at, EventKind::RunEnded, json!({"status": record.status, "code": record.code, "message": record.message}));
    }
    history.events
}

struct History {
    events: Vec<RunEvent>,
    step: Option<String>,
    attempt: Option<u32>,
}

impl History {
    fn add(&mut self, at: Timestamp, kind: EventKind, detail: Value) {
        let seq = u32::try_from(self.events.len()).map_or(u32::MAX, |count| count.saturating_add(1));
        let detail = match detail {
            Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        self.events.push(RunEvent { seq, at, kind, step: self.step.clone(), attempt: self.attempt, detail });
    }

    fn hook(&mut self, invocation: &Invocation) {
        let Invocation { hook, script, version, decision, fault, usage, .. } = invocation;
        let decision = decision.as_ref().map(|decision| &decision.kind);
        let detail = json!({"hook": hook, "script": script, "version": version, "decision": decision, "fault": fault, "fuel": usage.fuel});
        self.add(invocation.started_at, EventKind::HookCalled, detail);
    }

    fn step(&mut self, step: &StepRecord, ended: bool) {
        self.step = Some(step.name.clone());
        let mut last = self.events.last().map_or(Timestamp::UNIX_EPOCH, |event| event.at);
        // Hooks that ran before the first request; those after the last one come behind it.
        let first = step.attempts.first().map(|attempt| attempt.started_at);
        let before = step.hooks.iter().take_while(|hook| first.is_none_or(|first| hook.started_at <= first)).count();
        let (before, after) = step.hooks.split_at(before);
        if step.attempts.is_empty() {
            self.invocations_of_script(step);
        } else {
            before.iter().for_each(|hook| self.hook(hook));
        }
        for (index, attempt) in step.attempts.iter().enumerate() {
            let number = u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1));
            self.attempt(number, attempt);
            step.waits.iter().filter(|wait| wait.after == number).for_each(|wait| self.wait(wait));
        }
        after.iter().for_each(|hook| self.hook(hook));
        if let Some(event) = self.events.last() {
            last = last.max(event.at);
        }
        if ended {
            self.add(last, EventKind::StepEnded, json!({"status": step.status, "code": step.code, "message": step.message}));
        }
    }

    /// A script step: each attempt is one invocation, and a wait comes behind the attempt that failed.
    fn invocations_of_script(&mut self, step: &StepRecord) {
        for (index, hook) in step.hooks.iter().enumerate() {
            let number = u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1));
            self.attempt = Some(number);
            self.hook(hook);
            step.waits.iter().filter(|wait| wait.after == number).for_each(|wait| self.wait(wait));
        }
        self.attempt = None;
    }

    fn attempt(&mut self, number: u32, attempt: &Attempt) {
        self.attempt = Some(number);
        let sent = attempt.request.as_ref().map_or(Timestamp::UNIX_EPOCH, |_| attempt.started_at);
        let before = attempt.hooks.iter().take_while(|hook| hook.hook == snaphook_model::Hook::PreRequest).count();
        let (before, after) = attempt.hooks.split_at(before);
        before.iter().for_each(|hook| self.hook(hook));
        if let Some(request) = &attempt.request {
            let at = before.last().map_or(sent, |hook| hook.started_at.max(sent));
            self.add(at, EventKind::RequestStarted, json!({"method": request.method, "url": request.url}));
        }
        if let Some(response) = &attempt.response {
            let took = SignedDuration::from_millis(i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX));
            let end = attempt.started_at.checked_add(took).unwrap_or(attempt.started_at);
            // The attempt's time includes the hooks that looked at the answer.
            let at = after.first().map_or(end, |hook| hook.started_at.min(end));
            self.add(at, EventKind::RequestEnded, json!({"status": response.status}));
        }
        after.iter().for_each(|hook| self.hook(hook));
        self.attempt = None;
    }

    fn wait(&mut self, wait: &WaitRecord) {
        self.add(wait.since, EventKind::Waiting, json!({"for": wait.reason, "until": wait.until.to_string()}));
        if let Some(at) = wait.ended_at {
            self.add(at, EventKind::Resumed, json!({"from": wait.reason}));
        }
    }
}
