//! What objects are called: `t/TENANT/KIND/ID-HASH-BYTES`, those of queued runs with a `q` before. The id makes each object one row's own, so that nothing is counted before it is deleted;
//! hash and size make what was read known for what was written, also to a person with `b3sum` and no database.

use snaphook_model::TenantName;
use uuid::Uuid;

use crate::StoreError;

/// Before the keys of everything that belongs to a row.
const ROWS: &str = "t";
/// The same for what belongs to a run in the queue: a node of a release that keeps those in their rows sweeps what it does not know from the
/// others.
const QUEUE: &str = "q";
/// All of them.
pub(crate) const PREFIXES: [&str; 2] = [ROWS, QUEUE];

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Component,
    Source,
    Recording,
    Input,
    Checkpoint,
}

impl ObjectKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Component | Self::Source | Self::Recording => ROWS,
            Self::Input | Self::Checkpoint => QUEUE,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "components",
            Self::Source => "sources",
            Self::Recording => "recordings",
            Self::Input => "inputs",
            Self::Checkpoint => "checkpoints",
        }
    }
}

/// An object's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectKey {
    text: String,
    hash: blake3::Hash,
    bytes: u64,
}

impl ObjectKey {
    /// A key that no other object has, for these bytes.
    pub(crate) fn new(tenant: &TenantName, kind: ObjectKind, bytes: &[u8]) -> Self {
        let (id, hash, prefix, kind) = (Uuid::now_v7().simple(), blake3::hash(bytes), kind.prefix(), kind.as_str());
        let bytes = bytes.len() as u64;
        Self { text: format!("{prefix}/{tenant}/{kind}/{id}-{hash}-{bytes}"), hash, bytes }
    }

    /// Reads a row's key.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let form = || StoreError::Form { what: "the key of an object", source: format!("`{text}` is none").into() };
        let mut parts = text.rsplitn(3, '-');
        let bytes = parts.next().and_then(|bytes| bytes.parse().ok()).ok_or_else(form)?;
        let hash = parts.next().and_then(|hash| blake3::Hash::from_hex(hash).ok()).ok_or_else(form)?;
        parts.next().ok_or_else(form)?;
        Ok(Self { text: text.to_owned(), hash, bytes })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The hash of the object's bytes.
    pub(crate) const fn hash(&self) -> blake3::Hash {
        self.hash
    }

    /// How many bytes the object has.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether these are the object's bytes.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.bytes && blake3::hash(bytes) == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::tenant;

    #[test]
    fn keys_know_their_bytes() {
        let (one, other) = (b"some bytes".as_slice(), b"some bytez".as_slice());
        let key = ObjectKey::new(&tenant("a-b-c"), ObjectKind::Component, one);
        assert!(key.as_str().starts_with("t/a-b-c/components/"), "{key:?}");
        let read = ObjectKey::parse(key.as_str()).unwrap();
        assert_eq!((&read, read.bytes()), (&key, 10));
        assert!(read.is_of(one) && !read.is_of(other) && !read.is_of(&one[1..]));
        assert_ne!(ObjectKey::new(&tenant("a-b-c"), ObjectKind::Component, one), key, "each is one row's own");
        for text in ["", "t/a/components/1", "t/a/components/1-2-3", &key.as_str()[..key.as_str().len() - 3], "1-x"] {
            assert!(matches!(ObjectKey::parse(text), Err(StoreError::Form { .. })), "{text}");
        }
    }
}
