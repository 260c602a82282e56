//! The way in: prepares definitions and drives calls and flows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_egress::Egress;
use snaphook_model::{
    Callback, Code, Connector, CorrelationId, Fault, Flow, Name, Payload, RunEvent, RunId, RunStatus, Subject, Tenant, TenantName,
    TriggerRequest, Variables,
};
use snaphook_sandbox::Sandbox;
use snaphook_store::{CalledBack, Cancelled, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::driven::Driven;
use crate::files::FileSpace;
use crate::outcome::{Finished, Outcome};
use crate::prepared::{PreparedEndpoint, PreparedFlow};
use crate::programs::Programs;
use crate::replay::Replayed;
use crate::template::RunValues;
use crate::{drive, events, prepare, record, replay, requeue};

/// Events that one look gives.
const EVENTS_AT_ONCE: u32 = 1_000;

/// Drives calls and flows. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Runner {
    pub(crate) inner: Arc<Inner>,
}

/// What a runner works with.
pub struct RunnerParts {
    /// Runs hooks and script steps.
    pub sandbox: Sandbox,
    /// Sends requests.
    pub egress: Egress,
    /// Keeps records and queued runs.
    pub store: Arc<dyn Store>,
    /// Finds programs and tenants.
    pub programs: Arc<dyn Programs>,
    /// Keeps the files of runs while they last.
    pub files: Arc<FileSpace>,
    /// Time and identity.
    pub clock: Arc<dyn Clock>,
}

/// Bounds of what a runner does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Where upstreams send their callbacks: an absolute URL.
    pub callback_url: String,
    /// Queued runs that are driven at once.
    pub queued_at_once: u32,
    /// How long a queued run may take; callers give the deadline of runs they wait for.
    pub queued_deadline: Duration,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        // A quarter of an hour is longer than a step with every retry at the usual upstream's speed, and short enough that a stuck
        // upstream does not keep a place for ever. Sixteen places leave most of a small node to callers who wait.
        Self { callback_url: "http://127.0.0.1:7070/v1/callbacks".to_owned(), queued_at_once: 16, queued_deadline: Duration::from_mins(15) }
    }
}

/// What a run begins with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInput {
    /// The first step's payload.
    pub payload: Payload,
    /// Whom the run is about.
    pub subject: Option<Subject>,
}

impl From<Payload> for RunInput {
    fn from(payload: Payload) -> Self {
        Self { payload, subject: None }
    }
}

pub(crate) struct Inner {
    pub(crate) parts: RunnerParts,
    pub(crate) config: RunnerConfig,
    pub(crate) due: requeue::Due,
    pub(crate) driven: Driven,
    /// Runs that go on when their caller has gone.
    pub(crate) tasks: TaskTracker,
    /// Direct calls begin with none; shared until a script writes one.
    pub(crate) no_variables: Arc<Variables>,
    /// Nor do they know anything of a run.
    pub(crate) no_values: Arc<RunValues>,
}

impl Runner {
    /// A runner over these parts. Queued runs begin only once [`Runner::requeue`] is driven.
    #[must_use]
    pub fn new(parts: RunnerParts, config: RunnerConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                config,
                due: requeue::Due::default(),
                driven: Driven::default(),
                tasks: TaskTracker::new(),
                no_variables: Arc::default(),
                no_values: Arc::default(),
            }),
        }
    }

    /// Resolves an endpoint of a connector: programs of its hooks, the URL, defaults. To be kept and shared by many calls.
    ///
    /// # Errors
    /// `not-found` when the connector has no such endpoint or a bound version is gone, `url` when the base URL is none, `conflict` when a
    /// binding has no version, and what loading a program may end with.
    pub async fn prepare_endpoint(
        &self,
        tenant: &TenantName,
        connector: &Name,
        document: &Connector,
        endpoint: &Name,
    ) -> Result<PreparedEndpoint, Fault> {
        prepare::endpoint(&*self.inner.parts.programs, tenant, connector, document, endpoint).await
    }

    /// Resolves a flow version: its steps, the connectors they call (read from the store) and the programs of all hooks.
    ///
    /// # Errors
    /// As [`Runner::prepare_endpoint`], with the step's path; `store-unavailable` when the store does not answer.
    pub async fn prepare_flow(&self, tenant: &TenantName, flow: &Name, version: u32, document: &Flow) -> Result<PreparedFlow, Fault> {
        prepare::flow(&self.inner.parts, tenant, flow, version, document).await
    }

    /// Checks a connector's templates, and everything else that preparing its endpoints would find wrong without reading a store.
    ///
    /// # Errors
    /// `invalid` with the field's path, and line and column in its text.
    pub fn check_connector(document: &Connector) -> Result<(), Fault> {
        prepare::check_connector(document)
    }

    /// The same for a flow's own requests.
    ///
    /// # Errors
    /// As [`Runner::check_connector`].
    pub fn check_flow(document: &Flow) -> Result<(), Fault> {
        prepare::check_flow(document)
    }

    /// Calls an endpoint with the caller's arguments: JSON text that was checked, or empty for none. Ends by the deadline.
    ///
    /// The record is in the store's queue when this returns. A direct call belongs to no flow: a script's `retry-run` fails it with
    /// `script-failed`, and no new run is made.
    pub async fn call(&self, tenant: &Arc<Tenant>, endpoint: &PreparedEndpoint, arguments: Bytes, deadline: Instant) -> Finished {
        drive::direct_call(&self.inner, tenant, endpoint, arguments, deadline).await
    }

    /// Runs a flow from its first step. Ends by the deadline.
    ///
    /// The record is in the store's queue when this returns; where another run was queued, both are durable.
    pub async fn run_flow(&self, tenant: &Arc<Tenant>, flow: &PreparedFlow, input: impl Into<RunInput>, deadline: Instant) -> Finished {
        let start = drive::Start::new(&*self.inner.parts.clock, input.into());
        Box::pin(drive::run_flow(&self.inner, tenant, flow, start, deadline)).await
    }

    /// Runs a flow for a caller who waits so long at most: the run is durable before it begins, and goes on when the caller has gone. Its answer is
    /// [`crate::Outcome::Waiting`] when it has not ended by then. The run itself ends by the deadline, or waits.
    pub async fn run_flow_within(
        &self,
        tenant: &Arc<Tenant>,
        flow: &Arc<PreparedFlow>,
        input: impl Into<RunInput>,
        deadline: Instant,
        patience: Duration,
    ) -> Finished {
        let start = drive::Start::durable(&*self.inner.parts.clock, input.into());
        let run = start.id();
        let mut awaited = self.inner.driven.awaits(run);
        let (inner, tenant, flow) = (self.inner.clone(), tenant.clone(), flow.clone());
        // A task of its own: whoever waits may go.
        let driven = self.inner.tasks.spawn(async move { Box::pin(drive::run_flow(&inner, &tenant, &flow, start, deadline)).await });
        let ended = async {
            match driven.await {
                Ok(Finished { outcome: Outcome::Waiting, .. }) => awaited.end().await.unwrap_or(Outcome::Waiting),
                Ok(Finished { outcome, .. }) => outcome,
                // It panicked, which is in the log.
                Err(_) => Outcome::Failed { fault: Fault::new(Code::Internal, "internal error"), reason_code: None, retry_run: None },
            }
        };
        let outcome = tokio::time::timeout(patience, ended).await.unwrap_or(Outcome::Waiting);
        Finished { run, outcome }
    }

    /// Takes a run whose caller does not wait: durable when this returns ([`crate::Outcome::Accepted`]).
    ///
    /// # Errors
    /// `overloaded` when too many runs of the tenant wait, `store-unavailable` when the store does not answer. No run is made then.
    pub async fn accept_flow(&self, tenant: &Arc<Tenant>, flow: &PreparedFlow, input: impl Into<RunInput>) -> Result<Finished, Fault> {
        let start = drive::Start::new(&*self.inner.parts.clock, input.into());
        drive::accept(&self.inner, tenant, flow, start, Instant::now()).await
    }

    /// Keeps a callback, and lets its run go on.
    ///
    /// # Errors
    /// `not-found` where nobody waits for it, `callback-used` for all but the first, `store-unavailable`.
    pub async fn call_back(&self, tenant: &TenantName, id: &CorrelationId, callback: &Callback) -> Result<RunId, Fault> {
        let now = self.inner.parts.clock.now();
        match self.inner.parts.store.call_back(tenant, id, callback, now).await.map_err(record::store_fault)? {
            CalledBack::Taken(run) => {
                self.inner.due.at(now);
                Ok(run)
            }
            CalledBack::Used => Err(Fault::new(Code::CallbackUsed, "a callback with this correlation id was taken before")),
            CalledBack::Unknown => Err(Fault::new(Code::NotFound, "no run waits for a callback with this correlation id")),
        }
    }

    /// Queues a run that does the same as one that has ended: its input, its flow version ([`crate::Outcome::Accepted`]).
    ///
    /// # Errors
    /// `not-found`; `conflict` for a run that has not ended, belongs to no flow, or whose input is not kept; as [`Runner::accept_flow`].
    pub async fn retry(&self, tenant: &Tenant, run: RunId) -> Result<Finished, Fault> {
        let (record, recorded) = replay::recorded(&self.inner, tenant, run).await?;
        drive::repeat(&self.inner, tenant, &record, recorded.opening).await
    }

    /// Cancels a run.
    ///
    /// # Errors
    /// `not-found`, `run-ended`, `store-unavailable`.
    pub async fn cancel(&self, tenant: &TenantName, run: RunId) -> Result<(), Fault> {
        // A run that this process is at may not be in the store yet.
        if self.inner.driven.cancel(tenant, run) {
            return Ok(());
        }
        match self.inner.parts.store.cancel_run(tenant, run, self.inner.parts.clock.now()).await.map_err(record::store_fault)? {
            Cancelled::Done => {
                // Whoever started it may still wait for its end.
                let fault = Fault::new(Code::Cancelled, "the run was cancelled");
                self.inner.driven.ended(run, &Outcome::Failed { fault, reason_code: None, retry_run: None });
                Ok(())
            }
            Cancelled::Asked => Ok(()),
            Cancelled::Ended => Err(Fault::new(Code::RunEnded, format!("run `{run}` has ended"))),
            Cancelled::Unknown => Err(Fault::new(Code::NotFound, format!("run `{run}` does not exist"))),
        }
    }

    /// What has happened in a run after the event number `after`; none for a run that is not there.
    ///
    /// # Errors
    /// `store-unavailable`.
    pub async fn events(&self, tenant: &TenantName, run: RunId, after: u32) -> Result<Option<(RunStatus, Vec<RunEvent>)>, Fault> {
        let store = &self.inner.parts.store;
        let Some(record) = store.run(tenant, run).await.map_err(record::store_fault)? else { return Ok(None) };
        let kept = store.run_events(tenant, run, after, EVENTS_AT_ONCE).await.map_err(record::store_fault)?;
        let events = match kept.is_empty() && record.status.has_ended() {
            // Answered in one go: its history is its record.
            true => events::of(&record).into_iter().filter(|event| event.seq > after).collect(),
            false => kept,
        };
        Ok(Some((record.status, events)))
    }

    /// Runs a flow that a request to its trigger begins: first the trigger's script, where it has one. Ends by the deadline.
    ///
    /// The answer that the script gives counts once the run has succeeded ([`crate::Outcome::Triggered`]); a run that fails ends as any other
    /// does. Records are kept as by [`Runner::run_flow`], and a run that repeats this one begins with the payload that the script made.
    ///
    /// # Errors
    /// `invalid` when the body is said to be JSON, is not, and no script reads it first. No run is made then.
    pub async fn trigger_flow(
        &self,
        tenant: &Arc<Tenant>,
        flow: &PreparedFlow,
        request: TriggerRequest,
        deadline: Instant,
    ) -> Result<Finished, Fault> {
        let start = self.triggered(flow, request)?;
        Ok(Box::pin(drive::run_flow(&self.inner, tenant, flow, start, deadline)).await)
    }

    /// The same for a sender who does not wait: only the trigger's script runs before this returns ([`crate::Outcome::Accepted`]).
    ///
    /// # Errors
    /// As [`Runner::trigger_flow`]; `overloaded` when too many runs of the tenant wait, `store-unavailable` when the store does not answer. No run is
    /// made then.
    pub async fn accept_trigger(
        &self,
        tenant: &Arc<Tenant>,
        flow: &PreparedFlow,
        request: TriggerRequest,
        deadline: Instant,
    ) -> Result<Finished, Fault> {
        let start = self.triggered(flow, request)?;
        drive::accept(&self.inner, tenant, flow, start, deadline).await
    }

    /// A run that a trigger's request begins. A body that no script reads first becomes the payload as it is, so it is checked here.
    fn triggered(&self, flow: &PreparedFlow, request: TriggerRequest) -> Result<drive::Start, Fault> {
        if !flow.has_trigger_script() {
            drive::check_body(&request)?;
        }
        Ok(drive::Start::triggered(&*self.inner.parts.clock, request))
    }

    /// Runs the recorded invocations of a run again, each with its recorded input, and shows them one by one; nobody is called and nothing is
    /// written. `scripts` names versions to take in the recorded ones' place. True when all did the same.
    ///
    /// # Errors
    /// `not-found` for a run or a version that is not there, `conflict` for a run that has not ended or was not recorded, `invalid` for a script
    /// that the run did not use, `script-no-hook` for a version that lacks a hook, and what keeps the node itself from finishing.
    pub async fn replay(
        &self,
        tenant: &Tenant,
        run: RunId,
        scripts: &BTreeMap<Name, u32>,
        deadline: Instant,
        each: &mut (dyn FnMut(Replayed) + Send),
    ) -> Result<bool, Fault> {
        replay::replay(&self.inner, tenant, run, scripts, deadline, each).await
    }

    /// Takes the queued runs that are due, drives them to their end, and says how many there were. At most `queued_at_once` are taken.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn run_due(&self) -> Result<usize, Fault> {
        requeue::run_due(&self.inner).await
    }

    /// Drives queued runs as they become due, until `shutdown`; returns when those under way have ended. For one task of the node's.
    ///
    /// Runs that a killed process had begun are begun again.
    pub async fn requeue(self, shutdown: CancellationToken) {
        requeue::requeue(self.inner, shutdown).await;
    }
}
