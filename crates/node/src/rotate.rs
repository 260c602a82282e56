//! `snaphook secrets rotate`: a new key for everything that is sealed. Nodes that run meanwhile open what is sealed under either.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use snaphook_egress::Vault;
use snaphook_flow::{Resealed, reseal_all};
use snaphook_store::{PostgresOptions, PostgresStore, SqliteStore, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::agree::{SECRETS_KEY, key_file};
use crate::cli::RotateArgs;
use crate::node::start_error;
use crate::problem::CliError;

/// Where the store keeps both keys, each sealed under the other, while one takes the other's place.
const HANDOVER: &str = "secrets-key-handover";
/// Where it keeps what placeholders follow from, once the key was another one.
const PLACEHOLDERS: &str = "secrets-placeholders";

/// How often a node looks whether the key is to be another one.
const LOOK: Duration = Duration::from_secs(1);
/// So long nodes have to hear of it: some looks, with a database that is slow to answer.
const HEARD: Duration = Duration::from_secs(5);
/// A walk that finds that others write all the time is not repeated for ever.
const MOST_WALKS: usize = 20;

/// Gives a vault what the database has for it: the other key while one takes the other's place, and what placeholders follow from. False: the vault's key is
/// neither of the two.
///
/// # Errors
/// When the store does not answer, or holds something else there.
pub(crate) async fn learn(store: &dyn Store, vault: &Vault) -> Result<bool, StoreError> {
    if let Some(handover) = store.meta(HANDOVER).await?
        && vault.learn(&handover).is_err()
    {
        return Ok(false);
    }
    match store.meta(PLACEHOLDERS).await? {
        Some(placeholders) => Ok(vault.learn_placeholders(&placeholders).is_ok()),
        None => Ok(true),
    }
}

/// Hears of another key, until the node stops.
pub(crate) async fn follow(store: Arc<dyn Store>, vault: Arc<Vault>, stopping: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut warned = false;
    while stopping.run_until_cancelled(looks.tick()).await.is_some() {
        let handover = match store.meta(HANDOVER).await {
            Ok(handover) => handover,
            Err(error) => {
                tracing::debug!(%error, "whether the key of secrets is to be another one is asked again");
                continue;
            }
        };
        let failed = handover.is_some_and(|handover| vault.learn(&handover).is_err());
        if failed && !warned {
            tracing::error!(
                "the key of secrets is to be another one, and this node's key is not the one before; give it the new one and start it again"
            );
        }
        warned = failed;
    }
}

/// Seals everything under a new key.
///
/// # Errors
/// Before anything changes, when the key is not the database's, or another change of keys is under way; when the store does not answer, and then the
/// command can be given again.
pub(crate) async fn run(args: RotateArgs) -> Result<(), CliError> {
    let file = key_file(args.data.secrets_key_file.as_deref(), &args.data.data_dir);
    let store = open(&args).await?;
    let store = store.as_ref();
    let old = old_key(&file)?;
    let new_file = args.new_key_file.clone().unwrap_or_else(|| beside(&file, "new"));
    let stands = store.meta(SECRETS_KEY).await.map_err(start_error)?;
    let handover = store.meta(HANDOVER).await.map_err(start_error)?;
    if args.finish {
        finish(store, &old, stands.as_deref(), handover.as_deref()).await?;
        return close(store).await;
    }
    check(&old, stands.as_deref(), handover.as_deref())?;
    // Only once it is sure that the key before it is the right one.
    let new = Vault::open(&new_file).map_err(start_error)?;
    if new.key_id() == old.key_id() {
        return Err(CliError::Usage(format!("{} holds the key that is in force already", new_file.display())));
    }
    begin(store, &old, &new).await?;
    let shared = args.data.database.is_some();
    if shared {
        println!("every node hears of the new key…");
        tokio::time::sleep(HEARD).await;
    }
    let done = walk(store, &old).await?;
    println!("{done} secrets, connections, authorizations and callbacks are sealed under the new key, {}", new.key_id());
    if shared || std::env::var_os("SNAPHOOK_SECRETS_KEY").is_some() {
        println!(
            "give every node the key in {} in the place of the old one and start it again; then `snaphook secrets rotate --finish` with that key, after \
             which the old one opens nothing",
            new_file.display()
        );
        return close(store).await;
    }
    let kept = kept(&file, &old.key_id());
    take_place(&file, &new_file, &kept)?;
    finish(store, &new, Some(&new.key_id()), store.meta(HANDOVER).await.map_err(start_error)?.as_deref()).await?;
    println!("{} holds the new key; the old one is beside it as {}, for backups from before", file.display(), kept.display());
    close(store).await
}

async fn close(store: &dyn Store) -> Result<(), CliError> {
    store.close().await.map_err(start_error)
}

/// The database. SQLite has one process, so no node runs on it now.
async fn open(args: &RotateArgs) -> Result<Arc<dyn Store>, CliError> {
    match &args.data.database {
        Some(url) => {
            let store = PostgresStore::open(url, &PostgresOptions::default()).await.map_err(start_error)?;
            Ok(Arc::new(store))
        }
        None => Ok(Arc::new(SqliteStore::open(&args.data.data_dir).await.map_err(start_error)?)),
    }
}

/// The key that is in force, as a node is given it; none is made.
fn old_key(file: &Path) -> Result<Vault, CliError> {
    if let Ok(key) = std::env::var("SNAPHOOK_SECRETS_KEY") {
        return Vault::of_text(&key).map_err(|error| CliError::Start(format!("SNAPHOOK_SECRETS_KEY: {error}")));
    }
    if !file.exists() {
        return Err(CliError::Start(format!("there is no key file {}", file.display())));
    }
    Vault::open(file).map_err(start_error)
}

/// Refuses a key that is not the database's, unless it is the one before in a change of keys that was broken off.
fn check(old: &Vault, stands: Option<&str>, handover: Option<&str>) -> Result<(), CliError> {
    let from = handover.map(Vault::handed_over).transpose().map_err(start_error)?.map(|(from, _)| from);
    let own = old.key_id();
    if stands == Some(&own) && from.as_ref().is_none_or(|from| *from == own) || from.as_deref() == Some(&own) {
        return Ok(());
    }
    if stands.is_none() {
        return Err(CliError::Start("the database has no secrets yet: no node was ever started on it".to_owned()));
    }
    let detail = match from {
        Some(_) if stands == Some(&own) => "this is the new key of a change that is under way: give the old one, or `--finish`",
        _ => "the key that was given is another one than the database's secrets were sealed under",
    };
    Err(CliError::Start(format!("{detail}; nothing was changed")))
}

/// Tells all nodes of the new key. From here on it seals. What was done before, when it was broken off, is not done again.
async fn begin(store: &dyn Store, old: &Vault, new: &Vault) -> Result<(), CliError> {
    let ours = old.handover(new).map_err(|fault| CliError::Start(fault.detail))?;
    let stands = store.meta_or(HANDOVER, &ours).await.map_err(start_error)?;
    let (_, to) = Vault::handed_over(&stands).map_err(start_error)?;
    if to != new.key_id() {
        let detail = format!("a change to another key, {to}, is under way; give that one: --new-key-file. Nothing was changed");
        return Err(CliError::Start(detail));
    }
    if let Some(placeholders) = store.meta(PLACEHOLDERS).await.map_err(start_error)? {
        old.learn(&stands).map_err(start_error)?;
        old.learn_placeholders(&placeholders).map_err(start_error)?;
    }
    old.learn(&stands).map_err(start_error)?;
    let placeholders = old.placeholders().map_err(|fault| CliError::Start(fault.detail))?;
    store.set_meta(PLACEHOLDERS, &placeholders).await.map_err(start_error)?;
    store.set_meta(SECRETS_KEY, &new.key_id()).await.map_err(start_error)
}

/// Walks until there is nothing left under the old key.
async fn walk(store: &dyn Store, vault: &Vault) -> Result<u64, CliError> {
    let mut done = 0;
    for _ in 0..MOST_WALKS {
        let walked = reseal_all(store, vault).await.map_err(|fault| CliError::Start(fault.detail))?;
        done += walked.done;
        if walked == Resealed::default() {
            return Ok(done);
        }
    }
    Err(CliError::Start("others write secrets all the time; give the command again".to_owned()))
}

/// Takes the old key away, after a last look for what is sealed under it.
async fn finish(store: &dyn Store, new: &Vault, stands: Option<&str>, handover: Option<&str>) -> Result<(), CliError> {
    let Some(handover) = handover else {
        return Err(CliError::Start("no change of keys is under way".to_owned()));
    };
    if stands != Some(&new.key_id()) {
        return Err(CliError::Start("give the new key; nothing was changed".to_owned()));
    }
    new.learn(handover).map_err(start_error)?;
    walk(store, new).await?;
    store.remove_meta(HANDOVER).await.map_err(start_error)?;
    println!("the old key opens nothing any more");
    Ok(())
}

/// Where the old key stays, under its own name: another change must not write over it, since there are backups that only it opens.
fn kept(file: &Path, key_id: &str) -> PathBuf {
    beside(file, &format!("old-{key_id}"))
}

/// The file's name with something behind it.
fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// The new key's file takes the old one's place, which stays beside it.
fn take_place(file: &Path, new: &Path, kept: &Path) -> Result<(), CliError> {
    let failed = |source| CliError::File { what: format!("cannot put the new key to {}", file.display()), source };
    std::fs::copy(file, kept).and_then(|_| std::fs::File::open(kept)?.sync_all()).map_err(failed)?;
    std::fs::rename(new, file).map_err(failed)?;
    // The handover goes next, and neither key is of use without the other's place being sure.
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
