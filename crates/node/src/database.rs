//! Opens the database: SQLite in the data directory, or PostgreSQL that several nodes share.

use std::sync::Arc;
use std::time::Duration;

use snaphook_store::{DataDir, PostgresOptions, PostgresStore, SqliteStore, Store};

use crate::config::Config;
use crate::node::start_error;
use crate::problem::CliError;

/// An open database.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// Which one it is, for people; no password.
    pub(crate) shown: String,
    /// The data directory is this process's own as long as this lives; SQLite's store holds it by itself.
    pub(crate) data_dir: Option<DataDir>,
}

/// Opens the database that the configuration names, and takes the data directory.
///
/// # Errors
/// When either cannot be used; the message says what to do.
pub(crate) async fn open(config: &Config) -> Result<Opened, CliError> {
    let Some(url) = &config.database_url else {
        let store = SqliteStore::open(&config.data_dir).await.map_err(start_error)?;
        let shown = format!("SQLite in {}", config.data_dir.display());
        return Ok(Opened { store: Arc::new(store), shown, data_dir: None });
    };
    if config.public_url.is_none() {
        tracing::warn!(
            "upstreams are told to call back at this node's own address; with several nodes, say where they are together: --public-url"
        );
    }
    let data_dir = DataDir::take(&config.data_dir).map_err(start_error)?;
    let store = PostgresStore::open(url, &options(config)).await.map_err(start_error)?;
    let shown = store.address().to_owned();
    Ok(Opened { store: Arc::new(store), shown, data_dir: Some(data_dir) })
}

/// How PostgreSQL is used.
pub(crate) fn options(config: &Config) -> PostgresOptions {
    PostgresOptions {
        max_connections: config.database_connections,
        lease: Duration::from_secs(config.lease_s),
        ..PostgresOptions::default()
    }
}
