//! The store on PostgreSQL, or on a database that speaks its protocol: one for many nodes. How it differs from SQLite is written in
//! [`crate::sql::postgres`].

mod changes;
mod check;
mod open;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::time::timeout;
use uuid::Uuid;

use crate::database::{Health, PATIENCE, Query, Row, query};
use crate::on_sql::{OnSql, Parts, Whose};
use crate::sql::postgres as sql;
use crate::{Changes, Store, StoreError, StoreFuture};
use changes::Watch;

pub use open::{Inspected, PostgresOpenError, PostgresOptions};

/// The longest wait for a connection. One is made in milliseconds, and given back within [`PATIENCE`].
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// The same while the server is known to be away: callers learn of it at once instead of waiting in turn.
const AWAY_PATIENCE: Duration = Duration::from_millis(250);

/// The longest wait for an answer: the server cancels a statement after [`PATIENCE`], unless nobody is there any more.
const ANSWER_PATIENCE: Duration = Duration::from_secs(6);

/// The store on PostgreSQL. See [`PostgresStore::open`].
#[derive(Debug)]
pub struct PostgresStore {
    parts: Parts,
    lease: Duration,
    address: String,
}

/// The connections, and the tasks that follow what other nodes do.
#[derive(Debug)]
pub(crate) struct Server {
    pool: PgPool,
    lease: Duration,
    /// Whether the last look at the database failed.
    away: Arc<AtomicBool>,
    watch: Watch,
    pub(crate) health: Health,
}

/// A connection on loan from the pool.
pub(crate) struct Lent {
    connection: PoolConnection<Postgres>,
    broken: bool,
}

impl Lent {
    /// The connection, and whether it must not be given back since it did not answer.
    pub(crate) fn parts(&mut self) -> (&mut PgConnection, &mut bool) {
        (&mut self.connection, &mut self.broken)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.broken {
            self.connection.close_on_drop();
        }
    }
}

/// Waits for an answer of the server. Without this, a node would wait for a machine that is gone until the kernel gives it up.
pub(crate) async fn bounded<T>(broken: &mut bool, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let answer = timeout(ANSWER_PATIENCE, answer).await.unwrap_or_else(|_| Err(no_answer("an answer")));
    if matches!(answer, Err(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))) {
        *broken = true;
    }
    answer
}

fn no_answer(what: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("PostgreSQL gave no {what} in time")))
}

impl Server {
    pub(crate) async fn acquire(&self) -> Result<Lent, sqlx::Error> {
        let away = self.away.load(Ordering::Relaxed);
        let lent = lend(&self.pool, if away { AWAY_PATIENCE } else { CONNECT_PATIENCE }).await;
        match lent {
            // All of them are in use, rather than none to be had.
            Err(sqlx::Error::Io(_))
                if !away && self.pool.num_idle() == 0 && self.pool.size() >= self.pool.options().get_max_connections() =>
            {
                Err(sqlx::Error::PoolTimedOut)
            }
            other => other,
        }
    }

    /// See [`crate::database::Database::claim`].
    pub(crate) async fn claim(&self, whose: Whose<'_>, now_us: i64, token: Uuid) -> Result<Vec<Row>, StoreError> {
        let held = |claim: Query<'static>| claim.bind(token.to_string()).bind(self.lease_us());
        let claim = match whose {
            Whose::All(limit) => held(query(sql::CLAIM_DUE).bind(now_us).bind(limit)),
            Whose::Of(shares) => {
                // No name has a comma.
                let tenants = shares.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>().join(",");
                let shares = shares.iter().map(|(_, share)| share.to_string()).collect::<Vec<_>>().join(",");
                held(query(sql::CLAIM_DUE_OF).bind(now_us).bind(shares)).bind(tenants)
            }
        };
        let claim = claim.postgres()?;
        let mut lent = self.acquire().await?;
        let (connection, broken) = lent.parts();
        let claimed = bounded(broken, claim.fetch_all(connection)).await;
        Ok(self.health.note(claimed)?.into_iter().map(Row::Postgres).collect())
    }

    pub(crate) fn lease_us(&self) -> i64 {
        i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX / 2)
    }

    pub(crate) fn can_notify(&self) -> bool {
        self.watch.can_notify()
    }

    pub(crate) fn hint_queued(&self, due_us: i64) {
        self.watch.hint_queued(due_us);
    }

    pub(crate) fn changes(&self) -> Changes {
        self.watch.changes()
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.watch.stop();
        // Connections that do not answer are left behind.
        let _ = timeout(PATIENCE, self.pool.close()).await;
        Ok(())
    }
}

/// Takes a connection from the pool, or makes one.
async fn lend(pool: &PgPool, patience: Duration) -> Result<Lent, sqlx::Error> {
    let connection = timeout(patience, pool.acquire()).await.map_err(|_| no_answer("connection"))?;
    Ok(Lent { connection: connection?, broken: false })
}

impl OnSql for PostgresStore {
    fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Store for PostgresStore {
    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let row = query(sql::READ_ONLY).read_optional(self.database()).await?;
            match row.map(|row| row.get::<String>(0)).transpose()?.as_deref() {
                Some("off") => self.parts.takes_writes().await,
                _ => Err(StoreError::Unavailable("PostgreSQL takes no writes: it is a standby, or was made read-only".into())),
            }
        })
    }

    /// Comes within half a second of a commit, and at once where the server has `LISTEN`.
    fn changes(&self) -> Changes {
        self.database().changes()
    }

    fn lease_time(&self) -> Option<Duration> {
        Some(self.lease)
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

    /// Asks for version, rights, migrations, and how far its clock is from this node's. Reads no table.
    fn check(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let crate::database::Database::Postgres(server) = self.database() else { return Ok(Vec::new()) };
            let mut lent = server.acquire().await?;
            let (connection, broken) = lent.parts();
            Ok(bounded(broken, check::findings(connection)).await?)
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.parts.close())
    }
}
