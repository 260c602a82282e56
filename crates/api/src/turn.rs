//! Whose request goes on next: of all that could, one tenant's after the other's, so that whoever sends a thousand at once is behind himself.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::ready;
use std::time::{Duration, Instant};

use snaphook_shares::{Holder, Part, Place, Places, Taking};

use crate::problem::Problem;
use crate::room::Sender;

/// Longest that a request waits for its first turn. Each takes less than a millisecond, so this is for a node that has lost its processors.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who waited for so long takes a turn again to go on: many whom one clock stopped, or one transaction wrote down, come back at the same moment.
const AWAY: Duration = Duration::from_millis(2);

/// As many turns as threads can work on: what waits does so here, in fair order, and not in the runtime's one line. All of them may be one tenant's,
/// as long as nobody else is there.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Places>);

/// A request's turn, which lasts until it waits for something.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Place>,
    /// Whose it is; none before the first turn.
    whose: Option<(Arc<Places>, Holder)>,
}

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
        if self.state().held.is_some() {
            return Ok(());
        }
        let holder = turns.0.holder(sender);
        let place = tokio::time::timeout(PATIENCE, turns.0.take(holder, 1)).await;
        let place = place.map_err(|_| Problem::overloaded("this node did not get around to the request in time"))?;
        *self.state() = State { held: Some(place), whose: Some((Arc::clone(&turns.0), holder)) };
        Ok(())
    }

    /// Does the work of a request, which gives back its turn when it waits or ends, and waits for the next one when it has been away.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let (mut waits_since, mut next): (Option<Instant>, Option<Taking>) = (None, None);
        poll_fn(|context| {
            if next.is_none() && waits_since.is_some_and(|since| since.elapsed() >= AWAY) {
                next = self.next();
            }
            if let Some(taking) = &mut next {
                let place = ready!(Pin::new(taking).poll(context));
                self.state().held = Some(place);
                next = None;
            }
            let polled = work.as_mut().poll(context);
            self.give_back();
            waits_since = Some(Instant::now());
            polled
        })
        .await
    }

    fn next(&self) -> Option<Taking> {
        self.state().whose.as_ref().map(|(places, holder)| places.take(*holder, 1))
    }

    /// Not at once, but when the runtime has come around to all that was ready before. Else no request would ever find all turns taken, and a thousand
    /// that are ready would be worked on one after another before somebody else's.
    fn give_back(&self) {
        if let Some(place) = self.state().held.take() {
            drop(tokio::spawn(async move {
                tokio::task::yield_now().await;
                drop(place);
            }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until_all_are_free(turns: &Turns, all: u64) {
        while turns.0.free() < all {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_turn_lasts_until_all_that_was_ready_has_been_come_around_to() {
        let (turn, turns) = (Turn::default(), Turns::new());
        let all = turns.0.free();
        turn.during(async { turn.take(&turns, &Sender::Operator).await.expect("nobody else is there") }).await;
        assert_eq!(turns.0.free(), all - 1, "not at once");
        until_all_are_free(&turns, all).await;
    }

    #[tokio::test]
    async fn who_was_away_goes_on_in_its_turn() {
        let (turn, turns) = (Turn::default(), Turns::new());
        let all = turns.0.free();
        turn.during(async {
            turn.take(&turns, &Sender::Operator).await.expect("nobody else is there");
            tokio::task::yield_now().await;
            until_all_are_free(&turns, all).await;
            tokio::time::sleep(2 * AWAY).await;
            assert_eq!(turns.0.free(), all - 1);
        })
        .await;
        until_all_are_free(&turns, all).await;
    }
}
