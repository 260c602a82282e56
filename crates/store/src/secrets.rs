//! Secrets, sealed before they come here. The store cannot open them.

use jiff::Timestamp;
use snaphook_model::{SealedSecret, SecretName, TenantName};

use crate::{Change, Page, PageRequest, StoreFuture};

/// What a list tells of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredSecret {
    pub name: SecretName,
    pub updated_at: Timestamp,
}

/// Secrets of a tenant. Durable, against power loss too, when a method that writes returns.
pub trait SecretStore: Send + Sync {
    /// Creates or replaces a secret.
    fn put_secret<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a SecretName,
        sealed: &'a SealedSecret,
        now: Timestamp,
    ) -> StoreFuture<'a, Change>;

    /// A secret by name.
    fn secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, Option<SealedSecret>>;

    /// Names of secrets, in their order.
    fn secrets<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredSecret>>;

    /// Deletes a secret. False: there was none.
    fn delete_secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, bool>;
}
