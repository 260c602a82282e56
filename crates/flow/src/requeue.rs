//! Runs that begin later: found when they are due, driven a bounded number at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::{Code, Fault, Flow, Tenant};
use snaphook_store::{ClaimedRun, Notice, QueuedRun, Recording};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drive::{self, Start};
use crate::runner::Inner;
use crate::{prepare, record, retention};
use turns::{Held, Turns};

mod turns;

/// How long a run that another process queued may lie unnoticed past its time. One indexed look-up a second costs nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How long after it was heard of a run of another node is looked for.
const HEARD: Duration = Duration::from_millis(50);

/// When the store did not answer: time for it to come back.
const PAUSE: Duration = Duration::from_secs(5);

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
}

impl Due {
    /// Somebody may begin who had no place before.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// A run was queued for this time.
    pub(crate) fn at(&self, time: Timestamp) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| time < next) {
            *next = Some(time);
            self.changed.notify_one();
        }
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
pub(crate) async fn run_due(inner: &Arc<Inner>) -> Result<usize, Fault> {
    let claimed = inner.parts.store.claim_due_runs(inner.parts.clock.now(), inner.config.queued_at_once).await;
    let claimed = claimed.map_err(record::store_fault)?;
    let count = claimed.len();
    let shutdown = CancellationToken::new();
    futures_util::future::join_all(claimed.into_iter().map(|run| Box::pin(begin(inner, run, &shutdown)))).await;
    Ok(count)
}

/// Rounds without end, each as large as there is room, until shutdown.
pub(crate) async fn requeue(inner: Arc<Inner>, shutdown: CancellationToken) {
    if let Err(error) = inner.parts.store.requeue_claimed().await {
        record::store_fault(error);
    }
    let ended = CancellationToken::new();
    let sweeping = inner.clone();
    let swept = shutdown.clone();
    tokio::spawn(async move { swept.run_until_cancelled(sweep_always(&sweeping)).await });
    let (sweeping, swept) = (inner.clone(), shutdown.clone());
    tokio::spawn(async move { swept.run_until_cancelled(retention::sweep_always(&sweeping)).await });
    let renewing = tokio::spawn(renew(inner.clone(), ended.clone()));
    let watching = shutdown.clone();
    let watched = inner.clone();
    tokio::spawn(async move { watching.run_until_cancelled(watch(watched)).await });
    let places = Arc::new(Semaphore::new(inner.config.queued_at_once as usize));
    let mut turns = Turns::new(inner.config.queued_at_once);
    let under_way = TaskTracker::new();
    while !shutdown.is_cancelled() {
        let pause = tokio::select! {
            () = shutdown.cancelled() => break,
            pause = round(&inner, &mut turns, &places, &under_way, &shutdown) => pause,
        };
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
/// renewed in time is let go of as well: another node may take it up then.
pub(crate) async fn renew(inner: Arc<Inner>, shutdown: CancellationToken) {
    let Some(lease_time) = inner.parts.store.lease_time() else { return };
    let mut renewed = Instant::now();
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
            renewed = Instant::now();
            continue;
        }
        let lost = match tokio::time::timeout(lease_time / 4, inner.parts.store.renew_leases(&leases)).await {
            Ok(Ok(lost)) => {
                renewed = Instant::now();
                lost
            }
            // Half of the time is left for what is under way to notice.
            _ if renewed.elapsed() >= lease_time / 2 => leases,
            _ => Vec::new(),
        };
        for lease in lost {
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

/// Waits for room, fills it with what is due, and says how long to wait for the next round.
async fn round(
    inner: &Arc<Inner>,
    turns: &mut Turns,
    places: &Arc<Semaphore>,
    under_way: &TaskTracker,
    shutdown: &CancellationToken,
) -> Duration {
    let Ok(first) = places.clone().acquire_owned().await else { return PAUSE };
    let mut room = vec![first];
    while let Ok(place) = places.clone().try_acquire_owned() {
        room.push(place);
    }
    // Asked before the claim: what becomes due after it is in the next round.
    let wait = inner.due.wait(inner.parts.clock.now());
    match turns.claim(&*inner.parts.store, inner.parts.clock.now(), u32::try_from(room.len()).unwrap_or(u32::MAX)).await {
        Err(error) => {
            record::store_fault(error);
            PAUSE
        }
        // What is due may be of tenants alone who have all they may; they are looked at again when one of their runs has ended.
        Ok(claimed) if claimed.is_empty() => {
            wait.min(until_next(inner).await.max(if turns.anybody_full() { FULL } else { Duration::ZERO }))
        }
        Ok(claimed) => {
            for (run, place) in claimed.into_iter().zip(room) {
                let held = turns.hold(&run.tenant, Arc::clone(inner));
                under_way.spawn(begin_in(inner.clone(), run, shutdown.clone(), (place, held)));
            }
            // There may be more than there was room for.
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

async fn begin_in(inner: Arc<Inner>, run: ClaimedRun, shutdown: CancellationToken, _place: (OwnedSemaphorePermit, Held)) {
    begin(&inner, run, &shutdown).await;
}

/// Drives a claimed run to its end, or ends it where its tenant, flow or scripts are gone. A store that is away is waited for, unless the run's
/// lease may run out meanwhile: whoever takes the run up then goes on with it.
async fn begin(inner: &Arc<Inner>, claimed: ClaimedRun, shutdown: &CancellationToken) {
    let until = inner.parts.store.lease_time().map(|time| Instant::now() + time / 2);
    loop {
        let fault = match tenant_of(inner, &claimed).await {
            // Its runs went with it.
            Ok(None) => return,
            Ok(Some(tenant)) => match Box::pin(prepare_claimed(inner, &tenant, &claimed.run)).await {
                Ok(flow) => {
                    let deadline = Instant::now() + inner.config.queued_deadline;
                    let recording = recorded_before(inner, &tenant, &claimed.run).await;
                    Box::pin(drive::run_flow(inner, &tenant, &flow, Start::claimed(claimed, recording), deadline)).await;
                    return;
                }
                Err(fault) if fault.code == Code::StoreUnavailable => fault,
                Err(fault) => return drive::refuse_run(inner, &tenant, claimed, fault).await,
            },
            Err(fault) if fault.code == Code::StoreUnavailable => fault,
            // What the operator set is not valid any more. There is no tenant to end the run for.
            Err(fault) => return tracing::error!(tenant = %claimed.tenant, detail = fault.detail, "a tenant's document cannot be used"),
        };
        tracing::warn!(run = %claimed.run.record.id, code = %fault.code, "a queued run could not begin; it is tried again");
        if until.is_some_and(|until| Instant::now() + PAUSE >= until) {
            return;
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

async fn tenant_of(inner: &Inner, claimed: &ClaimedRun) -> Result<Option<Arc<Tenant>>, Fault> {
    let stored = inner.parts.store.tenant(&claimed.tenant).await.map_err(record::store_fault)?;
    let tenant = stored.map(|stored| Tenant::new(stored.name, stored.document)).transpose()?;
    Ok(tenant.map(Arc::new))
}

/// What was recorded of a run before it was queued, or written down.
async fn recorded_before(inner: &Inner, tenant: &Tenant, run: &QueuedRun) -> Option<Recording> {
    match inner.parts.store.recording(&tenant.name, run.record.id).await {
        Ok(recording) => recording,
        Err(error) => {
            // The run matters more than its replay, which then lacks what came before.
            record::store_fault(error);
            None
        }
    }
}

async fn prepare_claimed(inner: &Inner, tenant: &Tenant, run: &QueuedRun) -> Result<crate::PreparedFlow, Fault> {
    let (Some(name), Some(version)) = (&run.record.flow, run.record.flow_version) else {
        return Err(Fault::new(Code::NotFound, "a queued run belongs to no flow"));
    };
    let stored = inner.parts.store.flow_version(&tenant.name, name, version).await.map_err(record::store_fault)?;
    let stored = stored.ok_or_else(|| Fault::new(Code::NotFound, format!("flow `{name}` has no version {version} any more")))?;
    let flow = Flow::parse(stored.document)?;
    prepare::flow(&inner.parts, &tenant.name, name, version, &flow).await
}
