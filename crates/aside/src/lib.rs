//! Long work, aside: on threads that make way for whoever waits for an answer.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod busy;

use std::io;
use std::sync::LazyLock;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};

pub use busy::Busy;

/// How far a thread makes way for those of ordinary priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It has a tenth of the weight of an ordinary thread: enough to get on beside a node that is full of short work.
    Half,
    /// It has a seventieth. A kernel that is fair owes each thread its part of the time that others are busy, and pays before the next one that wakes
    /// has its turn: of a tenth that was half a millisecond again and again, seen with Linux 6.18 in every fiftieth call of a quiet tenant.
    Whole,
}

impl Way {
    /// As `setpriority` counts.
    const fn niceness(self) -> i32 {
        match self {
            Self::Half => 10,
            Self::Whole => 19,
        }
    }
}

/// Lets the thread that calls this make way for others from now on. A thread that has made way once cannot be hurried again, so it is one of its own.
/// Where the system does not allow it, the log has a warning, and the work is done all the same.
pub fn make_way(way: Way) {
    let niceness = way.niceness();
    // A node that is nicer already stays so.
    let nice = getpriority_process(None).and_then(|now| if now < niceness { setpriority_process(None, niceness) } else { Ok(()) });
    if let Err(error) = nice {
        tracing::warn!(%error, "long work has the priority of short work");
    }
}

/// Threads that have made way and wait for work; those that are idle for some seconds end. A thread for each piece of work would take the lock of the
/// process's memory each time, for which everybody's sandboxes wait. They are started by a thread of ordinary priority: a thread begins with the
/// priority of the one that starts it, and who asks for something may have made way further.
static THREADS: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("snaphook-aside").build());

/// Gets ready for [`run`]. To be called by a thread of ordinary priority.
///
/// # Errors
/// When the system gives no thread.
pub fn start() -> io::Result<()> {
    threads().map(drop)
}

fn threads() -> io::Result<&'static Runtime> {
    THREADS.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

/// Does something on a thread that makes way half, and waits for it without holding a thread. It is ended also when nobody waits for it any more.
///
/// # Errors
/// When the system gives no thread, or the work panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let busy = Busy::new();
    let work = move || {
        let _busy = busy;
        make_way(Way::Half);
        work()
    };
    // In a task of its own, since asking for a thread where none is to be had is a panic.
    let done = threads()?.spawn(async { tokio::task::spawn_blocking(work).await });
    done.await.flatten().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    fn niceness() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn work_aside_makes_way_and_its_caller_does_not() {
        let before = niceness();
        assert_eq!(run(niceness).await.unwrap(), before.max(Way::Half.niceness()));
        assert_eq!(niceness(), before);
    }

    #[test]
    fn who_has_made_way_further_passes_that_on_to_nobody() {
        const AT_ONCE: usize = 8;
        let before = niceness();
        start().unwrap();
        let asking = std::thread::spawn(|| {
            make_way(Way::Whole);
            let all = Arc::new(Barrier::new(AT_ONCE));
            // All of them at once, so that threads have to be started for them.
            let works: Vec<_> = (0..AT_ONCE).map(|_| Arc::clone(&all)).map(|all| run(move || (all.wait(), niceness()).1)).collect();
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async move {
                let works: Vec<_> = works.into_iter().map(tokio::spawn).collect();
                let mut seen = Vec::new();
                for work in works {
                    seen.push(work.await.unwrap().unwrap());
                }
                seen
            })
        });
        assert_eq!(asking.join().unwrap(), [before.max(Way::Half.niceness()); AT_ONCE]);
    }

    #[tokio::test]
    async fn a_panic_aside_is_an_error_and_no_end_of_the_process() {
        assert!(run(|| panic!("on purpose")).await.is_err());
    }
}
