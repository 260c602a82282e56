//! What runs leave behind, and when it goes.

use jiff::Timestamp;
use snaphook_model::TenantName;

use crate::StoreFuture;

/// Which of a tenant's things have had their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Runs that say themselves how long they are kept ([`snaphook_model::RunRecord::retention`]) go by this.
    pub now: Timestamp,
    /// Of the other runs, payloads of those that began before. A run that began before must not end after this is asked for.
    pub payloads_before: Timestamp,
    /// The whole of those that began before; likewise.
    pub logs_before: Timestamp,
    /// Idempotency keys from before.
    pub keys_before: Timestamp,
    /// Records of changes from before.
    pub audit_before: Timestamp,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs whose payloads went.
    pub payloads: u64,
    /// Runs that went as a whole.
    pub runs: u64,
    /// Records of changes that went.
    pub audit: u64,
    /// Whether there may be more at once.
    pub more: bool,
}

/// Removes what has had its time.
pub trait RetentionStore: Send + Sync {
    /// Removes some of it: as much as takes some milliseconds of the right to write, so that others write in between. Runs that have not ended
    /// stay. Several nodes may do so at once.
    fn sweep<'a>(&'a self, tenant: &'a TenantName, sweep: Sweep) -> StoreFuture<'a, Swept>;
}
