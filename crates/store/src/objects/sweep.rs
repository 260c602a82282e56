//! Objects that nobody names: of uploads that were killed between the object and its row, and of rows that went while the place did not answer.

use std::fs;
use std::path::Path as FilePath;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::path::Path;
use tokio::time::timeout;

use super::key::PREFIXES;
use super::{ANSWER_PATIENCE, Objects, no_answer, unavailable};
use crate::StoreError;
use crate::database::Database;
use crate::on_sql::unused_objects;
use crate::sql::objects::AT_ONCE;

/// Between two looks at some of the objects, so that a million of them is some minutes of little work.
const PAUSE: Duration = Duration::from_millis(20);

/// Removes objects from before a time that no row names, and says how many there were. The time leaves room for uploads under way.
pub(crate) async fn sweep(database: &Database, objects: &Objects, before: Timestamp) -> Result<u64, StoreError> {
    let mut removed = 0;
    for prefix in PREFIXES {
        removed += sweep_below(database, objects, prefix, before).await?;
        if let Some(folder) = objects.0.folder.clone() {
            let rows = folder.join(prefix);
            let swept = tokio::task::spawn_blocking(move || remove_unfinished(&rows, time(before)));
            removed += swept.await.map_err(unavailable)?;
        }
    }
    Ok(removed)
}

async fn sweep_below(database: &Database, objects: &Objects, prefix: &str, before: Timestamp) -> Result<u64, StoreError> {
    let prefix = Path::from(prefix);
    let old = objects.0.store.list(Some(&prefix)).try_filter(|object| {
        let is_old = object.last_modified.timestamp() < before.as_second();
        std::future::ready(is_old)
    });
    let mut some = old.map_ok(|object| object.location.to_string()).try_chunks(AT_ONCE).boxed();
    let mut removed = 0;
    while let Some(keys) = timeout(ANSWER_PATIENCE, some.next()).await.map_err(|_| no_answer())? {
        // What was listed before the failure is looked at the next time.
        let keys = keys.map_err(|error| unavailable(error.1))?;
        let unused = unused_objects(database, &keys).await?;
        objects.removed(&unused).await?;
        removed += unused.len() as u64;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(removed)
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at.as_second().try_into().unwrap_or_default())
}

/// What a killed process had not written to its end: `object_store` writes to a file whose name ends in `#` and a number, gives it its own name
/// when it is whole, and does not list it before. Files that cannot be looked at, or are gone meanwhile, are left alone.
fn remove_unfinished(directory: &FilePath, before: SystemTime) -> u64 {
    let mut removed = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove_unfinished(&path, before);
            // Only where nothing is in it any more.
            let _ = fs::remove_dir(&path);
        } else if is_unfinished(&path) && entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified < before)
        {
            removed += u64::from(fs::remove_file(&path).is_ok());
        }
    }
    removed
}

fn is_unfinished(path: &FilePath) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}
