//! What runs that have ended take, and what goes before its time where that is more than it may be.

use jiff::Timestamp;
use snaphook_model::{RunId, TenantName};

use crate::StoreFuture;

/// A look at what a tenant's runs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLook {
    /// The time by this node's clock.
    pub now: Timestamp,
    /// Runs that go by the usual times and began before this are in the store for sure. What was counted of them is not counted again each time.
    pub settled_before: Timestamp,
    /// Bytes that may be kept.
    pub most: u64,
}

/// More is kept than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Bytes that are kept: records, summaries, recordings, histories and callbacks of runs that have ended, wherever they lie.
    pub kept: u64,
    /// Runs up to this one take about half of it.
    pub middle: RunId,
}

/// What of a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPart {
    /// Bodies, and what a replay and a repeated run need.
    Payloads,
    /// All of it.
    Whole,
}

/// A step towards less. Runs go in the order of their ids, which are times, those too that say themselves how long they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relief {
    /// What goes.
    pub part: RunPart,
    /// The last run of the step before.
    pub after: Option<RunId>,
    /// The last run that may go; none: every one may.
    pub until: Option<RunId>,
    /// Runs that go by the usual times stay where they began at this time or later: some of them may not be in the store yet.
    pub usual_before: Timestamp,
    /// Bytes that should go. A step ends with the run that makes it as many.
    pub bytes: u64,
    /// The time by this node's clock. Nobody looks at what the tenant's runs take for a minute.
    pub now: Timestamp,
}

/// What went in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relieved {
    /// Runs of which something went.
    pub runs: u64,
    /// Bytes that went, about.
    pub bytes: u64,
    /// Where the next step begins.
    pub last: Option<RunId>,
    /// Whether there may be more that can go.
    pub more: bool,
}

/// Counts what runs leave, and removes the oldest of it.
pub trait HistoryStore: Send + Sync {
    /// Bytes that a tenant's ended runs take, as they were counted last; 0 before that.
    fn history_bytes<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, u64>;

    /// Counts what a tenant's runs take, where it is time to: some seconds after the last look or twenty times as long as that took, and only where
    /// there are runs that were not counted. Says so where it is more than may be, after all runs were counted; else only newer ones are, and all
    /// once a day. Of several nodes that ask at once, one counts. May take minutes for a tenant with millions of runs; reads some hundred at a time.
    fn look_at_history<'a>(&'a self, tenant: &'a TenantName, look: HistoryLook) -> StoreFuture<'a, Option<Excess>>;

    /// Removes some of a tenant's oldest runs, or of their payloads: as much as takes some milliseconds of the right to write, so that others
    /// write in between. Runs that have not ended stay.
    fn relieve<'a>(&'a self, tenant: &'a TenantName, relief: Relief) -> StoreFuture<'a, Relieved>;
}
