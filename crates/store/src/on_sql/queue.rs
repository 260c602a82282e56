//! The queue between those who record runs and the one task that writes them. Bounded in bytes and in entries; a full queue lets callers wait.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use snaphook_model::{Name, RunId, RunStatus, TenantName};
use snaphook_shares::{Part, Place, Places};
use snaphook_telemetry::metrics;
use tokio::sync::{Notify, watch};

use super::recordings;
use crate::database::PATIENCE;
use crate::{Recording, StoreError};

/// Room in the queue, in units of [`UNIT_BYTES`]. 32 MiB outlast a checkpoint on a slow disk at thousands of runs a second. A tenant alone has half
/// of it, so that its floods of logs keep nobody's record waiting.
const ROOM: u64 = 32 << 10;

/// A record takes at least one unit, so the room bounds the number of entries as well.
const UNIT_BYTES: u64 = 1 << 10;

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
    /// Units, each a place: a tenant's until its record is written.
    room: Arc<Places>,
    /// Something is queued, or the queue was closed.
    filled: Notify,
    /// Do not wait for more: the batch is full or somebody waits for its end.
    hurry: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<(PendingRun, Place)>,
    /// Entries ever queued.
    queued: u64,
    closed: bool,
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
    /// Room that its entries took when they were queued.
    room: Vec<Place>,
}

impl PendingRun {
    fn units(&self) -> u64 {
        // A record larger than the whole room waits until it is alone.
        let bytes = self.record.len() + self.recording.as_ref().map_or(0, recordings::weight);
        (bytes as u64).div_ceil(UNIT_BYTES).clamp(1, ROOM)
    }
}

impl RunQueue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            room: Places::new(ROOM, Part::HALF),
            filled: Notify::new(),
            hurry: Notify::new(),
            progress: watch::Sender::default(),
        }
    }

    /// Queues a record; waits for room, which the writer gives back when the record is written. A record that is larger than its tenant's part waits
    /// until it is the tenant's only one.
    pub(super) async fn push(&self, run: PendingRun) -> Result<(), StoreError> {
        let place = match self.room.try_take(self.room.holder(&run.tenant), run.units()) {
            Some(place) => place,
            None => {
                let place = self.room.take(self.room.holder(&run.tenant), run.units());
                tokio::time::timeout(PATIENCE, place).await.map_err(|_| StoreError::Busy)?
            }
        };
        let length = {
            let mut state = self.state();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.pending.push((run, place));
            state.queued += 1;
            metrics().store_queue.set([], state.pending.len() as u64);
            state.pending.len()
        };
        match length {
            1 => self.filled.notify_one(),
            FULL_BATCH => self.hurry.notify_one(),
            _ => {}
        }
        Ok(())
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
        let (runs, room) = runs.into_iter().unzip();
        Batch { runs, end, room }
    }

    /// Gives back a batch's room and lets go of those who wait for it.
    pub(super) fn finish(&self, batch: &mut Batch, written: bool) {
        batch.room.clear();
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

    use super::{PendingRun, ROOM, RunQueue, UNIT_BYTES};
    use crate::StoreError;
    use crate::conformance::{run_id, tenant};

    fn pending(bytes: u64) -> PendingRun {
        of("acme", bytes)
    }

    fn of(name: &str, bytes: u64) -> PendingRun {
        PendingRun {
            tenant: tenant(name),
            id: run_id(1),
            flow: None,
            status: snaphook_model::RunStatus::Succeeded,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            kept_until: [None; 2],
            record: "x".repeat(bytes as usize).into(),
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
        let mut batch = queue.take();
        assert!(poll!(&mut push).is_pending(), "taken is not written");
        queue.finish(&mut batch, true);
        push.await.unwrap();
        queue.finish(&mut queue.take(), true);
        // Each takes half of what is left, down to the last unit.
        let tenants: Vec<_> = (0..=ROOM.ilog2()).map(|number| format!("t{number}")).collect();
        for tenant in &tenants {
            while poll!(Box::pin(queue.push(of(tenant, 0)))).is_ready() {}
        }
        assert_eq!(queue.room.free(), 0);
        assert!(poll!(Box::pin(queue.push(of("one-more", 0)))).is_pending(), "entries without bytes take room as well");
    }

    #[tokio::test]
    async fn one_tenants_records_leave_room_to_others() {
        let queue = RunQueue::new();
        for _ in 0..ROOM / 2 {
            queue.push(of("flood", 0)).await.unwrap();
        }
        let mut more = Box::pin(queue.push(of("flood", 0)));
        assert!(poll!(&mut more).is_pending());
        while poll!(Box::pin(queue.push(of("second-flood", 0)))).is_ready() {}
        queue.push(of("other", 0)).await.unwrap();
        let mut given_up = Box::pin(queue.push(of("flood", 0)));
        assert!(poll!(&mut given_up).is_pending());
        drop(given_up);
        let mut batch = queue.take();
        queue.finish(&mut batch, true);
        more.await.unwrap();
        assert_eq!(queue.room.free(), ROOM - 1);
    }

    #[tokio::test]
    async fn who_waits_for_a_lost_batch_learns_of_it() {
        let queue = RunQueue::new();
        queue.push(pending(1)).await.unwrap();
        let mut flush = Box::pin(queue.flush());
        assert!(poll!(&mut flush).is_pending());
        let mut batch = queue.take();
        queue.push(pending(1)).await.unwrap();
        queue.finish(&mut batch, false);
        assert!(matches!(flush.await, Err(StoreError::Unavailable(_))));
        let mut batch = queue.take();
        queue.finish(&mut batch, true);
        queue.flush().await.unwrap();
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
