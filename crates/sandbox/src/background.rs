//! Where long invocations go on: threads of low priority, which tenants share in turns.
//!
//! An invocation begins on the task that awaits it, since nearly all end within their first millisecond. What takes longer is moved here, so that
//! the threads that read requests and begin invocations are never behind it: they have the processor whenever they want it, and what is left is
//! shared by start-time fair queueing (Goyal, Vin and Cheng, 1996) over the tenants that have something to run: next is who has had the least for
//! its weight. A round robin with deficits would pass by a tenant whose few invocations are all under way on other threads. The unit is the time of
//! the processor rather than fuel, since faults of pages and copies cost the neighbours as well.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_task::{Builder, Runnable};
use rustix::process::{getpriority_process, setpriority_process};
use rustix::time::{ClockId, clock_gettime};
use snaphook_model::{TenantName, Weight};
use tokio::runtime::Handle;

/// What a slice is taken to cost until it has ended: guests yield at every tick.
const SLICE: Duration = Duration::from_millis(1);

/// How nice the threads are to the others of the process, as `setpriority` counts. Ten is a tenth of the weight of an ordinary thread: enough to
/// get on beside a node that is full of short invocations, and little enough to make way for them.
const NICENESS: i32 = 10;

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
}

/// What is there to run, by tenant.
#[derive(Default)]
struct Lanes {
    of: HashMap<TenantName, Lane>,
    /// What the lane that ran last had had then. Who comes anew begins there: being away saves nothing.
    clock: u64,
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
    let nice = getpriority_process(None).and_then(|now| if now < NICENESS { setpriority_process(None, NICENESS) } else { Ok(()) });
    if let Err(error) = nice {
        tracing::warn!(%error, "long invocations have the priority of short ones");
    }
    while let Some((tenant, runnable)) = queue.next() {
        let before = processor_time();
        runnable.run();
        queue.ran(&tenant, processor_time().saturating_sub(before));
    }
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Queue {
    fn push(&self, tenant: &TenantName, runnable: Runnable) {
        let mut lanes = self.lanes();
        if lanes.closed {
            drop(lanes);
            return drop(runnable);
        }
        lanes.push(tenant, runnable);
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

    fn ran(&self, tenant: &TenantName, spent: Duration) {
        let mut lanes = self.lanes();
        let Some(lane) = lanes.of.get_mut(tenant) else { return };
        lane.running = lane.running.saturating_sub(1);
        lane.had = lane.had.saturating_sub(lane.cost(SLICE)).saturating_add(lane.cost(spent));
        lanes.forget_idle();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing that runs under the lock can leave the lanes half changed.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn push(&mut self, tenant: &TenantName, runnable: Runnable) {
        let lane = self.of.entry(tenant.clone()).or_default();
        if lane.ready.is_empty() && lane.running == 0 {
            lane.had = lane.had.max(self.clock);
        }
        lane.ready.push_back(runnable);
    }

    /// Lets go of lanes without futures, but for those that have had more than their turn: they still owe it when they come again.
    fn forget_idle(&mut self) {
        let (clock, busy) = (self.clock, self.of.values().any(|lane| lane.futures > 0));
        self.of.retain(|_, lane| lane.futures > 0 || lane.running > 0 || (busy && lane.had > clock));
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
    fn cost(&self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / u64::from(self.weight.0.max(1))
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
        let lane = lanes.of.entry(tenant.clone()).or_default();
        lane.weight = weight;
        lane.futures += 1;
        drop(lanes);
        Self { queue: Arc::clone(queue), tenant: tenant.clone() }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut lanes = self.queue.lanes();
        let Some(lane) = lanes.of.get_mut(&self.tenant) else { return };
        lane.futures -= 1;
        lanes.forget_idle();
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
