//! Runs: their records, and those that wait for their time.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{
    CorrelationId, Name, Payload, RunEvent, RunId, RunRecord, RunState, RunStatus, SubjectValues, TenantName, VariableWrite,
};
use uuid::Uuid;

use crate::{Claim, Page, PageRequest, StoreFuture};

/// A run that begins later: another attempt of one that failed, or one whose caller does not wait.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedRun {
    /// With status `queued`, flow and flow version; `started_at` is when it is due.
    pub record: RunRecord,
    /// What the run begins with.
    pub input: Payload,
    /// What its trigger's script wrote into the variables.
    pub writes: Vec<VariableWrite>,
    /// Values of its subject that were brought along.
    pub subject_values: SubjectValues,
}

/// A queued run that was taken to be run now.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// Whose run it is.
    pub tenant: TenantName,
    /// By what it is held; whoever ends it shows it.
    pub lease: Lease,
    /// Its record now says `running`, and when it was claimed unless it had begun before.
    pub run: QueuedRun,
    /// Where it is, as it was saved; none for a run that has not begun.
    pub checkpoint: Option<Bytes>,
    /// Whether somebody may wait for its end at another node; see [`crate::AwaitStore::await_run`].
    pub is_awaited: bool,
    /// Whether something was recorded of it before.
    pub has_recording: bool,
    /// Whether somebody has cancelled it while it was held, and nobody has seen to that.
    pub is_cancelled: bool,
}

/// A node's time-bound claim on a run. On a database of one node it has no end but the run's, or that of the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose run it is.
    pub tenant: TenantName,
    /// Which run.
    pub run: RunId,
    /// Made for the round of claims that the run was taken in.
    pub token: Uuid,
}

/// What was found when leases were renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Those that are lost.
    pub lost: Vec<Lease>,
    /// Those of runs that somebody has cancelled, which are renewed all the same.
    pub cancelled: Vec<Lease>,
}

/// What a replay of a run needs, in its maker's own form. The store does not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// All of it.
    Whole {
        /// Everything but bodies.
        head: Bytes,
        /// Bodies, to which the head refers by their position.
        bodies: Vec<Bytes>,
    },
    /// There was more than is kept of a run.
    TooLarge,
}

/// A run that has ended, and what is written with it in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct EndedRun<'a> {
    /// Its record.
    pub record: &'a RunRecord,
    /// What a replay needs.
    pub recording: Option<&'a Recording>,
    /// The last of its events.
    pub events: &'a [RunEvent],
    /// The run that repeats it.
    pub next: Option<&'a QueuedRun>,
    /// What it wrote into state; nothing of a run that did not end well.
    pub state: Option<&'a RunState>,
    /// A callback that it has heard since it was written down last: it is kept no more.
    pub heard: Option<&'a CorrelationId>,
}

/// How much of a tenant's runs may wait for their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRoom {
    /// So many runs.
    pub runs: u32,
    /// So many bytes of their inputs, and of what was written for them, together.
    pub bytes: u64,
}

/// Which runs of a list; absent fields filter nothing. Pages may be short of what was asked for, or empty, although the list goes on: each
/// looks at some thousands of runs at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Runs of this flow; direct calls have none.
    pub flow: Option<Name>,
    /// Direct calls of this `connector/endpoint`.
    pub call: Option<String>,
    /// Runs that invoked this script, whichever version of it.
    pub script: Option<Name>,
    /// Runs in this state.
    pub status: Option<RunStatus>,
    /// Runs that began, or are due, at this time or later. Not those that waited for more than a month before.
    pub since: Option<Timestamp>,
}

/// Runs of a tenant.
pub trait RunStore: Send + Sync {
    /// Queues the record of an ended run, of one that was never in the queue, for the next batch; returns as soon as there is room in the queue.
    /// What is queued is on disk within milliseconds but is lost by a process that is killed before; reads see it at once. Records of tenants deleted meanwhile are dropped.
    /// The recording is written in the same batch as the record, and lost with it.
    fn record_run<'a>(&'a self, tenant: &'a TenantName, record: &'a RunRecord, recording: Option<Recording>) -> StoreFuture<'a, ()>;

    /// Stores the record of an ended run and, in the same transaction, adds the last of its events, takes it out of the queue if it was
    /// there and queues the run that repeats it. Durable when it returns. A run that was claimed ends under its lease: when that is lost, or none is given for such a run,
    /// this fails with [`crate::StoreError::LeaseLost`] and writes nothing. So does a second try after one whose answer was lost. Where its state
    /// would take more than it may, it fails with [`crate::StoreError::StateSize`] and writes nothing; the state of a flow that is gone is left out.
    fn end_run<'a>(&'a self, tenant: &'a TenantName, lease: Option<&'a Lease>, ended: EndedRun<'a>) -> StoreFuture<'a, ()>;

    /// Queues a run, unless the tenant has as many in the queue as are allowed: then it fails with [`crate::StoreError::Full`], or with
    /// [`crate::StoreError::QueueSize`] where they would take too many bytes. Durable when it returns. On PostgreSQL, runs that are queued at the same
    /// moment do not see each other and may pass the bounds by as many as they are.
    fn queue_run<'a>(
        &'a self,
        tenant: &'a TenantName,
        run: &'a QueuedRun,
        recording: Option<&'a Recording>,
        most: QueueRoom,
    ) -> StoreFuture<'a, ()>;

    /// Claims up to `limit` runs of all tenants that are due, earliest first; each is given out once, however many nodes ask.
    fn claim_due_runs(&self, now: Timestamp, limit: u32) -> StoreFuture<'_, Vec<Claim>>;

    /// The same of some tenants, each of them named once: up to so many of each.
    fn claim_due_runs_of<'a>(&'a self, shares: &'a [(TenantName, u32)], now: Timestamp) -> StoreFuture<'a, Vec<Claim>>;

    /// The run behind a claim. Takes as long as the storage of its large parts does, which a few at a time may ask; keep its lease meanwhile. When this
    /// fails, the run waits for some seconds, or for an hour where nothing suggests that it can be read then; the others go on.
    fn claimed_run(&self, claim: Claim) -> StoreFuture<'_, ClaimedRun>;

    /// Up to `limit` tenants after this one, in the order of their names, that have runs that are due: whose turn is next.
    fn due_tenants<'a>(&'a self, now: Timestamp, after: Option<&'a TenantName>, limit: u32) -> StoreFuture<'a, Vec<TenantName>>;

    /// Makes leases last as long again as when they were taken. Renew them well before [`crate::Store::lease_time`] has passed; work under one ends
    /// before that.
    fn renew_leases<'a>(&'a self, leases: &'a [Lease]) -> StoreFuture<'a, Renewed>;

    /// Puts claimed runs that nobody holds any more back into the queue and counts them: those whose lease ran out. A node that is alone on its
    /// database calls this at its start, when whoever claimed them is dead: there it puts back all of them.
    fn requeue_claimed(&self) -> StoreFuture<'_, u64>;

    /// A run by id.
    fn run<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<RunRecord>>;

    /// Where a run is, without what it has done.
    fn run_status<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<RunStatus>>;

    /// What was recorded of an ended run; nothing where it invoked no script.
    fn recording<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<Recording>>;

    /// Runs, newest first by id.
    fn runs<'a>(&'a self, tenant: &'a TenantName, filter: &'a RunFilter, page: &'a PageRequest) -> StoreFuture<'a, Page<RunRecord>>;

    /// Waits until everything recorded before this call is written.
    fn flush(&self) -> StoreFuture<'_, ()>;
}
