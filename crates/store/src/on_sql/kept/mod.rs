//! What each tenant keeps in documents. A hundred thousand rows are not counted for each one that is written: what was counted is carried on, and
//! what this node writes and deletes is added to it and taken off.
//!
//! Rows are counted beside the writers, whom a count of some tens of milliseconds would hold up. It may miss what is being written meanwhile. So that
//! is added to what was counted, and what is being deleted is not taken off: for a moment rather too much than too little.

mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snaphook_model::{Quota, TenantDocument, TenantName};
use tokio::time::timeout;

use super::rows::{amount, from_json, text};
use crate::database::{Database, PATIENCE, Row, query};
use crate::sql::{kept as sql, tenants as tenants_sql};
use crate::{KeptDocuments, StoreError};

pub(super) use room::{Kind, Room, given_back};

/// A count is of use for so long while there is much room: other nodes add far less than half of it meanwhile.
const FRESH: Duration = Duration::from_secs(1);

/// The same past the half of the room, where other nodes may be about to fill the rest, or have made room.
const FRESH_WHEN_NEAR: Duration = Duration::from_millis(100);

/// A count is of use for at least so many times as long as it took, so that counting is a hundredth of the time at most, and for [`FRESH_AT_MOST`]
/// where it took long.
const SELDOM: u32 = 100;
const FRESH_AT_MOST: Duration = Duration::from_secs(30);

/// Tenants from which on counts that are not fresh any more are forgotten.
const MANY: usize = 1024;

impl KeptDocuments {
    const NONE: Self = Self { documents: 0, bytes: 0 };

    const fn one(bytes: usize) -> Self {
        Self { documents: 1, bytes: bytes as u64 }
    }

    const fn plus(self, more: Self) -> Self {
        Self { documents: self.documents.saturating_add(more.documents), bytes: self.bytes.saturating_add(more.bytes) }
    }

    /// By how much it is more, each for itself; nothing where it is less.
    const fn beyond(self, other: Self) -> Self {
        Self { documents: self.documents.saturating_sub(other.documents), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { documents: amount(row, 0)?, bytes: amount(row, 1)? })
    }
}

/// Counts of the tenants that write documents now.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<TenantName, Arc<Tally>>>);

/// What one tenant keeps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whoever has it counts; the others wait and find it counted.
    turn: tokio::sync::Mutex<()>,
    carried: Mutex<Carried>,
}

/// What was counted, carried on.
#[derive(Debug, Default)]
struct Carried {
    /// When the last count began, and how long it took; none before the first.
    counted: Option<(Instant, Duration)>,
    /// How often it was counted.
    times: u64,
    /// What may be kept, by the quota that was in force then.
    most: KeptDocuments,
    /// What is kept, with what is being written.
    kept: KeptDocuments,
    /// What is being written: nobody knows yet whether a count sees it.
    writing: KeptDocuments,
    /// What was being written when the last count began, and all that was since.
    since: KeptDocuments,
}

impl Carried {
    fn is_fresh(&self) -> bool {
        let Some((at, took)) = self.counted else { return false };
        let is_far = self.kept.documents <= self.most.documents / 2 && self.kept.bytes <= self.most.bytes / 2;
        let fresh = if is_far { FRESH } else { FRESH_WHEN_NEAR };
        at.elapsed() < fresh.max(took.saturating_mul(SELDOM).min(FRESH_AT_MOST))
    }

    /// Why there is no room for so much more. What adds nothing always has room, also where there is too much already.
    fn refusal(&self, more: KeptDocuments) -> Option<StoreError> {
        let (used, most) = (self.kept.plus(more), self.most);
        if more.documents > 0 && used.documents > most.documents {
            return Some(StoreError::TooManyDocuments { limit: most.documents, used: used.documents });
        }
        let is_full = more.bytes > 0 && used.bytes > most.bytes;
        is_full.then_some(StoreError::DocumentsSize { limit: most.bytes, used: used.bytes })
    }

    fn begin_writing(&mut self, more: KeptDocuments) {
        self.kept = self.kept.plus(more);
        self.writing = self.writing.plus(more);
        self.since = self.since.plus(more);
    }

    fn end_writing(&mut self, taken: &Taken) {
        self.writing = self.writing.beyond(taken.more);
        if !taken.is_written {
            self.kept = self.kept.beyond(taken.more);
            self.since = self.since.beyond(taken.more);
        } else if self.times == taken.times {
            // A count that has ended meanwhile may have seen it gone already.
            self.kept = self.kept.beyond(taken.less);
        }
    }

    fn begin_counting(&mut self) {
        self.since = self.writing;
    }

    fn end_counting(&mut self, begun: Instant, counted: KeptDocuments, quota: &Quota) {
        self.most = KeptDocuments { documents: quota.documents, bytes: quota.document_bytes };
        self.kept = counted.plus(self.since);
        self.times += 1;
        self.counted = Some((begun, begun.elapsed()));
    }
}

impl Tally {
    /// What the tenant keeps.
    pub(super) fn kept(&self) -> KeptDocuments {
        self.carried().kept
    }

    /// Takes the room of a document of so many bytes, in the place of what was there before.
    ///
    /// # Errors
    /// [`StoreError::TooManyDocuments`] and [`StoreError::DocumentsSize`] when there is none for one that is bounded.
    fn take(self: &Arc<Self>, before: KeptDocuments, bytes: usize, is_bounded: bool) -> Result<Taken, StoreError> {
        let after = KeptDocuments::one(bytes);
        let (more, less) = (after.beyond(before), before.beyond(after));
        let mut carried = self.carried();
        if let Some(refusal) = carried.refusal(more).filter(|_| is_bounded) {
            return Err(refusal);
        }
        carried.begin_writing(more);
        Ok(Taken { tally: Some(Arc::clone(self)), times: carried.times, more, less, is_written: false })
    }

    fn carried(&self) -> MutexGuard<'_, Carried> {
        // Nothing that runs under the lock can leave it half changed.
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count(&self, database: &Database, tenant: &TenantName) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.carried().begin_counting();
        let row = query(tenants_sql::GET).bind(tenant.as_str()).read_optional(database).await?;
        let row = row.ok_or_else(|| StoreError::UnknownTenant(tenant.clone()))?;
        let document: TenantDocument = from_json("a tenant", text(&row, 1)?)?;
        let row = query(sql::ALL).bind(tenant.as_str()).read_optional(database).await?;
        let counted = row.map_or(Ok(KeptDocuments::NONE), |row| KeptDocuments::read(&row))?;
        self.carried().end_counting(begun, counted, &document.quota.applied());
        Ok(())
    }
}

impl Kept {
    /// The tally of a tenant, counted where that was long ago.
    ///
    /// # Errors
    /// [`StoreError::UnknownTenant`]; [`StoreError::Busy`] when counting takes longer than anybody waits; when the database fails.
    pub(super) async fn counted(&self, database: &Arc<Database>, tenant: &TenantName) -> Result<Arc<Tally>, StoreError> {
        let tally = self.tally(tenant);
        if tally.carried().is_fresh() {
            return Ok(tally);
        }
        let (counting, database, tenant) = (Arc::clone(&tally), Arc::clone(database), tenant.clone());
        // In a task of its own: a count that takes longer than anybody waits is of use to who comes next.
        let counted = tokio::spawn(async move {
            let _turn = counting.turn.lock().await;
            // Whoever had the turn before has counted.
            if counting.carried().is_fresh() { Ok(()) } else { counting.count(&database, &tenant).await }
        });
        match timeout(PATIENCE, counted).await {
            Ok(counted) => counted.unwrap_or_else(|error| Err(StoreError::Unavailable(error.into())))?,
            // What was counted before will do meanwhile.
            Err(_) if tally.carried().counted.is_some() => {}
            Err(_) => return Err(StoreError::Busy),
        }
        Ok(tally)
    }

    /// After a tenant was changed or deleted: its quota may be another one, or nothing is left of it.
    pub(super) fn forget(&self, tenant: &TenantName) {
        self.tallies().remove(tenant);
    }

    fn known(&self, tenant: &TenantName) -> Option<Arc<Tally>> {
        self.tallies().get(tenant).cloned()
    }

    /// The tally of a tenant, whether it was counted or not.
    fn tally(&self, tenant: &TenantName) -> Arc<Tally> {
        let mut tallies = self.tallies();
        if tallies.len() >= MANY && !tallies.contains_key(tenant) {
            // Those that somebody holds are written to.
            tallies.retain(|_, tally| Arc::strong_count(tally) > 1 || tally.carried().is_fresh());
        }
        Arc::clone(tallies.entry(tenant.clone()).or_default())
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<TenantName, Arc<Tally>>> {
        // As above.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that a document takes, or gives back where it is deleted or smaller than before. Dropped, it is as it was.
#[must_use]
pub(super) struct Taken {
    tally: Option<Arc<Tally>>,
    /// See [`Carried::times`].
    times: u64,
    more: KeptDocuments,
    less: KeptDocuments,
    is_written: bool,
}

impl Taken {
    /// It was committed.
    pub(super) fn keep(mut self) {
        self.is_written = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(tally) = &self.tally {
            tally.carried().end_writing(self);
        }
    }
}
