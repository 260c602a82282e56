//! The store on SQLite: one file in the data directory, for a node that is alone on it.
//!
//! Reads go to a small pool of read-only connections. Writes take turns behind one lock, since SQLite has one writer and waiting in it
//! means sleeping. There are two write connections: definitions and queued runs are flushed to the disk by each commit
//! (`synchronous = FULL`), batches of run records by the next checkpoint (`NORMAL`); both survive a killed process.

mod documents;
mod open;
mod queue;
mod recordings;
mod rows;
mod runs;
mod scripts;
mod secrets;
mod subjects;
mod tenants;
#[cfg(test)]
mod tests;
mod waiting;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection as _, Row as _, Sqlite, Transaction};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::sql::tenants as sql;
use crate::{Store, StoreError, StoreFuture};

pub use open::OpenError;

/// The longest wait for a connection, for the right to write or for room in the queue. Longer than any of our own transactions takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The store on SQLite. See [`SqliteStore::open`].
#[derive(Debug)]
pub struct SqliteStore {
    file: PathBuf,
    readers: SqlitePool,
    writers: Arc<Writers>,
    queue: Arc<queue::RunQueue>,
    /// The task that empties the queue; taken by whoever waits for its end.
    emptying: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the store lives, so that no second node opens the same directory.
    _lock: File,
}

/// The write connections, behind the lock that gives the right to write. Empty once the store is closed.
#[derive(Debug)]
pub(crate) struct Writers(Mutex<Option<WriteConnections>>);

#[derive(Debug)]
struct WriteConnections {
    /// Commits reach the disk.
    durable: SqliteConnection,
    /// Commits reach the disk with the next checkpoint or durable commit.
    quick: SqliteConnection,
}

impl Writers {
    async fn lock(&self) -> Result<MappedMutexGuard<'_, WriteConnections>, StoreError> {
        let guard = tokio::time::timeout(PATIENCE, self.0.lock()).await.map_err(|_| StoreError::Busy)?;
        MutexGuard::try_map(guard, Option::as_mut).map_err(|_| StoreError::Closed)
    }
}

/// Begins with the right to write: a transaction that reads first and asks for it later could be refused it.
async fn begin(connection: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, StoreError> {
    Ok(connection.begin_with("BEGIN IMMEDIATE").await?)
}

impl Store for SqliteStore {
    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.queue.is_failing() {
                return Err(StoreError::Unavailable("the last batch of run records could not be written".into()));
            }
            sqlx::query(sql::PING).fetch_optional(&self.readers).await?;
            Ok(())
        })
    }

    fn meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<String>> {
        Box::pin(async move {
            let row = sqlx::query(sql::GET_META).bind(key).fetch_optional(&self.readers).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })
    }

    fn set_meta<'a>(&'a self, key: &'a str, value: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            sqlx::query(sql::SET_META).bind(key).bind(value).execute(&mut writers.durable).await?;
            Ok(())
        })
    }

    fn check(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            open::findings(&mut connection, &self.file).await
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.queue.close();
            if let Some(emptying) = self.emptying.lock().await.take() {
                emptying.await.map_err(|error| StoreError::Unavailable(error.into()))?;
            }
            self.readers.close().await;
            let Some(connections) = self.writers.0.lock().await.take() else { return Ok(()) };
            connections.quick.close().await?;
            // The last connection to close copies the write-ahead log into the file and removes it.
            Ok(connections.durable.close().await?)
        })
    }
}

impl Drop for SqliteStore {
    /// What is queued is still written if the runtime lives long enough; [`Store::close`] waits for it.
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        /// `SQLITE_BUSY` with its extended codes for recovery, snapshots and timeouts.
        const BUSY: [&str; 4] = ["5", "261", "517", "773"];
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::Database(inner) if inner.code().is_some_and(|code| BUSY.contains(&&*code)) => Self::Busy,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}
