//! The queue between those who record runs and the one task that writes them. Bounded in bytes and in entries; a full queue lets callers wait.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use snaphook_model::{Name, RunId, RunStatus, TenantName};
use snaphook_telemetry::metrics;
use tokio::sync::{Notify, Semaphore, watch};

use super::recordings;
use crate::database::PATIENCE;
use crate::{Recording, StoreError};

/// Room in the queue, in units of [`UNIT_BYTES`]. 32 MiB outlast a checkpoint on a slow disk at thousands of runs a second.
const ROOM: usize = 32 << 10;

/// What one tenant may have of it, so that its floods of logs keep nobody's record waiting.
const ROOM_OF_TENANT: usize = ROOM / 2;

/// A record takes at least one unit, so the room bounds the number of entries as well.
const UNIT_BYTES: usize = 1 << 10;

/// Entries at which a batch is worth writing at once.
const FULL_BATCH: usize = 256;

/// A record on its way to the database.
#[derive(Debug)]
pub(super) struct PendingRun {
    pub(super) tenant: TenantName,
    pub(super) id: RunId,
    pub(super) flow: Option<Name>,
    pub(super) status: RunStatus,
    pub(super) started_at: Timestamp,
    /// When its payloads and its record go, where it says so itself.
    pub(super) kept_until: [Option<i64>; 2],
    pub(super) record: Arc<str>,
    /// What lists and overviews want to know of it.
    pub(super) summary: Option<String>,
    /// As it was recorded until the writer packs it.
    pub(super) recording: Option<Recording>,
}

#[derive(Debug)]
pub(crate) struct RunQueue {
    /// Held to push one entry or to take all, never across a wait.
    state: Mutex<State>,
    room: Semaphore,
    /// Something is queued, or the queue was closed.
    filled: Notify,
    /// Do not wait for more: the batch is full or somebody waits for its end.
    hurry: Notify,
    progress: watch::Sender<Progress>,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<PendingRun>,
    /// Room that each tenant's entries take, queued or being written.
    taken: HashMap<TenantName, usize>,
    /// Entries ever queued.
    queued: u64,
    closed: bool,
}

impl State {
    fn take(&mut self, tenant: &TenantName, units: usize) -> bool {
        let taken = self.taken.entry(tenant.clone()).or_default();
        let fits = *taken == 0 || *taken + units <= ROOM_OF_TENANT;
        if fits {
            *taken += units;
        }
        fits
    }

    fn give_back(&mut self, tenant: &TenantName, units: usize) {
        let Some(taken) = self.taken.get_mut(tenant) else { return };
        *taken = taken.saturating_sub(units);
        if *taken == 0 {
            self.taken.remove(tenant);
        }
    }
}

/// A tenant's room until its record is queued, given back when that does not come about.
struct PartOfTenant<'q> {
    queue: &'q RunQueue,
    of: Option<(TenantName, usize)>,
}

impl PartOfTenant<'_> {
    fn keep(mut self) {
        self.of = None;
    }
}

impl Drop for PartOfTenant<'_> {
    fn drop(&mut self) {
        if let Some((tenant, units)) = self.of.take() {
            self.queue.state().give_back(&tenant, units);
        }
    }
}

/// How far the writer is, as positions in the order of queueing.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Entries that the writer is done with.
    done: u64,
    /// The last entry that was lost.
    lost: u64,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) runs: Vec<PendingRun>,
    /// Position of its last entry.
    end: u64,
    /// Room that its entries took when they were queued, each with whose it is.
    units_of: Vec<(TenantName, usize)>,
}

impl PendingRun {
    fn units(&self) -> usize {
        // A record larger than the whole room waits until it is alone.
        let bytes = self.record.len() + self.recording.as_ref().map_or(0, recordings::weight);
        bytes.div_ceil(UNIT_BYTES).clamp(1, ROOM)
    }
}

impl RunQueue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            room: Semaphore::new(ROOM),
            filled: Notify::new(),
            hurry: Notify::new(),
            progress: watch::Sender::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Queues a record; waits for room.
    pub(super) async fn push(&self, run: PendingRun) -> Result<(), StoreError> {
        let part = self.part_of(&run.tenant, run.units()).await?;
        let units = u32::try_from(run.units()).expect("the room has fewer units than a u32 counts");
        let permit = match self.room.try_acquire_many(units) {
            Ok(permit) => permit,
            Err(_) => match tokio::time::timeout(PATIENCE, self.room.acquire_many(units)).await {
                Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
                Err(_) => return Err(StoreError::Busy),
            },
        };
        let length = {
            let mut state = self.state();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.pending.push(run);
            state.queued += 1;
            metrics().store_queue.set([], state.pending.len() as u64);
            state.pending.len()
        };
        // The writer gives the room back when the record is written.
        permit.forget();
        part.keep();
        match length {
            1 => self.filled.notify_one(),
            FULL_BATCH => self.hurry.notify_one(),
            _ => {}
        }
        Ok(())
    }

    /// Room among the tenant's own, as soon as its other records leave enough. One that is larger than all of it waits until it is alone.
    async fn part_of(&self, tenant: &TenantName, units: usize) -> Result<PartOfTenant<'_>, StoreError> {
        let mut progress = self.progress.subscribe();
        let wait = async {
            loop {
                progress.mark_unchanged();
                if self.state().take(tenant, units) {
                    return Ok(PartOfTenant { queue: self, of: Some((tenant.clone(), units)) });
                }
                progress.changed().await.map_err(|_| StoreError::Closed)?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or(Err(StoreError::Busy))
    }

    /// Waits until everything queued before this call is written.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let mut progress = self.progress.subscribe();
        let end = self.state().queued;
        let before = *progress.borrow();
        if before.done >= end {
            return Ok(());
        }
        self.hurry.notify_one();
        let reached = tokio::time::timeout(PATIENCE, progress.wait_for(|progress| progress.done >= end)).await;
        let after = *reached.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Closed)?;
        if after.lost > before.done {
            return Err(StoreError::Unavailable("run records could not be written".into()));
        }
        Ok(())
    }

    /// Lets nothing in any more; the writer ends when it has written the rest.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
        self.hurry.notify_one();
    }

    /// Whether the last batch was lost.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Waits until something is queued. False: nothing is, and nothing will be.
    pub(super) async fn wait(&self) -> bool {
        loop {
            {
                let state = self.state();
                if !state.pending.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until there is a reason to write at once.
    pub(super) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// Takes everything that is queued.
    pub(super) fn take(&self) -> Batch {
        let (runs, end) = {
            let mut state = self.state();
            metrics().store_queue.set([], 0);
            (mem::take(&mut state.pending), state.queued)
        };
        let units_of = runs.iter().map(|run| (run.tenant.clone(), run.units())).collect();
        Batch { runs, end, units_of }
    }

    /// Gives back a batch's room and lets go of those who wait for it.
    pub(super) fn finish(&self, batch: &Batch, written: bool) {
        self.failing.store(!written, Ordering::Relaxed);
        self.room.add_permits(batch.units_of.iter().map(|(_, units)| units).sum());
        {
            let mut state = self.state();
            batch.units_of.iter().for_each(|(tenant, units)| state.give_back(tenant, *units));
        }
        self.progress.send_modify(|progress| {
            progress.done = batch.end;
            if !written {
                progress.lost = batch.end;
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::{PendingRun, ROOM, ROOM_OF_TENANT, RunQueue, UNIT_BYTES};
    use crate::StoreError;
    use crate::conformance::{run_id, tenant};

    fn pending(bytes: usize) -> PendingRun {
        of("acme", bytes)
    }

    fn of(name: &str, bytes: usize) -> PendingRun {
        PendingRun {
            tenant: tenant(name),
            id: run_id(1),
            flow: None,
            status: snaphook_model::RunStatus::Succeeded,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            kept_until: [None; 2],
            record: "x".repeat(bytes).into(),
            summary: None,
            recording: None,
        }
    }

    #[tokio::test]
    async fn a_full_queue_lets_callers_wait_for_room() {
        let queue = RunQueue::new();
        // More than the whole room, and so alone in it.
        queue.push(pending(ROOM * UNIT_BYTES + 1)).await.unwrap();
        let mut push = Box::pin(queue.push(pending(1)));
        assert!(poll!(&mut push).is_pending());
        let batch = queue.take();
        assert!(poll!(&mut push).is_pending(), "taken is not written");
        queue.finish(&batch, true);
        push.await.unwrap();
        queue.finish(&queue.take(), true);
        for tenant in ["a", "b"] {
            for _ in 0..ROOM_OF_TENANT {
                queue.push(of(tenant, 0)).await.unwrap();
            }
        }
        assert!(poll!(Box::pin(queue.push(of("c", 0)))).is_pending(), "entries without bytes take room as well");
    }

    #[tokio::test]
    async fn one_tenants_records_leave_room_to_others() {
        let queue = RunQueue::new();
        for _ in 0..ROOM_OF_TENANT {
            queue.push(of("flood", 0)).await.unwrap();
        }
        let mut more = Box::pin(queue.push(of("flood", 0)));
        assert!(poll!(&mut more).is_pending());
        queue.push(of("other", 0)).await.unwrap();
        let mut given_up = Box::pin(queue.push(of("flood", 0)));
        assert!(poll!(&mut given_up).is_pending());
        drop(given_up);
        let batch = queue.take();
        queue.finish(&batch, true);
        more.await.unwrap();
        assert_eq!(queue.state().taken.values().copied().collect::<Vec<_>>(), [1]);
    }

    #[tokio::test]
    async fn who_waits_for_a_lost_batch_learns_of_it() {
        let queue = RunQueue::new();
        queue.push(pending(1)).await.unwrap();
        let mut flush = Box::pin(queue.flush());
        assert!(poll!(&mut flush).is_pending());
        let batch = queue.take();
        queue.push(pending(1)).await.unwrap();
        queue.finish(&batch, false);
        assert!(matches!(flush.await, Err(StoreError::Unavailable(_))));
        assert!(queue.is_failing());
        let batch = queue.take();
        queue.finish(&batch, true);
        queue.flush().await.unwrap();
        assert!(!queue.is_failing());
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_and_takes_no_more() {
        let queue = RunQueue::new();
        queue.push(pending(1)).await.unwrap();
        queue.close();
        assert!(matches!(queue.push(pending(1)).await, Err(StoreError::Closed)));
        assert!(queue.wait().await);
        assert_eq!(queue.take().runs.len(), 1);
        assert!(!queue.wait().await);
    }
}
