//! What one tenant has of the linear memory of all invocations, so that who takes much leaves enough to the others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use snaphook_model::TenantName;
use snaphook_shares::{Part as Share, room};

/// Entries at which those that nobody uses any more are looked for.
const SWEEP_AT: usize = 256;

/// All tenants' parts.
#[derive(Default)]
pub(crate) struct Parts {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By the tenant's hash: two that collide share one part, which harms nobody, and no name is copied per invocation.
    of: HashMap<u64, Weak<Part>>,
    /// Entries after the last look, so that looks stay rare also when many are in use.
    after_sweep: usize,
}

/// One tenant's.
#[derive(Default)]
pub(crate) struct Part {
    memory_used: AtomicU64,
}

impl Parts {
    /// A tenant's part, which lasts as long as somebody holds it.
    pub(crate) fn of(&self, tenant: &TenantName) -> Arc<Part> {
        let key = self.hasher.hash_one(tenant);
        // A panic while the lock was held leaves the map as it was.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = kept.of.get(&key).and_then(Weak::upgrade) {
            return part;
        }
        if kept.of.len() >= kept.after_sweep * 2 + SWEEP_AT {
            kept.of.retain(|_, part| part.strong_count() > 0);
            kept.after_sweep = kept.of.len();
        }
        let part = Arc::<Part>::default();
        kept.of.insert(key, Arc::downgrade(&part));
        part
    }
}

impl Part {
    /// Counts memory as the tenant's, of which so much is free, unless that is more than its part: half for one alone, and less while others have
    /// much. Takes of others at the same moment are not seen, which lets a part be a little too large for a while; the pool itself never is.
    pub(crate) fn take(&self, bytes: u64, free: u64) -> bool {
        let before = self.memory_used.fetch_add(bytes, Ordering::Relaxed);
        let fits = bytes <= room(Share::HALF, before, free);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.memory_used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lives_as_long_as_it_is_used() {
        let parts = Parts::default();
        let tenant = |number: usize| TenantName::new(&format!("t{number}")).unwrap();
        let held = parts.of(&tenant(0));
        assert!(held.take(50, 100) && !held.take(1, 50));
        for number in 1..10 * SWEEP_AT {
            assert!(parts.of(&tenant(number)).take(25, 50));
        }
        assert!(parts.kept.lock().unwrap().of.len() <= 2 * SWEEP_AT, "who has gone is forgotten");
        assert!(!parts.of(&tenant(0)).take(1, 50), "who has not is not");
        held.give_back(50);
        assert!(parts.of(&tenant(0)).take(1, 100));
    }
}
