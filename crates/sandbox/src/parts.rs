//! What one tenant may have of the sandbox at once, so that who takes much leaves enough to the others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use snaphook_model::TenantName;
use tokio::sync::Semaphore;

/// Entries at which those that nobody uses any more are looked for.
const SWEEP_AT: usize = 256;

/// All tenants' parts. Each may have half: two who want everything share it, and there is always something left beside one.
pub(crate) struct Parts {
    places: usize,
    memory_bytes: u64,
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
pub(crate) struct Part {
    /// Invocations at the same time.
    places: Arc<Semaphore>,
    memory_bytes: u64,
    memory_used: AtomicU64,
}

impl Parts {
    /// Of a sandbox with so many places and so much linear memory.
    pub(crate) fn new(places: usize, memory_bytes: u64) -> Self {
        Self { places: (places / 2).max(1), memory_bytes: memory_bytes / 2, hasher: RandomState::new(), kept: Mutex::default() }
    }

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
        let part = Arc::new(Part {
            places: Arc::new(Semaphore::new(self.places)),
            memory_bytes: self.memory_bytes,
            memory_used: AtomicU64::new(0),
        });
        kept.of.insert(key, Arc::downgrade(&part));
        part
    }
}

impl Part {
    pub(crate) const fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    /// Counts memory as the tenant's, unless that is more than its part.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let before = self.memory_used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.memory_bytes;
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
        let parts = Parts::new(2, 100);
        let tenant = |number: usize| TenantName::new(&format!("t{number}")).unwrap();
        let held = parts.of(&tenant(0));
        assert!(held.take(50) && !held.take(1));
        for number in 1..10 * SWEEP_AT {
            assert!(parts.of(&tenant(number)).take(50));
        }
        assert!(parts.kept.lock().unwrap().of.len() <= 2 * SWEEP_AT, "who has gone is forgotten");
        assert!(!parts.of(&tenant(0)).take(1), "who has not is not");
        held.give_back(50);
        assert!(parts.of(&tenant(0)).take(1));
    }
}
