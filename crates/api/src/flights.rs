//! Single flight: of many who need the same thing made, one makes it and the others wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

/// Keys whose value is being made.
#[derive(Debug)]
pub(crate) struct Flights<K> {
    /// Held for a look only, never across an await.
    under_way: Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

/// Those before took longer than somebody was willing to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

impl<K: Hash + Eq + Clone> Flights<K> {
    /// Waits for those before, at most so long, then runs `make`, which first looks whether one of them has made it.
    pub(crate) async fn run<T>(&self, key: &K, patience: Duration, make: impl AsyncFnOnce() -> T) -> Result<T, TooLong> {
        let seat = Arc::clone(self.under_way.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        let mut flight = Flight { flights: self, key, seat: None };
        flight.seat = Some(tokio::time::timeout(patience, seat.lock_owned()).await.map_err(|_| TooLong)?);
        let made = make().await;
        drop(flight);
        Ok(made)
    }
}

/// The turn of one; gives the seat on, and removes it when nobody waits for it.
struct Flight<'a, K: Hash + Eq> {
    flights: &'a Flights<K>,
    key: &'a K,
    seat: Option<OwnedMutexGuard<()>>,
}

impl<K: Hash + Eq> Drop for Flight<'_, K> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.seat = None;
        // One reference is the map's; whoever waits holds another, and takes it under the same lock.
        if under_way.get(self.key).is_some_and(|seat| Arc::strong_count(seat) == 1) {
            under_way.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::Flights;

    #[tokio::test]
    async fn one_makes_it_and_the_others_find_it() {
        let flights = Flights::<u8>::default();
        let made = AtomicU32::new(0);
        let make = || {
            flights.run(&1, Duration::MAX, async || {
                if made.load(Ordering::SeqCst) == 0 {
                    tokio::task::yield_now().await;
                    made.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let (a, b, c) = tokio::join!(make(), make(), make());
        assert_eq!([a, b, c], [Ok(()); 3]);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().expect("nobody panicked").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_he_wants_to() {
        let flights = Flights::<u8>::default();
        let hangs = flights.run(&1, Duration::MAX, async || std::future::pending::<()>().await);
        let waits = flights.run(&1, Duration::from_secs(60), async || ());
        tokio::select! {
            biased;
            _ = hangs => panic!("it never ends"),
            waited = waits => assert_eq!(waited, Err(super::TooLong)),
        }
        assert!(flights.under_way.lock().expect("nobody panicked").is_empty(), "who gave up is forgotten");
    }
}
