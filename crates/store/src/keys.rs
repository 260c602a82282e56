//! Idempotency keys: requests that are answered once, however often they come.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{RunId, TenantName};

use crate::StoreFuture;

/// A request with a key. A key belongs to its path: the same one elsewhere is another one.
#[derive(Debug, Clone, Copy)]
pub struct KeyedRequest<'a> {
    /// Of the request.
    pub path: &'a str,
    /// As the caller gave it.
    pub key: &'a str,
    /// BLAKE3 of the body.
    pub body: &'a [u8; 32],
    /// The run that is made for it, where it is the first one.
    pub run: RunId,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyed {
    /// Nothing until now; the request is noted down as the first one.
    First,
    /// A request came before.
    Before {
        /// Whether it had the same body.
        same_body: bool,
        /// When it came.
        begun_at: Timestamp,
        /// What it was answered, in its maker's own form; none while it is being answered.
        answer: Option<Bytes>,
        /// The run that was made for it, which may not have come to be; none where an earlier release noted it down.
        run: Option<RunId>,
    },
}

/// Idempotency keys of a tenant. Durable when a method returns.
pub trait KeyStore: Send + Sync {
    /// Notes a request down unless its key is known. Keys from before `forget` are forgotten.
    fn begin_keyed<'a>(
        &'a self,
        tenant: &'a TenantName,
        request: KeyedRequest<'a>,
        now: Timestamp,
        forget: Timestamp,
    ) -> StoreFuture<'a, Keyed>;

    /// Keeps the answer to a request that was noted down; without one, the key is forgotten: nothing was done.
    fn end_keyed<'a>(&'a self, tenant: &'a TenantName, request: KeyedRequest<'a>, answer: Option<&'a [u8]>) -> StoreFuture<'a, ()>;
}
