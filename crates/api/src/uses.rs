//! When tokens were used last: known to the minute, gathered in memory and written some at a time, so that a call costs one look at a number.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use snaphook_model::TenantName;
use snaphook_store::Store;

/// Between two writes. A token is written once a minute at most, so this is how much later a list may tell it.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

/// Tokens that wait to be written: as many as are kept in memory. What is beyond is noted when they are used the next time.
const MOST: usize = 20_000;

/// Uses that are not written yet.
#[derive(Default)]
pub(crate) struct Uses {
    pending: Mutex<HashMap<(TenantName, String), Timestamp>>,
}

/// The minute that a time is in, counted from 1970.
pub(crate) fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

impl Uses {
    /// Notes a use. False: there is no room for it.
    pub(crate) fn add(&self, tenant: &TenantName, id: &str, minute: i64) -> bool {
        let Ok(at) = Timestamp::from_second(minute.saturating_mul(60)) else { return false };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= MOST {
            return false;
        }
        pending.insert((tenant.clone(), id.to_owned()), at);
        true
    }

    /// Writes what is noted. What cannot be written is given up: a token that is in use is noted again in its next minute.
    pub(crate) async fn write(&self, store: &dyn Store) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return;
        }
        let uses: Vec<_> = pending.into_iter().map(|((tenant, id), at)| (tenant, id, at)).collect();
        if let Err(error) = store.use_tokens(&uses).await {
            tracing::warn!(error = &error as &dyn Error, tokens = uses.len(), "when tokens were used last is not noted");
        }
    }
}
