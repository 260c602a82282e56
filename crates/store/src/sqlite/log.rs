//! The write-ahead log on its way to the disk.
//!
//! With `synchronous = NORMAL` a commit is written to the log and not flushed. Once the log is flushed, the commit survives what one of `FULL`
//! would: SQLite reads the log from its beginning up to the first frame whose checksum does not fit
//! (<https://www.sqlite.org/walformat.html>), so frames that reached the disk together with all before them are there for good. Checkpoints
//! flush what they need by themselves.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::StoreError;
use crate::database::PATIENCE;

/// Flushes the log for all who have committed.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    /// Who has asked for a flush, as a number from 1.
    asked: AtomicU64,
    /// Up to which of them the log was flushed. Held while it is: who comes meanwhile shares the next flush.
    flushed: Mutex<u64>,
}

impl Log {
    /// The log of a database file.
    pub(super) fn of(database: &Path) -> Self {
        let mut path = OsString::from(database);
        path.push("-wal");
        Self { path: path.into(), asked: AtomicU64::new(0), flushed: Mutex::default() }
    }

    /// Waits until everything that was committed before this call is on the disk.
    pub(crate) async fn reaches_disk(self: &Arc<Self>) -> Result<(), StoreError> {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut flushed = timeout(PATIENCE, self.flushed.lock()).await.map_err(|_| StoreError::Busy)?;
        if *flushed >= number {
            return Ok(());
        }
        let all = self.asked.load(Ordering::Acquire);
        let log = Arc::clone(self);
        let flush = timeout(PATIENCE, tokio::task::spawn_blocking(move || log.flush())).await.map_err(|_| StoreError::Busy)?;
        flush.map_err(|error| StoreError::Unavailable(error.into()))?.map_err(|error| StoreError::Unavailable(error.into()))?;
        *flushed = all;
        Ok(())
    }

    /// Which descriptor flushes a file makes no difference. SQLite's locks lie on other files, so closing this one gives none of them up.
    fn flush(&self) -> io::Result<()> {
        match File::open(&self.path) {
            // The store was closed meanwhile, which has moved all of it into the database.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            log => log?.sync_data(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn those_who_come_during_a_flush_share_the_next_one() {
        let directory = tempfile::TempDir::new().unwrap();
        std::fs::write(directory.path().join("a.db-wal"), "frames").unwrap();
        let log = Arc::new(Log::of(&directory.path().join("a.db")));
        let held = log.flushed.lock().await;
        let waiting = (0..100).map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                log.reaches_disk().await.unwrap();
                *log.flushed.lock().await
            })
        });
        let waiting: Vec<_> = waiting.collect();
        while log.asked.load(Ordering::Acquire) < 100 {
            tokio::task::yield_now().await;
        }
        drop(held);
        // The first of them flushed for all.
        assert!(join_all(waiting).await.into_iter().all(|flushed| flushed.unwrap() == 100));
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_flushed_is_said() {
        let directory = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("a.db-wal")).unwrap();
        let file = directory.path().join("a.db-wal/file");
        std::fs::write(&file, "no directory").unwrap();
        // A path through a file is refused by the system.
        let log = Arc::new(Log::of(&file.join("b.db")));
        assert!(matches!(log.reaches_disk().await, Err(StoreError::Unavailable(_))));
    }
}
