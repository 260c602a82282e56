//! Does what the machine says: the thin, impure half. Direct calls and flows from their start to their record.

mod call;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::seam::GuestHttp;
use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{
    Code, Decision, Fault, HookInput, Payload, RunId, RunRecord, RunStatus, RunUsage, StepDecision, StepRecord, StepStatus, Tenant,
    Variables,
};
use snaphook_store::QueuedRun;

use crate::clock::Clock;
use crate::fetch::Fetch;
use crate::machine::{End, Failure, Repeat, Run, RunAction, RunEnd, RunPlan, as_json};
use crate::outcome::{Finished, Outcome};
use crate::prepared::{PreparedAction, PreparedBinding, PreparedEndpoint, PreparedFlow};
use crate::record;
use crate::runner::Inner;

/// What the invocations and requests of one run share.
pub(crate) struct Scope<'a> {
    inner: &'a Arc<Inner>,
    tenant: &'a Arc<Tenant>,
    run: RunId,
    /// Absent in a direct call, as is the step.
    flow: Option<&'a str>,
    step: Option<&'a str>,
    /// From 0; part of the seed.
    step_index: u64,
    deadline: Instant,
    variables: Arc<Variables>,
    usage: RunUsage,
}

/// How a run of a flow begins.
pub(crate) struct Start {
    id: RunId,
    at: Timestamp,
    attempt: u32,
    retry_of: Option<RunId>,
    input: Payload,
    /// It was taken from the store's queue, which has to hear of its end.
    claimed: bool,
}

impl Start {
    /// A first attempt, for a caller who waits.
    pub(crate) fn new(clock: &dyn Clock, input: Payload) -> Self {
        Self { id: clock.run_id(), at: clock.now(), attempt: 1, retry_of: None, input, claimed: false }
    }

    /// A run from the store's queue.
    pub(crate) fn claimed(run: QueuedRun) -> Self {
        let QueuedRun { record, input } = run;
        Self { id: record.id, at: record.started_at, attempt: record.attempt, retry_of: record.retry_of, input, claimed: true }
    }
}

/// Calls an endpoint for a caller.
pub(crate) async fn direct_call(
    inner: &Arc<Inner>,
    tenant: &Arc<Tenant>,
    endpoint: &PreparedEndpoint,
    arguments: Bytes,
    deadline: Instant,
) -> Finished {
    let clock = &inner.parts.clock;
    let start = Start::new(&**clock, Payload::json(arguments));
    let mut scope = Scope {
        inner,
        tenant,
        run: start.id,
        flow: None,
        step: None,
        step_index: 0,
        deadline,
        variables: inner.no_variables.clone(),
        usage: RunUsage::default(),
    };
    let mut step = record::step(&endpoint.name);
    let end = call::drive(&mut scope, endpoint, start.input.clone(), false, &mut step).await;
    close_step(&mut step, &end);
    let mut record = blank_record(&start, scope.usage);
    record.call = Some(endpoint.name.clone());
    record.steps.push(step);
    let outcome = match end {
        End::Succeeded(payload) => Outcome::Payload(payload),
        End::Responded(response) => Outcome::Responded(response),
        End::Rejected(rejection) => Outcome::Rejected(rejection),
        End::Failed(Failure { fault, reason, .. }) => Outcome::Failed { fault, reason_code: reason, retry_run: None },
    };
    close_record(&mut record, &outcome, clock.now());
    if let Err(error) = inner.parts.store.record_run(&tenant.name, &record).await {
        // The call has happened and its caller is answered; only the record is lost.
        record::store_fault(error);
    }
    Finished { run: start.id, outcome }
}

/// Runs a flow from its first step to its record, and queues the run that repeats it where one follows.
pub(crate) async fn run_flow(inner: &Arc<Inner>, tenant: &Arc<Tenant>, flow: &PreparedFlow, start: Start, deadline: Instant) -> Finished {
    let plan = RunPlan { steps: flow.steps.len(), retry: flow.retry, attempt: start.attempt };
    let mut scope = Scope {
        inner,
        tenant,
        run: start.id,
        flow: Some(flow.name.as_str()),
        step: None,
        step_index: 0,
        deadline,
        variables: flow.variables.clone(),
        usage: RunUsage::default(),
    };
    let mut steps = Vec::with_capacity(flow.steps.len());
    let end = drive_steps(&mut scope, flow, plan, start.input.clone(), &mut steps).await;
    let mut record = blank_record(&start, scope.usage);
    record.flow = Some(flow.name.clone());
    record.flow_version = Some(flow.version);
    record.steps = steps;
    let (mut outcome, delay) = match end {
        RunEnd::Succeeded(payload) => (Outcome::Payload(payload), None),
        RunEnd::Rejected(rejection) => (Outcome::Rejected(rejection), None),
        RunEnd::Failed(Failure { fault, reason, .. }, delay) => (Outcome::Failed { fault, reason_code: reason, retry_run: None }, delay),
    };
    close_record(&mut record, &outcome, inner.parts.clock.now());
    let queued = finish_run(inner, tenant, record, start, delay).await;
    if let Outcome::Failed { retry_run, .. } = &mut outcome {
        *retry_run = queued;
    }
    Finished { run: scope.run, outcome }
}

async fn drive_steps<'a>(
    scope: &mut Scope<'a>,
    flow: &'a PreparedFlow,
    plan: RunPlan,
    input: Payload,
    steps: &mut Vec<StepRecord>,
) -> RunEnd {
    keep_result(scope, flow, "trigger", &input);
    let may_repeat = plan.asked().is_some();
    let mut run = Run::new(plan, input);
    while let RunAction::RunStep(index, payload) = run.next() {
        let step = &flow.steps[index];
        let payload = payload.clone();
        scope.step = Some(&step.name);
        scope.step_index = index as u64;
        let mut record = record::step(&step.name);
        let end = match &step.action {
            PreparedAction::Request(endpoint) => Box::pin(call::drive(scope, endpoint, payload, may_repeat, &mut record)).await,
            PreparedAction::Script(binding) => Box::pin(script_step(scope, binding, payload, &mut record)).await,
        };
        close_step(&mut record, &end);
        steps.push(record);
        if let Err(error) = run.step_ended(end) {
            return RunEnd::Failed(internal(&error.to_string()), None);
        }
        if let RunAction::RunStep(_, payload) = run.next() {
            let payload = payload.clone();
            keep_result(scope, flow, &step.key, &payload);
        }
    }
    run.into_end().unwrap_or_else(|| RunEnd::Failed(internal("a run without next step has not ended"), None))
}

/// Keeps a step's result for later scripts, where there are any.
fn keep_result(scope: &mut Scope<'_>, flow: &PreparedFlow, key: &str, payload: &Payload) {
    if flow.scripted {
        let text = String::from_utf8_lossy(&as_json(payload)).into_owned();
        Arc::make_mut(&mut scope.variables).step_results.insert(key.to_owned(), text);
    }
}

async fn script_step(scope: &mut Scope<'_>, binding: &PreparedBinding, payload: Payload, record: &mut StepRecord) -> End {
    let http = scope.tenant.grants.fetch.then(|| Arc::new(Fetch::new(scope.inner, scope.tenant, scope.deadline)) as Arc<dyn GuestHttp>);
    // JSON of no bytes is what an answer without a body leaves; no parser takes it.
    let given = if payload.is_json() && payload.bytes.is_empty() { Payload::default() } else { payload.clone() };
    let place = call::Place { index: 0, attempt: 1 };
    let (invocation, result) = call::invoke(scope, binding, place, HookInput::Step { payload: given }, http).await;
    record.hooks.push(invocation);
    match result {
        Ok(Decision::Step(StepDecision(next))) => End::Succeeded(next.unwrap_or(payload)),
        Ok(_) => End::Failed(internal("a script step gave another hook's decision")),
        Err(fault) => End::Failed(Failure { fault, reason: None, repeat: Repeat::AsPolicy }),
    }
}

/// Puts the ended run into the store, with the run that repeats it; gives that one's id once it is durable.
async fn finish_run(inner: &Inner, tenant: &Tenant, mut record: RunRecord, start: Start, delay: Option<Duration>) -> Option<RunId> {
    let store = &inner.parts.store;
    let next = delay.map(|delay| next_run(&inner.parts.clock.run_id(), &record, start.input, delay));
    record.retry_run = next.as_ref().map(|next| next.record.id);
    let stored = match &next {
        None if !start.claimed => store.record_run(&tenant.name, &record).await,
        next => store.end_run(&tenant.name, &record, next.as_ref()).await,
    };
    if let Err(error) = stored {
        record::store_fault(error);
        return None;
    }
    if let Some(next) = &next {
        inner.due.at(next.record.started_at);
    }
    record.retry_run
}

/// The run that repeats one: same input, same flow version, from the first step.
fn next_run(id: &RunId, ended: &RunRecord, input: Payload, delay: Duration) -> QueuedRun {
    let now = ended.ended_at.unwrap_or(ended.started_at);
    let due = now.checked_add(delay).unwrap_or(Timestamp::MAX);
    let record = RunRecord {
        id: *id,
        flow: ended.flow.clone(),
        flow_version: ended.flow_version,
        call: None,
        status: RunStatus::Queued,
        code: None,
        message: None,
        retry_of: Some(ended.id),
        retry_run: None,
        attempt: ended.attempt + 1,
        started_at: due,
        ended_at: None,
        usage: RunUsage::default(),
        steps: Vec::new(),
    };
    QueuedRun { record, input }
}

/// Ends a queued run that cannot even begin.
pub(crate) async fn refuse_run(inner: &Inner, tenant: &Tenant, run: QueuedRun, fault: Fault) {
    let (flow, version) = (run.record.flow.clone(), run.record.flow_version);
    let start = Start::claimed(run);
    let mut record = blank_record(&start, RunUsage::default());
    (record.flow, record.flow_version) = (flow, version);
    close_record(&mut record, &Outcome::Failed { fault, reason_code: None, retry_run: None }, inner.parts.clock.now());
    finish_run(inner, tenant, record, start, None).await;
}

fn blank_record(start: &Start, usage: RunUsage) -> RunRecord {
    RunRecord {
        id: start.id,
        flow: None,
        flow_version: None,
        call: None,
        status: RunStatus::Running,
        code: None,
        message: None,
        retry_of: start.retry_of,
        retry_run: None,
        attempt: start.attempt,
        started_at: start.at,
        ended_at: None,
        usage,
        steps: Vec::new(),
    }
}

fn close_step(step: &mut StepRecord, end: &End) {
    match end {
        End::Succeeded(_) | End::Responded(_) => {}
        End::Rejected(rejection) => {
            step.status = StepStatus::Failed;
            step.code = Some(Code::Rejected);
            step.message = Some(rejection.message.clone());
        }
        End::Failed(Failure { fault, .. }) => {
            step.status = StepStatus::Failed;
            step.code = Some(fault.code);
            step.message = Some(fault.detail.clone());
        }
    }
}

fn close_record(record: &mut RunRecord, outcome: &Outcome, now: Timestamp) {
    record.ended_at = Some(now);
    (record.status, record.code, record.message) = match outcome {
        Outcome::Payload(_) | Outcome::Responded(_) => (RunStatus::Succeeded, None, None),
        Outcome::Rejected(rejection) => (RunStatus::Failed, Some(Code::Rejected), Some(rejection.message.clone())),
        Outcome::Failed { fault, .. } => (RunStatus::Failed, Some(fault.code), Some(fault.detail.clone())),
    };
}

/// A mistake of ours: said to the log in full, to the caller in two words.
fn internal(detail: &str) -> Failure {
    tracing::error!(detail, "the driver and the machine disagree");
    Failure { fault: Fault::new(Code::Internal, "internal error"), reason: None, repeat: Repeat::Never }
}
