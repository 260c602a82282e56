//! Runs whose end somebody waits for, which may come about on another node.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{RunId, TenantName};

use crate::StoreFuture;

/// What is known of a run that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedEnd {
    /// How it ended, in its maker's own form, where whoever ended it said so.
    pub outcome: Option<Bytes>,
    /// Whether its record says that it has ended.
    pub has_ended: bool,
}

/// Runs whose end somebody waits for. Durable when a method returns.
pub trait AwaitStore: Send + Sync {
    /// Notes down, before a run can end, that somebody waits for its end, until this time at most.
    fn await_run<'a>(&'a self, tenant: &'a TenantName, run: RunId, until: Timestamp) -> StoreFuture<'a, ()>;

    /// Says how a run has ended; false where nobody waits for it.
    fn tell_end<'a>(&'a self, tenant: &'a TenantName, run: RunId, outcome: &'a [u8]) -> StoreFuture<'a, bool>;

    /// What is known of a run that was noted down; nothing of another one.
    fn awaited_end<'a>(&'a self, tenant: &'a TenantName, run: RunId) -> StoreFuture<'a, Option<AwaitedEnd>>;

    /// Nobody waits for it any more.
    fn forget_awaited<'a>(&'a self, tenant: &'a TenantName, run: RunId) -> StoreFuture<'a, ()>;

    /// Forgets what was noted down until a time before `now`, of all tenants: whoever did so was killed meanwhile.
    fn forget_long_awaited(&self, now: Timestamp) -> StoreFuture<'_, ()>;
}
