//! Whose queued runs begin next: while there is room for all that is due, the earliest; when there is not, one tenant after the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use snaphook_model::TenantName;
use snaphook_shares::{Ledger, Part};
use snaphook_store::{Claim, Store, StoreError};

use crate::runner::Inner;

/// Rounds whose tenants one look finds.
const LOOK_AHEAD: u32 = 4;

/// What this node is at, by tenant, and where it goes on.
pub(super) struct Turns {
    /// Runs of each tenant. One alone has half of the places, and less while others have many, so that slow ones keep nobody out.
    held: Counts,
    /// Whether the last round found more than it had room for.
    more: bool,
    /// Whose turn is next, as of the last look, and who was the last of them.
    next: VecDeque<TenantName>,
    last: Option<TenantName>,
}

/// Held for a look-up.
type Counts = Arc<Mutex<Ledger<TenantName>>>;

/// A run among its tenant's, given back when dropped.
pub(super) struct Held {
    tenant: TenantName,
    held: Counts,
    inner: Arc<Inner>,
}

impl Turns {
    pub(super) fn new(places: u32) -> Self {
        let held = Arc::new(Mutex::new(Ledger::new(places.into(), Part::HALF)));
        Self { held, more: false, next: VecDeque::new(), last: None }
    }

    /// Whether the last claim left something.
    pub(super) const fn more(&self) -> bool {
        self.more
    }

    /// Whether some tenant has all that it may.
    pub(super) fn anybody_full(&self) -> bool {
        anybody_full(&counts(&self.held))
    }

    /// Counts a claimed run.
    pub(super) fn hold(&self, tenant: &TenantName, inner: Arc<Inner>) -> Held {
        counts(&self.held).add(tenant, 1);
        Held { tenant: tenant.clone(), held: Arc::clone(&self.held), inner }
    }

    /// Claims up to `room` runs that are due.
    pub(super) async fn claim(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<Vec<Claim>, StoreError> {
        // The earliest ones may all be of one tenant, so it must be able to have them.
        let fits_anybody = fits_anybody(&counts(&self.held), room);
        if self.more || fits_anybody == 0 {
            return self.claim_in_turn(store, now, room).await;
        }
        let limit = room.min(fits_anybody);
        let claimed = store.claim_due_runs(now, limit).await?;
        self.more = claimed.len() == limit as usize;
        Ok(claimed)
    }

    async fn claim_in_turn(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<Vec<Claim>, StoreError> {
        let (shares, is_fresh) = self.next_shares(store, now, room).await?;
        let claimed = if shares.is_empty() { Vec::new() } else { store.claim_due_runs_of(&shares, now).await? };
        // Whoever was next by an earlier look may have nothing any more.
        self.more = !claimed.is_empty() || !is_fresh;
        Ok(claimed)
    }

    /// Whose turn it is, and how many of `room` runs each may have: together no more than there is room. Says also whether all of them had runs due
    /// a moment ago.
    async fn next_shares(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<(Vec<(TenantName, u32)>, bool), StoreError> {
        let is_fresh = self.next.len() < room as usize;
        if is_fresh {
            self.look(store, now, room).await?;
        }
        let held = counts(&self.held);
        self.next.retain(|tenant| fits(&held, tenant, room) > 0);
        let tenants: Vec<_> = self.next.drain(..self.next.len().min(room as usize)).collect();
        let (mut left, mut shares, count_of) = (room, Vec::new(), tenants.len());
        for (number, tenant) in tenants.into_iter().enumerate() {
            // What one cannot have is for those after it.
            let share = left.div_ceil(count(count_of - number)).min(fits(&held, &tenant, left));
            if share > 0 {
                left -= share;
                shares.push((tenant, share));
            }
        }
        Ok((shares, is_fresh))
    }

    /// Looks who has runs due, in the order of names, from where the last look ended and around again: those of a few rounds, so that there is not a
    /// look in each.
    async fn look(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<(), StoreError> {
        let wanted = room.saturating_mul(LOOK_AHEAD);
        // Those who have all they may are found as well, and left out afterwards.
        let full = {
            let held = counts(&self.held);
            held.holders().filter(|(tenant, _)| fits(&held, tenant, room) == 0).count()
        };
        let limit = wanted.saturating_add(count(full));
        let mut due = store.due_tenants(now, self.last.as_ref(), limit).await?;
        if due.len() < limit as usize
            && let Some(last) = &self.last
        {
            due.extend(store.due_tenants(now, None, limit).await?.into_iter().take_while(|tenant| tenant <= last));
        }
        due.retain(|tenant| !self.next.contains(tenant));
        due.truncate(limit as usize);
        self.last = due.last().cloned().or_else(|| self.last.take());
        self.next.extend(due);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = counts(&self.held);
        let was_full = anybody_full(&held);
        held.give_back(&self.tenant, 1);
        drop(held);
        if was_full {
            self.inner.due.look();
        }
    }
}

/// Runs that a tenant may have beyond those it has, of so many places that are free.
fn fits(held: &Ledger<TenantName>, tenant: &TenantName, free: u32) -> u32 {
    count(usize::try_from(held.room_of(tenant, free.into())).unwrap_or(usize::MAX))
}

/// Runs that any tenant may have, whichever it is, of so many places that are free. Who holds nothing may have as many as who holds something.
fn fits_anybody(held: &Ledger<TenantName>, free: u32) -> u32 {
    let of_holders = held.holders().map(|(tenant, _)| fits(held, tenant, free)).min();
    of_holders.unwrap_or_else(|| (free / 2).max(1))
}

/// Whether some tenant has all that it may.
fn anybody_full(held: &Ledger<TenantName>) -> bool {
    held.holders().any(|(tenant, _)| held.room(tenant) == 0)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A panic while it was held leaves the counts as they were.
fn counts(held: &Mutex<Ledger<TenantName>>) -> MutexGuard<'_, Ledger<TenantName>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
