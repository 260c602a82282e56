//! Opens the database: SQLite in the data directory, or PostgreSQL that several nodes share.

use std::sync::Arc;
use std::time::Duration;

use snaphook_store::{DataDir, Objects, PostgresOptions, PostgresStore, SqliteStore, Store};

use crate::config::Config;
use crate::node::start_error;
use crate::problem::CliError;

/// An open database.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// Which one it is, for people; no password.
    pub(crate) shown: String,
    /// Where objects lie, likewise.
    pub(crate) objects: String,
    /// The data directory is this process's own as long as this lives; SQLite's store holds it by itself.
    pub(crate) data_dir: Option<DataDir>,
}

/// Opens the database that the configuration names, and takes the data directory.
///
/// # Errors
/// When either cannot be used; the message says what to do.
pub(crate) async fn open(config: &Config) -> Result<Opened, CliError> {
    let objects = objects(config.objects.as_deref())?;
    let shown_objects = objects.as_ref().map(|objects| objects.place().to_owned());
    let Some(url) = &config.database_url else {
        let store = SqliteStore::open_with(&config.data_dir, objects).await.map_err(start_error)?;
        let shown = format!("SQLite in {}", config.data_dir.display());
        let objects = shown_objects.unwrap_or_else(|| format!("the folder {}", SqliteStore::objects_folder(&config.data_dir).display()));
        return Ok(Opened { store: Arc::new(store), shown, objects, data_dir: None });
    };
    if config.public_url.is_none() {
        tracing::warn!(
            "upstreams are told to call back at this node's own address; with several nodes, say where they are together: --public-url"
        );
    }
    let data_dir = DataDir::take(&config.data_dir).map_err(start_error)?;
    let store = PostgresStore::open(url, &options(config, objects)).await.map_err(start_error)?;
    let shown = store.address().to_owned();
    let objects = shown_objects.unwrap_or_else(|| "the database itself".to_owned());
    Ok(Opened { store: Arc::new(store), shown, objects, data_dir: Some(data_dir) })
}

/// The place of objects that is named, with the settings of the environment.
///
/// # Errors
/// When it cannot be used as it is named.
pub(crate) fn objects(url: Option<&str>) -> Result<Option<Objects>, CliError> {
    url.map(|url| Objects::at(url, aws_settings())).transpose().map_err(start_error)
}

/// The variables by which tools of AWS, and of those who speak its protocol, are told where a storage is and who asks.
fn aws_settings() -> impl Iterator<Item = (String, String)> {
    let readable = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    readable.filter(|(name, _)| name.starts_with("AWS_"))
}

/// How PostgreSQL is used.
fn options(config: &Config, objects: Option<Objects>) -> PostgresOptions {
    PostgresOptions {
        max_connections: config.database_connections,
        lease: Duration::from_secs(config.lease_s),
        objects,
        ..PostgresOptions::default()
    }
}
