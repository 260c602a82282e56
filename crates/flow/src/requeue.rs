//! Runs that begin later: found when they are due, driven a bounded number at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::Fault;
use snaphook_store::{Claim, Notice, Renewed};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::definitions::Definitions;
use crate::runner::{Inner, Runner};
use crate::{history, record, retention};
use turns::{Held, Turns};

mod begin;
mod turns;

/// How long a run that another process queued may lie unnoticed past its time. One indexed look-up a second costs nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How long after it was heard of a run of another node is looked for.
const HEARD: Duration = Duration::from_millis(50);

/// For which part of the places a claim waits, and how long at most.
const GATHERED: u32 = 2;
const GATHER: Duration = Duration::from_millis(10);

/// When the store did not answer: time for it to come back.
const PAUSE: Duration = Duration::from_secs(5);

/// Where there is more than room for it and still more comes, rounds are apart by so many times as long as a claim takes.
const BUSY: u32 = 4;

/// How long until tenants who have all they may are looked at again, should nothing wake us before.
const FULL: Duration = Duration::from_millis(50);

/// How often files are looked for whose runs have ended elsewhere, or went with their tenant.
const SWEEP: Duration = Duration::from_secs(600);

/// The nearest run that this process itself has queued.
#[derive(Default)]
pub(crate) struct Due {
    /// Held for a comparison only.
    next: Mutex<Option<Timestamp>>,
    changed: Notify,
    /// Whether a run was queued since somebody asked.
    queued: AtomicBool,
}

impl Due {
    /// Somebody may begin who had no place before.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// A run was queued for this time.
    pub(crate) fn at(&self, time: Timestamp) {
        self.queued.store(true, Ordering::Relaxed);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| time < next) {
            *next = Some(time);
            self.changed.notify_one();
        }
    }

    /// Whether a run was queued since this was last asked.
    fn was_queued(&self) -> bool {
        self.queued.swap(false, Ordering::Relaxed)
    }

    /// How long until the nearest; forgets it once it is due, since it is then taken from the store.
    fn wait(&self, now: Timestamp) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match *next {
            Some(time) if time <= now => {
                *next = None;
                Duration::ZERO
            }
            Some(time) => Duration::try_from(time.duration_since(now)).unwrap_or_default().min(LOOK),
            None => LOOK,
        }
    }
}

/// One round: takes what is due, drives it to its end, says how many there were.
pub(crate) async fn run_due(runner: &Runner) -> Result<usize, Fault> {
    let inner = &runner.inner;
    let claimed = inner.parts.store.claim_due_runs(inner.parts.clock.now(), inner.config.queued_at_once).await;
    let claimed = claimed.map_err(record::store_fault)?;
    let count = claimed.len();
    let shutdown = CancellationToken::new();
    let beginning = claimed.into_iter().map(|claim| Box::pin(begin::begin(inner, runner, claim, &shutdown)));
    futures_util::future::join_all(beginning).await;
    Ok(count)
}

/// Rounds without end, each as large as there is room, until shutdown.
pub(crate) async fn requeue(inner: Arc<Inner>, definitions: Arc<dyn Definitions>, shutdown: CancellationToken) {
    if let Err(error) = inner.parts.store.requeue_claimed().await {
        record::store_fault(error);
    }
    let ended = CancellationToken::new();
    let sweeping = inner.clone();
    let swept = shutdown.clone();
    tokio::spawn(async move { swept.run_until_cancelled(sweep_always(&sweeping)).await });
    let (sweeping, swept) = (inner.clone(), shutdown.clone());
    tokio::spawn(async move { swept.run_until_cancelled(retention::sweep_always(&sweeping)).await });
    let (bounding, bounded) = (inner.clone(), shutdown.clone());
    tokio::spawn(async move { bounded.run_until_cancelled(history::bound_always(&bounding)).await });
    let renewing = tokio::spawn(renew(inner.clone(), ended.clone()));
    let watching = shutdown.clone();
    let watched = inner.clone();
    tokio::spawn(async move { watching.run_until_cancelled(watch(watched)).await });
    let places = Arc::new(Semaphore::new(inner.config.queued_at_once as usize));
    let mut turns = Turns::new(inner.config.queued_at_once);
    let under_way = TaskTracker::new();
    let begin = |claim, place_and_turn| {
        let (inner, definitions, shutdown) = (inner.clone(), definitions.clone(), shutdown.clone());
        under_way.spawn(async move {
            begin::begin(&inner, &*definitions, claim, &shutdown).await;
            drop::<(OwnedSemaphorePermit, Held)>(place_and_turn);
        });
    };
    while let Some(Some(room)) = shutdown.run_until_cancelled(room(&places, inner.config.queued_at_once)).await {
        // Not given up half-way: what is claimed is begun.
        let pause = round(&inner, &mut turns, room, &begin).await;
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = inner.due.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    under_way.close();
    under_way.wait().await;
    inner.tasks.close();
    inner.tasks.wait().await;
    ended.cancel();
    // Nothing is held any more, so this is its last look.
    drop(renewing.await);
}

/// Keeps the leases of the runs that this process is at, until shutdown, and lets go of those that it has lost. A run whose lease cannot be
/// renewed in time is let go of as well: another node may take it up then. So it also hears which of them were cancelled at another node.
pub(crate) async fn renew(inner: Arc<Inner>, shutdown: CancellationToken) {
    let Some(lease_time) = inner.parts.store.lease_time() else { return };
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(lease_time / 4) => {}
        }
        let leases = inner.driven.leases();
        if leases.is_empty() {
            if shutdown.is_cancelled() {
                return;
            }
            last = Instant::now();
            continue;
        }
        let renewed = match tokio::time::timeout(lease_time / 4, inner.parts.store.renew_leases(&leases)).await {
            Ok(Ok(renewed)) => {
                last = Instant::now();
                renewed
            }
            // Half of the time is left for what is under way to notice.
            _ if last.elapsed() >= lease_time / 2 => Renewed { lost: leases, ..Renewed::default() },
            _ => Renewed::default(),
        };
        for lease in renewed.cancelled {
            inner.driven.cancel(&lease.tenant, lease.run);
        }
        for lease in renewed.lost {
            // One that has ended or parked meanwhile holds no lease any more.
            if inner.driven.abandon(&lease) {
                tracing::warn!(run = %lease.run, "the lease of a run was lost: another node goes on with it, or its tenant is gone");
            }
        }
        if shutdown.is_cancelled() {
            tokio::time::sleep(lease_time / 8).await;
        }
    }
}

/// Takes back runs whose node is gone, once its leases have run out, and hears of runs that other nodes queue. Until it is dropped.
async fn watch(inner: Arc<Inner>) {
    let store = &inner.parts.store;
    let Some(lease_time) = store.lease_time() else { return };
    let take_back = async {
        loop {
            tokio::time::sleep(lease_time / 4).await;
            match store.requeue_claimed().await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::info!(count, "runs of a node that is gone go on");
                    inner.due.at(inner.parts.clock.now());
                }
                Err(error) => {
                    record::store_fault(error);
                    continue;
                }
            }
            if let Err(error) = store.forget_long_awaited(inner.parts.clock.now()).await {
                record::store_fault(error);
            }
        }
    };
    let mut changes = store.changes();
    let hear = async {
        while let Some(notice) = changes.next().await {
            if let Notice::Queued(due) = notice {
                // Whoever queued it takes it up at once; others look when that node has had time to. Else every run would be asked for by all.
                let now = inner.parts.clock.now();
                inner.due.at(now.saturating_add(HEARD).map_or(due, |look| due.max(look)));
            }
        }
    };
    tokio::join!(take_back, hear);
}

/// Waits for free places, for a few if they come soon: a claim costs the store about as much for one run as for several.
async fn room(places: &Arc<Semaphore>, of: u32) -> Option<OwnedSemaphorePermit> {
    let mut room = places.clone().acquire_owned().await.ok()?;
    if let Ok(more) = tokio::time::timeout(GATHER, places.clone().acquire_many_owned((of / GATHERED).saturating_sub(1))).await {
        room.merge(more.ok()?);
    }
    while let Ok(place) = places.clone().try_acquire_owned() {
        room.merge(place);
    }
    Some(room)
}

/// Fills free places with what is due, and says how long to wait for the next round.
async fn round(
    inner: &Arc<Inner>,
    turns: &mut Turns,
    mut room: OwnedSemaphorePermit,
    begin: &impl Fn(Claim, (OwnedSemaphorePermit, Held)),
) -> Duration {
    // Asked before the claim: what becomes due after it is in the next round.
    let wait = inner.due.wait(inner.parts.clock.now());
    let begun = Instant::now();
    let claimed = turns.claim(&*inner.parts.store, inner.parts.clock.now(), u32::try_from(room.num_permits()).unwrap_or(u32::MAX)).await;
    let took = begun.elapsed();
    match claimed {
        Err(error) => {
            record::store_fault(error);
            PAUSE
        }
        // What is due may be of tenants alone who have all they may; they are looked at again when one of their runs has ended.
        Ok(claimed) if claimed.is_empty() => {
            wait.min(until_next(inner).await.max(if turns.anybody_full() { FULL } else { Duration::ZERO }))
        }
        Ok(claimed) => {
            for claim in claimed {
                let held = turns.hold(&claim.lease().tenant, Arc::clone(inner));
                // No more is given than there is room.
                if let Some(place) = room.split(1) {
                    begin(claim, (place, held));
                }
            }
            // There may be more than there was room for. While runs come in faster than they go, a claim that takes long says that the database has much
            // to do, or this machine: who waits for an answer comes before runs that nobody waits for.
            if inner.due.was_queued() && turns.more() {
                tokio::time::sleep((took * BUSY).min(FULL)).await;
            }
            Duration::ZERO
        }
    }
}

/// How long until the next run is due, whoever queued it.
async fn until_next(inner: &Inner) -> Duration {
    match inner.parts.store.next_due().await {
        Ok(Some(due)) => Duration::try_from(due.duration_since(inner.parts.clock.now())).unwrap_or_default(),
        Ok(None) => LOOK,
        Err(error) => {
            record::store_fault(error);
            PAUSE
        }
    }
}

async fn sweep_always(inner: &Inner) {
    loop {
        sweep(inner).await;
        tokio::time::sleep(SWEEP).await;
    }
}

/// Removes the files of runs that ended while no process was at them.
async fn sweep(inner: &Inner) {
    let files = inner.parts.files.clone();
    let Ok(all) = tokio::task::spawn_blocking(move || files.all_kept()).await else { return };
    for (tenant, run, _) in all {
        // One that is being written down for the first time is not in the store yet.
        if inner.driven.is_at(run) {
            continue;
        }
        let goes_on = match inner.parts.store.run(&tenant, run).await {
            Ok(record) => record.is_some_and(|record| !record.status.has_ended()),
            // Better a file too many than one too few.
            Err(_) => true,
        };
        if !goes_on {
            inner.parts.files.remove_kept(&tenant, run).await;
        }
    }
}
