//! Opening a database: whether it can be reached, whether it will do, and which form it has.

use std::borrow::Cow;
use std::error::Error;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor, SqlSafeStr as _};
use tokio::time::timeout;

use super::changes::Watch;
use super::{PATIENCE, PostgresStore, Server, check};
use crate::Objects;
use crate::database::{Database, Health};
use crate::on_sql::Parts;
use crate::sql::{MIGRATIONS, postgres as sql};

/// Another node may be bringing a large database up to date.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(600);

/// A connection that lay unused for this long is asked whether it is alive before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// What each connection is told first. A transaction that its node left alone holds up nobody for long; see also `OVERLAP_US` of the changes.
const SESSION: &str = "SET statement_timeout = 5000; SET idle_in_transaction_session_timeout = 15000; SET TIME ZONE 'UTC'";

/// Statements are not compiled: one with a term for each of a hundred buckets looks dear to the planner, and compiling it takes longer than all of its rows.
/// A server that speaks the protocol without being PostgreSQL may refuse this.
const NOT_COMPILED: &str = "SET jit = off";

/// How a database is used.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections at most, 2 or more; one of them listens. All nodes together must stay below the server's `max_connections`.
    pub max_connections: u32,
    /// What the server shows the connections as.
    pub application_name: String,
    /// How long a claimed run stays this node's without being renewed. A step may take many times as long: leases are renewed while their runs are
    /// under way, and a run whose lease could not be renewed for half of this time is let go of.
    pub lease: Duration,
    /// Whether to listen for notices of other nodes. Without, and where the server has none, changes are looked for twice a second; behind a
    /// pooler that hands out another connection for each transaction, listening is of no use.
    pub listens: bool,
    /// Where components of scripts and large payloads lie; without, in the database. The same for all nodes.
    pub objects: Option<Objects>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { max_connections: 16, application_name: "snaphook".to_owned(), lease: Duration::from_secs(60), listens: true, objects: None }
    }
}

/// What a look at a database found.
#[derive(Debug)]
pub struct Inspected {
    /// As [`PostgresStore::address`].
    pub address: String,
    /// Of the server, as its makers write it.
    pub version: String,
    /// What is wrong, or will be; empty when all is well.
    pub findings: Vec<String>,
    /// Migrations of this release that have not run yet; the next start of a node runs them.
    pub missing: usize,
    /// The values that were asked for; none where one was not set.
    pub values: Vec<Option<String>>,
}

/// Why a database cannot be opened, and what to do. No password is in it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The URL cannot be read.
    #[error("the database's URL cannot be read; write postgres://user:password@host:5432/database")]
    Url(#[source] Box<dyn Error + Send + Sync>),
    /// Nobody answers there, or not in time.
    #[error("PostgreSQL at {server} cannot be reached; check that it runs, its address, and what is in between")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It does not let this user in.
    #[error("PostgreSQL at {server} refuses user `{user}`; check user and password, and the server's pg_hba.conf")]
    Refused {
        /// Host and port.
        server: String,
        /// The user.
        user: String,
        /// What it says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no such database.
    #[error("PostgreSQL at {server} has no database `{database}`; make it: CREATE DATABASE \"{database}\" OWNER \"{user}\"")]
    NoDatabase {
        /// Host and port.
        server: String,
        /// The database.
        database: String,
        /// The user.
        user: String,
    },
    /// The user may not make or use tables there.
    #[error(
        "user `{user}` may not make or use tables in database `{database}`; make it the owner: ALTER DATABASE \"{database}\" OWNER TO \"{user}\""
    )]
    Rights {
        /// The database.
        database: String,
        /// The user.
        user: String,
        /// What the server says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server is too old.
    #[error("PostgreSQL {major} is too old; {oldest} is the oldest that will do", oldest = check::OLDEST / 10_000)]
    TooOld {
        /// Its version.
        major: u32,
    },
    /// It takes no writes.
    #[error("PostgreSQL at {server} takes no writes: it is a standby, or was made read-only; use the primary")]
    ReadOnly {
        /// Host and port.
        server: String,
    },
    /// A later release wrote it.
    #[error("the database was written by a later release (its form {version} is unknown here); use that release")]
    Newer {
        /// Its form.
        version: i64,
    },
    /// It cannot be brought up to date, or fails in another way.
    #[error("the database cannot be opened")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

impl PostgresStore {
    /// Opens a database, making its tables where they are missing and bringing older ones up to date; nodes that do so at once take turns.
    ///
    /// The URL is as in libpq: `postgres://user:password@host:5432/database?sslmode=verify-full`. With `sslmode=require` the connection is
    /// encrypted, with `verify-full` the server proves who it is as well.
    ///
    /// # Errors
    /// See [`PostgresOpenError`].
    pub async fn open(url: &str, options: &PostgresOptions) -> Result<Self, PostgresOpenError> {
        let target = Target::new(url, options)?;
        let mut connection = target.connect().await?;
        let now_us = target.prepare(&mut connection).await.map_err(|failure| target.error(failure))?;
        let can_notify = sqlx::query(sql::NOTIFY_CHANGE).bind("").execute(&mut connection).await.is_ok();
        // Whether the server minds does not matter any more.
        let _ = connection.close().await;
        let pool = pool(target.options.clone(), options.max_connections);
        let away = Arc::new(AtomicBool::new(false));
        let watch = Watch::begin(pool.clone(), Arc::clone(&away), now_us, can_notify, options.listens);
        let server = Server { pool, lease: options.lease, away, watch, health: Health::default() };
        Ok(Self {
            parts: Parts::new(Arc::new(Database::Postgres(server)), options.objects.clone()),
            lease: options.lease,
            address: target.address,
        })
    }

    /// Which database it is, for people: user, server, database, and whether connections are encrypted; no password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Says what is wrong with a database that nodes may be running on, and reads some of the values that [`crate::Store::meta`] gives; changes
    /// nothing.
    ///
    /// # Errors
    /// When it cannot be reached or read; see [`PostgresOpenError`].
    pub async fn inspect(url: &str, options: &PostgresOptions, keys: &[&str]) -> Result<Inspected, PostgresOpenError> {
        let target = Target::new(url, options)?;
        let mut connection = target.connect().await?;
        let inspected = check::inspect(&mut connection, target.address.clone(), keys).await;
        let inspected = inspected.map_err(|error| target.error(error.into()))?;
        let _ = connection.close().await;
        Ok(inspected)
    }
}

/// Which database, for those who read what is wrong with it.
struct Target {
    options: PgConnectOptions,
    server: String,
    user: String,
    database: String,
    /// All of it in one line.
    address: String,
}

/// What can go wrong once there is a connection.
enum Failure {
    Sql(sqlx::Error),
    Open(PostgresOpenError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl Target {
    fn new(url: &str, options: &PostgresOptions) -> Result<Self, PostgresOpenError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(PostgresOpenError::Url("it does not begin with postgres://".into()));
        }
        let parsed = PgConnectOptions::from_str(url).map_err(|error| PostgresOpenError::Url(error.into()))?;
        let parsed = parsed.application_name(&options.application_name);
        let server = match parsed.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", parsed.get_host(), parsed.get_port()),
        };
        let user = parsed.get_username().to_owned();
        // As the server understands a URL that names none.
        let database = parsed.get_database().unwrap_or(&user).to_owned();
        let encrypted = match parsed.get_ssl_mode() {
            PgSslMode::Disable => "not encrypted",
            PgSslMode::Allow | PgSslMode::Prefer => "encrypted if the server does so",
            PgSslMode::Require => "encrypted",
            PgSslMode::VerifyCa | PgSslMode::VerifyFull => "encrypted, server verified",
        };
        let address = format!("postgres://{user}@{server}/{database} ({encrypted})");
        Ok(Self { options: parsed, server, user, database, address })
    }

    async fn connect(&self) -> Result<PgConnection, PostgresOpenError> {
        match timeout(PATIENCE, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| self.error(error.into())),
            Err(_) => Err(PostgresOpenError::Unreachable { server: self.server.clone(), source: "it does not answer".into() }),
        }
    }

    /// Brings the database up to date and gives its time.
    async fn prepare(&self, connection: &mut PgConnection) -> Result<i64, Failure> {
        suits(check::version(connection).await?).map_err(Failure::Open)?;
        if check::read_only(connection).await? {
            return Err(Failure::Open(PostgresOpenError::ReadOnly { server: self.server.clone() }));
        }
        let (missing, unknown) = check::migrations(connection).await?;
        if let Some(version) = unknown {
            return Err(Failure::Open(PostgresOpenError::Newer { version }));
        }
        // A role that may use the tables but not make any is enough where there is nothing to make.
        if missing > 0 {
            let migrated = timeout(MIGRATION_PATIENCE, migrations().run(&mut *connection)).await;
            migrated.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|error| match error {
                MigrateError::VersionMissing(version) => Failure::Open(PostgresOpenError::Newer { version }),
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Failure::Sql(error),
                other => Failure::Open(PostgresOpenError::Database(other.into())),
            })?;
        }
        // Whether the tables may be used, too.
        sqlx::query_scalar::<_, i64>(sql::MAY_USE).fetch_optional(&mut *connection).await?;
        Ok(sqlx::query_scalar(sql::NOW).fetch_one(connection).await?)
    }

    fn error(&self, failure: Failure) -> PostgresOpenError {
        let error = match failure {
            Failure::Open(error) => return error,
            Failure::Sql(error) => error,
        };
        let (server, user, database) = (self.server.clone(), self.user.clone(), self.database.clone());
        let code = match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => return PostgresOpenError::Unreachable { server, source: error.into() },
            sqlx::Error::Configuration(_) => return PostgresOpenError::Url(error.into()),
            sqlx::Error::Database(inner) => inner.code().unwrap_or_default().into_owned(),
            _ => return PostgresOpenError::Database(error.into()),
        };
        match code.as_str() {
            // Starting up, shutting down, or no connection left.
            "57P01" | "57P02" | "57P03" | "53300" => PostgresOpenError::Unreachable { server, source: error.into() },
            "28P01" | "28000" => PostgresOpenError::Refused { server, user, source: error.into() },
            "3D000" => PostgresOpenError::NoDatabase { server, database, user },
            // No right to it, or no schema to make tables in.
            "42501" | "3F000" => PostgresOpenError::Rights { database, user, source: error.into() },
            _ => PostgresOpenError::Database(error.into()),
        }
    }
}

/// Whether a server's version, as it numbers them itself, will do.
pub(super) fn suits(version: u32) -> Result<(), PostgresOpenError> {
    if version < check::OLDEST { Err(PostgresOpenError::TooOld { major: version / 10_000 }) } else { Ok(()) }
}

/// The migrations as this database reads them. Their checksums are those of the text that both read.
fn migrations() -> Migrator {
    let (name, with_collation) = sql::COLLATION;
    let mut ours: Vec<_> = MIGRATIONS.iter().cloned().collect();
    for migration in &mut ours {
        migration.sql = AssertSqlSafe(migration.sql.as_str().replace(name, with_collation)).into_sql_str();
    }
    Migrator { migrations: Cow::Owned(ours), ..Migrator::DEFAULT }
}

fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections.max(2))
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(begin_session(connection)))
        .before_acquire(|connection, meta| Box::pin(async move { Ok(meta.idle_for < FRESH || connection.ping().await.is_ok()) }))
        .connect_lazy_with(options)
}

/// Tells a new connection what it is to know.
async fn begin_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    Executor::execute(&mut *connection, SESSION).await?;
    match Executor::execute(connection, NOT_COMPILED).await {
        Err(error @ sqlx::Error::Database(_)) => {
            tracing::debug!(error = &error as &dyn Error, "the server does not know how to leave statements uncompiled");
            Ok(())
        }
        done => done.map(drop),
    }
}
