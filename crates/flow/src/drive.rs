//! Does what the machine says: the thin, impure half. Direct calls and flows from their start to their record.

mod call;
mod checkpoint;
mod ending;
pub(crate) mod fill;
mod flow;
mod outgoing;
mod script;
mod send;
mod state;
mod trigger;
mod values;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{
    Code, CorrelationId, Fault, Invocation, Payload, RunId, RunUsage, StepRecord, Subject, Tenant, TenantName, TraceParent, TriggerRequest,
    VariableScope, VariableWrite,
};
use snaphook_store::{ClaimedRun, Lease, QueuedRun, Recording};
use snaphook_telemetry::TraceContext;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::connections::{CallSecrets, Uses};
use crate::driven::Entry;
use crate::events;
use crate::files::RunFiles;
use crate::machine::{Arguments, Call, End, Failure, Repeat};
use crate::mask::Masks;
use crate::outcome::{Finished, Outcome};
use crate::prepared::{PreparedAction, PreparedEndpoint, PreparedFlow};
use crate::record;
use crate::recording::Recorder;
use crate::retention;
use crate::runner::{Inner, RunInput};
use crate::template::{RunValues, Values};
use crate::used::Used;
use crate::variables::RunVariables;
use crate::watched;
use checkpoint::Ledger;
use ending::{blank_record, close_record, close_step, finish_run};

pub(crate) use ending::{end_where_it_is, refuse_run};
pub(crate) use flow::run_flow;
pub(crate) use trigger::{accept, check_body, repeat};

/// What the invocations and requests of one run share.
pub(crate) struct Scope<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) tenant: &'a Arc<Tenant>,
    pub(crate) start: Start,
    /// Absent in a direct call, as is the step.
    flow: Option<&'a PreparedFlow>,
    pub(crate) step: Option<&'a str>,
    /// From 0; part of the seed.
    step_index: u64,
    deadline: Instant,
    variables: RunVariables,
    files: RunFiles,
    /// For templates.
    values: Arc<RunValues>,
    /// What the requests of the call may use.
    secrets: Option<CallSecrets>,
    /// Placeholders of secrets by name, for templates.
    named: Arc<BTreeMap<String, String>>,
    /// What requests have used so far, which no answer may show.
    used: Used,
    /// What records show for the placeholders of all calls so far.
    shown: Vec<(String, String)>,
    usage: RunUsage,
    /// The run's span, below which hang those of what it does.
    pub(crate) trace: Option<TraceContext>,
    /// What a replay will need.
    recorder: Recorder,
    ledger: Ledger,
    /// Somebody wants the run to end.
    cancel: CancellationToken,
}

impl Scope<'_> {
    /// Reads what a call's requests may use, and shows placeholders of it to scripts and templates.
    async fn open(&mut self, uses: &Uses) -> Result<(), Fault> {
        if uses.is_empty() && self.secrets.is_none() {
            return Ok(());
        }
        let secrets = CallSecrets::read(self.inner, &self.tenant.name, self.start.id, uses).await?;
        let tenant = &self.tenant.name;
        let of = |make: fn(&CallSecrets, &Inner, &TenantName) -> BTreeMap<String, String>| {
            secrets.as_ref().map(|secrets| make(secrets, self.inner, tenant)).unwrap_or_default()
        };
        self.variables.replace_scope(VariableScope::Connection, of(CallSecrets::fields));
        self.named = Arc::new(of(CallSecrets::named));
        if let Some(secrets) = &secrets {
            self.show(secrets);
        }
        self.secrets = secrets;
        Ok(())
    }

    /// Has records show what placeholders stand for.
    fn show(&mut self, secrets: &CallSecrets) {
        for shown in secrets.shown(self.inner, &self.tenant.name) {
            if !self.shown.contains(&shown) {
                self.shown.push(shown);
            }
        }
    }

    /// Reads what the steps before used, of a run that was taken up again. What is not there any more cannot be looked for.
    async fn recall(&mut self, flow: &PreparedFlow) -> Result<(), Fault> {
        for step in flow.steps.iter().take(self.ledger.at.step) {
            let uses = match &step.action {
                PreparedAction::Request(endpoint) => &endpoint.uses,
                PreparedAction::Script(..) => &step.uses,
            };
            match CallSecrets::read(self.inner, &self.tenant.name, self.start.id, uses).await {
                Ok(Some(secrets)) => {
                    self.show(&secrets);
                    drop(self.used.with(Some(secrets.sealed(self.inner, &self.tenant.name))));
                }
                Err(fault) if fault.code == Code::StoreUnavailable => return Err(fault),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Makes sure that the call's connection has a token, or another one than it has. False: it is of a kind that has none.
    async fn token(&mut self, renew: bool) -> Result<bool, Fault> {
        let Some(secrets) = &mut self.secrets else { return Ok(false) };
        secrets.ready(self.inner, self.tenant, self.deadline, renew).await?;
        Ok(secrets.is_renewable())
    }

    /// What templates see.
    fn template_values(&self, payload: Payload) -> Values {
        Values::new(payload, self.variables.values().clone(), self.values.clone()).with_secrets(self.named.clone())
    }
}

/// How a run of a flow begins.
pub(crate) struct Start {
    id: RunId,
    at: Timestamp,
    attempt: u32,
    retry_of: Option<RunId>,
    /// Below what the run's span hangs.
    trace: Option<TraceParent>,
    input: Payload,
    /// Whom the run is about.
    subject: Option<Subject>,
    /// The request to the flow's trigger, until a payload was made of it.
    request: Option<TriggerRequest>,
    /// What the trigger's script wrote into the variables.
    writes: Vec<VariableWrite>,
    /// The trigger's invocation and what it spent, where it ran before the run was queued.
    trigger: Option<Invocation>,
    usage: RunUsage,
    /// What was recorded before the run was queued.
    recording: Option<Recording>,
    /// By what it is held if it was taken from the store's queue, which has to hear of its end.
    lease: Option<Lease>,
    /// Its place among those that this process is at, where it has one already.
    entry: Option<Entry>,
    /// Whether somebody may wait for its end at another node.
    is_awaited: bool,
    /// Where it was when it was written down, if it had begun; what it had done by then, and how many events that had made.
    checkpoint: Option<Bytes>,
    steps: Vec<StepRecord>,
    events: usize,
    /// As it ends: the callback that it has heard since it was written down last.
    heard: Option<CorrelationId>,
}

impl Start {
    /// A first attempt, for a caller who waits.
    pub(crate) fn new(clock: &dyn Clock, input: RunInput) -> Self {
        Self {
            id: input.run.unwrap_or_else(|| clock.run_id()),
            at: clock.now(),
            attempt: 1,
            retry_of: None,
            trace: snaphook_telemetry::current().map(|context| context.kept()),
            input: input.payload,
            subject: input.subject,
            request: None,
            writes: Vec::new(),
            trigger: None,
            usage: RunUsage::default(),
            recording: None,
            lease: None,
            entry: None,
            is_awaited: false,
            checkpoint: None,
            steps: Vec::new(),
            events: 0,
            heard: None,
        }
    }

    /// Names the run.
    pub(crate) const fn id(&self) -> RunId {
        self.id
    }

    /// The run's span.
    fn span(&self) -> Option<TraceContext> {
        Some(watched::of_run(self.id, self.trace.as_ref(), self.at)?.context().clone())
    }

    /// The same for a request to the flow's trigger.
    pub(crate) fn triggered(clock: &dyn Clock, request: TriggerRequest) -> Self {
        Self { request: Some(request), ..Self::new(clock, RunInput::default()) }
    }

    /// A run from the store's queue.
    pub(crate) fn claimed(claimed: ClaimedRun, recording: Option<Recording>, entry: Option<Entry>) -> Self {
        let ClaimedRun { lease, run, checkpoint, is_awaited, .. } = claimed;
        let QueuedRun { record, input, writes, subject_values } = run;
        let events = if checkpoint.is_some() { events::of(&record).len() } else { 0 };
        let subject = record.subject.map(|id| Subject { id, values: subject_values });
        Self {
            id: record.id,
            at: record.started_at,
            attempt: record.attempt,
            retry_of: record.retry_of,
            trace: record.trace,
            input,
            subject,
            writes,
            trigger: record.trigger,
            usage: record.usage,
            recording,
            request: None,
            lease: Some(lease),
            entry,
            is_awaited,
            checkpoint,
            steps: record.steps,
            events,
            heard: None,
        }
    }
}

/// Calls an endpoint for a caller.
pub(crate) async fn direct_call(
    inner: &Arc<Inner>,
    tenant: &Arc<Tenant>,
    endpoint: &PreparedEndpoint,
    (run, arguments): (RunId, Bytes),
    deadline: Instant,
) -> Finished {
    let clock = &inner.parts.clock;
    let start = Start::new(&**clock, RunInput { run: Some(run), ..RunInput::default() });
    let mut scope = Scope {
        inner,
        tenant,
        trace: start.span(),
        start,
        flow: None,
        step: None,
        step_index: 0,
        deadline,
        variables: RunVariables::new(inner.no_variables.clone()),
        files: RunFiles::new(&inner.parts.files, tenant),
        values: inner.no_values.clone(),
        secrets: None,
        named: Arc::default(),
        used: Used::default(),
        shown: Vec::new(),
        usage: RunUsage::default(),
        recorder: if retention::keeps_payloads(tenant, None) { Recorder::default() } else { Recorder::off() },
        ledger: Ledger::default(),
        cancel: CancellationToken::new(),
    };
    let mut step = record::step(&endpoint.name);
    let call = Call::new(&endpoint.plan, Arguments::checked(arguments), false);
    let mut end = match call::drive(&mut scope, endpoint, call, None, &mut step).await {
        call::Driven::Ended(ended) => ended.end,
        call::Driven::Parked => End::Failed(internal("a direct call waits for nothing")),
    };
    Masks::of(&scope.values, &scope.shown).hide(&mut step, &mut end);
    close_step(&mut step, &end);
    let mut record = blank_record(&scope.start, scope.usage);
    record.call = Some(endpoint.name.clone());
    record.steps.push(step);
    let outcome = match end {
        End::Succeeded(payload) => Outcome::Payload(payload),
        End::Ignored(_, payload) => Outcome::Partial(payload),
        End::Responded(response) => Outcome::Responded(response),
        End::Rejected(rejection) => Outcome::Rejected(rejection),
        End::Failed(Failure { fault, reason, .. }) => Outcome::Failed { fault, reason_code: reason, retry_run: None },
    };
    close_record(&mut record, &outcome, clock.now());
    let run = record.id;
    let outcome = match Box::pin(finish_run(scope, record, None)).await.refused {
        Some(fault) => Outcome::Failed { fault, reason_code: None, retry_run: None },
        None => outcome,
    };
    Finished { run, outcome }
}

/// Somebody wants the run to end.
fn cancelled() -> Failure {
    Failure { repeat: Repeat::Never, ..Failure::of(Fault::new(Code::Cancelled, "the run was cancelled")) }
}

/// A mistake of ours: said to the log in full, to the caller in two words.
fn internal(detail: &str) -> Failure {
    tracing::error!(detail, "the driver and the machine disagree");
    Failure { repeat: Repeat::Never, ..Failure::of(Fault::new(Code::Internal, "internal error")) }
}
