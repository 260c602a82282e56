//! Chance that follows from a seed: the same seed gives the same bytes, in every process and release.

use std::convert::Infallible;

use rand_core::TryRng;

/// A stream of bytes that follow from a seed.
pub(crate) struct Chance {
    seed: u64,
    /// Told apart, so that one consumer's stream says nothing about another's.
    purpose: &'static str,
    /// Made at the first byte; most invocations take none.
    stream: Option<Box<blake3::OutputReader>>,
}

impl Chance {
    /// A stream for one purpose. The purpose is part of what the bytes follow from.
    pub(crate) const fn new(seed: u64, purpose: &'static str) -> Self {
        Self { seed, purpose, stream: None }
    }

    /// What the bytes follow from.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// The next bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        let stream = self
            .stream
            .get_or_insert_with(|| Box::new(blake3::Hasher::new_derive_key(self.purpose).update(&self.seed.to_le_bytes()).finalize_xof()));
        stream.fill(bytes);
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn equal_seeds_give_equal_bytes_and_purposes_do_not_mix() {
        let take = |seed, purpose| {
            let (mut chance, mut bytes) = (Chance::new(seed, purpose), [0; 40]);
            chance.fill(&mut bytes[..7]);
            chance.fill(&mut bytes[7..]);
            bytes
        };
        assert_eq!(take(1, "a"), take(1, "a"));
        assert_ne!(take(1, "a"), take(2, "a"));
        assert_ne!(take(1, "a"), take(1, "b"));
    }
}
