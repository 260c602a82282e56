//! The write connection, and its replacement: a transaction that the disk refuses leaves its connection in the middle of it, and SQLite's own
//! rollback is not heard of. Such a connection is given up, so that the store goes on once there is room again.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::error::ErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::StoreError;
use crate::database::PATIENCE;

/// The connection, behind the lock that gives the right to write. Empty once the store is closed.
#[derive(Debug)]
pub(crate) struct WriteConnection {
    options: SqliteConnectOptions,
    failed: Failed,
    connection: Mutex<Option<SqliteConnection>>,
}

/// Whether a transaction failed for another reason than what it wrote.
#[derive(Debug, Default)]
pub(crate) struct Failed(AtomicBool);

impl Failed {
    /// Notes how a statement went, and hands it on.
    pub(crate) fn note<T>(&self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let broken = match &outcome {
            Ok(_) | Err(sqlx::Error::RowNotFound | sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }) => {
                false
            }
            // A value that a constraint refuses says nothing about the connection.
            Err(sqlx::Error::Database(error)) => matches!(error.kind(), ErrorKind::Other),
            Err(_) => true,
        };
        if broken {
            self.0.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl WriteConnection {
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self { options, failed: Failed::default(), connection: Mutex::new(Some(connection)) }
    }

    /// Waits for the right to write.
    pub(crate) async fn lock(&self) -> Result<MappedMutexGuard<'_, SqliteConnection>, StoreError> {
        let mut guard = tokio::time::timeout(PATIENCE, self.connection.lock()).await.map_err(|_| StoreError::Busy)?;
        if guard.is_some() && self.failed.0.load(Ordering::Relaxed) {
            *guard = Some(connect(&self.options).await?);
            self.failed.0.store(false, Ordering::Relaxed);
        }
        MutexGuard::try_map(guard, Option::as_mut).map_err(|_| StoreError::Closed)
    }

    /// Where transactions say how they went.
    pub(crate) const fn failed(&self) -> &Failed {
        &self.failed
    }

    /// The last connection to close copies the write-ahead log into the file and removes it.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self.connection.lock().await.take() {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}

/// Opens a connection whose thread makes way for others: a transaction of many runs takes milliseconds of a processor, for which no call of somebody else's
/// has to wait. sqlx starts that thread, and a thread begins with the priority of the one that starts it.
pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let (options, runtime) = (options.clone(), Handle::current());
    snaphook_aside::run(move || runtime.block_on(options.connect())).await?
}
