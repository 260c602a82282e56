//! Drives one call: runs the hooks and sends the requests that the machine asks for, and writes down each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{Code, Context, Decision, Fault, Hook, HookInput, Payload, RunId, StepRecord};
use snaphook_sandbox::{GuestHttp, Invocation};
use snaphook_store::Wake;
use snaphook_telemetry::{Opened, SpanName, TraceContext};

use super::checkpoint::{Sending, UnderWay};
use super::outgoing::send_request;
use super::wait::{Called, Waited};
use super::{Scope, cancelled, internal, state};
use crate::fetch::{Fetch, RunSecrets};
use crate::files::SavedFile;
use crate::keys::RunKeys;
use crate::machine::{Action, Call, End, Event, Failure};
use crate::prepared::{PreparedBinding, PreparedEndpoint};
use crate::record;
use crate::recording::Entry;

/// What became of a call.
pub(super) enum Driven {
    Ended(Box<Ended>),
    /// It waits, and the run is written down.
    Parked,
}

/// A call that has ended.
pub(super) struct Ended {
    pub(super) end: End,
    /// What of the response is kept, by name, as JSON text.
    pub(super) stored: Vec<(String, String)>,
    /// The last response's body.
    pub(super) response: Bytes,
}

impl Driven {
    /// A call that failed and keeps nothing.
    fn failed(failure: Failure) -> Self {
        Self::Ended(Box::new(Ended { end: End::Failed(failure), stored: Vec::new(), response: Bytes::new() }))
    }
}

/// What came of one action of the machine.
pub(super) enum Done {
    Event(Event),
    Parked,
    Broken(Failure),
}

/// Where in a call an invocation stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In its hook's list.
    pub(super) index: usize,
    /// From 1.
    pub(super) attempt: u32,
}

/// Drives a call to its end, or until it waits, and records hooks and attempts in the step. `sending` is a request of which nobody knows what
/// became.
pub(super) async fn drive(
    scope: &mut Scope<'_>,
    endpoint: &PreparedEndpoint,
    mut call: Call<'_>,
    mut sending: Option<Sending>,
    step: &mut StepRecord,
) -> Driven {
    if let Err(fault) = scope.open(&endpoint.uses).await {
        return Driven::failed(Failure::of(fault));
    }
    let mut saved = None;
    let mut began = Instant::now();
    loop {
        let in_attempt = match call.next() {
            Action::RunHook { hook, .. } => matches!(hook, Hook::PreRequest | Hook::PostRequest),
            Action::FillRequest(..) | Action::SendRequest(_) => true,
            Action::Wait(_) | Action::AwaitCallback(_) | Action::Renew => false,
            Action::Finish(_) => break,
        };
        if in_attempt && step.attempts.len() < call.attempt() as usize {
            began = Instant::now();
            step.attempts.push(record::attempt(scope.inner.parts.clock.now()));
        }
        let done = match call.next() {
            Action::Finish(_) => break,
            Action::RunHook { hook, index, input } => run_hook(scope, endpoint, &call, (hook, index, input), step).await,
            Action::FillRequest(_, arguments) => {
                let (values, plan) = (scope.template_values(arguments.clone()), Arc::clone(&endpoint.plan));
                let fill = scope.inner.fill(scope.tenant, &values, scope.deadline, move |values| plan.fill(values));
                match scope.cancel.run_until_cancelled(fill).await {
                    Some(filled) => Done::Event(filled.map_or_else(Event::NotFilled, Event::Filled)),
                    None => Done::Broken(cancelled()),
                }
            }
            Action::SendRequest(_) => send_request(scope, endpoint, &call, sending.take(), step, &mut saved).await,
            Action::Wait(delay) => wait(scope, &call, delay, step).await,
            Action::AwaitCallback(timeout) => await_callback(scope, &call, timeout, step).await,
            Action::Renew => renew(scope).await,
        };
        if let (Some(attempt), true) = (step.attempts.last_mut(), in_attempt) {
            attempt.duration_ms = whole_ms(began.elapsed());
        }
        let event = match done {
            Done::Event(event) => event,
            Done::Parked => return Driven::Parked,
            Done::Broken(failure) => {
                step.attempts.last_mut().filter(|_| in_attempt).into_iter().for_each(|attempt| record::broken_off(attempt, &failure.fault));
                return Driven::failed(failure);
            }
        };
        let answered = matches!(event, Event::Responded(_) | Event::Saved(..) | Event::NotAnswered(_));
        if let Err(error) = call.apply(event) {
            return Driven::failed(internal(&error.to_string()));
        }
        show_errors(&call, step);
        // A file gets its name before its run is written down, or the run would be taken up again without it.
        if answered && scope.ledger.lease.is_some() {
            keep_file(scope, &call, &mut saved).await;
            let under_way = UnderWay::Call(Box::new(call.so_far().clone()), None);
            if let Err(fault) = scope.save(under_way, Some(step), Wake::Held, None).await {
                return Driven::failed(Failure::of(fault));
            }
        }
    }
    if call.response_counts() {
        keep_file(scope, &call, &mut saved).await;
    }
    let (stored, response) = call.take_kept();
    let end = call.into_end().unwrap_or_else(|| End::Failed(internal("a call without next action has not ended")));
    Driven::Ended(Box::new(Ended { end, stored, response }))
}

/// Gives the response's file its name, where there is one.
async fn keep_file(scope: &mut Scope<'_>, call: &Call<'_>, saved: &mut Option<SavedFile>) {
    if let (Some(name), Some(file)) = (call.save_as(), saved.take()) {
        scope.files.keep(name.to_owned(), file).await;
    }
}

/// Puts why attempts failed into their records.
fn show_errors(call: &Call<'_>, step: &mut StepRecord) {
    for (attempt, error) in step.attempts.iter_mut().zip(call.attempt_errors()) {
        attempt.error.clone_from(error);
    }
}

async fn run_hook(
    scope: &mut Scope<'_>,
    endpoint: &PreparedEndpoint,
    call: &Call<'_>,
    (hook, index, input): (Hook, usize, HookInput),
    step: &mut StepRecord,
) -> Done {
    let Some(binding) = endpoint.bindings(hook).get(index) else {
        return Done::Broken(internal("a hook that is not bound"));
    };
    let in_attempt = matches!(hook, Hook::PreRequest | Hook::PostRequest);
    let place = Place { index, attempt: call.attempt().max(1) };
    let cancel = scope.cancel.clone();
    let invoke = Box::pin(invoke(scope, binding, place, input, None));
    let Some((invocation, result)) = cancel.run_until_cancelled(invoke).await else { return Done::Broken(cancelled()) };
    match step.attempts.last_mut().filter(|_| in_attempt) {
        Some(attempt) => attempt.hooks.push(invocation),
        None => step.hooks.push(invocation),
    }
    Done::Event(result.map_or_else(Event::Faulted, Event::Decided))
}

/// Has the connection's token renewed.
async fn renew(scope: &mut Scope<'_>) -> Done {
    let cancel = scope.cancel.clone();
    let Some(renewed) = cancel.run_until_cancelled(Box::pin(scope.token(true))).await else { return Done::Broken(cancelled()) };
    Done::Event(match renewed {
        Ok(true) => Event::Renewed,
        Ok(false) => {
            let detail = "the script asked for a new authentication, but the connection is of a kind that has nothing to renew";
            Event::NotRenewed(Fault::new(Code::ReauthenticateFailed, detail))
        }
        Err(fault) => Event::NotRenewed(fault),
    })
}

async fn wait(scope: &mut Scope<'_>, call: &Call<'_>, delay: Duration, step: &mut StepRecord) -> Done {
    let under_way = || UnderWay::Call(Box::new(call.so_far().clone()), None);
    match scope.wait(delay, call.wait_reason(), step, under_way).await {
        Ok(Waited::Over) => Done::Event(Event::Waited),
        Ok(Waited::NoTime) => Done::Event(Event::NoTime),
        Ok(Waited::Parked) => Done::Parked,
        Err(fault) => Done::Broken(Failure::of(fault)),
    }
}

async fn await_callback(scope: &mut Scope<'_>, call: &Call<'_>, timeout: Duration, step: &mut StepRecord) -> Done {
    let Some(correlation) = scope.ledger.correlation.clone() else { return Done::Broken(internal("nobody was asked to call back")) };
    let under_way = || UnderWay::Call(Box::new(call.so_far().clone()), None);
    match scope.await_callback(correlation, timeout, step, under_way).await {
        Ok(Called::Back(callback)) => Done::Event(Event::CalledBack(*callback)),
        Ok(Called::Not) => Done::Event(Event::NotCalledBack),
        Ok(Called::Parked) => Done::Parked,
        Err(fault) => Done::Broken(Failure::of(fault)),
    }
}

/// The way out for a script's own requests, where the tenant's scripts have one. What connectors' templates name is as the script began with it.
fn granted(scope: &Scope<'_>, payload: Payload, hook: Option<&TraceContext>) -> Option<Arc<dyn GuestHttp>> {
    let fetch = || {
        let values = scope.template_values(payload);
        let secrets = RunSecrets { own: scope.secrets.clone(), used: scope.used.clone() };
        let fetch = Fetch::new(scope.inner, scope.tenant, values, scope.start.id, scope.deadline, hook.cloned(), secrets);
        Arc::new(fetch) as Arc<dyn GuestHttp>
    };
    scope.tenant.grants.fetch.then(fetch)
}

/// Runs one hook in a fresh sandbox. What it wrote counts when it succeeded. `brought` is what it begins with where it may have requests of its own.
pub(super) async fn invoke(
    scope: &mut Scope<'_>,
    binding: &PreparedBinding,
    place: Place,
    input: HookInput,
    brought: Option<Payload>,
) -> (snaphook_model::Invocation, Result<Decision, Fault>) {
    let parts = &scope.inner.parts;
    let hook = input.hook();
    let context = Context {
        tenant: scope.tenant.name.clone(),
        flow: scope.flow.map(|flow| flow.name.to_string()),
        step: scope.step.map(str::to_owned),
        run: scope.start.id,
        attempt: place.attempt,
        started_at_ms: epoch_ms(scope.start.at),
        now_ms: epoch_ms(parts.clock.now()),
        seed: seed(scope.start.id, scope.step_index, hook, place),
        parms: binding.parms.clone(),
        test_run: false,
    };
    let limits = scope.tenant.limits;
    let span = scope.span(SpanName::Hook);
    let http = brought.and_then(|payload| granted(scope, payload, span.as_ref().map(Opened::context)));
    let granted = http.is_some();
    let variables = scope.variables.values().clone();
    let state = Some(state::kept(scope));
    let keys = Some(RunKeys::of(scope.inner, scope.tenant, scope.secrets.as_ref()));
    let (weight, deadline) = (scope.tenant.weight, Some(scope.deadline));
    let invocation = Invocation { input, context, weight, limits, deadline, variables, state, http, keys };
    let mut outcome = parts.sandbox.invoke(&binding.program, invocation).await;
    let record = record::invocation(binding, hook, &mut outcome, &limits, &mut scope.usage);
    scope.invoked(span, &record, place.attempt);
    if scope.recorder.wants(&outcome.result)
        && let Some((exchanges, signatures)) = scope.recorder.within(outcome.exchanges.zip(outcome.signatures))
    {
        let entry = Entry {
            changed: scope.variables.take_changes(),
            granted,
            exchanges,
            signatures,
            state: outcome.state,
            writes: outcome.writes.clone(),
            fuel: outcome.usage.fuel,
            ..Entry::new(binding.script.clone(), binding.version, outcome.input, outcome.context, outcome.result.clone())
        };
        scope.recorder.note(parts.sandbox.build(), &limits, entry);
    }
    if outcome.result.is_ok() {
        scope.variables.apply(outcome.writes);
    }
    (record, outcome.result)
}

/// All chance of an invocation: from its place in the run, so the same run repeated draws the same, and no two invocations do.
fn seed(run: RunId, step: u64, hook: Hook, place: Place) -> u64 {
    let (high, low) = run.0.as_u64_pair();
    [low, step, hook as u64, place.attempt.into(), place.index as u64].into_iter().fold(high, |state, word| mix(state ^ mix(word)))
}

/// SplitMix64's step: every bit of the input moves half the bits of the output.
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn epoch_ms(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or_default()
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_has_a_seed_of_its_own_and_keeps_it() {
        let run = RunId("0198c5f2-0000-7000-8000-000000000001".parse().unwrap());
        let mut seen = HashSet::new();
        for step in 0..4 {
            for hook in Hook::ALL {
                for attempt in 1..5 {
                    for index in 0..4 {
                        let place = Place { index, attempt };
                        assert!(seen.insert(seed(run, step, hook, place)));
                        assert_eq!(seed(run, step, hook, place), seed(run, step, hook, place));
                    }
                }
            }
        }
    }
}
