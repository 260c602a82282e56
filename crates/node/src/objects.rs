//! From time to time, objects that nothing in the database names are removed from their place.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use snaphook_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::problem::chain;

/// Between two looks at whether it is time.
const PAUSE: Duration = Duration::from_secs(30 * 60);

/// Between two sweeps of any nodes: all objects are listed then.
const EVERY: SignedDuration = SignedDuration::from_hours(6);

/// Uploads are under way for minutes at most; clocks may differ, and nothing hurries.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// Where the store keeps when the last sweep began, in seconds since 1970.
const SWEPT: &str = "objects-swept";

/// Sweeps when it is time, at the start first, until the node stops.
pub(crate) async fn sweep_always(store: Arc<dyn Store>, stopping: CancellationToken) {
    let sweeping = async {
        loop {
            match sweep(store.as_ref(), Timestamp::now()).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "objects that nothing needs any more were removed"),
                Err(error) => tracing::warn!(error = chain(&error), "objects could not be swept; they are later"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    stopping.run_until_cancelled(sweeping).await;
}

async fn sweep(store: &dyn Store, now: Timestamp) -> Result<u64, StoreError> {
    let last = store.meta(SWEPT).await?.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    if last.is_some_and(|last| now.duration_since(last) < EVERY) {
        return Ok(0);
    }
    let swept = store.sweep_objects(now.checked_sub(OLD).unwrap_or(Timestamp::UNIX_EPOCH)).await?;
    store.set_meta(SWEPT, &now.as_second().to_string()).await?;
    Ok(swept)
}
