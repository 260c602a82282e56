//! Drives one run of a flow: its steps one after another, and what follows.

use std::sync::Arc;
use std::time::Instant;

use snaphook_egress::Room;
use snaphook_model::{Callback, Code, DocumentRecord, Fault, Payload, Tenant, TriggerResponse, VariableScope};
use snaphook_store::Wake;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{At, Ledger, UnderWay};
use super::ending::{blank_record, close_record, close_step, finish_run};
use super::{Scope, Start, call, cancelled, internal, script, trigger, values};
use crate::files::RunFiles;
use crate::machine::{Call, End, Failure, Repeat, Run, RunAction, RunEnd, RunPlan, ScriptStep, as_json};
use crate::mask::Masks;
use crate::outcome::{Finished, Outcome};
use crate::prepared::{PreparedAction, PreparedFlow};
use crate::recording::Recorder;
use crate::runner::Inner;
use crate::used::Used;
use crate::variables::RunVariables;
use crate::{awaiting, record, retention, runs};

/// Results of a run's steps may together be this many times the largest response: a run holds them all in memory until it ends.
const RESULTS: u64 = 4;

/// How far a run came.
enum Came {
    End(RunEnd),
    /// It waits, and is written down; or another node has it.
    Parked,
}

/// Runs a flow from its first step, or from where it was written down, to its record or to its next wait, and queues the run that repeats it
/// where one follows.
pub(crate) async fn run_flow(
    inner: &Arc<Inner>,
    tenant: &Arc<Tenant>,
    flow: &PreparedFlow,
    mut start: Start,
    deadline: Instant,
) -> Finished {
    let run = start.id;
    let driven = start.entry.take().unwrap_or_else(|| inner.driven.enter(&tenant.name, run, start.lease.clone()));
    let mut scope = scope(inner, tenant, flow, start, deadline, driven.cancelled().clone());
    let begun = Box::pin(trigger::begin(&mut scope, flow)).await;
    scope.ledger.trigger = begun.invocation.clone().or_else(|| scope.start.trigger.take());
    let came = match begun.fault {
        // A trigger's script is pure and would fail the same way again.
        Some(fault) => Came::End(RunEnd::Failed(Failure { repeat: Repeat::Never, ..Failure::of(fault) }, None)),
        None => {
            let steps = driven.abandoned().run_until_cancelled(Box::pin(drive_steps(&mut scope, flow)));
            steps.await.unwrap_or(Came::Parked)
        }
    };
    let outcome = match came {
        Came::End(end) => {
            let is_awaited = scope.start.is_awaited;
            driven.ends();
            let outcome = Box::pin(end_run(scope, end, begun.answer)).await;
            if !matches!(outcome, Outcome::Waiting) {
                awaiting::tell(inner, &tenant.name, run, &outcome, is_awaited).await;
            }
            outcome
        }
        Came::Parked => {
            scope.files.let_go().await;
            Outcome::Waiting
        }
    };
    let waits = matches!(outcome, Outcome::Waiting) && !driven.abandoned().is_cancelled();
    if waits && driven.cancelled().is_cancelled() {
        // It was written down for a wait at that very moment, and would go on when that is over.
        drop(runs::cancel_in_store(inner, None, &tenant.name, run).await);
    }
    Finished { run, outcome }
}

/// Brings an ended run to the store.
async fn end_run(mut scope: Scope<'_>, end: RunEnd, answer: Option<Option<TriggerResponse>>) -> Outcome {
    let mut record = blank_record(&scope.start, scope.usage);
    if let Some(flow) = scope.flow {
        record.flow = Some(flow.name.clone());
        record.flow_version = Some(flow.version);
    }
    record.trigger = scope.ledger.trigger.take();
    record.steps = std::mem::take(&mut scope.ledger.steps);
    let document = scope.ledger.document.take();
    let (mut outcome, delay) = match end {
        RunEnd::Succeeded(payload) => (answered(answer, payload, false), None),
        RunEnd::Partial(payload) => (answered(answer, payload, true), None),
        RunEnd::Rejected(rejection) => (Outcome::Rejected(rejection), None),
        RunEnd::Failed(Failure { fault, reason, .. }, delay) => (Outcome::Failed { fault, reason_code: reason, retry_run: None }, delay),
    };
    close_record(&mut record, &outcome, scope.inner.parts.clock.now());
    record.document = Some(document.unwrap_or_else(|| DocumentRecord::of(record.status)));
    let brought = Box::pin(finish_run(scope, record, delay)).await;
    if brought.taken_over {
        return Outcome::Waiting;
    }
    if let Some(fault) = brought.refused {
        return Outcome::Failed { fault, reason_code: None, retry_run: None };
    }
    if let Outcome::Failed { retry_run, .. } = &mut outcome {
        *retry_run = brought.retry_run;
    }
    outcome
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
    mut start: Start,
    deadline: Instant,
    cancel: CancellationToken,
) -> Scope<'a> {
    let mut variables = flow.variables.clone();
    if !start.writes.is_empty() {
        Arc::make_mut(&mut variables).apply(start.writes.clone());
    }
    let usage = start.usage;
    let (files, values) = (RunFiles::new(&inner.parts.files, tenant), inner.no_values.clone());
    let variables = RunVariables::new(variables);
    let before = start.recording.take();
    let recorder = if retention::keeps_payloads(tenant, Some(flow)) { Recorder::resumed(before) } else { Recorder::off() };
    let ledger = Ledger { lease: start.lease.take(), ..Ledger::default() };
    let flow = Some(flow);
    Scope {
        inner,
        tenant,
        trace: start.span(),
        start,
        flow,
        step: None,
        step_index: 0,
        deadline,
        variables,
        files,
        values,
        secrets: None,
        named: Arc::default(),
        used: Used::default(),
        shown: Vec::new(),
        usage,
        recorder,
        ledger,
        cancel,
    }
}

/// Brings the scope to where the run begins, or goes on.
async fn begin(scope: &mut Scope<'_>, flow: &PreparedFlow, results: &mut Results) -> Result<(), Fault> {
    if let Some(checkpoint) = scope.start.checkpoint.take() {
        scope.resume(&checkpoint).await?;
        results.bytes = scope.ledger.at.results;
        while let Err(fault) = scope.recall(flow).await {
            scope.pause_after(fault).await?;
        }
        // Room is given back as other runs end.
        while let Err(fault) = results.room.grow_to(results.bytes) {
            scope.pause_after(fault).await?;
        }
        return Ok(());
    }
    let brought = scope.start.subject.as_ref().map(|subject| subject.values.clone()).unwrap_or_default();
    scope.recorder.open(&scope.start.input, scope.start.writes.clone(), brought);
    scope.values = loop {
        match values::of_run(scope.inner, scope.tenant, flow, scope.start.subject.as_ref()).await {
            Ok(values) => break values,
            Err(fault) => scope.pause_after(fault).await?,
        }
    };
    scope.ledger.at.payload = scope.start.input.clone();
    let input = scope.start.input.clone();
    results.keep(&mut scope.variables, flow.trigger_key(), &input)?;
    // A callback may come before the request that asks for it was answered, so its run can be found from then on. One that was queued can be: it
    // begins again from there if this process dies before its first request.
    if flow.calls_back() && scope.ledger.lease.is_none() {
        scope.save(UnderWay::No, None, Wake::Held, None).await?;
    }
    Ok(())
}

async fn drive_steps<'a>(scope: &mut Scope<'a>, flow: &'a PreparedFlow) -> Came {
    let plan = RunPlan { steps: flow.steps.len(), retry: flow.retry, attempt: scope.start.attempt };
    let mut results = Results {
        kept: flow.scripted || flow.needs.steps,
        bytes: 0,
        limit: scope.tenant.limits.response_body_bytes.saturating_mul(RESULTS),
        room: scope.inner.parts.egress.room(&scope.tenant.name),
    };
    if let Err(fault) = begin(scope, flow, &mut results).await {
        let repeat = if fault.code == Code::ResponseSize { Repeat::Never } else { Repeat::AsPolicy };
        let delay = plan.policy().filter(|_| repeat == Repeat::AsPolicy);
        return Came::End(RunEnd::Failed(Failure { repeat, ..Failure::of(fault) }, delay));
    }
    let At { step, payload, partial, .. } = scope.ledger.at.clone();
    let mut run = Run::resumed(plan, step, payload, partial);
    while let RunAction::RunStep(index, payload) = run.next() {
        if scope.cancel.is_cancelled() {
            return Came::End(RunEnd::Failed(cancelled(), None));
        }
        let payload = payload.clone();
        scope.ledger.at = At { step: index, payload: payload.clone(), partial: run.is_partial(), results: results.bytes };
        let Some(mut end) = drive_step(scope, flow, plan, (index, payload), &mut results).await else { return Came::Parked };
        let step = &flow.steps[index];
        // A step that failed has no result, also where the run goes on.
        if index + 1 < plan.steps
            && !matches!(end, End::Ignored(..))
            && let Some(payload) = end.payload()
            && let Err(fault) = results.keep(&mut scope.variables, &step.key, &payload)
        {
            end = End::Failed(Failure::of(fault));
        }
        if let Some(record) = scope.ledger.steps.last_mut() {
            Masks::of(&scope.values, &scope.shown).hide(record, &mut end);
            close_step(record, &end);
        }
        if let Err(error) = run.step_ended(end) {
            return Came::End(RunEnd::Failed(internal(&error.to_string()), None));
        }
    }
    Came::End(run.into_end().unwrap_or_else(|| RunEnd::Failed(internal("a run without next step has not ended"), None)))
}

/// Drives one step, from its beginning or from where it was written down; none when it waits. Its record is the last one of the ledger's.
async fn drive_step<'a>(
    scope: &mut Scope<'a>,
    flow: &'a PreparedFlow,
    plan: RunPlan,
    (index, payload): (usize, Payload),
    results: &mut Results,
) -> Option<End> {
    let step = &flow.steps[index];
    scope.step = Some(&step.name);
    scope.step_index = index as u64;
    let (under_way, mut record) = scope.ledger.resumed.take().unwrap_or_else(|| {
        // By which a step before was called back.
        scope.ledger.correlation = None;
        (UnderWay::No, record::step(&step.name))
    });
    let end = match &step.action {
        PreparedAction::Request(endpoint) => {
            let (call, sending) = match under_way {
                UnderWay::Call(so_far, sending) => (Call::resumed(&endpoint.plan, *so_far), sending),
                UnderWay::No | UnderWay::Script(_) => (Call::new(&endpoint.plan, payload.into(), plan.asked().is_some()), None),
            };
            match Box::pin(call::drive(scope, endpoint, call, sending, &mut record)).await {
                call::Driven::Ended(ended) => request_ended(scope, flow, *ended, results).await,
                call::Driven::Parked => return None,
            }
        }
        PreparedAction::Script(binding, on_error) => {
            if let Err(fault) = scope.open(&step.uses).await {
                scope.ledger.steps.push(record);
                return Some(End::Failed(Failure::of(fault)));
            }
            let step = match under_way {
                UnderWay::Script(step) => *step,
                UnderWay::No | UnderWay::Call(..) => ScriptStep::new(*on_error, payload),
            };
            Box::pin(script::drive(scope, binding, step, &mut record)).await?
        }
    };
    scope.ledger.steps.push(record);
    Some(end)
}

/// Keeps what a request's response is kept for: its values for the run and the subject, and the response itself for later templates.
async fn request_ended(scope: &mut Scope<'_>, flow: &PreparedFlow, ended: call::Ended, results: &mut Results) -> End {
    let call::Ended { end, stored, response } = ended;
    if let End::Failed(Failure { document: Some(callback), .. }) = &end {
        scope.ledger.document = Some(document(scope, callback));
    }
    if end.payload().is_none() {
        return end;
    }
    if !stored.is_empty()
        && let Err(fault) = values::store(scope, stored).await
    {
        return End::Failed(Failure::of(fault));
    }
    if flow.needs.responses {
        let response = if let End::Responded(made) = &end { made.body.clone() } else { response };
        if let Err(fault) = results.count(response.len() as u64) {
            return End::Failed(Failure::of(fault));
        }
        values::keep_response(scope, response);
    }
    end
}

/// What a callback that said `Failed` makes of the run's document.
fn document(scope: &Scope<'_>, callback: &Callback) -> DocumentRecord {
    let known = &scope.tenant.document.document_statuses;
    let document = DocumentRecord::failed(callback.document_status.as_deref(), known);
    DocumentRecord { error_code: callback.error_code.clone(), error_text: callback.error_text.clone(), ..document }
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
