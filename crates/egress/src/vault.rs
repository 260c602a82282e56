//! Secrets at rest. Alone holds the node's key, and opens what is sealed under it for as long as one use takes.
//!
//! Sealed is AES-256-GCM under a nonce of its own, bound to tenant and name: a value that is moved to another row does not open there.
//! Everything that is plain here is wiped when it is dropped.

mod rotation;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use snaphook_model::{Code, Fault, SealedSecret, SecretName, TenantName};
use zeroize::Zeroizing;

/// Bytes of a secret: the longest private keys in PEM take a few thousand.
pub const MAX_SECRET_BYTES: usize = 64 << 10;

/// The form of what is sealed: 1, the key's id, the nonce, then text and tag.
const FORM: u8 = 1;
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;

/// Seals secrets, and opens them for the rest of this crate.
pub struct Vault {
    /// The one that was given.
    own: Arc<Key>,
    /// Another one that opens as well, while one takes the other's place; the lock is held for no longer than it takes to look.
    other: RwLock<Option<Other>>,
    /// Of what must not be guessed, must be the same on every node, and stays when the key is another one.
    derived: RwLock<Zeroizing<[u8; KEY_BYTES]>>,
}

/// A key and what it does.
pub(crate) struct Key {
    cipher: Aes256Gcm,
    id: [u8; ID_BYTES],
    /// The key itself, which is handed over when another takes its place.
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

struct Other {
    key: Arc<Key>,
    /// It is the new one, so it seals.
    seals: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file cannot be made, read or kept from others.
    #[error("cannot use the key file `{path}`", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{path}` is not a key: 64 hexadecimal digits belong there", path = .0.display())]
    NoKey(PathBuf),
    /// The text that was given is something else.
    #[error("what was given is not a key: it is 64 hexadecimal digits, as in the key file of another node")]
    NoKeyText,
    /// What was found in the database about another key is for neither of its keys.
    #[error("the key is neither of the two that take turns")]
    Handover,
    /// The system has no chance to give.
    #[error("the system's random source does not work: {0}")]
    Chance(String),
}

impl Vault {
    /// Reads the key file, or makes it with a new key where there is none. It is for the owner alone.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::File { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => {
                file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
                let mut text = Zeroizing::new(Vec::with_capacity(1024));
                file.take(1024).read_to_end(&mut text).map_err(failed)?;
                let key = of_hex(text.trim_ascii()).ok_or_else(|| VaultError::NoKey(path.to_owned()))?;
                Ok(Self::of_key(&key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = new_key()?;
                write_key(path, &key).map_err(failed)?;
                Ok(Self::of_key(&key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A vault with a key that is given as the key file has it; nothing is written.
    ///
    /// # Errors
    /// When it is no key.
    pub fn of_text(text: &str) -> Result<Self, VaultError> {
        let key = of_hex(text.trim().as_bytes()).ok_or(VaultError::NoKeyText)?;
        Ok(Self::of_key(&key))
    }

    /// A vault whose key is kept nowhere: what it seals is lost with it.
    ///
    /// # Errors
    /// When the system's random source does not work.
    pub fn ephemeral() -> Result<Self, VaultError> {
        new_key().map(|key| Self::of_key(&key))
    }

    /// Which key this is, without saying anything about it.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.own.id_text()
    }

    /// Seals the text of a secret.
    ///
    /// # Errors
    /// `invalid` when it is empty or longer than [`MAX_SECRET_BYTES`].
    pub fn seal(&self, tenant: &TenantName, name: &SecretName, text: &str) -> Result<SealedSecret, Fault> {
        self.seal_as(tenant, name.as_str(), text)
    }

    /// Seals a text under any label: the name of a secret, or a connection's and its field's, which no secret has.
    pub(crate) fn seal_as(&self, tenant: &TenantName, label: &str, text: &str) -> Result<SealedSecret, Fault> {
        if text.is_empty() || text.len() > MAX_SECRET_BYTES {
            return Err(Fault::new(Code::Invalid, format!("the text of a secret is 1 to {MAX_SECRET_BYTES} bytes long")));
        }
        self.seal_bytes(tenant, label, text.as_bytes())
    }

    /// Seals what is no secret and may hold one, of any length, under a label that no secret has.
    pub(crate) fn seal_bytes(&self, tenant: &TenantName, label: &str, bytes: &[u8]) -> Result<SealedSecret, Fault> {
        self.sealing().seal(&place(tenant, label), bytes)
    }

    /// Opens what was sealed for this tenant and name.
    pub(crate) fn unseal(&self, tenant: &TenantName, name: &SecretName, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.unseal_as(tenant, name.as_str(), sealed)
    }

    /// Opens what was sealed for this tenant under this label.
    pub(crate) fn unseal_as(&self, tenant: &TenantName, label: &str, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let id = key_id_of(sealed)?;
        let key = self.key(id).ok_or_else(|| broken("a secret is sealed under another key than the ones that this node has"))?;
        key.open(&place(tenant, label), sealed)
    }

    fn of_key(key: &[u8; KEY_BYTES]) -> Self {
        let derived = Zeroizing::new(blake3::derive_key("snaphook 2026 placeholders of secrets", key));
        Self { own: Arc::new(Key::new(key)), other: RwLock::new(None), derived: RwLock::new(derived) }
    }

    /// The key that seals.
    fn sealing(&self) -> Arc<Key> {
        let other = self.other.read().unwrap_or_else(PoisonError::into_inner);
        other.as_ref().filter(|other| other.seals).map_or_else(|| self.own.clone(), |other| other.key.clone())
    }

    /// The key with this id, where this node has it.
    fn key(&self, id: &[u8]) -> Option<Arc<Key>> {
        if self.own.id == id {
            return Some(self.own.clone());
        }
        let other = self.other.read().unwrap_or_else(PoisonError::into_inner);
        other.as_ref().filter(|other| other.key.id == id).map(|other| other.key.clone())
    }

    /// Letters of base64url that follow from a text and the key.
    pub(crate) fn keyed(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&self.derived.read().unwrap_or_else(PoisonError::into_inner), text.as_bytes()).as_bytes())
    }
}

impl Key {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let id = blake3::derive_key("snaphook 2026 id of the key of secrets", bytes);
        Self { cipher: Aes256Gcm::new(bytes.into()), id: std::array::from_fn(|i| id[i]), bytes: Zeroizing::new(*bytes) }
    }

    fn id_text(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn seal(&self, place: &[u8], text: &[u8]) -> Result<SealedSecret, Fault> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| broken(&format!("no nonce: {error}")))?;
        let sealed =
            self.cipher.encrypt(&nonce.into(), Payload { msg: text, aad: place }).map_err(|_| broken("the cipher took no text"))?;
        Ok(SealedSecret([&[FORM], &self.id[..], &nonce[..], &sealed[..]].concat().into()))
    }

    fn open(&self, place: &[u8], sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (head, text) = sealed.0.split_at_checked(HEAD_BYTES).ok_or_else(|| broken("a sealed secret is too short"))?;
        let nonce: [u8; NONCE_BYTES] = head[1 + ID_BYTES..].try_into().map_err(|_| broken("a sealed secret has no nonce"))?;
        let opened = self.cipher.decrypt(&nonce.into(), Payload { msg: text, aad: place });
        opened.map(Zeroizing::new).map_err(|_| broken("a sealed secret was changed or moved"))
    }
}

/// The id of the key under which something is sealed.
fn key_id_of(sealed: &SealedSecret) -> Result<&[u8], Fault> {
    let head = sealed.0.get(..HEAD_BYTES).ok_or_else(|| broken("a sealed secret is too short"))?;
    if head[0] != FORM {
        return Err(broken(&format!("a secret is sealed in form {}, which this release does not know", head[0])));
    }
    Ok(&head[1..=ID_BYTES])
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

/// What a sealed text is bound to. Neither kind of name holds a line break.
fn place(tenant: &TenantName, label: &str) -> Vec<u8> {
    [tenant.as_str(), "\n", label].concat().into_bytes()
}

/// Something that no request can bring about: said to the log, to the caller in two words.
fn broken(detail: &str) -> Fault {
    tracing::error!(detail, "a secret cannot be used");
    Fault::new(Code::Internal, "internal error")
}

fn new_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(|error| VaultError::Chance(error.to_string()))?;
    Ok(key)
}

/// Writes the whole file before it has its name, so that a crash leaves no half of a key.
fn write_key(path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
    for byte in key {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
    }
    text.push('\n');
    // A name of its own: a path that ends in `.new` itself would be written in place.
    let mut new = path.as_os_str().to_owned();
    new.push(".part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_directory(path)
}

/// Makes what was renamed beside a file durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn of_hex(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
