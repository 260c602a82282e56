//! Where objects may lie: a folder, or a bucket of a storage that speaks S3's protocol.

use std::error::Error;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::{ANSWER_PATIENCE, Objects};

/// A storage that is there takes a connection in milliseconds.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// A request that fails for a reason that passes is sent again so often, and for so long at most.
const RETRIES: usize = 3;
const RETRY_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a place for objects cannot be used, and what to do. No key is in it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The URL cannot be read.
    #[error("`{0}` is no place for objects; write file:///a/folder or s3://bucket/prefix")]
    Url(String),
    /// The folder cannot be made or used.
    #[error("cannot use the folder `{path}` for objects", path = path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Settings of the storage do not fit together, or cannot be read.
    #[error("the settings of `{place}` cannot be used; see the variables AWS_*")]
    Settings {
        /// Which place.
        place: String,
        /// What is wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It does not answer, or not as it should.
    #[error("the objects' place {place} cannot be used: {what} failed")]
    Probe {
        /// Which place.
        place: String,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Objects {
    /// Objects in a folder, which is made for its owner alone where there is none. What is written is on the disk when it is acknowledged.
    ///
    /// # Errors
    /// [`ObjectsError::Folder`].
    pub fn folder(path: &FilePath) -> Result<Self, ObjectsError> {
        let failed = |source: Box<dyn Error + Send + Sync>| ObjectsError::Folder { path: path.to_owned(), source };
        make_folder(path).map_err(|error| failed(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(error.into()))?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self::new(Arc::new(store), format!("the folder {}", path.display()), Some(path.to_owned())))
    }

    /// Objects at a URL: `file:///a/folder`, or `s3://bucket/prefix` with settings named like the environment variables of AWS's own tools:
    /// `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and `AWS_ALLOW_HTTP` for an endpoint without TLS.
    /// Others are passed over.
    ///
    /// # Errors
    /// See [`ObjectsError`]. Nobody is asked yet; see [`Objects::probe`].
    pub fn at(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, ObjectsError> {
        let unknown = || ObjectsError::Url(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| unknown())?;
        // Keys do not belong into a URL, and what is not understood must not look as if it were.
        if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(ObjectsError::Url(format!("{}://…", parsed.scheme())));
        }
        match parsed.scheme() {
            "file" => Self::folder(&parsed.to_file_path().map_err(|()| unknown())?),
            "s3" => {
                let bucket = parsed.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(unknown)?;
                let prefix = Path::from_url_path(parsed.path()).map_err(|_| unknown())?;
                let store = s3(bucket, settings).map_err(|error| ObjectsError::Settings { place: url.to_owned(), source: error.into() })?;
                let store: Arc<dyn ObjectStore> = match prefix.as_ref() {
                    "" => Arc::new(store),
                    _ => Arc::new(PrefixStore::new(store, prefix)),
                };
                Ok(Self::new(store, url.trim_end_matches('/').to_owned(), None))
            }
            _ => Err(unknown()),
        }
    }
}

fn make_folder(path: &FilePath) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn s3(bucket: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<object_store::aws::AmazonS3, object_store::Error> {
    // The HTTP client takes the process's provider of cryptography, and has none of its own. One that is there already is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings: Vec<(AmazonS3ConfigKey, String)> = settings
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
        // A variable that is set to nothing says nothing.
        .filter(|(_, value): &(_, String)| !value.trim().is_empty())
        .collect();
    let is_endpoint = |key: &AmazonS3ConfigKey| matches!(key, AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint);
    let plain = settings.iter().any(|(key, value)| is_endpoint(key) && value.starts_with("http://"));
    let client = ClientOptions::new().with_connect_timeout(CONNECT_PATIENCE).with_timeout(ANSWER_PATIENCE);
    // Without TLS there is nothing to verify, so a machine without authorities will do.
    let client = client.with_config(ClientConfigKey::NoSystemCertificates, plain.to_string());
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2. },
        max_retries: RETRIES,
        retry_timeout: RETRY_PATIENCE,
    };
    let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_client_options(client).with_retry(retry);
    // Not every storage that speaks the protocol knows how to delete several at once.
    let builder =
        settings.into_iter().fold(builder.with_disable_bulk_delete(true), |builder, (key, value)| builder.with_config(key, value));
    builder.build()
}
