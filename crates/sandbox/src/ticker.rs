//! The clock of all guests of an engine: one thread that advances the epoch every millisecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::Engine;

/// How long a guest may run before it lets others run, and how exactly a deadline is met.
const TICK: Duration = Duration::from_millis(1);

/// Ticks until it is dropped.
pub(crate) struct Ticker {
    stopped: Arc<AtomicBool>,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        // Weak, so that the engine and its pool go away with the last sandbox and not a tick later.
        let (engine, seen) = (engine.weak(), Arc::clone(&stopped));
        std::thread::Builder::new().name("snaphook-ticker".to_owned()).spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { break };
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stopped })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
