//! Digests, HMAC, signatures and chance, computed by the host.

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

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HMAC; the key is a secret that both sides have.
    Hmac(Algorithm),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    RsaPssSha512,
    /// ECDSA on P-256 with SHA-256: both numbers one after the other, 64 bytes.
    EcdsaP256Sha256,
    /// Ed25519.
    Ed25519,
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignError(String);

impl SignError {
    pub(crate) fn new(why: String) -> Self {
        Self(why)
    }
}

impl std::fmt::Display for SignError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SignError {}

/// A signature of `data`. The key may be the placeholder of a secret, as `context.connection` gives it, so that a hook signs with a key that it
/// never sees:
///
/// ```no_run
/// # use snaphook_guest::{Context, Error};
/// # fn sign(context: &Context, body: &[u8]) -> Result<Vec<u8>, Error> {
/// use snaphook_guest::crypto::{self, Scheme};
///
/// let key: String = context.connection.get("private_key")?.unwrap_or_default();
/// let signature = crypto::sign(Scheme::RsaPkcs1Sha256, &key, body)?;
/// # Ok(signature)
/// # }
/// ```
///
/// In an HMAC's key a placeholder may stand anywhere. All other schemes take a private key in PEM or DER, or the placeholder of one: PKCS#8, for
/// RSA also PKCS#1, of 2,048 to 4,096 bits; they sign at most 1,048,576 bytes.
///
/// In a native test `Test::signing` makes signatures; without it HMAC is computed with the key as it is given, and private keys are refused.
///
/// # Errors
/// When the placeholder stands for nothing that this call or step may use, or the key is none of the scheme's.
pub fn sign(scheme: Scheme, key: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Result<Vec<u8>, SignError> {
    host::sign(scheme, key.as_ref(), data.as_ref()).map_err(SignError::new)
}

/// The HMAC of `data` under `key`. A placeholder in the key is taken as [`sign`] takes it; one that stands for nothing ends the invocation.
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
