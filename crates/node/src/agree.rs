//! What all nodes on one database agree on: the operator's token, the key of secrets, the place of objects, and since when callbacks are sealed. Who comes
//! first says it, and the others take it or do not start.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use snaphook_api::{new_token, token_hash};
use snaphook_egress::{Vault, VaultError};
use snaphook_store::{ObjectsPlaceError, Store, StoreError, TokenHash};

use crate::config::Config;
use crate::node::start_error;
use crate::problem::CliError;
use crate::rotate;

/// Where the store keeps the hash of the operator's token.
const OPERATOR_TOKEN: &str = "operator-token-hash";

/// Whoever has the operator's token has the node, so it is none that can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Where the store keeps the id of the key under which secrets are sealed.
pub(crate) const SECRETS_KEY: &str = "secrets-key-id";

/// Where it keeps until when callbacks are kept in plain.
const PLAIN_CALLBACKS: &str = "callbacks-plain-until";

/// So long nodes of the release before may go on beside this one. None of it can be started any more once this one was, so that it takes no longer
/// than to start every node anew.
const BESIDE_OLD_NODES: SignedDuration = SignedDuration::from_hours(24);

/// How another node's key comes here.
const COPY: &str = "copy `secrets.key` from the data directory of a node that runs";

/// A database that is just coming up, or that many nodes start on at once, is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

/// Asks a database that may be busy for a moment.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, CliError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(error) if error.may_pass() && Instant::now() < until => tokio::time::sleep(PAUSE).await,
            answer => return answer.map_err(start_error),
        }
    }
}

/// Makes sure that objects lie where the database's other nodes look for them.
///
/// # Errors
/// When this node was given another place, or the place does not answer; the message says what to do.
pub(crate) async fn objects(store: &dyn Store) -> Result<(), CliError> {
    match patiently(async || match store.claim_objects().await {
        Err(StoreError::OtherObjects(why)) => Ok(Err(why)),
        claimed => claimed.map(Ok),
    })
    .await?
    {
        Ok(()) => Ok(()),
        Err(why) => Err(CliError::Start(format!("{why}; {}", place_advice(&why)))),
    }
}

/// What to do about a place that is not the database's.
pub(crate) const fn place_advice(why: &ObjectsPlaceError) -> &'static str {
    match why {
        ObjectsPlaceError::NotGiven { .. } | ObjectsPlaceError::NotGivenAtStart => {
            "start it with the same place as the others: --objects or SNAPHOOK_OBJECTS"
        }
        ObjectsPlaceError::OfAnother { .. } => "give a place of its own, such as another folder or prefix: --objects or SNAPHOOK_OBJECTS",
        ObjectsPlaceError::NotHere { .. } => {
            "give that place (--objects or SNAPHOOK_OBJECTS), or copy all of it here under the same names, that object too"
        }
    }
}

/// The configured token counts for this process; without one, the token that was made at the first start of any node. It is given where it was
/// made now.
pub(crate) async fn operator_token(store: &dyn Store, configured: Option<&str>) -> Result<(TokenHash, Option<String>), CliError> {
    // An environment variable that is set to nothing gives none.
    if let Some(token) = configured.map(str::trim).filter(|token| !token.is_empty()) {
        if token.len() < SHORTEST_TOKEN {
            let detail = format!(
                "the operator's token has {} characters; give one of {SHORTEST_TOKEN} at least, or none to have one made",
                token.len()
            );
            return Err(CliError::Start(detail));
        }
        return Ok((token_hash(token), None));
    }
    let token = new_token();
    let ours = blake3::Hash::from(token_hash(&token).0);
    let stands = patiently(async || store.meta_or(OPERATOR_TOKEN, ours.to_hex().as_str()).await).await?;
    let stands = blake3::Hash::from_hex(&stands).map_err(|_| {
        CliError::Start("the database's hash of the operator's token cannot be read; give a token: --operator-token".to_owned())
    })?;
    Ok((TokenHash(stands.into()), (stands == ours).then_some(token)))
}

/// Until when callbacks are kept in plain: a node of the release before that is still there cannot open them, and goes on with runs that are called
/// back. Absent where there is no such node, as on SQLite. To be asked before the key of secrets is agreed on, by which a new database is known.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn plain_callbacks(config: &Config, store: &dyn Store) -> Result<Option<Timestamp>, CliError> {
    if config.database_url.is_none() {
        return Ok(None);
    }
    let is_new = patiently(async || store.meta(SECRETS_KEY).await).await?.is_none();
    let until = if is_new { Timestamp::UNIX_EPOCH } else { Timestamp::now() + BESIDE_OLD_NODES };
    let stands = patiently(async || store.meta_or(PLAIN_CALLBACKS, &until.to_string()).await).await?;
    // What cannot be read was written by nobody who needs them in plain.
    Ok(stands.parse().ok())
}

/// The vault with the key of the database's secrets.
///
/// # Errors
/// When this node has another key, or none while there is one; the message says how to get it.
pub(crate) async fn vault(config: &Config, store: &dyn Store) -> Result<Vault, CliError> {
    let file = key_file(config.secrets_key_file.as_deref(), &config.data_dir);
    let place = Place { file: &file, shared: config.database_url.is_some() };
    let known = patiently(async || store.meta(SECRETS_KEY).await).await?;
    let (vault, is_new) = match &config.secrets_key {
        Some(key) => (Vault::of_text(key).map_err(given_error)?, false),
        None if file.exists() => (Vault::open(&file).map_err(start_error)?, false),
        None if known.is_some() => return Err(place.refusal(&format!("{} is missing", file.display()))),
        None if config.secrets_key_file.is_some() => {
            return Err(CliError::Start(format!("there is no key file {}", file.display())));
        }
        None => (Vault::open(&file).map_err(start_error)?, true),
    };
    let stands = patiently(async || store.meta_or(SECRETS_KEY, &vault.key_id()).await).await?;
    let learned = patiently(async || rotate::learn(store, &vault).await).await?;
    if learned && vault.opens(&stands) {
        if stands != vault.key_id() {
            tracing::warn!(key = stands, "the key of secrets is being changed; give this node the new one before that is finished");
        }
        if is_new {
            tracing::warn!(path = %file.display(), "a key of secrets was made; back it up apart from the database, or what is sealed is lost with this disk");
        }
        return Ok(vault);
    }
    if is_new {
        // Another node that started at this moment was first. Nothing is sealed under this key.
        drop(std::fs::remove_file(&file));
        return Err(place.refusal(&format!("{} is missing", file.display())));
    }
    let given = if config.secrets_key.is_some() { "SNAPHOOK_SECRETS_KEY".to_owned() } else { file.display().to_string() };
    Err(place.refusal(&format!("{given} is another key than the database's secrets were sealed under")))
}

/// The file with the key, unless the key itself is given.
pub(crate) fn key_file(configured: Option<&Path>, data_dir: &Path) -> PathBuf {
    configured.map_or_else(|| data_dir.join("secrets.key"), Path::to_owned)
}

/// What to say about a database's key and this node's, which are not the same; for `doctor`, which makes none.
pub(crate) fn key_finding(stands: &str, file: &Path) -> Result<String, String> {
    if let Ok(key) = std::env::var("SNAPHOOK_SECRETS_KEY") {
        let vault = Vault::of_text(&key).map_err(|error| given_error(error).to_string())?;
        return compare(stands, &vault, "SNAPHOOK_SECRETS_KEY");
    }
    if !file.exists() {
        return Err(format!("{} is missing; {COPY}, or give the key as SNAPHOOK_SECRETS_KEY", file.display()));
    }
    let vault = Vault::open(file).map_err(|error| crate::problem::chain(&error))?;
    compare(stands, &vault, &file.display().to_string())
}

fn compare(stands: &str, vault: &Vault, name: &str) -> Result<String, String> {
    if stands == vault.key_id() {
        return Ok(format!("{name} is the key of the database's secrets"));
    }
    Err(format!("{name} is another key than the database's secrets were sealed under; {COPY}"))
}

struct Place<'a> {
    file: &'a Path,
    shared: bool,
}

impl Place<'_> {
    fn refusal(&self, what: &str) -> CliError {
        let file = self.file.display();
        CliError::Start(match self.shared {
            true => format!("{what}; {COPY} to {file}, or give the key as --secrets-key-file or SNAPHOOK_SECRETS_KEY"),
            false => format!("{what}; secrets open under the key that was there when they were put"),
        })
    }
}

fn given_error(error: VaultError) -> CliError {
    CliError::Start(format!("SNAPHOOK_SECRETS_KEY: {error}"))
}
