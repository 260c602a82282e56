//! Connections: documents, sealed texts of their secret fields, and the tokens that were fetched with them. The store cannot open any of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use snaphook_model::{Connection, ConnectionStatus, Name, SealedSecret, TenantName};

use crate::{Change, Page, PageRequest, StoreFuture};

/// A connection as it is stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredConnection {
    pub name: Name,
    pub connection: Connection,
    /// Texts of secret fields, by field.
    pub sealed: BTreeMap<String, SealedSecret>,
    /// Another one with every write, the token's too.
    pub revision: i64,
    /// What the token's address gave last, sealed whole.
    pub token: Option<SealedSecret>,
    /// From when on the token is not to be used; absent where that is not known.
    pub token_expires_at: Option<Timestamp>,
    pub status: ConnectionStatus,
    pub status_detail: Option<String>,
    pub updated_at: Timestamp,
}

/// What an attempt to fetch a token left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct FetchedToken {
    /// Absent: the one before stays.
    pub token: Option<SealedSecret>,
    pub expires_at: Option<Timestamp>,
    pub status: ConnectionStatus,
    pub status_detail: Option<String>,
}

/// An authorization that somebody has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Authorization {
    pub tenant: TenantName,
    pub connection: Name,
    /// The proof that who finishes it has begun it (RFC 7636), sealed.
    pub verifier: SealedSecret,
}

/// Connections of a tenant. Durable, against power loss too, when a method that writes returns.
pub trait ConnectionStore: Send + Sync {
    /// Creates a connection, or replaces the one of this revision. With a status to begin as, its credentials are others: the token that was fetched with
    /// the ones before goes, and so do authorizations that were begun with them. None: it is at another revision, or there is none, or one by now.
    fn put_connection<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        document: (&'a Connection, &'a BTreeMap<String, SealedSecret>),
        replaces_as: (Option<i64>, Option<ConnectionStatus>),
        now: Timestamp,
    ) -> StoreFuture<'a, Option<Change>>;

    /// A connection by name.
    fn connection<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredConnection>>;

    /// Connections in the order of their names.
    fn connections<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredConnection>>;

    /// Deletes a connection. False: there was none.
    fn delete_connection<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool>;

    /// Lets one of all nodes fetch a token: true for who may until then, if the connection is still at that revision and nobody else does.
    fn begin_fetching<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        from_until: (Timestamp, Timestamp),
    ) -> StoreFuture<'a, bool>;

    /// Stores what became of it. False: the connection was replaced meanwhile, and nothing was stored.
    fn end_fetching<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        fetched: &'a FetchedToken,
    ) -> StoreFuture<'a, bool>;

    /// Notes an authorization under its state's hash until it expires; forgets those that have.
    fn begin_authorization<'a>(
        &'a self,
        state: &'a str,
        authorization: &'a Authorization,
        from_until: (Timestamp, Timestamp),
    ) -> StoreFuture<'a, ()>;

    /// Takes an authorization by its state's hash, once, unless it has expired.
    fn take_authorization<'a>(&'a self, state: &'a str, now: Timestamp) -> StoreFuture<'a, Option<Authorization>>;
}
