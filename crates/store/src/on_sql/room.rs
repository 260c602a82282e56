//! How many runs of each tenant wait for their beginning, and what they take, as this node counted them a moment ago: a queue of thousands is not
//! counted for every few runs that are added to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snaphook_model::TenantName;

use crate::QueueRoom;

/// A count is of use for so long. Meanwhile other nodes may add runs, far fewer than the half of the room that is kept for them.
const FRESH: Duration = Duration::from_millis(100);

/// Tenants from which on counts that are not fresh any more are forgotten.
const MANY: usize = 1024;

/// Runs that wait, and the bytes that they take beside their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) runs: u64,
    pub(super) bytes: u64,
}

impl Load {
    pub(super) const fn plus(self, more: Self) -> Self {
        Self { runs: self.runs.saturating_add(more.runs), bytes: self.bytes.saturating_add(more.bytes) }
    }

    pub(super) const fn fits(self, most: Self) -> bool {
        self.runs <= most.runs && self.bytes <= most.bytes
    }

    const fn half(self) -> Self {
        Self { runs: self.runs / 2, bytes: self.bytes / 2 }
    }
}

impl From<QueueRoom> for Load {
    fn from(QueueRoom { runs, bytes }: QueueRoom) -> Self {
        Self { runs: runs.into(), bytes }
    }
}

/// Counts of the tenants that add runs now.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<TenantName, Count>>);

#[derive(Debug)]
struct Count {
    at: Instant,
    /// Those that were there, and those that this node has added since.
    waiting: Load,
}

impl Counts {
    /// Whether `more` of a tenant has room for sure, which it then takes. Past the half of `most` it has to be counted.
    pub(super) fn have_room(&self, tenant: &TenantName, more: Load, most: Load) -> bool {
        let mut counts = self.counts();
        let Some(count) = counts.get_mut(tenant).filter(|count| count.at.elapsed() < FRESH) else { return false };
        let with_these = count.waiting.plus(more);
        let fits = with_these.fits(most.half());
        if fits {
            count.waiting = with_these;
        }
        fits
    }

    /// So many were counted, those that are added now among them.
    pub(super) fn counted(&self, tenant: &TenantName, waiting: Load) {
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
        let runs = |runs| Load { runs, bytes: 10 * runs };
        let have_room = |more, most| counts.have_room(&acme, runs(more), runs(most));
        assert!(!have_room(1, 100), "nobody has counted");
        counts.counted(&acme, runs(30));
        assert!(!counts.have_room(&tenant("other"), runs(1), runs(100)));
        assert!(have_room(15, 100) && have_room(5, 100));
        assert!(!have_room(1, 100), "51 of 100");
        assert!(have_room(1, 200));
        assert!(!counts.have_room(&acme, Load { runs: 1, bytes: 1000 }, runs(200)), "few, and large");
        counts.counts().get_mut(&acme).unwrap().at -= FRESH;
        assert!(!have_room(1, 1000), "that was long ago");
    }
}
