//! Drives one script step: each attempt is an invocation in a fresh sandbox, and a wait holds the run.

use std::time::Instant;

use snaphook_model::{Decision, HookInput, Payload, StepDecision, StepRecord};

use super::{Scope, call, internal};
use crate::machine::{End, ScriptAction, ScriptEvent, ScriptStep};
use crate::prepared::PreparedBinding;

/// Drives a script step to its end and records its invocations in the step's record.
pub(super) async fn drive(scope: &mut Scope<'_>, binding: &PreparedBinding, mut step: ScriptStep, record: &mut StepRecord) -> End {
    loop {
        let event = match step.next() {
            ScriptAction::Finish(_) => break,
            ScriptAction::Wait(wait) => {
                // A wait until after the run's end is none: who waits for the run hears of the failure now.
                if scope.deadline.saturating_duration_since(Instant::now()) > wait {
                    tokio::time::sleep(wait).await;
                    ScriptEvent::Waited
                } else {
                    ScriptEvent::NoTime
                }
            }
            ScriptAction::RunScript(payload) => {
                let given = given(payload);
                let place = call::Place { index: 0, attempt: step.attempt() };
                let http = call::granted(scope, &given);
                let (invocation, result) = call::invoke(scope, binding, place, HookInput::Step { payload: given }, http).await;
                record.hooks.push(invocation);
                match result {
                    Ok(Decision::Step(StepDecision(next))) => ScriptEvent::Returned(next),
                    Ok(_) => return End::Failed(internal("a script step gave another hook's decision")),
                    Err(fault) => ScriptEvent::Faulted(fault),
                }
            }
        };
        if let Err(error) = step.apply(event) {
            return End::Failed(internal(&error.to_string()));
        }
    }
    step.into_end().unwrap_or_else(|| End::Failed(internal("a script step without next action has not ended")))
}

/// JSON of no bytes is what an answer without a body leaves; no parser takes it.
fn given(payload: &Payload) -> Payload {
    if payload.is_json() && payload.bytes.is_empty() { Payload::default() } else { payload.clone() }
}
