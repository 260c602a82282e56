//! What is sealed, one by one, so that it can be sealed under another key. What changed meanwhile stays as it is, and is looked at again.

use std::collections::BTreeMap;

use snaphook_model::{CorrelationId, Name, SealedSecret, SecretName, TenantName};

use crate::{Authorization, StoreFuture};

/// Puts other seals in the place of those that are there. Nothing else changes, revisions and times neither. Durable, against power loss too, when
/// a method returns. False: it is another one by now, or gone.
pub trait ResealStore: Send + Sync {
    /// A secret's.
    fn reseal_secret<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a SecretName,
        from_to: (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool>;

    /// Those of a connection's fields and of its token, if it is still at that revision.
    fn reseal_connection<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        fields_token: (&'a BTreeMap<String, SealedSecret>, Option<&'a SealedSecret>),
    ) -> StoreFuture<'a, bool>;

    /// Authorizations that were begun and not finished, with the hashes of their states, by which they are in order; at most 200 behind `after`.
    fn authorizations<'a>(&'a self, tenant: &'a TenantName, after: &'a str) -> StoreFuture<'a, Vec<(String, Authorization)>>;

    /// An authorization's.
    fn reseal_authorization<'a>(
        &'a self,
        tenant: &'a TenantName,
        state: &'a str,
        from_to: (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool>;

    /// Callbacks that are kept sealed, which runs have not heard yet, in the order of their ids: some behind `after`, at most 200, and fewer where they
    /// are large. None: there are no more.
    fn sealed_callbacks<'a>(&'a self, tenant: &'a TenantName, after: &'a str) -> StoreFuture<'a, Vec<(CorrelationId, SealedSecret)>>;

    /// A callback's.
    fn reseal_callback<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a CorrelationId,
        from_to: (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool>;
}
