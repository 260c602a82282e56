//! Whose queued runs begin next: while there is room for all that is due, the earliest; when there is not, one tenant after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use snaphook_model::TenantName;
use snaphook_store::{ClaimedRun, Store, StoreError};

use crate::runner::Inner;

/// What this node is at, by tenant, and where it goes on.
pub(super) struct Turns {
    /// Runs of one tenant at once: half of the places, so that its slow ones do not keep the others out.
    most: u32,
    held: Arc<Mutex<HashMap<TenantName, u32>>>,
    /// Whether the last round found more than it had room for.
    more: bool,
    /// Whose turn was last.
    last: Option<TenantName>,
}

/// A run among its tenant's, given back when dropped.
pub(super) struct Held {
    tenant: TenantName,
    most: u32,
    held: Arc<Mutex<HashMap<TenantName, u32>>>,
    inner: Arc<Inner>,
}

impl Turns {
    pub(super) fn new(places: u32) -> Self {
        Self { most: (places / 2).max(1), held: Arc::default(), more: false, last: None }
    }

    /// Whether some tenant has all that it may.
    pub(super) fn anybody_full(&self) -> bool {
        counts(&self.held).values().any(|count| *count >= self.most)
    }

    /// Counts a claimed run.
    pub(super) fn hold(&self, tenant: &TenantName, inner: Arc<Inner>) -> Held {
        *counts(&self.held).entry(tenant.clone()).or_default() += 1;
        Held { tenant: tenant.clone(), most: self.most, held: Arc::clone(&self.held), inner }
    }

    /// Takes up to `room` runs that are due.
    pub(super) async fn claim(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<Vec<ClaimedRun>, StoreError> {
        // The earliest ones may all be of one tenant, so it must be able to have them.
        let fits_anybody = self.most.saturating_sub(counts(&self.held).values().copied().max().unwrap_or(0));
        if self.more || fits_anybody == 0 {
            return self.claim_in_turn(store, now, room).await;
        }
        let limit = room.min(fits_anybody);
        let claimed = store.claim_due_runs(now, limit).await?;
        self.more = claimed.len() == limit as usize;
        Ok(claimed)
    }

    async fn claim_in_turn(&mut self, store: &dyn Store, now: Timestamp, room: u32) -> Result<Vec<ClaimedRun>, StoreError> {
        let tenants = self.next_tenants(store, now, room).await?;
        let mut claimed = Vec::new();
        for (number, (tenant, free)) in tenants.iter().enumerate() {
            let room = room.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
            // What one leaves is for those after it.
            let share = room.div_ceil(u32::try_from(tenants.len() - number).unwrap_or(u32::MAX));
            if share > 0 {
                match store.claim_due_runs_of(tenant, now, share.min(*free)).await {
                    Ok(runs) => claimed.extend(runs),
                    // Those that are claimed are ours to run, whatever became of the others.
                    Err(error) if claimed.is_empty() => return Err(error),
                    Err(_) => break,
                }
                self.last = Some(tenant.clone());
            }
        }
        self.more = !claimed.is_empty();
        Ok(claimed)
    }

    /// Up to `most` tenants whose turn it is, with how many runs each may have.
    async fn next_tenants(&self, store: &dyn Store, now: Timestamp, most: u32) -> Result<Vec<(TenantName, u32)>, StoreError> {
        // Those who have all they may are found as well, and left out afterwards.
        let full = u32::try_from(counts(&self.held).values().filter(|count| **count >= self.most).count()).unwrap_or(u32::MAX);
        let limit = most.saturating_add(full);
        let mut due = store.due_tenants(now, self.last.as_ref(), limit).await?;
        if due.len() < limit as usize
            && let Some(last) = &self.last
        {
            // Around again, up to where it began.
            due.extend(store.due_tenants(now, None, limit).await?.into_iter().take_while(|tenant| tenant <= last));
        }
        let held = counts(&self.held);
        let with_room = due.into_iter().filter_map(|tenant| {
            let free = self.most.saturating_sub(held.get(&tenant).copied().unwrap_or(0));
            (free > 0).then_some((tenant, free))
        });
        Ok(with_room.take(most as usize).collect())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = counts(&self.held);
        let Some(count) = held.get_mut(&self.tenant) else { return };
        let was_full = *count >= self.most;
        *count -= 1;
        if *count == 0 {
            held.remove(&self.tenant);
        }
        drop(held);
        if was_full {
            self.inner.due.look();
        }
    }
}

/// Held for a look-up. A panic while it was held leaves the counts as they were.
fn counts(held: &Mutex<HashMap<TenantName, u32>>) -> std::sync::MutexGuard<'_, HashMap<TenantName, u32>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
