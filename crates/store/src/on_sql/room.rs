//! How much of each tenant waits for its beginning: runs, and what they take. A queue of thousands is not counted for every few runs that are added
//! to it, nor for every one that is refused: what was counted a moment ago is carried on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snaphook_model::TenantName;

use super::rows::amount;
use crate::database::{Transaction, query};
use crate::sql::runs as sql;
use crate::{QueueRoom, StoreError};

/// A count is of use for so long where there is much room, or none. Meanwhile other nodes may add runs, far fewer than half of the room; and whoever
/// was refused comes later than that.
const FRESH: Duration = Duration::from_millis(100);

/// The same past the half of the room, where other nodes may be about to fill the rest.
const FRESH_WHEN_NEAR: Duration = Duration::from_millis(20);

/// Bytes are counted so seldom while there is much room for them: each row is looked at for it, where runs are counted in an index. Else they are
/// carried on for [`FRESH`].
const FRESH_BYTES: Duration = Duration::from_secs(1);

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
    bytes_at: Instant,
    /// What was there, with what this node has added since.
    waiting: Load,
}

impl Count {
    /// Whether it has room for `more`, which it then takes; none where it has to be counted.
    fn take(&mut self, more: Load, most: Load) -> Option<Result<(), Load>> {
        let with_these = self.waiting.plus(more);
        let near = with_these.fits(most) && !with_these.fits(most.half());
        if self.at.elapsed() >= if near { FRESH_WHEN_NEAR } else { FRESH } {
            return None;
        }
        if !with_these.fits(most) {
            return Some(Err(with_these));
        }
        self.waiting = with_these;
        Some(Ok(()))
    }
}

impl Counts {
    /// That there is no room for `more`, as far as that is known without counting: nothing needs to be begun for it.
    pub(super) fn refusal(&self, tenant: &TenantName, more: Load, most: QueueRoom) -> Option<StoreError> {
        let counts = self.counts();
        let count = counts.get(tenant).filter(|count| count.at.elapsed() < FRESH)?;
        let with_these = count.waiting.plus(more);
        (!with_these.fits(most.into())).then(|| refused(with_these, most))
    }

    /// Takes room for `more` of a tenant, counting what is there where that is not known.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::QueueSize`] when there is none; the outer one when the database fails.
    pub(super) async fn take(
        &self,
        transaction: &mut Transaction<'_>,
        tenant: &TenantName,
        more: Load,
        most: QueueRoom,
    ) -> Result<Result<(), StoreError>, StoreError> {
        let known = |this: &Self| this.counts().get_mut(tenant).and_then(|count| count.take(more, most.into()));
        let taken = match known(self) {
            Some(taken) => taken,
            None => {
                self.count(transaction, tenant, most).await?;
                // Just counted, so it is known.
                known(self).unwrap_or(Ok(()))
            }
        };
        Ok(taken.map_err(|with_these| refused(with_these, most)))
    }

    /// Counts what waits, as many runs as may at most.
    async fn count(&self, transaction: &mut Transaction<'_>, tenant: &TenantName, most: QueueRoom) -> Result<(), StoreError> {
        let carried = |count: &Count| {
            let fresh = if count.waiting.bytes <= most.bytes / 2 { FRESH_BYTES } else { FRESH };
            (count.bytes_at.elapsed() < fresh).then_some((count.bytes_at, count.waiting.bytes))
        };
        let known = self.counts().get(tenant).and_then(carried);
        let statement = if known.is_some() { sql::WAITING } else { sql::WAITING_WITH_BYTES };
        let row = query(statement).bind(tenant.as_str()).bind(most.runs).fetch_one(transaction).await?;
        let at = Instant::now();
        let (bytes_at, bytes) = match known {
            Some(known) => known,
            None => (at, amount(&row, 1)?),
        };
        let mut counts = self.counts();
        if counts.len() >= MANY {
            counts.retain(|_, count| count.at.elapsed() < FRESH);
        }
        counts.insert(tenant.clone(), Count { at, bytes_at, waiting: Load { runs: amount(&row, 0)?, bytes } });
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<TenantName, Count>> {
        // Nothing that runs under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(with_these: Load, most: QueueRoom) -> StoreError {
    if with_these.runs > most.runs.into() {
        return StoreError::Full(most.runs);
    }
    StoreError::QueueSize { limit: most.bytes, used: with_these.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_carried_on_and_counted_again_sooner_where_room_is_short() {
        let runs = |runs| Load { runs, bytes: 10 * runs };
        let now = Instant::now();
        let mut count = Count { at: now, bytes_at: now, waiting: runs(30) };
        assert_eq!(count.take(runs(15), runs(100)), Some(Ok(())));
        assert_eq!(count.take(runs(10), runs(100)), Some(Ok(())), "55 of 100");
        assert_eq!(count.take(runs(46), runs(100)), Some(Err(runs(101))));
        assert_eq!(count.take(Load { runs: 1, bytes: 1000 }, runs(100)), Some(Err(Load { runs: 56, bytes: 1550 })), "few, and large");
        count.at -= FRESH_WHEN_NEAR;
        assert_eq!(count.take(runs(1), runs(100)), None, "others may have added some");
        assert_eq!(count.take(runs(1), runs(200)), Some(Ok(())), "56 of 200");
        assert_eq!(count.take(runs(1), runs(56)), Some(Err(runs(57))), "whoever is refused may come later");
        count.at -= FRESH;
        assert_eq!(count.take(runs(1), runs(1000)), None, "that was long ago");
        assert_eq!(count.take(runs(1), runs(1)), None);
    }

    #[test]
    fn what_is_known_to_be_full_is_refused_without_counting() {
        let (counts, acme) = (Counts::default(), crate::conformance::tenant("acme"));
        let (now, one) = (Instant::now(), Load { runs: 1, bytes: 30 });
        let most = QueueRoom { runs: 3, bytes: 90 };
        assert!(counts.refusal(&acme, one, most).is_none(), "nobody has counted");
        counts.counts().insert(acme.clone(), Count { at: now, bytes_at: now, waiting: Load { runs: 3, bytes: 90 } });
        assert!(matches!(counts.refusal(&acme, one, most), Some(StoreError::Full(3))));
        assert!(counts.refusal(&acme, one, 100_u32.into()).is_none());
        assert!(matches!(counts.refusal(&acme, one, QueueRoom { runs: 9, ..most }), Some(StoreError::QueueSize { limit: 90, used: 120 })));
        counts.counts().get_mut(&acme).unwrap().at -= FRESH;
        assert!(counts.refusal(&acme, one, most).is_none(), "that was long ago");
    }
}
