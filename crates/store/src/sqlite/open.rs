//! Opening a data directory: who may read it, who may have it, and which form its database has.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{Files, Log, SqliteStore, WriteConnection, writer};
use crate::database::{Database, Health, PATIENCE};
use crate::on_sql::{Parts, add_missing_hashes};
use crate::sql::{MIGRATIONS, tenants};
use crate::{Objects, ObjectsError, StoreError};

/// Readers beyond the number of cores only wait for each other; each is a thread and a cache of pages.
const READERS: u32 = 4;

/// A usual record takes 3 KiB: pages of 4 KiB hold one of them and stay a quarter empty. Pages of 16 KiB write records of one tenant faster still,
/// but those of a thousand tenants slower, since each of them touches a page of its own in the index.
const PAGE_BYTES: u32 = 8192;

/// Pages in the write-ahead log from which on a commit copies them into the file: 32 MiB, so that a busy node copies a page once for many
/// writes, and a killed one reads the log again in a fraction of a second.
const CHECKPOINT_PAGES: &str = "4000";

/// The log shrinks to this after a burst.
const LOG_BYTES: &str = "67108864";

/// Pages that the writer keeps in memory, in KiB as SQLite's negative numbers have it: those that runs of many tenants touch in turn.
const WRITE_CACHE: &str = "-16384";

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or read.
    #[error("cannot use `{path}`", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("`{path}` is in use by another node", path = .0.display())]
    InUse(PathBuf),
    /// A later release wrote it.
    #[error("`{path}` was written by a later release (its form {version} is unknown here); use that release", path = path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its form.
        version: i64,
    },
    /// SQLite cannot open it or bring it up to date.
    #[error("cannot open the database `{path}`", path = path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place of objects cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

impl SqliteStore {
    /// Opens the store in a directory, making both where they are missing and bringing an older database up to date.
    /// Directory and files are for the owner alone. Objects lie in a folder of the directory.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(data_dir, None).await
    }

    /// The same with another place for objects, where one is given.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_with(data_dir: &Path, objects: Option<Objects>) -> Result<Self, OpenError> {
        let file = database_file(data_dir);
        let taken = prepare_files(data_dir, &file)?;
        let objects = match objects {
            Some(objects) => objects,
            None => Objects::folder(&Self::objects_folder(data_dir))?,
        };
        let failed = |source: sqlx::Error| OpenError::Database { path: file.clone(), source: source.into() };
        let write_options = options(&file).synchronous(SqliteSynchronous::Normal).pragma("cache_size", WRITE_CACHE);
        let mut writer = writer::connect(&write_options).await.map_err(failed)?;
        MIGRATIONS.run(&mut writer).await.map_err(|error| migration_error(&file, error))?;
        let readers = SqlitePoolOptions::new()
            // All of them from the beginning: later one might be opened for a guest, whose thread makes way, and so would the connection's.
            .min_connections(READERS)
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            // A connection to a file does not go stale.
            .test_before_acquire(false)
            .max_lifetime(None)
            .connect_with(options(&file).read_only(true))
            .await
            .map_err(failed)?;
        let (writer, log) = (WriteConnection::new(write_options, writer), Arc::new(Log::of(&file)));
        let database = Arc::new(Database::Sqlite(Files { readers, writer, log, health: Health::default() }));
        add_missing_hashes(&database).await.map_err(|error| OpenError::Database { path: file.clone(), source: error.into() })?;
        Ok(Self { parts: Parts::new(database, Some(objects)), file, _taken: taken })
    }

    /// Where the objects of a data directory lie unless another place is given.
    #[must_use]
    pub fn objects_folder(data_dir: &Path) -> PathBuf {
        data_dir.join("objects")
    }

    /// Looks for damage in a directory that a node may be running on; changes nothing. Empty when sound.
    ///
    /// # Errors
    /// When the database cannot be opened at all.
    pub async fn inspect(data_dir: &Path) -> Result<Vec<String>, OpenError> {
        let file = database_file(data_dir);
        fs::metadata(&file).map_err(|source| OpenError::File { path: file.clone(), source })?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Database { path: file.clone(), source };
        let mut connection = options(&file).read_only(true).connect().await.map_err(|error| failed(error.into()))?;
        let findings = findings(&mut connection, &file).await.map_err(|error| failed(error.into()))?;
        connection.close().await.map_err(|error| failed(error.into()))?;
        Ok(findings)
    }
}

impl SqliteStore {
    /// Reads values that [`crate::Store::meta`] gives from a directory that a node may be running on; none where one was not set, or the database is of
    /// a release that had none.
    ///
    /// # Errors
    /// When the database cannot be opened or read.
    pub async fn values<const N: usize>(data_dir: &Path, keys: [&str; N]) -> Result<[Option<String>; N], OpenError> {
        let file = database_file(data_dir);
        let failed = |source: sqlx::Error| OpenError::Database { path: file.clone(), source: source.into() };
        let mut connection = options(&file).read_only(true).connect().await.map_err(failed)?;
        let mut values = [const { None }; N];
        for (key, value) in keys.into_iter().zip(&mut values) {
            *value = sqlx::query_scalar(tenants::GET_META).bind(key).fetch_optional(&mut connection).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)?;
        Ok(values)
    }
}

fn database_file(data_dir: &Path) -> PathBuf {
    data_dir.join("snaphook.db")
}

/// A data directory that this process has to itself until it drops this.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Takes a directory, for the owner alone, and makes it where there is none. [`SqliteStore::open`] does so by itself.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another node has it, [`OpenError::File`] when it cannot be used.
    pub fn take(data_dir: &Path) -> Result<Self, OpenError> {
        if !data_dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(at(data_dir))?;
        }
        let path = data_dir.join("snaphook.lock");
        let lock = private(&path)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(data_dir.to_owned()),
            TryLockError::Error(source) => at(&path)(source),
        })?;
        Ok(Self { _lock: lock })
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path, source }
}

/// Opens a file, or makes one for the owner alone.
fn private(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(at(path))
}

/// Makes the files before SQLite would make them readable for everybody; its log takes over the rights of the database.
fn prepare_files(data_dir: &Path, file: &Path) -> Result<DataDir, OpenError> {
    let taken = DataDir::take(data_dir)?;
    private(file)?.set_permissions(Permissions::from_mode(0o600)).map_err(at(file))?;
    Ok(taken)
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        // What a statement sets aside stays in memory: beside the data directory a node has no place to write to.
        .pragma("temp_store", "MEMORY")
        // Rows of a page may be megabytes each, so few of them wait in memory for whoever reads them.
        .row_buffer_size(4)
        .thread_name(|number| format!("store-{number}"))
}

fn migration_error(file: &Path, error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: file.to_owned(), version },
        other => OpenError::Database { path: file.to_owned(), source: other.into() },
    }
}

/// What is wrong with a database.
pub(super) async fn findings(connection: &mut SqliteConnection, file: &Path) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    for row in sqlx::query("PRAGMA integrity_check").fetch_all(&mut *connection).await? {
        let line: String = row.try_get(0)?;
        if line != "ok" {
            findings.push(format!("damaged: {line}"));
        }
    }
    for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await? {
        let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        findings.push(format!("a row of `{table}` names one of `{parent}` that does not exist"));
    }
    // Who may write the directory may put another database in the place of this one.
    for (path, others) in [(file.parent().unwrap_or(file), 0o022), (file, 0o077)] {
        if let Ok(metadata) = fs::metadata(path)
            && metadata.permissions().mode() & others != 0
        {
            let mode = metadata.permissions().mode() & 0o777;
            findings.push(format!("others than its owner can use `{}` (mode {mode:o})", path.display()));
        }
    }
    Ok(findings)
}
