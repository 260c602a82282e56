//! The two databases behind one face, so that what a method does is written once (`on_sql`): statements with values in, rows out, transactions
//! in which a tenant's definitions change. How each database is opened, and what only it has, lies in `sqlite` and `postgres`.

mod failure;
mod health;
mod query;

use std::sync::Arc;
use std::time::Duration;

use snaphook_model::{CorrelationId, RunId, TenantName};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Postgres, Sqlite};
use tokio::sync::MappedMutexGuard;
use uuid::Uuid;

use crate::on_sql::Whose;
use crate::postgres::{Lent, Server, bounded};
use crate::sql::{postgres as only_postgres, runs as sql};
use crate::sqlite::{Failed, Files, Log};
use crate::{Changes, StoreError};

pub(crate) use health::Health;
pub(crate) use query::{Query, Row, made_query, query, rare_query};

/// The longest wait for a connection, for the right to write or for room in the queue. Longer than any of our own transactions takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Where statements go.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub(crate) enum Database {
    Sqlite(Files),
    Postgres(Server),
}

/// The right to write.
pub(crate) enum Writer<'a> {
    Sqlite { connection: MappedMutexGuard<'a, SqliteConnection>, log: &'a Arc<Log>, failed: &'a Failed, health: &'a Health },
    Postgres { lent: Lent, server: &'a Server },
}

/// Rolled back when it is dropped without [`Transaction::commit`].
pub(crate) enum Transaction<'a> {
    Sqlite {
        on: sqlx::Transaction<'a, Sqlite>,
        /// To be on the disk before anybody hears of the commit.
        log: Option<Arc<Log>>,
        failed: &'a Failed,
        health: &'a Health,
    },
    Postgres {
        on: sqlx::Transaction<'a, Postgres>,
        /// See [`Lent::parts`].
        broken: &'a mut bool,
        health: &'a Health,
    },
}

/// What was committed, and may not be on the disk yet. See [`Writer::finish`].
#[must_use]
pub(crate) struct Committed(Option<Arc<Log>>);

impl Database {
    /// Waits for the right to write: SQLite has one writer, PostgreSQL as many as there are connections.
    pub(crate) async fn write(&self) -> Result<Writer<'_>, StoreError> {
        Ok(match self {
            Self::Sqlite(files) => {
                let connection = files.health.note_around(files.writer.lock().await)?;
                Writer::Sqlite { connection, log: &files.log, failed: files.writer.failed(), health: &files.health }
            }
            Self::Postgres(server) => Writer::Postgres { lent: server.health.note(server.acquire().await)?, server },
        })
    }

    /// What writes have shown of it.
    pub(crate) const fn health(&self) -> &Health {
        match self {
            Self::Sqlite(files) => &files.health,
            Self::Postgres(server) => &server.health,
        }
    }

    /// Claims due runs under a token; rows as [`crate::sql::runs::DUE`] gives them.
    pub(crate) async fn claim(&self, whose: Whose<'_>, now_us: i64, token: Uuid) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(_) => crate::sqlite::claim(self, whose, now_us, token).await,
            Self::Postgres(server) => server.claim(whose, now_us, token).await,
        }
    }

    /// What a statement that puts runs adds to its look at the tenant; see [`only_postgres::KEEP_TENANT`].
    pub(crate) const fn keep_tenant(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => only_postgres::KEEP_TENANT,
        }
    }

    /// What stands behind a table whose rows are to be found by an index. PostgreSQL finds it by itself; SQLite keeps no statistics here, and would
    /// rather read a tenant's rows in the order of the primary key, all of them where none fits.
    pub(crate) fn by_index(&self, index: &str) -> String {
        match self {
            Self::Sqlite(_) => format!(" INDEXED BY {index}"),
            Self::Postgres(_) => String::new(),
        }
    }

    /// When a lease that is taken or renewed now ends, by the database's clock; never on SQLite.
    pub(crate) async fn lease_until(&self, transaction: &mut Transaction<'_>) -> Result<Option<i64>, StoreError> {
        let Self::Postgres(server) = self else { return Ok(None) };
        let now: i64 = query(only_postgres::NOW).fetch_one(transaction).await?.get(0)?;
        Ok(Some(now.saturating_add(server.lease_us())))
    }

    /// The statement that renews a lease.
    pub(crate) const fn renew(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => sql::RENEW,
            Self::Postgres(_) => only_postgres::RENEW_UNLESS_HELD,
        }
    }

    /// Up to when leases have run out by now.
    pub(crate) async fn leases_ended(&self, transaction: &mut Transaction<'_>) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(i64::MAX),
            Self::Postgres(_) => Ok(query(only_postgres::NOW).fetch_one(transaction).await?.get(0)?),
        }
    }

    /// Tells other nodes, soon and if it can, that a run was queued.
    pub(crate) fn hint_queued(&self, due_us: i64) {
        if let Self::Postgres(server) = self {
            server.hint_queued(due_us);
        }
    }

    pub(crate) fn changes(&self) -> Changes {
        match self {
            Self::Sqlite(_) => Changes::silent(),
            Self::Postgres(server) => server.changes(),
        }
    }

    /// Closes its connections; later statements fail with [`StoreError::Closed`].
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(files) => files.close().await,
            Self::Postgres(server) => server.close().await,
        }
    }
}

impl Writer<'_> {
    /// Begins with the right to write: a transaction that reads first and asks for it later could be refused it.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(match self {
            Self::Sqlite { connection, log, failed, health } => {
                let on = health.note(failed.note(connection.begin_with("BEGIN IMMEDIATE").await))?;
                Transaction::Sqlite { on, log: Some(Arc::clone(log)), failed, health }
            }
            Self::Postgres { lent, server } => {
                let (connection, broken) = lent.parts();
                let on = server.health.note(bounded(broken, connection.begin()).await)?;
                Transaction::Postgres { on, broken, health: &server.health }
            }
        })
    }

    /// Begins where a commit need not have reached the disk when it returns.
    pub(crate) async fn begin_batch(&mut self) -> Result<Transaction<'_>, StoreError> {
        match self {
            Self::Sqlite { connection, failed, health, .. } => {
                let on = health.note(failed.note(connection.begin_with("BEGIN IMMEDIATE").await))?;
                Ok(Transaction::Sqlite { on, log: None, failed, health })
            }
            Self::Postgres { .. } => self.begin().await,
        }
    }

    /// Begins a transaction in which a tenant's definitions change. Those of one tenant take turns, and other nodes learn of it when it commits.
    pub(crate) async fn change(&mut self, tenant: &TenantName) -> Result<Transaction<'_>, StoreError> {
        let tells = matches!(self, Self::Postgres { server, .. } if server.can_notify());
        let mut transaction = self.begin().await?;
        if matches!(transaction, Transaction::Postgres { .. }) {
            query(only_postgres::CHANGE).bind(tenant.as_str()).execute(&mut transaction).await?;
            if tells {
                query(only_postgres::NOTIFY_CHANGE).bind(tenant.as_str()).execute(&mut transaction).await?;
            }
        }
        Ok(transaction)
    }

    /// Lets the next one write, and waits until what was committed is on the disk: meanwhile others commit, and one wait for the disk serves them
    /// all.
    pub(crate) async fn finish(self, committed: Committed) -> Result<(), StoreError> {
        let health = self.health();
        drop(self);
        match committed.0 {
            Some(log) => health.note_around(log.reaches_disk().await),
            None => Ok(()),
        }
    }
}

impl<'a> Writer<'a> {
    fn health(&self) -> &'a Health {
        match self {
            Self::Sqlite { health, .. } => health,
            Self::Postgres { server, .. } => &server.health,
        }
    }
}

impl Transaction<'_> {
    pub(crate) async fn commit(self) -> Result<Committed, sqlx::Error> {
        match self {
            Self::Sqlite { on, log, failed, health } => health.note(failed.note(on.commit().await)).map(|()| Committed(log)),
            Self::Postgres { on, broken, health } => health.note(bounded(broken, on.commit()).await).map(|()| Committed(None)),
        }
    }

    /// Undoes it now; one that is dropped is undone soon, and what it holds is passed by until then.
    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { on, failed, .. } => failed.note(on.rollback().await),
            Self::Postgres { on, broken, .. } => bounded(broken, on.rollback()).await,
        }
    }

    /// See [`Database::keep_tenant`].
    pub(crate) const fn keep_tenant(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "",
            Self::Postgres { .. } => only_postgres::KEEP_TENANT,
        }
    }

    /// Keeps a tenant's runs from being written until the end; SQLite's transactions do so anyway.
    pub(crate) async fn lock_tenant(&mut self, tenant: &TenantName) -> Result<(), sqlx::Error> {
        self.lock(query(only_postgres::LOCK_TENANT).bind(tenant.as_str())).await
    }

    /// The same for a callback: who waits for it and who brings it take turns.
    pub(crate) async fn lock_callback(&mut self, tenant: &TenantName, id: &CorrelationId) -> Result<(), sqlx::Error> {
        self.lock(query(only_postgres::LOCK_CALLBACK).bind(tenant.as_str()).bind(id.0.as_str())).await
    }

    /// The same for a run of the queue: who writes it down and who cancels it take turns.
    pub(crate) async fn lock_queued(&mut self, tenant: &TenantName, run: RunId) -> Result<(), sqlx::Error> {
        self.lock(query(only_postgres::LOCK_QUEUED).bind(tenant.as_str()).bind(run.to_string())).await
    }

    /// The objects of a run of the queue, which is then locked as by [`Self::lock_queued`]; none where it is not in the queue.
    pub(crate) async fn queued_objects(&mut self, tenant: &TenantName, run: RunId) -> Result<Option<Row>, sqlx::Error> {
        let objects = match self {
            Self::Sqlite { .. } => sql::QUEUED_OBJECTS,
            Self::Postgres { .. } => sql::LOCK_QUEUED_OBJECTS,
        };
        query(objects).bind(tenant.as_str()).bind(run.to_string()).fetch_optional(self).await
    }

    async fn lock(&mut self, row: Query<'_>) -> Result<(), sqlx::Error> {
        if matches!(self, Self::Postgres { .. }) {
            row.fetch_optional(self).await?;
        }
        Ok(())
    }
}
