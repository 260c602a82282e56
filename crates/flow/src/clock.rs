//! Time, identity and chance, handed in so that tests may hold both.

use jiff::Timestamp;
use snaphook_model::{Code, Fault, RunId};

/// Where the runner gets the time and new run ids from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// An id that no run has.
    fn run_id(&self) -> RunId;

    /// Bytes that nobody can guess, for generated values.
    ///
    /// # Errors
    /// `internal` when the machine has no chance to give.
    fn chance(&self, bytes: &mut [u8]) -> Result<(), Fault> {
        getrandom::fill(bytes).map_err(|error| Fault::new(Code::Internal, format!("no chance to generate a value from: {error}")))
    }
}

/// The machine's own clock and chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn run_id(&self) -> RunId {
        RunId(uuid::Uuid::now_v7())
    }
}
