//! What is durable: tenants, tokens, scripts, documents, sealed secrets, subjects and runs, behind object-safe traits with SQL under them,
//! and [`Objects`] beside it: components of scripts, and payloads too large for a row.
//!
//! A method is one domain fact and one transaction. Every method takes the tenant first, except those of the operator and of the node itself;
//! what another tenant owns looks the same as what does not exist: `Ok(None)` or `Ok(false)`. No SQL lives outside this crate, nothing is cached in it but counts.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod audit;
mod awaited;
mod changes;
#[cfg(test)]
mod conformance;
mod connections;
mod database;
mod documents;
mod error;
mod history;
mod keys;
mod objects;
mod on_sql;
mod overview;
mod page;
mod postgres;
mod reseal;
mod retention;
mod runs;
mod scripts;
mod secrets;
mod sql;
mod sqlite;
mod state;
mod subjects;
mod tenants;
mod waiting;

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

pub use audit::{AuditFilter, AuditStore, ChangeStore};
pub use awaited::{AwaitStore, AwaitedEnd};
pub use changes::{Changes, Notice};
pub use connections::{Authorization, ConnectionStore, FetchedToken, StoredConnection};
pub use documents::{BoundScript, Change, DocumentKind, DocumentStore, NewDocument, PutFlow, ScriptPin, StoredConnector, StoredFlow};
pub use error::StoreError;
pub use history::{Excess, HistoryLook, HistoryStore, Relief, Relieved, RunPart};
pub use keys::{KeyStore, Keyed, KeyedRequest};
pub use objects::{Objects, ObjectsError, ObjectsPlaceError};
pub use on_sql::Claim;
pub use overview::{OverviewBucket, OverviewRequest, OverviewStore, RunsOf};
pub use page::{Cursor, MAX_PAGE, Page, PageRequest};
pub use postgres::{Inspected, PostgresOpenError, PostgresOptions, PostgresStore};
pub use reseal::ResealStore;
pub use retention::{RetentionStore, Sweep, Swept};
pub use runs::{ClaimedRun, EndedRun, Lease, QueueRoom, QueuedRun, Recording, Renewed, RunFilter, RunStore};
pub use scripts::{AddedVersion, ComponentMark, DeletedVersion, NewVersion, ScriptStore, StaleComponent, StoredComponent};
pub use secrets::{SecretStore, StoredSecret};
pub use sqlite::{DataDir, OpenError, SqliteStore};
pub use state::StateStore;
pub use subjects::{StoredSubject, SubjectStore};
pub use tenants::{KeptDocuments, StoredTenant, TenantStore, TokenHash};
pub use waiting::{CalledBack, Cancelled, EndOfRun, KeptCallback, RunCounts, Saved, SavedRun, WaitStore, Wake};

/// What every method gives back, boxed so that the traits can be used as `dyn`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything durable, and the store's own health. Handed around as `Arc<dyn Store>`.
pub trait Store:
    TenantStore
    + ScriptStore
    + DocumentStore
    + SecretStore
    + ConnectionStore
    + RunStore
    + OverviewStore
    + WaitStore
    + AwaitStore
    + KeyStore
    + SubjectStore
    + StateStore
    + RetentionStore
    + HistoryStore
    + ResealStore
    + AuditStore
{
    /// Whether the database answers and takes writes, for `readyz`.
    fn ping(&self) -> StoreFuture<'_, ()>;

    /// Tells of what every node on the database writes from now on, within a second.
    fn changes(&self) -> Changes;

    /// How long a lease lasts that is not renewed; absent where leases do not run out, since one node is alone.
    fn lease_time(&self) -> Option<Duration>;

    /// A small value of the node itself, such as the hash of the operator's token.
    fn meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<String>>;

    /// Sets such a value; durable when it returns.
    fn set_meta<'a>(&'a self, key: &'a str, value: &'a str) -> StoreFuture<'a, ()>;

    /// Sets such a value unless there is one, and gives the one that stands, so that nodes that start at once agree on it.
    fn meta_or<'a>(&'a self, key: &'a str, value: &'a str) -> StoreFuture<'a, String>;

    /// Removes such a value; durable when it returns.
    fn remove_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;

    /// Makes sure that this node keeps objects where the other nodes of the database do; the first one says where that is. To be asked at a node's
    /// start, before anything else. Fails with [`StoreError::OtherObjects`] where the node's place is another one.
    fn claim_objects(&self) -> StoreFuture<'_, ()>;

    /// Removes objects from before a time that nothing in the database names, and says how many there were. The time leaves room for uploads under
    /// way, a day say. Looks at all objects, a few at a time. Several nodes may do so at once.
    fn sweep_objects(&self, before: Timestamp) -> StoreFuture<'_, u64>;

    /// Looks for damage, and for what will become trouble, and answers with findings, for `doctor`; empty when sound. May read the whole database.
    fn check(&self) -> StoreFuture<'_, Vec<String>>;

    /// Writes what is queued and lets go of the database. Every later call fails with [`StoreError::Closed`].
    fn close(&self) -> StoreFuture<'_, ()>;
}
