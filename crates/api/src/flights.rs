//! Single flight: of many who need the same thing made, one makes it and the others wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

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

impl<K: Hash + Eq + Clone> Flights<K> {
    /// Waits for those before, then runs `make`, which first looks whether one of them has made it.
    pub(crate) async fn run<T>(&self, key: &K, make: impl AsyncFnOnce() -> T) -> T {
        let seat = Arc::clone(self.under_way.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        let flight = Flight { flights: self, key, seat: Some(seat.lock_owned().await) };
        let made = make().await;
        drop(flight);
        made
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

    use super::Flights;

    #[tokio::test]
    async fn one_makes_it_and_the_others_find_it() {
        let flights = Flights::<u8>::default();
        let made = AtomicU32::new(0);
        let make = || {
            flights.run(&1, async || {
                if made.load(Ordering::SeqCst) == 0 {
                    tokio::task::yield_now().await;
                    made.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        tokio::join!(make(), make(), make());
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().expect("nobody panicked").is_empty());
    }
}
