//! The way in: prepares definitions and drives calls and flows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_egress::Egress;
use snaphook_model::{Connector, Fault, Flow, Name, Payload, RunId, Subject, Tenant, TenantName, TriggerRequest, Variables};
use snaphook_sandbox::{GuestKeys, Sandbox};
use snaphook_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::connections::Turns;
use crate::definitions::Definitions;
use crate::drive::fill::LongFillings;
use crate::driven::Driven;
use crate::files::FileSpace;
use crate::keys::RunKeys;
use crate::outcome::Finished;
use crate::prepared::{PreparedEndpoint, PreparedFlow};
use crate::programs::Programs;
use crate::replay::Replayed;
use crate::template::RunValues;
use crate::{drive, history, prepare, replay, requeue, retention, watched};

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
    /// Until when callbacks are kept in plain, for nodes of a release that cannot open sealed ones; absent where there are none.
    pub plain_callbacks_until: Option<Timestamp>,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        // A quarter of an hour is longer than a step with every retry at the usual upstream's speed, and short enough that a stuck
        // upstream does not keep a place for ever. Sixteen places leave most of a small node to callers who wait.
        Self {
            callback_url: "http://127.0.0.1:7070/v1/callbacks".to_owned(),
            queued_at_once: 16,
            queued_deadline: Duration::from_mins(15),
            plain_callbacks_until: None,
        }
    }
}

/// What a run begins with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInput {
    /// The first step's payload.
    pub payload: Payload,
    /// Whom the run is about.
    pub subject: Option<Subject>,
    /// The run's name, made by [`Runner::new_run`]; one is made where there is none.
    pub run: Option<RunId>,
}

impl From<Payload> for RunInput {
    fn from(payload: Payload) -> Self {
        Self { payload, subject: None, run: None }
    }
}

pub(crate) struct Inner {
    pub(crate) parts: RunnerParts,
    pub(crate) config: RunnerConfig,
    pub(crate) due: requeue::Due,
    pub(crate) driven: Driven,
    pub(crate) counts: watched::Counts,
    /// Runs that go on when their caller has gone.
    pub(crate) tasks: TaskTracker,
    pub(crate) fillings: LongFillings,
    /// Who fetches a token now.
    pub(crate) turns: Turns,
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
                counts: watched::Counts::default(),
                tasks: TaskTracker::new(),
                fillings: LongFillings::default(),
                turns: Turns::default(),
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
        self.call_as(self.new_run(), tenant, endpoint, arguments, deadline).await
    }

    /// The same under a name that was made before.
    pub async fn call_as(
        &self,
        run: RunId,
        tenant: &Arc<Tenant>,
        endpoint: &PreparedEndpoint,
        arguments: Bytes,
        deadline: Instant,
    ) -> Finished {
        drive::direct_call(&self.inner, tenant, endpoint, (run, arguments), deadline).await
    }

    /// A name for a run that may be made.
    #[must_use]
    pub fn new_run(&self) -> RunId {
        self.inner.parts.clock.run_id()
    }

    /// Runs a flow from its first step. Ends by the deadline.
    ///
    /// The record is in the store's queue when this returns; where another run was queued, both are durable.
    pub async fn run_flow(&self, tenant: &Arc<Tenant>, flow: &PreparedFlow, input: impl Into<RunInput>, deadline: Instant) -> Finished {
        let start = drive::Start::new(&*self.inner.parts.clock, input.into());
        Box::pin(drive::run_flow(&self.inner, tenant, flow, start, deadline)).await
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

    /// Signs for a script that is tried out: with keys of its own, as there are no secrets.
    #[must_use]
    pub fn test_keys(&self, tenant: &Arc<Tenant>) -> Arc<dyn GuestKeys> {
        RunKeys::of_test(&self.inner, tenant)
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
        requeue::run_due(self).await
    }

    /// Writes down what the node is at now, for who reads the metrics. Ends soon, whatever the database does.
    pub async fn observe(&self) {
        watched::observe(&self.inner).await;
    }

    /// Removes what runs have left behind and what has had its time, as [`Runner::requeue`] does by itself.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sweep(&self) -> Result<(), Fault> {
        retention::sweep(&self.inner).await.map(drop)
    }

    /// Removes the oldest of what runs have left behind where it takes more than its tenant's quota, as [`Runner::requeue`] does by itself. A tenant is
    /// looked at again only when some seconds have passed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn bound_history(&self) -> Result<(), Fault> {
        history::bound(&self.inner).await.map(drop)
    }

    /// Drives queued runs as they become due, until `shutdown`; returns when those under way have ended. For one task of the node's. What the runs
    /// are made of is asked of `definitions`.
    ///
    /// Runs that a killed process had begun are begun again: at the start of the only node, and by any node once the killed one's leases have run
    /// out where there are several.
    pub async fn requeue(self, definitions: Arc<dyn Definitions>, shutdown: CancellationToken) {
        requeue::requeue(self.inner, definitions, shutdown).await;
    }
}
