//! Secrets at rest. Alone holds the node's key, and opens what is sealed under it for as long as one use takes.
//!
//! Sealed is AES-256-GCM under a nonce of its own, bound to tenant and name: a value that is moved to another row does not open there.
//! Everything that is plain here is wiped when it is dropped.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

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
    cipher: Aes256Gcm,
    id: [u8; ID_BYTES],
    /// Of what must not be guessed, and must be the same on every node.
    derived: Zeroizing<[u8; KEY_BYTES]>,
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
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| broken(&format!("no nonce: {error}")))?;
        let payload = Payload { msg: text.as_bytes(), aad: &place(tenant, label) };
        let sealed = self.cipher.encrypt(&nonce.into(), payload).map_err(|_| broken("the cipher took no text"))?;
        Ok(SealedSecret([&[FORM], &self.id[..], &nonce[..], &sealed[..]].concat().into()))
    }

    /// Opens what was sealed for this tenant and name.
    pub(crate) fn unseal(&self, tenant: &TenantName, name: &SecretName, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.unseal_as(tenant, name.as_str(), sealed)
    }

    /// Opens what was sealed for this tenant under this label.
    pub(crate) fn unseal_as(&self, tenant: &TenantName, label: &str, sealed: &SealedSecret) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (head, text) = sealed.0.split_at_checked(HEAD_BYTES).ok_or_else(|| broken("a sealed secret is too short"))?;
        let (form, id, nonce) = (head[0], &head[1..=ID_BYTES], &head[1 + ID_BYTES..]);
        if form != FORM {
            return Err(broken(&format!("a secret is sealed in form {form}, which this release does not know")));
        }
        if id != self.id {
            return Err(broken("a secret is sealed under another key than the one in the data directory"));
        }
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| broken("a sealed secret has no nonce"))?;
        let payload = Payload { msg: text, aad: &place(tenant, label) };
        let opened = self.cipher.decrypt(&nonce.into(), payload);
        opened.map(Zeroizing::new).map_err(|_| broken("a sealed secret was changed or moved"))
    }

    fn of_key(key: &[u8; KEY_BYTES]) -> Self {
        let id = blake3::derive_key("snaphook 2026 id of the key of secrets", key);
        let id = std::array::from_fn(|i| id[i]);
        let derived = Zeroizing::new(blake3::derive_key("snaphook 2026 placeholders of secrets", key));
        Self { cipher: Aes256Gcm::new(key.into()), id, derived }
    }

    /// Letters of base64url that follow from a text and the key.
    pub(crate) fn keyed(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&self.derived, text.as_bytes()).as_bytes())
    }
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
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
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
mod tests {
    use super::*;

    fn names(tenant: &str, name: &str) -> (TenantName, SecretName) {
        (TenantName::new(tenant).unwrap(), SecretName::new(name).unwrap())
    }

    #[test]
    fn what_is_sealed_opens_at_its_own_place_only() {
        let vault = Vault::ephemeral().unwrap();
        let (acme, key) = names("acme", "KEY");
        let sealed = vault.seal(&acme, &key, "whsec_text").unwrap();
        assert_eq!(&**vault.unseal(&acme, &key, &sealed).unwrap(), b"whsec_text");
        assert!(!sealed.0.windows(4).any(|part| part == b"text"));
        assert_ne!(vault.seal(&acme, &key, "whsec_text").unwrap(), sealed, "a nonce is used once");
        for (tenant, name) in [names("other", "KEY"), names("acme", "KEY2")] {
            assert_eq!(vault.unseal(&tenant, &name, &sealed).unwrap_err().code, Code::Internal);
        }
        assert!(Vault::ephemeral().unwrap().unseal(&acme, &key, &sealed).is_err());
        for at in 0..sealed.0.len() {
            let mut changed = sealed.0.to_vec();
            changed[at] ^= 1;
            assert!(vault.unseal(&acme, &key, &SealedSecret(changed.into())).is_err(), "byte {at}");
            assert!(vault.unseal(&acme, &key, &SealedSecret(sealed.0.slice(..at))).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_secret_has_a_size() {
        let vault = Vault::ephemeral().unwrap();
        let (acme, key) = names("acme", "KEY");
        assert_eq!(vault.seal(&acme, &key, "").unwrap_err().code, Code::Invalid);
        assert!(vault.seal(&acme, &key, &"x".repeat(MAX_SECRET_BYTES)).is_ok());
        assert_eq!(vault.seal(&acme, &key, &"x".repeat(MAX_SECRET_BYTES + 1)).unwrap_err().code, Code::Invalid);
    }

    #[test]
    fn the_key_is_kept_for_the_owner_alone() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("secrets.key");
        let (acme, key) = names("acme", "KEY");
        let first = Vault::open(&path).unwrap();
        let sealed = first.seal(&acme, &key, "text").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let again = Vault::open(&path).unwrap();
        assert_eq!(mode(), 0o600, "opening takes the file back");
        assert_eq!((again.key_id(), again.key_id().len()), (first.key_id(), 16));
        assert_eq!(&**again.unseal(&acme, &key, &sealed).unwrap(), b"text");
        let given = Vault::of_text(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(&**given.unseal(&acme, &key, &sealed).unwrap(), b"text");
        assert!(matches!(Vault::of_text("abc"), Err(VaultError::NoKeyText)));
        assert!(!fs::read_to_string(&path).unwrap().contains(&first.key_id()));
        assert!(!format!("{first:?}").contains(fs::read_to_string(&path).unwrap().trim()));
        for broken in ["", "00", &"x".repeat(64), &"0".repeat(65)] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(Vault::open(&path), Err(VaultError::NoKey(_))), "{broken}");
        }
    }
}
