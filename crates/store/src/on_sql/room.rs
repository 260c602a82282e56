//! How many runs of each tenant wait for their beginning, as this node counted them a moment ago: a queue of thousands is not counted for every few
//! runs that are added to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snaphook_model::TenantName;

/// A count is of use for so long. Meanwhile other nodes may add runs, far fewer than the half of the room that is kept for them.
const FRESH: Duration = Duration::from_millis(100);

/// Tenants from which on counts that are not fresh any more are forgotten.
const MANY: usize = 1024;

/// Counts of the tenants that add runs now.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<TenantName, Count>>);

#[derive(Debug)]
struct Count {
    at: Instant,
    /// Those that were there, and those that this node has added since.
    waiting: i64,
}

impl Counts {
    /// Whether `more` runs of a tenant have room for sure, which they then take. Past the half of `most` it has to be counted.
    pub(super) fn have_room(&self, tenant: &TenantName, more: i64, most: i64) -> bool {
        let mut counts = self.counts();
        let Some(count) = counts.get_mut(tenant).filter(|count| count.at.elapsed() < FRESH) else { return false };
        let fits = count.waiting.saturating_add(more) <= most / 2;
        if fits {
            count.waiting += more;
        }
        fits
    }

    /// So many were counted, those that are added now among them.
    pub(super) fn counted(&self, tenant: &TenantName, waiting: i64) {
        let mut counts = self.counts();
        if counts.len() >= MANY {
            counts.retain(|_, count| count.at.elapsed() < FRESH);
        }
        counts.insert(tenant.clone(), Count { at: Instant::now(), waiting });
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<TenantName, Count>> {
        // Nothing that runs under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::tenant;

    #[test]
    fn only_the_first_half_of_the_room_goes_by_an_earlier_count() {
        let (counts, acme) = (Counts::default(), tenant("acme"));
        assert!(!counts.have_room(&acme, 1, 100), "nobody has counted");
        counts.counted(&acme, 30);
        assert!(!counts.have_room(&tenant("other"), 1, 100));
        assert!(counts.have_room(&acme, 15, 100) && counts.have_room(&acme, 5, 100));
        assert!(!counts.have_room(&acme, 1, 100), "51 of 100");
        assert!(counts.have_room(&acme, 1, 200));
        counts.counts().get_mut(&acme).unwrap().at -= FRESH;
        assert!(!counts.have_room(&acme, 1, 1000), "that was long ago");
    }
}
