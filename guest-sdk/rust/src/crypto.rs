//! Digests, HMAC and chance, computed by the host.

use crate::host;

/// Hash functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-1; only for protocols that still ask for it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The digest of `data`.
#[must_use]
pub fn digest(algorithm: Algorithm, data: impl AsRef<[u8]>) -> Vec<u8> {
    host::digest(algorithm, data.as_ref())
}

/// The HMAC of `data` under `key`.
#[must_use]
pub fn hmac(algorithm: Algorithm, key: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Vec<u8> {
    host::hmac(algorithm, key.as_ref(), data.as_ref())
}

/// Random bytes that follow from the invocation's seed, so that a replayed run gets the same ones; at most 65,536 at a time.
///
/// In a native test they follow from the test's seed, but are not the bytes that a node gives.
#[must_use]
pub fn random(count: u32) -> Vec<u8> {
    host::random(count)
}
