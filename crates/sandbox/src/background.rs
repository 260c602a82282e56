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

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_task::{Builder, Runnable};
use snaphook_aside::{Busy, make_way};
use snaphook_model::{TenantName, Weight};
use tokio::runtime::Handle;

use crate::short::processor_time;

/// What a slice is taken to cost until it has ended: guests yield at every tick.
const SLICE: Duration = Duration::from_millis(1);

/// Within this, a tenant's short invocations may have its part of the processors at any moment. Long enough that a burst of a quiet tenant's calls is
/// less than its part, and shorter than people notice.
const WINDOW: Duration = Duration::from_millis(100);

/// A future that may be polled on any thread.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The threads and what they have to do.
pub(crate) struct Background {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
    /// Whether anybody has a future here: if not, nobody asks what short invocations have. Read without the lock, as often as one begins.
    busy: AtomicBool,
}

/// What is there to run, by tenant.
#[derive(Default)]
struct Lanes {
    of: HashMap<TenantName, Lane>,
    /// What the lane that ran last had had then. Who comes anew begins there: being away saves nothing.
    clock: u64,
    /// When the window began in which short invocations are counted.
    window: Option<Instant>,
    /// Of all lanes.
    weights: u64,
    /// While anybody has something to run here.
    making_way: Option<Busy>,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    ready: VecDeque<Runnable>,
    /// What it has had of the processor, in nanoseconds by its weight, counted from where it began. Slices under way are in it.
    had: u64,
    weight: Weight,
    /// Its futures that have not ended.
    futures: u32,
    /// Those that are on a thread.
    running: u32,
    /// What its short invocations have had in this window.
    short: Duration,
}

impl Background {
    /// Starts as many threads as the machine has processors. They end some time after this is dropped.
    pub(crate) fn start() -> std::io::Result<Self> {
        let queue = Arc::<Queue>::default();
        for number in 0..std::thread::available_parallelism()?.get() {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("snaphook-long-{number}")).spawn(move || work(&queue))?;
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
    }
}

/// A thread's whole life.
fn work(queue: &Queue) {
    make_way();
    while let Some((tenant, runnable)) = queue.next() {
        let before = processor_time();
        runnable.run();
        queue.ran(&tenant, processor_time().saturating_sub(before));
    }
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
        drop(lanes);
        self.filled.notify_one();
    }

    /// Whose turn it is, as soon as there is anybody. None when all is over.
    fn next(&self) -> Option<(TenantName, Runnable)> {
        let mut lanes = self.lanes();
        loop {
            if let Some(next) = lanes.next() {
                return Some(next);
            }
            if lanes.closed {
                return None;
            }
            lanes = self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn forget_idle(&self, lanes: &mut Lanes) {
        lanes.forget_idle();
        if lanes.of.values().all(|lane| lane.running == 0 && lane.ready.is_empty()) {
            lanes.making_way = None;
        }
        self.busy.store(lanes.is_busy(), Ordering::Relaxed);
    }

    fn ran(&self, tenant: &TenantName, spent: Duration) {
        let mut lanes = self.lanes();
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

impl Lanes {
    fn push(&mut self, tenant: &TenantName, runnable: Runnable) {
        let clock = self.clock;
        let lane = self.lane(tenant, None);
        lane.begin_at(clock);
        lane.ready.push_back(runnable);
    }

    /// A tenant's lane, with the weight that it has now if that is known.
    fn lane(&mut self, tenant: &TenantName, weight: Option<Weight>) -> &mut Lane {
        // The name is copied only where there is no lane yet.
        if !self.of.contains_key(tenant) {
            self.weights += Lane::default().parts();
            self.of.insert(tenant.clone(), Lane::default());
        }
        let lane = self.of.get_mut(tenant).expect("it was just put there");
        if let Some(weight) = weight {
            let before = lane.parts();
            lane.weight = weight;
            self.weights = self.weights - before + lane.parts();
        }
        lane
    }

    fn is_busy(&self) -> bool {
        self.of.values().any(|lane| lane.futures > 0)
    }

    /// Lets go of lanes without futures, but for those that have had more than their turn, or something in this window: that is still counted when
    /// they come again.
    fn forget_idle(&mut self) {
        let (clock, busy) = (self.clock, self.is_busy());
        self.of.retain(|_, lane| lane.futures > 0 || lane.running > 0 || (busy && (lane.had > clock || !lane.short.is_zero())));
        self.weights = self.of.values().map(Lane::parts).sum();
    }

    /// Begins the next window, if it is time.
    fn turn_window(&mut self, now: Instant) {
        if self.window.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.window = Some(now);
            self.of.values_mut().for_each(|lane| lane.short = Duration::ZERO);
        }
    }

    fn count_short(&mut self, tenant: &TenantName, weight: Weight, time: Duration, now: Instant) {
        self.turn_window(now);
        let clock = self.clock;
        let lane = self.lane(tenant, Some(weight));
        lane.begin_at(clock);
        lane.short += time;
        lane.had = lane.had.saturating_add(lane.cost(time));
    }

    /// Whether it has had as much in this window as all processors give in one, divided among the tenants that are here by their weights.
    fn has_had_its_part(&mut self, tenant: &TenantName, now: Instant) -> bool {
        self.turn_window(now);
        let Some(lane) = self.of.get(tenant) else { return false };
        let others = self.of.values().any(|other| other.futures > 0 && !std::ptr::eq(other, lane));
        others && lane.short.as_nanos() * u128::from(self.weights) >= processors_in_window() * u128::from(lane.parts())
    }

    /// What runs next, counted as if it had run a whole slice already, so that the next thread chooses somebody else.
    fn next(&mut self) -> Option<(TenantName, Runnable)> {
        let ready = self.of.iter_mut().filter(|(_, lane)| !lane.ready.is_empty());
        let (tenant, lane) = ready.min_by_key(|(_, lane)| lane.had)?;
        let runnable = lane.ready.pop_front()?;
        self.clock = self.clock.max(lane.had);
        lane.running += 1;
        lane.had = lane.had.saturating_add(lane.cost(SLICE));
        Some((tenant.clone(), runnable))
    }
}

impl Lane {
    /// Who comes anew begins where the others are.
    fn begin_at(&mut self, clock: u64) {
        if self.ready.is_empty() && self.running == 0 {
            self.had = self.had.max(clock);
        }
    }

    fn parts(&self) -> u64 {
        u64::from(self.weight.0.max(1))
    }

    fn cost(&self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / self.parts()
    }
}

/// What all processors give in a window, in nanoseconds.
fn processors_in_window() -> u128 {
    static PROCESSORS: OnceLock<u128> = OnceLock::new();
    let processors = PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, |processors| processors.get() as u128));
    processors * WINDOW.as_nanos()
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

#[cfg(test)]
mod tests;
