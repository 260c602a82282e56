//! Whether the database takes writes, as the last of them have shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::PATIENCE;
use super::failure::is_refusal;
use crate::StoreError;

/// Between two tries to write while the database takes nothing: whoever asks for its health asks often, and there may be many of them.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What writes have shown. A write that fails for what it holds, or since others are at it, shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: AtomicBool,
    /// When the last try began that has not succeeded. Held during a try, so that who comes meanwhile shares what comes of it.
    tried: Mutex<Option<Instant>>,
}

impl Health {
    /// Notes how a statement of a write went, and hands it on.
    pub(crate) fn note<T>(&self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if outcome.as_ref().is_err_and(is_refusal) {
            self.set_failing(true);
        }
        outcome
    }

    /// The same of what comes before the statements and after them.
    pub(super) fn note_around<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unavailable(_))) {
            self.set_failing(true);
        }
        outcome
    }

    /// Says whether writes fail now.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Tries a write where the last ones failed. Without this, a node that is asked for nothing but its health would stay unusable after an outage:
    /// nobody sends it what would show that the database is back.
    ///
    /// # Errors
    /// What the write failed with, or that one failed a moment ago.
    pub(crate) async fn mended(&self, write: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
        if !self.is_failing() {
            return Ok(());
        }
        let mut tried = timeout(PATIENCE, self.tried.lock()).await.map_err(|_| StoreError::Busy)?;
        if !self.is_failing() {
            return Ok(());
        }
        if tried.is_some_and(|begun| begun.elapsed() < BETWEEN_TRIES) {
            return Err(StoreError::Unavailable("writes failed a moment ago".into()));
        }
        *tried = Some(Instant::now());
        write.await?;
        self.set_failing(false);
        *tried = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn refused() -> Result<(), StoreError> {
        Err(StoreError::Unavailable("the disk is full".into()))
    }

    #[tokio::test]
    async fn a_write_that_succeeds_ends_a_failure_and_one_that_does_not_is_not_tried_at_once_again() {
        let (health, tries) = (Health::default(), Cell::new(0));
        let mended = async |outcome: Result<(), StoreError>| {
            let write = async {
                tries.set(tries.get() + 1);
                outcome
            };
            health.mended(write).await
        };
        mended(refused()).await.unwrap();
        assert_eq!(tries.get(), 0, "nothing has failed");
        assert!(health.note_around(refused()).is_err() && health.is_failing());
        assert!(mended(refused()).await.is_err() && mended(Ok(())).await.is_err());
        assert_eq!(tries.get(), 1, "one a second");
        *health.tried.lock().await = Some(Instant::now().checked_sub(BETWEEN_TRIES).unwrap());
        mended(Ok(())).await.unwrap();
        assert_eq!((tries.get(), health.is_failing()), (2, false));
        // What fails anew is tried at once.
        health.set_failing(true);
        mended(Ok(())).await.unwrap();
        assert_eq!(tries.get(), 3);
    }

    #[tokio::test]
    async fn who_asks_during_a_try_shares_it() {
        let health = Health::default();
        health.set_failing(true);
        let (done, waits) = tokio::sync::oneshot::channel::<()>();
        let first = health.mended(async move {
            waits.await.unwrap();
            Ok(())
        });
        let second = health.mended(async { Err(StoreError::Closed) });
        let mut both = Box::pin(futures_util::future::join(first, second));
        assert!(futures_util::poll!(&mut both).is_pending());
        done.send(()).unwrap();
        let (first, second) = both.await;
        first.unwrap();
        second.unwrap();
    }

    #[test]
    fn what_is_refused_for_itself_shows_nothing_of_the_database() {
        let health = Health::default();
        for error in [sqlx::Error::RowNotFound, sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, sqlx::Error::Encode("a form".into())] {
            assert!(health.note::<()>(Err(error)).is_err() && !health.is_failing());
        }
        assert!(health.note_around::<()>(Err(StoreError::Busy)).is_err() && !health.is_failing());
        assert!(health.note::<()>(Err(sqlx::Error::Io(std::io::Error::other("gone")))).is_err() && health.is_failing());
    }
}
