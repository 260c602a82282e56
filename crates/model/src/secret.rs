//! Secrets as everybody but egress knows them: their names.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a secret: `[A-Za-z_][A-Za-z0-9_]{0,62}`, case counts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(Arc<str>);

/// The text is no name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of a secret: it must match [A-Za-z_][A-Za-z0-9_]{{0,62}}")]
pub struct SecretNameError(String);

impl SecretName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// When the text does not match the pattern of such names.
    pub fn new(text: &str) -> Result<Self, SecretNameError> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') && text.len() <= 63 {
            return Ok(Self(text.into()));
        }
        // A long text is cut: the message may end up in a log line.
        Err(SecretNameError(text.chars().take(80).collect()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret as it is stored: nobody but egress can open it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Bytes);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl std::str::FromStr for SecretName {
    type Err = SecretNameError;
    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        Self::new(text)
    }
}

impl Serialize for SecretName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::SecretName;

    #[test]
    fn names_of_secrets_follow_their_pattern() {
        for good in ["a", "_", "HOOK_KEY", "k2", &"n".repeat(63)] {
            assert!(SecretName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "2k", "a-b", "a.b", "a b", "ä", &"n".repeat(64)] {
            assert!(SecretName::new(bad).is_err(), "{bad}");
        }
    }
}
