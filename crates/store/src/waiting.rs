//! Runs that outlive their process: where they are, what they wait for, what has happened in them.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{Callback, CorrelationId, RunEvent, RunId, RunRecord, SealedSecret, TenantName};
use uuid::Uuid;

use crate::StoreFuture;
use crate::runs::{Lease, QueuedRun, Recording};

/// A run as it is written down to be gone on with, by this process or by another one.
#[derive(Debug, Clone, Copy)]
pub struct SavedRun<'a> {
    /// Its record says `running` or `waiting`, and what has been done so far.
    pub run: &'a QueuedRun,
    /// Where it is, in its maker's own form. The store does not read it.
    pub checkpoint: &'a Bytes,
    /// What a replay will need of what has been done.
    pub recording: Option<&'a Recording>,
    /// What has happened since it was written down last.
    pub events: &'a [RunEvent],
    /// When it goes on.
    pub wake: Wake<'a>,
    /// A callback that somebody may send from now on.
    pub expects: Option<&'a CorrelationId>,
    /// A callback whose content is in the checkpoint now, as far as the run needs it: it is kept no more.
    pub heard: Option<&'a CorrelationId>,
    /// By what it is held that nobody held before. Made once for all tries to save it, so that one finds out that another was committed of which nobody
    /// heard, since the connection broke.
    pub token: Uuid,
}

/// When a saved run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake<'a> {
    /// It is going on: whoever saves it holds it.
    Held,
    /// At this time.
    At(Timestamp),
    /// When this callback has come, which may have happened already; at this time if it has not.
    Callback(&'a CorrelationId, Timestamp),
}

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// By what the run is held from now on; none for one that waits.
    pub lease: Option<Lease>,
    /// Somebody has cancelled the run meanwhile. It is written down all the same.
    pub cancelled: bool,
}

/// A callback as it is kept until its run has heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptCallback {
    /// Sealed, in its maker's own form. The store does not read it.
    Sealed(SealedSecret),
    /// As it came: for nodes of releases that know no seals, or by them.
    Plain(Callback),
}

/// What became of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledBack {
    /// It is kept, and its run goes on.
    Taken(RunId),
    /// Another one was kept before.
    Used,
    /// Nobody waits for it, or the run belongs to another tenant.
    Unknown,
}

/// What became of the wish to cancel a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled.
    Done,
    /// A process is at it and ends it at the next occasion.
    Asked,
    /// It has ended.
    Ended,
    /// There is no such run.
    Unknown,
}

/// How a run ends where it is: its last record, and everything that has happened in it.
pub type EndOfRun<'a> = dyn Fn(RunRecord) -> (RunRecord, Vec<RunEvent>) + Send + Sync + 'a;

/// Runs that have not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Those that have not begun, and that nobody holds.
    pub queued: u64,
    /// Those that wait for a time or a callback.
    pub waiting: u64,
    /// Those that a node holds.
    pub leased: u64,
    /// Of those that nobody holds, those whose time has come.
    pub due: u64,
}

/// Runs that wait.
pub trait WaitStore: Send + Sync {
    /// Writes down where a run is, all in one transaction. Durable when it returns. A run that was claimed or saved before is held by a lease;
    /// when that is lost, this fails with [`crate::StoreError::LeaseLost`] and writes nothing. One that was not may be saved again with the same token:
    /// what was written the first time stands. With another token this fails with [`crate::StoreError::Exists`].
    fn save_run<'a>(&'a self, tenant: &'a TenantName, lease: Option<&'a Lease>, saved: SavedRun<'a>) -> StoreFuture<'a, Saved>;

    /// When the next run is due that nobody holds; none where no run waits for a time.
    fn next_due(&self) -> StoreFuture<'_, Option<Timestamp>>;

    /// How many runs have not ended, of all tenants, as they are at `now`: for those who watch a node, not for whom something depends on it.
    fn run_counts(&self, now: Timestamp) -> StoreFuture<'_, RunCounts>;

    /// A callback that has come. Of one that was heard ([`SavedRun::heard`]), or whose run had ended when it came, nothing is kept but that it was
    /// used, and this fails with [`crate::StoreError::Form`].
    fn callback<'a>(&'a self, tenant: &'a TenantName, id: &'a CorrelationId) -> StoreFuture<'a, Option<KeptCallback>>;

    /// Keeps a callback, the first one only, and lets its run go on at `now` where it waits for it.
    fn call_back<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a CorrelationId,
        callback: &'a KeptCallback,
        now: Timestamp,
    ) -> StoreFuture<'a, CalledBack>;

    /// Cancels a run that no process is at, or leaves word for the one that is. `end` makes its last record, and all events, of its record so far.
    fn cancel_run<'a>(&'a self, tenant: &'a TenantName, id: RunId, end: &'a EndOfRun<'a>) -> StoreFuture<'a, Cancelled>;

    /// What has happened in a run after the event number `after`, at most `limit` events. Runs that were answered in one go have none.
    fn run_events<'a>(&'a self, tenant: &'a TenantName, id: RunId, after: u32, limit: u32) -> StoreFuture<'a, Vec<RunEvent>>;
}
