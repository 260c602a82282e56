//! Signatures under keys that nobody else may see. A key is opened for one signature and wiped after it.

mod private;

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use snaphook_model::{Code, Fault, SignatureScheme, TenantName, find_placeholder};
use snaphook_shares::{Part, Places};
use zeroize::Zeroizing;

use crate::{Egress, Secrets};

/// Bytes that one signature with a private key is made of; it is made in one go. What is longer is signed by its digest.
pub const MAX_SIGNED_BYTES: usize = 1 << 20;

/// An HMAC under way.
pub struct Mac(Under);

enum Under {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// The text of a key, and what a sentence may call it.
struct Key {
    text: Zeroizing<Vec<u8>>,
    name: String,
}

/// Signatures with private keys that are made at once: as many as the machine has processors, and two at least, of which a tenant alone has half.
pub(crate) fn places() -> Arc<Places> {
    let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get() as u64);
    Places::new(processors.max(2), Part::HALF)
}

impl Egress {
    /// Begins an HMAC. Wherever a placeholder stands in the key, the secret's text takes its place.
    ///
    /// # Errors
    /// `script-contract` when a placeholder stands for nothing that may be used here.
    pub fn begin_mac(&self, tenant: &TenantName, secrets: &Secrets, scheme: SignatureScheme, key: &[u8]) -> Result<Mac, Fault> {
        let Key { text, .. } = self.key(tenant, secrets, key)?;
        // It takes keys of every length.
        let no_key = |_| Fault::new(Code::Internal, "internal error");
        Ok(Mac(match scheme {
            SignatureScheme::HmacSha1 => Under::Sha1(Hmac::new_from_slice(&text).map_err(no_key)?),
            SignatureScheme::HmacSha256 => Under::Sha256(Hmac::new_from_slice(&text).map_err(no_key)?),
            SignatureScheme::HmacSha384 => Under::Sha384(Hmac::new_from_slice(&text).map_err(no_key)?),
            SignatureScheme::HmacSha512 => Under::Sha512(Hmac::new_from_slice(&text).map_err(no_key)?),
            _ => return Err(Fault::new(Code::Internal, "internal error")),
        }))
    }

    /// Signs with a private key: a placeholder, or a key of the guest's own, in PEM or DER. Runs apart from the tasks of others, since a
    /// signature with a long key takes milliseconds; few run at once, and tenants take turns. Whoever asks brings the deadline.
    ///
    /// # Errors
    /// `script-contract` when the key is none of this scheme's, or a placeholder that stands for nothing that may be used here, and when the
    /// data is longer than [`MAX_SIGNED_BYTES`].
    pub async fn sign(
        &self,
        tenant: &TenantName,
        secrets: &Secrets,
        scheme: SignatureScheme,
        key: &[u8],
        data: Bytes,
    ) -> Result<Vec<u8>, Fault> {
        if data.len() > MAX_SIGNED_BYTES {
            let detail = format!("{} bytes were to be signed; a private key signs at most {MAX_SIGNED_BYTES}", data.len());
            return Err(Fault::new(Code::ScriptContract, detail));
        }
        // A key that a guest had put together around a secret would say by whether it signs what the secret is, piece by piece.
        if find_placeholder(key).is_some_and(|at| at != (0..key.len())) {
            let detail = "a private key that is sealed is the placeholder and nothing else: give `sign` its text as it is";
            return Err(Fault::new(Code::ScriptContract, detail));
        }
        let place = self.signing.take(self.signing.holder(tenant), 1).await;
        let key = self.key(tenant, secrets, key)?;
        let signed = snaphook_aside::run(move || {
            // It is taken until the signature is there, also where nobody waits for that any more.
            let _place = place;
            private::sign(scheme, &key.text, &key.name, &data)
        });
        signed.await.unwrap_or_else(|error| Err(Fault::new(Code::Internal, error.to_string())))
    }

    /// The key with texts in the place of placeholders.
    fn key(&self, tenant: &TenantName, secrets: &Secrets, key: &[u8]) -> Result<Key, Fault> {
        let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut name = None;
        let mut rest = key;
        let mut length = key.len();
        while let Some(at) = find_placeholder(rest) {
            if parts.len() >= 2 * MAX_PLACEHOLDERS || length > MAX_KEY_BYTES {
                let detail =
                    format!("a key holds at most {MAX_PLACEHOLDERS} placeholders, and {MAX_KEY_BYTES} bytes with what they stand for");
                return Err(Fault::new(Code::ScriptContract, detail));
            }
            let value = secrets.values.iter().find(|value| value.placeholder.as_bytes() == &rest[at.clone()]).ok_or_else(unknown)?;
            parts.push(Zeroizing::new(rest[..at.start].to_vec()));
            let text = self.vault.text_of(tenant, value)?;
            length += text.len();
            parts.push(Zeroizing::new(text.as_bytes().to_vec()));
            name.get_or_insert_with(|| format!("`{}`", value.name));
            rest = &rest[at.end..];
        }
        parts.push(Zeroizing::new(rest.to_vec()));
        // Room for all of it from the start: what grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.extend_from_slice(part));
        Ok(Key { text, name: name.unwrap_or_else(|| "the key".to_owned()) })
    }
}

impl Mac {
    /// Takes more data.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Under::Sha1(mac) => mac.update(data),
            Under::Sha256(mac) => mac.update(data),
            Under::Sha384(mac) => mac.update(data),
            Under::Sha512(mac) => mac.update(data),
        }
    }

    /// The HMAC of all data.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Under::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Under::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Under::Sha384(mac) => mac.finalize().into_bytes().to_vec(),
            Under::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mac").finish_non_exhaustive()
    }
}

/// Placeholders in one key, each of which costs opening its secret.
const MAX_PLACEHOLDERS: usize = 4;
/// Bytes of a key with what its placeholders stand for: beyond it nothing more is opened.
const MAX_KEY_BYTES: usize = 64 << 10;

fn unknown() -> Fault {
    let detail = "the key is a placeholder that stands for no secret of this call or step: a placeholder is good for one run, where the \
                  connector, endpoint or step names the connection, or a template of the request names the secret";
    Fault::new(Code::ScriptContract, detail)
}

#[cfg(test)]
mod tests;
