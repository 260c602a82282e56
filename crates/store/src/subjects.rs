//! Subjects: whom runs are about, with the values kept for them.

use jiff::Timestamp;
use snaphook_model::{SubjectId, SubjectValues, TenantName};

use crate::{Change, Lease, Page, PageRequest, StoreFuture};

/// A subject as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredSubject {
    pub id: SubjectId,
    pub values: SubjectValues,
    pub updated_at: Timestamp,
}

/// Subjects of a tenant. Durable when a method that writes returns. No method takes values past [`SubjectValues::MOST_BYTES`]:
/// [`crate::StoreError::SubjectSize`], and nothing is written.
pub trait SubjectStore: Send + Sync {
    /// Creates a subject or replaces all of its values.
    fn put_subject<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, Change>;

    /// Adds values to a subject, which need not exist, over those of the same name. Runs that end together lose nothing of each other's. Where a run
    /// that adds them is held by a lease, that must not be lost: [`crate::StoreError::LeaseLost`], and nothing is written.
    fn add_subject_values<'a>(
        &'a self,
        tenant: &'a TenantName,
        lease: Option<&'a Lease>,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, ()>;

    /// A subject by id.
    fn subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, Option<StoredSubject>>;

    /// Subjects by id.
    fn subjects<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredSubject>>;

    /// Deletes a subject with its values. False: there was none.
    fn delete_subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, bool>;
}
