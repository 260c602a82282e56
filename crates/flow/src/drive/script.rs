//! Drives one script step: each attempt is an invocation in a fresh sandbox, and between them the run waits like any other.

use snaphook_model::{Decision, HookInput, Payload, StepDecision, StepRecord, WaitReason};

use super::checkpoint::UnderWay;
use super::wait::Waited;
use super::{Scope, call, cancelled, internal};
use crate::machine::{End, Failure, ScriptAction, ScriptEvent, ScriptStep};
use crate::prepared::PreparedBinding;

/// Drives a script step to its end and records its invocations in the step's record; none when it waits.
pub(super) async fn drive(scope: &mut Scope<'_>, binding: &PreparedBinding, mut step: ScriptStep, record: &mut StepRecord) -> Option<End> {
    loop {
        let event = match step.next() {
            ScriptAction::Finish(_) => break,
            ScriptAction::Wait(delay) => {
                let under_way = || UnderWay::Script(Box::new(step.clone()));
                match scope.wait(delay, WaitReason::Retry, record, under_way).await {
                    Ok(Waited::Over) => ScriptEvent::Waited,
                    Ok(Waited::NoTime) => ScriptEvent::NoTime,
                    Ok(Waited::Parked) => return None,
                    Err(fault) => return Some(End::Failed(Failure::of(fault))),
                }
            }
            ScriptAction::RunScript(payload) => {
                let given = given(payload);
                let place = call::Place { index: 0, attempt: step.attempt() };
                let brought = Some(given.clone());
                let cancel = scope.cancel.clone();
                let invoke = Box::pin(call::invoke(scope, binding, place, HookInput::Step { payload: given }, brought));
                let Some((invocation, result)) = cancel.run_until_cancelled(invoke).await else { return Some(End::Failed(cancelled())) };
                record.hooks.push(invocation);
                match result {
                    Ok(Decision::Step(StepDecision(next))) => ScriptEvent::Returned(next),
                    Ok(_) => return Some(End::Failed(internal("a script step gave another hook's decision"))),
                    Err(fault) => ScriptEvent::Faulted(fault),
                }
            }
        };
        if let Err(error) = step.apply(event) {
            return Some(End::Failed(internal(&error.to_string())));
        }
    }
    Some(step.into_end().unwrap_or_else(|| End::Failed(internal("a script step without next action has not ended"))))
}

/// JSON of no bytes is what an answer without a body leaves; no parser takes it.
fn given(payload: &Payload) -> Payload {
    if payload.is_json() && payload.bytes.is_empty() { Payload::default() } else { payload.clone() }
}
