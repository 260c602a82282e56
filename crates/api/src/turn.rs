//! Whose request begins next: of all that have come, one tenant's after the other's, so that whoever sends a thousand at once is behind himself.
//!
//! What has begun goes on as the runtime comes around to it: it may hold what others wait for, a transaction above all.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snaphook_shares::{Part, Place, Places};

use crate::problem::Problem;
use crate::room::Sender;

/// Longest that a request waits for its turn. Each takes less than a millisecond, so this is for a node that has lost its processors.
const PATIENCE: Duration = Duration::from_secs(10);

/// As many turns as threads can work on: what waits does so here, in fair order, and not in the runtime's one line. All of them may be one tenant's,
/// as long as nobody else is there.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Places>);

/// A request's turn to begin, which lasts until it waits for something.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<Option<Place>>);

impl Turns {
    /// A turn for each processor.
    pub(crate) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
        Self(Places::new(threads, Part::one_in(1)))
    }
}

impl Turn {
    /// Waits until it is the sender's turn.
    ///
    /// # Errors
    /// `overloaded`, when it does not come.
    pub(crate) async fn take(&self, turns: &Turns, sender: &Sender) -> Result<(), Problem> {
        // Who turns out to be somebody else has begun already.
        if self.held().is_some() {
            return Ok(());
        }
        let place = tokio::time::timeout(PATIENCE, turns.0.take(turns.0.holder(sender), 1)).await;
        *self.held() = Some(place.map_err(|_| Problem::overloaded("this node did not get around to the request in time"))?);
        Ok(())
    }

    /// Does the work of a request, which gives back its turn when it waits or ends.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            self.give_back();
            polled
        })
        .await
    }

    /// Not at once, but when the runtime has come around to all that was ready before. Else no request would ever find all turns taken, and a thousand
    /// that are ready would be worked on one after another before somebody else's.
    fn give_back(&self) {
        if let Some(place) = self.held().take() {
            drop(tokio::spawn(async move {
                tokio::task::yield_now().await;
                drop(place);
            }));
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_lasts_until_all_that_was_ready_has_been_come_around_to() {
        let (turn, turns) = (Turn::default(), Turns::new());
        let all = turns.0.free();
        turn.during(async { turn.take(&turns, &Sender::Operator).await.expect("nobody else is there") }).await;
        assert_eq!(turns.0.free(), all - 1, "not at once");
        while turns.0.free() < all {
            tokio::task::yield_now().await;
        }
    }
}
