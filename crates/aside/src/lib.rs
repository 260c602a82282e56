//! Long work, aside: on threads that make way for whoever waits for an answer.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod busy;

use std::io;
use std::thread::Builder;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

pub use busy::Busy;

/// How nice the threads are to the others of the process, as `setpriority` counts. Ten is a tenth of the weight of an ordinary thread: enough to get on
/// beside a node that is full of short work, and little enough to make way for it.
const NICENESS: i32 = 10;

/// Lets the thread that calls this make way for others from now on. A thread that has made way once cannot be hurried again, so it is one of its own.
/// Where the system does not allow it, the log has a warning, and the work is done all the same.
pub fn make_way() {
    // A node that is nicer already stays so.
    let nice = getpriority_process(None).and_then(|now| if now < NICENESS { setpriority_process(None, NICENESS) } else { Ok(()) });
    if let Err(error) = nice {
        tracing::warn!(%error, "long work has the priority of short work");
    }
}

/// Does something on a thread of its own that makes way, and waits for it without holding a thread. It is ended also when nobody waits for it any more.
///
/// # Errors
/// When the system gives no thread, or the work panicked.
pub async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (told, heard) = oneshot::channel();
    let busy = Busy::new();
    Builder::new().name(name.to_owned()).spawn(move || {
        let _busy = busy;
        make_way();
        // Whoever asked may be gone.
        drop(told.send(work()));
    })?;
    heard.await.map_err(io::Error::other)
}

/// The same with what is only borrowed, for which the calling thread has to wait.
///
/// # Errors
/// When the system gives no thread.
///
/// # Panics
/// When the work does.
pub fn run_borrowed<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let _busy = Busy::new();
    std::thread::scope(|scope| {
        let thread = Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
            make_way();
            work()
        })?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn work_aside_makes_way_and_its_caller_does_not() {
        let before = niceness();
        assert_eq!(run("aside", niceness).await.unwrap(), before.max(NICENESS));
        let text = String::from("borrowed");
        assert_eq!(run_borrowed("aside", || (niceness(), text.len())).unwrap(), (before.max(NICENESS), 8));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn a_panic_aside_is_an_error_and_no_end_of_the_process() {
        assert!(run("aside", || panic!("on purpose")).await.is_err());
    }
}
