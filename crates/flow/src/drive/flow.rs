//! Drives one run of a flow: its steps one after another, and what follows.

use std::sync::Arc;
use std::time::Instant;

use snaphook_egress::Room;
use snaphook_model::{Code, Fault, Payload, StepRecord, Subject, Tenant, TriggerResponse, VariableScope};

use super::ending::{blank_record, close_record, close_step, finish_run};
use super::{Scope, Start, call, internal, script, trigger, values};
use crate::files::RunFiles;
use crate::machine::{End, Failure, Repeat, Run, RunAction, RunEnd, RunPlan, ScriptStep, as_json};
use crate::mask::Masks;
use crate::outcome::{Finished, Outcome};
use crate::prepared::{PreparedAction, PreparedFlow};
use crate::record;
use crate::recording::Recorder;
use crate::runner::Inner;
use crate::variables::RunVariables;

/// Results of a run's steps may together be this many times the largest response: a run holds them all in memory until it ends.
const RESULTS: u64 = 4;

/// Runs a flow from its first step to its record, and queues the run that repeats it where one follows.
pub(crate) async fn run_flow(
    inner: &Arc<Inner>,
    tenant: &Arc<Tenant>,
    flow: &PreparedFlow,
    mut start: Start,
    deadline: Instant,
) -> Finished {
    let plan = RunPlan { steps: flow.steps.len(), retry: flow.retry, attempt: start.attempt };
    let mut scope = scope(inner, tenant, flow, &start, deadline);
    let mut steps = Vec::with_capacity(flow.steps.len());
    let begun = Box::pin(trigger::begin(&mut scope, flow, &mut start)).await;
    let end = match begun.fault {
        // A trigger's script is pure and would fail the same way again.
        Some(fault) => RunEnd::Failed(Failure { fault, reason: None, repeat: Repeat::Never }, None),
        None => match values::of_run(inner, tenant, flow, start.subject.as_ref()).await {
            Ok(values) => {
                scope.values = values;
                drive_steps(&mut scope, flow, plan, &start, &mut steps).await
            }
            Err(fault) => RunEnd::Failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy }, None),
        },
    };
    scope.files.close().await;
    let mut record = blank_record(&start, scope.usage);
    record.flow = Some(flow.name.clone());
    record.flow_version = Some(flow.version);
    record.trigger = begun.invocation.or_else(|| start.trigger.take());
    record.steps = steps;
    let (mut outcome, delay) = match end {
        RunEnd::Succeeded(payload) => (answered(begun.answer, payload, false), None),
        RunEnd::Partial(payload) => (answered(begun.answer, payload, true), None),
        RunEnd::Rejected(rejection) => (Outcome::Rejected(rejection), None),
        RunEnd::Failed(Failure { fault, reason, .. }, delay) => (Outcome::Failed { fault, reason_code: reason, retry_run: None }, delay),
    };
    close_record(&mut record, &outcome, inner.parts.clock.now());
    let queued = finish_run(inner, tenant, record, scope.recorder.finish(), start, delay).await;
    if let Outcome::Failed { retry_run, .. } = &mut outcome {
        *retry_run = queued;
    }
    Finished { run: scope.run, outcome }
}

/// How a run ended well: with what its trigger's script had answered, else with the last payload.
fn answered(answer: Option<Option<TriggerResponse>>, payload: Payload, partial: bool) -> Outcome {
    match answer {
        Some(response) => Outcome::Triggered { response, partial },
        None if partial => Outcome::Partial(payload),
        None => Outcome::Payload(payload),
    }
}

/// What the invocations of a run share, as it begins.
pub(super) fn scope<'a>(
    inner: &'a Arc<Inner>,
    tenant: &'a Arc<Tenant>,
    flow: &'a PreparedFlow,
    start: &Start,
    deadline: Instant,
) -> Scope<'a> {
    let mut variables = flow.variables.clone();
    if !start.writes.is_empty() {
        Arc::make_mut(&mut variables).apply(start.writes.clone());
    }
    let (run, flow, usage) = (start.id, Some(flow.name.as_str()), start.usage);
    let (files, values) = (RunFiles::new(&inner.parts.files, tenant), inner.no_values.clone());
    let variables = RunVariables::new(variables);
    let recorder = Recorder::resumed(start.recording.clone());
    Scope { inner, tenant, run, flow, step: None, step_index: 0, deadline, variables, files, values, usage, recorder }
}

async fn drive_steps<'a>(
    scope: &mut Scope<'a>,
    flow: &'a PreparedFlow,
    plan: RunPlan,
    start: &Start,
    steps: &mut Vec<StepRecord>,
) -> RunEnd {
    let Start { input, subject, .. } = start;
    let mut results = Results {
        kept: flow.scripted || flow.needs.steps,
        bytes: 0,
        limit: scope.tenant.limits.response_body_bytes.saturating_mul(RESULTS),
        room: scope.inner.parts.egress.room(&scope.tenant.name),
    };
    if let Err(fault) = results.keep(&mut scope.variables, flow.trigger_key(), input) {
        return RunEnd::Failed(Failure { fault, reason: None, repeat: Repeat::Never }, None);
    }
    let may_repeat = plan.asked().is_some();
    let mut run = Run::new(plan, input.clone());
    while let RunAction::RunStep(index, payload) = run.next() {
        let step = &flow.steps[index];
        let payload = payload.clone();
        scope.step = Some(&step.name);
        scope.step_index = index as u64;
        let mut record = record::step(&step.name);
        let mut end = match &step.action {
            PreparedAction::Request(endpoint) => {
                let driven = Box::pin(call::drive(scope, endpoint, payload.into(), may_repeat, &mut record)).await;
                request_ended(scope, flow, subject.as_ref(), driven, &mut results).await
            }
            PreparedAction::Script(binding, on_error) => {
                Box::pin(script::drive(scope, binding, ScriptStep::new(*on_error, payload), &mut record)).await
            }
        };
        // A step that failed has no result, also where the run goes on.
        if index + 1 < plan.steps
            && !matches!(end, End::Ignored(..))
            && let Some(payload) = end.payload()
            && let Err(fault) = results.keep(&mut scope.variables, &step.key, &payload)
        {
            end = End::Failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy });
        }
        Masks::of(&scope.values).hide(&mut record, &mut end);
        close_step(&mut record, &end);
        steps.push(record);
        if let Err(error) = run.step_ended(end) {
            return RunEnd::Failed(internal(&error.to_string()), None);
        }
    }
    run.into_end().unwrap_or_else(|| RunEnd::Failed(internal("a run without next step has not ended"), None))
}

/// Keeps what a request's response is kept for: its values for the run and the subject, and the response itself for later templates.
async fn request_ended(
    scope: &mut Scope<'_>,
    flow: &PreparedFlow,
    subject: Option<&Subject>,
    driven: call::Driven,
    results: &mut Results,
) -> End {
    let call::Driven { end, stored, response } = driven;
    if end.payload().is_none() {
        return end;
    }
    if !stored.is_empty()
        && let Err(fault) = values::store(scope, subject, stored).await
    {
        return End::Failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy });
    }
    if flow.needs.responses {
        let response = if let End::Responded(made) = &end { made.body.clone() } else { response };
        if let Err(fault) = results.count(response.len() as u64) {
            return End::Failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy });
        }
        values::keep_response(scope, response);
    }
    end
}

/// Results of earlier steps, for later scripts and templates to read.
struct Results {
    /// Whether there is any script or template that could look at them.
    kept: bool,
    /// So far.
    bytes: u64,
    limit: u64,
    /// They are copies, counted with the bodies that the node holds.
    room: Room,
}

impl Results {
    fn keep(&mut self, variables: &mut RunVariables, key: &str, payload: &Payload) -> Result<(), Fault> {
        if !self.kept {
            return Ok(());
        }
        let json = as_json(payload);
        self.count(json.len() as u64)?;
        variables.set(VariableScope::StepResults, key, String::from_utf8_lossy(&json).into_owned());
        Ok(())
    }

    /// Something of so many bytes is kept until the run's end.
    fn count(&mut self, bytes: u64) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limit {
            let detail = format!("the results of the run's steps take {} bytes together; at most {}", self.bytes, self.limit);
            return Err(Fault::new(Code::ResponseSize, detail).of_limit(self.limit, Some(self.bytes)));
        }
        self.room.grow_to(self.bytes)?;
        Ok(())
    }
}
