//! Making way at once, and not at the kernel's next tick.
//!
//! A kernel that is not built to preempt programs at any moment, as those for servers are not, may let a thread of low priority compute on when a more
//! urgent one is woken from another processor: it is heard when the first one enters the kernel, at the latest at the tick of its processor, which
//! may be 4 ms away. Seen with Linux 6.18, where a tenant's endless loops made one in fifty of another's calls wait for such a tick. So while there is
//! long work, a thread on each processor sleeps for half a millisecond again and again: it is the timer's interrupt that counts, since the kernel
//! looks then. Each takes some two microseconds, which is half of a per cent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Between two looks at whether somebody more urgent waits.
const BEAT: Duration = Duration::from_micros(500);

/// How many there are in the process.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
/// Held to wait for the first one, and to tell of it.
static NONE: Mutex<()> = Mutex::new(());
static FIRST: Condvar = Condvar::new();
static THREADS: Once = Once::new();

/// Long work is under way, until this is dropped.
#[derive(Debug)]
pub struct Busy(());

impl Busy {
    /// Long work begins. To be made by a thread that does not make way: the threads that beat are as urgent as whoever makes the first one.
    #[must_use]
    pub fn new() -> Self {
        THREADS.call_once(start);
        if ALIVE.fetch_add(1, Ordering::Relaxed) == 0 {
            // Whoever has just seen none waits by now, and hears it.
            drop(NONE.lock().unwrap_or_else(PoisonError::into_inner));
            FIRST.notify_all();
        }
        Self(())
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a thread for each processor that the process may use; they stay.
fn start() {
    let processors = match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect::<Vec<_>>(),
        Err(error) => return tracing::warn!(%error, "short work may wait for long work until the kernel's next tick"),
    };
    // Where a container may use less than the machine has, the beats of all processors together take no more of it.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let beat = BEAT * u32::try_from(processors.len().div_ceil(usable)).unwrap_or(1).max(1);
    for processor in processors {
        let thread = std::thread::Builder::new().name(format!("snaphook-beat-{processor}"));
        if let Err(error) = thread.spawn(move || run(processor, beat)) {
            tracing::warn!(%error, processor, "short work may wait there for long work until the kernel's next tick");
        }
    }
}

/// A thread's whole life.
fn run(processor: usize, beat: Duration) {
    let mut only = CpuSet::new();
    only.set(processor);
    if let Err(error) = sched_setaffinity(None, &only) {
        return tracing::warn!(%error, processor, "short work may wait there for long work until the kernel's next tick");
    }
    loop {
        if ALIVE.load(Ordering::Relaxed) == 0 {
            let none = NONE.lock().unwrap_or_else(PoisonError::into_inner);
            drop(FIRST.wait_while(none, |()| ALIVE.load(Ordering::Relaxed) == 0).unwrap_or_else(PoisonError::into_inner));
        }
        std::thread::sleep(beat);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    /// How often the threads of this process that beat have slept, by their own counts, and how many there are.
    fn beats() -> (usize, u64) {
        let mut found = (0, 0);
        for thread in fs::read_dir("/proc/self/task").unwrap() {
            let path = thread.unwrap().path();
            if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("snaphook-beat")) {
                let status = fs::read_to_string(path.join("status")).unwrap();
                let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
                found = (found.0 + 1, found.1 + switches.trim().parse::<u64>().unwrap());
            }
        }
        found
    }

    #[test]
    fn every_processor_has_its_beat_while_there_is_long_work() {
        let (one, other) = (Busy::new(), Busy::new());
        drop(one);
        let begun = Instant::now();
        while beats().1 < 100 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", beats());
            std::thread::sleep(BEAT);
        }
        assert_eq!(beats().0, sched_getaffinity(None).unwrap().count() as usize);
        drop(other);
    }
}
