//! Drives one call: runs the hooks and sends the requests that the machine asks for, and writes down each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_model::{Context, Decision, Fault, Hook, HookInput, Payload, RunId, StepRecord};
use snaphook_sandbox::{GuestHttp, Invocation};

use super::{Scope, internal, send};
use crate::fetch::Fetch;
use crate::machine::{Action, Arguments, Call, End, Event};
use crate::prepared::{PreparedBinding, PreparedEndpoint};
use crate::record;
use crate::recording::Entry;
use crate::template::Values;

/// What became of a call.
pub(super) struct Driven {
    pub(super) end: End,
    /// What of the response is kept, by name, as JSON text.
    pub(super) stored: Vec<(String, Bytes)>,
    /// The last response's body.
    pub(super) response: Bytes,
}

/// Where in a call an invocation stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In its hook's list.
    pub(super) index: usize,
    /// From 1.
    pub(super) attempt: u32,
}

/// Drives a call to its end and records hooks and attempts in the step.
pub(super) async fn drive(
    scope: &mut Scope<'_>,
    endpoint: &PreparedEndpoint,
    arguments: Arguments,
    may_repeat_run: bool,
    step: &mut StepRecord,
) -> Driven {
    let broken = |failure| Driven { end: End::Failed(failure), stored: Vec::new(), response: Bytes::new() };
    let mut call = Call::new(&endpoint.plan, arguments, may_repeat_run);
    let mut saved = None;
    let mut began = Instant::now();
    loop {
        let action = call.next();
        let in_attempt = match &action {
            Action::RunHook { hook, .. } => matches!(hook, Hook::PreRequest | Hook::PostRequest),
            Action::FillRequest(..) | Action::SendRequest(_) => true,
            Action::Finish(_) => break,
        };
        let attempt = call.attempt();
        if in_attempt && step.attempts.len() < attempt as usize {
            began = Instant::now();
            step.attempts.push(record::attempt(scope.inner.parts.clock.now()));
        }
        let event = match action {
            Action::Finish(_) => break,
            Action::RunHook { hook, index, input } => {
                let Some(binding) = endpoint.bindings(hook).get(index) else {
                    return broken(internal("a hook that is not bound"));
                };
                let (invocation, result) = invoke(scope, binding, Place { index, attempt: attempt.max(1) }, input, None).await;
                match step.attempts.last_mut().filter(|_| in_attempt) {
                    Some(attempt) => attempt.hooks.push(invocation),
                    None => step.hooks.push(invocation),
                }
                result.map_or_else(Event::Faulted, Event::Decided)
            }
            Action::FillRequest(plan, arguments) => {
                let values = Values::new(arguments.clone(), scope.variables.values().clone(), scope.values.clone());
                let filled = scope.inner.fillings.fill(&values, scope.deadline, |values| plan.fill(values)).await;
                filled.map_or_else(Event::NotFilled, Event::Filled)
            }
            Action::SendRequest(request) => {
                let answered = send::send(scope, endpoint, &call, request.clone(), step.attempts.last_mut()).await;
                saved = answered.saved;
                answered.event
            }
        };
        if let (Some(attempt), true) = (step.attempts.last_mut(), in_attempt) {
            attempt.duration_ms = whole_ms(began.elapsed());
        }
        if let Err(error) = call.apply(event) {
            return broken(internal(&error.to_string()));
        }
    }
    if let (Some(name), Some(file), true) = (call.save_as(), saved, call.response_counts()) {
        scope.files.keep(name.to_owned(), file).await;
    }
    for (attempt, error) in step.attempts.iter_mut().zip(call.attempt_errors()) {
        attempt.error.clone_from(error);
    }
    let (stored, response) = call.take_kept();
    let end = call.into_end().unwrap_or_else(|| End::Failed(internal("a call without next action has not ended")));
    Driven { end, stored, response }
}

/// The way out for a script's own requests, where the tenant's scripts have one. What connectors' templates name is as the script began with it.
pub(super) fn granted(scope: &Scope<'_>, payload: &Payload) -> Option<Arc<dyn GuestHttp>> {
    let fetch = || {
        let values = Values::new(payload.clone(), scope.variables.values().clone(), scope.values.clone());
        Arc::new(Fetch::new(scope.inner, scope.tenant, values, scope.deadline)) as Arc<dyn GuestHttp>
    };
    scope.tenant.grants.fetch.then(fetch)
}

/// Runs one hook in a fresh sandbox. What it wrote counts when it succeeded.
pub(super) async fn invoke(
    scope: &mut Scope<'_>,
    binding: &PreparedBinding,
    place: Place,
    input: HookInput,
    http: Option<Arc<dyn GuestHttp>>,
) -> (snaphook_model::Invocation, Result<Decision, Fault>) {
    let parts = &scope.inner.parts;
    let hook = input.hook();
    let context = Context {
        tenant: scope.tenant.name.clone(),
        flow: scope.flow.map(str::to_owned),
        step: scope.step.map(str::to_owned),
        run: scope.run,
        attempt: place.attempt,
        started_at_ms: u64::try_from(parts.clock.now().as_millisecond()).unwrap_or_default(),
        seed: seed(scope.run, scope.step_index, hook, place),
        parms: binding.parms.clone(),
        test_run: false,
    };
    let limits = scope.tenant.limits;
    let granted = http.is_some();
    let invocation =
        Invocation { input, context, limits, deadline: Some(scope.deadline), variables: scope.variables.values().clone(), http };
    let mut outcome = parts.sandbox.invoke(&binding.program, invocation).await;
    let record = record::invocation(binding, hook, &mut outcome, &limits, &mut scope.usage);
    if scope.recorder.wants(&outcome.result) {
        let entry = Entry {
            changed: scope.variables.take_changes(),
            granted,
            exchanges: outcome.exchanges,
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
