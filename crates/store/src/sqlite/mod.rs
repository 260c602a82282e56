//! The store on SQLite: one file in the data directory, for a node that is alone on it.
//!
//! Reads go to a small pool of read-only connections. Writes take turns behind one lock, since SQLite has one writer and waiting in it
//! means sleeping. A commit goes into the write-ahead log and survives a killed process. What must survive a machine that loses its power is
//! flushed to the disk after the commit and apart from it ([`Log`]): one flush serves all who committed before it.

mod log;
mod open;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use crate::database::{Database, Health, Row, made_query, query};
use crate::on_sql::{OnSql, Parts, Whose};
use crate::sql::{runs, tenants as sql};
use crate::{Changes, Store, StoreError, StoreFuture};

pub(crate) use log::Log;
pub use open::{DataDir, OpenError};
pub(crate) use writer::{Failed, WriteConnection};

/// The store on SQLite. See [`SqliteStore::open`].
#[derive(Debug)]
pub struct SqliteStore {
    parts: Parts,
    file: PathBuf,
    /// Held as long as the store lives, so that no second node opens the same directory.
    _taken: DataDir,
}

/// The connections.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) readers: SqlitePool,
    pub(crate) writer: WriteConnection,
    pub(crate) log: Arc<Log>,
    pub(crate) health: Health,
}

impl Files {
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.writer.close().await
    }
}

/// Runs that a statement claims: each statement is a way to the database's thread and back.
const AT_ONCE: [usize; 3] = [16, 4, 1];

/// See [`Database::claim`].
pub(crate) async fn claim(database: &Database, whose: Whose<'_>, now_us: i64, token: Uuid) -> Result<Vec<Row>, StoreError> {
    // Mostly nothing is due; finding that out takes no turn among the writers.
    if query(runs::ANY_DUE).bind(now_us).read_optional(database).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut writer = database.write().await?;
    // Nothing is lost with a claim: what is not claimed is claimed again.
    let mut transaction = writer.begin_batch().await?;
    let due = match whose {
        Whose::All(limit) => query(runs::DUE).bind(now_us).bind(limit).fetch_all(&mut transaction).await?,
        Whose::Of(shares) => {
            let mut due = Vec::new();
            for (tenant, share) in shares {
                due.extend(query(runs::DUE_OF).bind(now_us).bind(*share).bind(tenant.as_str()).fetch_all(&mut transaction).await?);
            }
            due
        }
    };
    let mut rest = due.as_slice();
    for rows in AT_ONCE {
        while let Some((some, others)) = rest.split_at_checked(rows) {
            rest = others;
            for sql in [runs::claim(rows), runs::set_running(rows)] {
                let mut query = made_query(sql.into()).bind(now_us).bind(token.to_string());
                for row in some {
                    query = query.bind(row.get::<&str>(0)?).bind(row.get::<&str>(6)?);
                }
                query.execute(&mut transaction).await?;
            }
        }
    }
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(due)
}

impl OnSql for SqliteStore {
    fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Store for SqliteStore {
    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            query(sql::PING).read_optional(self.database()).await?;
            self.parts.takes_writes().await
        })
    }

    /// A node is alone on its file, so there is nothing that it must be told.
    fn changes(&self) -> Changes {
        self.database().changes()
    }

    fn lease_time(&self) -> Option<Duration> {
        None
    }

    fn meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<String>> {
        Box::pin(self.parts.meta(key))
    }

    fn set_meta<'a>(&'a self, key: &'a str, value: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.parts.set_meta(key, value))
    }

    fn meta_or<'a>(&'a self, key: &'a str, value: &'a str) -> StoreFuture<'a, String> {
        Box::pin(self.parts.meta_or(key, value))
    }

    fn remove_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.parts.remove_meta(key))
    }

    fn claim_objects(&self) -> StoreFuture<'_, ()> {
        Box::pin(crate::objects::claim(&self.parts))
    }

    fn sweep_objects(&self, before: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(self.parts.sweep_objects(before))
    }

    fn check(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let Database::Sqlite(files) = self.database() else { return Ok(Vec::new()) };
            let mut connection = files.readers.acquire().await?;
            open::findings(&mut connection, &self.file).await
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.parts.close())
    }
}
