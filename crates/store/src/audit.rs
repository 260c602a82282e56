//! Who changed what, and when.

use jiff::Timestamp;
use snaphook_model::{AuditAction, AuditRecord, Author, TenantName};

use crate::{
    ConnectionStore, DocumentStore, Page, PageRequest, RunStore, ScriptStore, SecretStore, StoreFuture, SubjectStore, TenantStore,
    WaitStore,
};

/// Which records of a list; absent fields filter nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Changes made at this time or later.
    pub since: Option<Timestamp>,
    /// Changes of this kind.
    pub action: Option<AuditAction>,
}

/// The store as somebody uses it whose changes are noted: each method that changes something writes the record of it in the same transaction.
/// What changes nothing (the same document again, what was not there to be deleted) leaves no record.
pub trait ChangeStore:
    TenantStore + ScriptStore + DocumentStore + SecretStore + ConnectionStore + SubjectStore + RunStore + WaitStore
{
}

/// Records of changes.
pub trait AuditStore: Send + Sync {
    /// The store as its author uses it. Everything that a request changes goes through this; what the node does by itself does not.
    fn by<'a>(&'a self, author: &'a Author) -> Box<dyn ChangeStore + 'a>;

    /// Notes a change that was none of the store, such as the end of a run that this process was at.
    fn note<'a>(&'a self, tenant: &'a TenantName, author: &'a Author, action: AuditAction, name: &'a str) -> StoreFuture<'a, ()>;

    /// A tenant's records, newest first.
    fn audit<'a>(&'a self, tenant: &'a TenantName, filter: &'a AuditFilter, page: &'a PageRequest) -> StoreFuture<'a, Page<AuditRecord>>;
}
