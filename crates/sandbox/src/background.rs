//! Where long invocations go on: threads of low priority, which tenants share in turns.
//!
//! An invocation begins on the task that awaits it, since nearly all end within their first millisecond. What takes longer is moved here, so that
//! the threads that read requests and begin invocations are never behind it: they have the processor whenever they want it, and what is left is
//! shared by start-time fair queueing (Goyal, Vin and Cheng, 1996) over the tenants that have something to run: next is who has had the least for
//! its weight. A round robin with deficits would pass by a tenant whose few invocations are all under way on other threads. The unit is the time of
//! the processor rather than fuel, since faults of pages and copies cost the neighbours as well.
//!
//! What an invocation has before it is moved here is its tenant's as well. While others wait here, a tenant whose short invocations have had its part
//! of all processors begins the next ones here until the window is over, and has that time counted: many short ones get no more than few long ones.

mod lanes;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_task::{Builder, Runnable};
use snaphook_aside::{Way, make_way};
use snaphook_model::{TenantName, Weight};
use tokio::runtime::Handle;

use crate::short::processor_time;
use lanes::{Lanes, SLICE};

/// A slice takes as long by the clock on the wall where others keep the threads that make way wholly from the processors: a sixtieth is left to them,
/// about what the kernel owes them. A burst of requests passes sooner.
const KEPT_AWAY: Duration = SLICE.saturating_mul(60);
/// For so long threads that make way only half run everything then. A node that is full of short work would else keep a script from ending in its time.
const RELIEF: Duration = Duration::from_secs(1);

/// A future that may be polled on any thread.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The threads and what they have to do.
pub(crate) struct Background {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    /// Heard by threads that make way wholly.
    filled: Condvar,
    /// Heard by those that make way half.
    kept_away: Condvar,
    /// Whether anybody has a future here: if not, nobody asks what short invocations have. Read without the lock, as often as one begins.
    busy: AtomicBool,
}

impl Background {
    /// Starts as many threads as the machine has processors, and as many that take their place where they are kept away. They end some time after this
    /// is dropped.
    pub(crate) fn start() -> std::io::Result<Self> {
        // By this thread, and not by one of those.
        snaphook_aside::start()?;
        let queue = Arc::<Queue>::default();
        for number in 0..std::thread::available_parallelism()?.get() {
            for (way, name) in [(Way::Whole, "long"), (Way::Half, "half")] {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name(format!("snaphook-{name}-{number}")).spawn(move || work(&queue, way))?;
            }
        }
        Ok(Self { queue })
    }

    /// Whether a tenant's short invocations have had all that they may while others wait here: the next one is to begin here as well.
    pub(crate) fn is_due(&self, tenant: &TenantName) -> bool {
        // A moment too early or too late changes nothing.
        self.is_busy() && self.queue.lanes().has_had_its_part(tenant, Instant::now())
    }

    /// Whether anybody has something here, so that it matters what others have elsewhere.
    pub(crate) fn is_busy(&self) -> bool {
        self.queue.busy.load(Ordering::Relaxed)
    }

    /// Counts what an invocation had elsewhere. While nobody is here this is nobody's loss.
    pub(crate) fn had_elsewhere(&self, tenant: &TenantName, weight: Weight, time: Duration) {
        if self.is_busy() {
            self.queue.lanes().count_short(tenant, weight, time, Instant::now());
        }
    }

    /// Does something of a tenant's on the thread of whoever calls, and counts what it took.
    pub(crate) fn counted<T>(&self, tenant: &TenantName, weight: Weight, work: impl FnOnce() -> T) -> T {
        if !self.is_busy() {
            return work();
        }
        let before = processor_time();
        let done = work();
        self.had_elsewhere(tenant, weight, processor_time().saturating_sub(before));
        done
    }

    /// Runs a future here that was begun elsewhere, in the runtime of whoever calls. Dropping what is returned ends it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        tenant: &TenantName,
        weight: Weight,
        future: Running<T>,
    ) -> impl Future<Output = T> + use<T> {
        let member = Member::join(&self.queue, tenant, weight);
        let queue = Arc::downgrade(&self.queue);
        let tenant = tenant.clone();
        let schedule = move |runnable| {
            // Once the threads are gone nobody awaits anything of theirs; dropped, the future ends.
            if let Some(queue) = queue.upgrade() {
                queue.push(&tenant, runnable);
            }
        };
        let future = Entered { runtime: Handle::current(), future: Some(future), _member: member };
        let (runnable, task) = Builder::new().propagate_panic(true).spawn(|()| future, schedule);
        runnable.schedule();
        task
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.queue.lanes().closed = true;
        self.queue.filled.notify_all();
        self.queue.kept_away.notify_all();
    }
}

/// A thread's whole life.
fn work(queue: &Queue, way: Way) {
    make_way(way);
    while let Some((tenant, runnable)) = queue.next(way) {
        let (before, begun) = (processor_time(), Instant::now());
        runnable.run();
        let (had, took) = (processor_time().saturating_sub(before), begun.elapsed());
        queue.ran(&tenant, had, way == Way::Whole && was_kept_away(had, took));
    }
}

/// Whether others had the processors while a slice was under way, and not only the slice itself.
fn was_kept_away(had: Duration, took: Duration) -> bool {
    took >= KEPT_AWAY && had.saturating_mul(20) <= took
}

impl Queue {
    fn push(&self, tenant: &TenantName, runnable: Runnable) {
        let mut lanes = self.lanes();
        if lanes.closed {
            drop(lanes);
            return drop(runnable);
        }
        lanes.push(tenant, runnable);
        lanes.making_way.get_or_insert_default();
        let heard = if lanes.kept_away().is_some() { &self.kept_away } else { &self.filled };
        drop(lanes);
        heard.notify_one();
    }

    /// Whose turn it is, as soon as there is anybody for a thread that makes way so far. None when all is over.
    fn next(&self, way: Way) -> Option<(TenantName, Runnable)> {
        let mut lanes = self.lanes();
        loop {
            if lanes.closed {
                return None;
            }
            let kept_away = lanes.kept_away();
            if kept_away.is_some() == (way == Way::Half)
                && let Some(next) = lanes.next()
            {
                return Some(next);
            }
            lanes = match (way, kept_away) {
                (Way::Whole, Some(left)) => {
                    self.filled.wait_timeout(lanes, left).map_or_else(|error| error.into_inner().0, |waited| waited.0)
                }
                (Way::Whole, None) => self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner),
                (Way::Half, _) => {
                    if kept_away.is_none() {
                        // What is left is theirs again.
                        self.filled.notify_all();
                    }
                    self.kept_away.wait(lanes).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn forget_idle(&self, lanes: &mut Lanes) {
        lanes.forget_idle();
        if lanes.of.values().all(|lane| lane.running == 0 && lane.ready.is_empty()) {
            lanes.making_way = None;
        }
        self.busy.store(lanes.is_busy(), Ordering::Relaxed);
    }

    fn ran(&self, tenant: &TenantName, spent: Duration, was_kept_away: bool) {
        let mut lanes = self.lanes();
        if was_kept_away {
            lanes.kept_away_until = Some(Instant::now() + RELIEF);
            self.kept_away.notify_all();
        }
        let Some(lane) = lanes.of.get_mut(tenant) else { return };
        lane.running = lane.running.saturating_sub(1);
        lane.had = lane.had.saturating_sub(lane.cost(SLICE)).saturating_add(lane.cost(spent));
        self.forget_idle(&mut lanes);
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing that runs under the lock can leave the lanes half changed.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A future's part in its tenant's lane.
struct Member {
    queue: Arc<Queue>,
    tenant: TenantName,
}

impl Member {
    fn join(queue: &Arc<Queue>, tenant: &TenantName, weight: Weight) -> Self {
        let mut lanes = queue.lanes();
        lanes.lane(tenant, Some(weight)).futures += 1;
        queue.busy.store(true, Ordering::Relaxed);
        drop(lanes);
        Self { queue: Arc::clone(queue), tenant: tenant.clone() }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut lanes = self.queue.lanes();
        let Some(lane) = lanes.of.get_mut(&self.tenant) else { return };
        lane.futures -= 1;
        self.queue.forget_idle(&mut lanes);
    }
}

/// A future that finds the runtime that it was begun in: its timers, and whoever sends its requests.
struct Entered<T> {
    runtime: Handle,
    /// None once it is being dropped.
    future: Option<Running<T>>,
    _member: Member,
}

impl<T> Future for Entered<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let _entered = this.runtime.enter();
        match &mut this.future {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        // What the future holds may need the runtime to be given back: connections to a database are.
        let _entered = self.runtime.enter();
        self.future = None;
    }
}
