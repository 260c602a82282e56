//! What one tenant may have of something that all tenants share, so that who takes much of it leaves enough to others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use snaphook_model::TenantName;
use tokio::sync::Semaphore;

/// Entries at which those that nobody uses any more are looked for.
const SWEEP_AT: usize = 256;

/// Each tenant's part, as permits of a semaphore that lives while somebody holds or wants one of them.
pub(crate) struct Shares {
    permits: usize,
    hasher: RandomState,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    of: HashMap<Asker, Weak<Semaphore>>,
    /// Entries after the last look, so that looks stay rare also when many are in use.
    kept: usize,
}

/// A tenant's hash: two that collide share one part, which harms nobody, and no text is copied per request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asker(u64);

impl Shares {
    pub(crate) fn new(permits: usize) -> Self {
        Self { permits: permits.clamp(1, Semaphore::MAX_PERMITS), hasher: RandomState::new(), parts: Mutex::default() }
    }

    pub(crate) fn asker(&self, tenant: &TenantName) -> Asker {
        Asker(self.hasher.hash_one(tenant))
    }

    /// A tenant's part.
    pub(crate) fn of(&self, asker: Asker) -> Arc<Semaphore> {
        // A panic while the lock was held leaves the map as it was.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.of.get(&asker).and_then(Weak::upgrade) {
            return part;
        }
        if parts.of.len() >= parts.kept * 2 + SWEEP_AT {
            parts.of.retain(|_, part| part.strong_count() > 0);
            parts.kept = parts.of.len();
        }
        let part = Arc::new(Semaphore::new(self.permits));
        parts.of.insert(asker, Arc::downgrade(&part));
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lives_as_long_as_it_is_used() {
        let shares = Shares::new(1);
        let tenant = |number: usize| TenantName::new(&format!("t{number}")).unwrap();
        let held = shares.of(shares.asker(&tenant(0))).try_acquire_owned().unwrap();
        assert!(shares.of(shares.asker(&tenant(0))).try_acquire_owned().is_err());
        for number in 1..10 * SWEEP_AT {
            assert!(shares.of(shares.asker(&tenant(number))).try_acquire_owned().is_ok());
        }
        assert!(shares.parts.lock().unwrap().of.len() <= 2 * SWEEP_AT, "who has gone is forgotten");
        assert!(shares.of(shares.asker(&tenant(0))).try_acquire_owned().is_err(), "who has not is not");
        drop(held);
        assert!(shares.of(shares.asker(&tenant(0))).try_acquire_owned().is_ok());
    }
}
