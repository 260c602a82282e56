//! Tenants and their tokens.

use jiff::Timestamp;
use snaphook_model::{TenantDocument, TenantName, TokenRecord};

use crate::{Change, Page, PageRequest, StoreFuture};

/// BLAKE3 of a token's text. The text itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// A tenant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredTenant {
    pub name: TenantName,
    pub document: TenantDocument,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a tenant keeps in documents: flows, of which each version is one, connectors, connections, secrets, subjects and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptDocuments {
    /// How many.
    pub documents: u64,
    /// Bytes of their values as they are stored: without names, and without rows and indexes around them.
    pub bytes: u64,
}

/// Tenants, by the operator; tokens, by the tenant.
///
/// What a tenant keeps in documents is bounded by the quota in its document. A method, of whichever trait, that adds one or makes one larger fails
/// beyond it with [`crate::StoreError::TooManyDocuments`] or [`crate::StoreError::DocumentsSize`], and writes nothing. What becomes smaller or is
/// deleted is never refused, nor is what the operator is the author of. What other nodes write is seen within a second, or half a
/// minute where there are very many documents, and may pass the bound until then.
pub trait TenantStore: Send + Sync {
    /// Creates or changes a tenant.
    fn put_tenant<'a>(&'a self, tenant: &'a TenantName, document: &'a TenantDocument, now: Timestamp) -> StoreFuture<'a, Change>;

    /// A tenant by name.
    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, Option<StoredTenant>>;

    /// All tenants by name.
    fn tenants<'a>(&'a self, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredTenant>>;

    /// Removes a tenant and everything that belongs to it. False: there was none. May take seconds for a tenant with many runs;
    /// broken off, it may have removed some of the runs and nothing else, and can be asked again.
    fn delete_tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, bool>;

    /// What a tenant keeps in documents: counted now or some time ago, as [`TenantStore`] says, with what this node has written since.
    fn kept_documents<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, KeptDocuments>;

    /// Adds a token. Fails with [`crate::StoreError::Exists`] for an id or hash that is taken.
    fn add_token<'a>(&'a self, tenant: &'a TenantName, record: &'a TokenRecord, hash: TokenHash) -> StoreFuture<'a, ()>;

    /// A tenant's tokens by id, expired ones too, with when they were used last.
    fn tokens<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<TokenRecord>>;

    /// Removes a token. False: the tenant has none with this id.
    fn delete_token<'a>(&'a self, tenant: &'a TenantName, id: &'a str) -> StoreFuture<'a, bool>;

    /// Notes when tokens were used, each with its tenant and id; of tokens that are gone, nothing. May be lost with the node's power.
    fn use_tokens<'a>(&'a self, uses: &'a [(TenantName, String, Timestamp)]) -> StoreFuture<'a, ()>;

    /// Whose token this is, across tenants. The caller judges `expires_at`.
    fn find_token(&self, hash: TokenHash) -> StoreFuture<'_, Option<(TenantName, TokenRecord)>>;
}
