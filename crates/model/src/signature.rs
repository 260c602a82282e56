//! Signatures that the host makes for a guest, with keys that the guest may know by a placeholder only.

use serde::{Deserialize, Serialize};

/// How a placeholder of a secret begins; [`PLACEHOLDER_RANDOM`] letters follow.
pub const PLACEHOLDER: &str = "sealed:";
/// Letters of base64url behind it.
pub const PLACEHOLDER_RANDOM: usize = 22;

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the usual names: what signs, and the digest that is signed")]
pub enum SignatureScheme {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    EcdsaP256Sha256,
    Ed25519,
}

impl SignatureScheme {
    /// Whether the key is a secret that both sides have, and no private key.
    #[must_use]
    pub const fn is_hmac(self) -> bool {
        matches!(self, Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha384 | Self::HmacSha512)
    }
}

/// A signature that an invocation was given, for its replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// How.
    pub scheme: SignatureScheme,
    /// BLAKE3 of key and data as the guest passed them: a key that a guest has of its own is not written down.
    pub asked: [u8; 32],
    /// The signature, or why there was none.
    pub answer: Result<Vec<u8>, String>,
}

/// Where the first placeholder in some bytes stands.
#[must_use]
pub fn find_placeholder(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let length = PLACEHOLDER.len() + PLACEHOLDER_RANDOM;
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_one = |part: &[u8]| part.strip_prefix(PLACEHOLDER.as_bytes()).is_some_and(|random| random.iter().all(letter));
    bytes.windows(length).position(is_one).map(|at| at..at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_found_wherever_it_stands_and_only_whole() {
        let one = "sealed:ABCDEFGHIJ-_0123456789";
        assert_eq!(find_placeholder(one.as_bytes()), Some(0..29));
        assert_eq!(find_placeholder(format!("AWS4{one}&").as_bytes()), Some(4..33));
        for none in ["", "sealed:", &one[..28], "sealed:ABCDEFGHIJ-_01234 6789", "SEALED:ABCDEFGHIJ-_0123456789"] {
            assert_eq!(find_placeholder(none.as_bytes()), None, "{none}");
        }
    }
}
