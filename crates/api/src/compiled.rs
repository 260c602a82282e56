//! Compiled code in the code directory, kept as long as a stored version needs it. Versions with the same component, of one tenant or of
//! several, share one file.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use snaphook_model::TenantName;
use snaphook_sandbox::ProgramKey;
use snaphook_store::{PageRequest, StoreError};

use crate::problem::chain;
use crate::programs::Programs;

/// Code that is on disk already while the version that needs it is not in the store yet.
#[derive(Default)]
pub(crate) struct Making {
    /// Held for a look, or while one file is removed.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many make each.
    keys: HashMap<ProgramKey, usize>,
    /// How many have ever ended: who has asked the store meanwhile asks again.
    ended: u64,
}

/// One who makes code; ends when dropped.
pub(crate) struct Maker<'a> {
    making: &'a Making,
    key: ProgramKey,
}

impl Making {
    /// Begins before the code is put into its directory, and ends after the version is stored.
    pub(crate) fn begin(&self, key: ProgramKey) -> Maker<'_> {
        *self.state().keys.entry(key).or_default() += 1;
        Maker { making: self, key }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        let mut state = self.making.state();
        state.ended += 1;
        if let Some(count) = state.keys.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                state.keys.remove(&self.key);
            }
        }
    }
}

impl Programs {
    /// Removes compiled code that no stored version needs: of versions that were deleted while the node was not there to do it, or that
    /// are made for another interpreter now. Says how many files there were.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let sandbox = self.parts.sandbox.clone();
        let kept = match tokio::task::spawn_blocking(move || sandbox.kept()).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "the code directory cannot be swept");
                return Ok(0);
            }
            Err(_) => return Ok(0),
        };
        let used = self.hashes(None).await?;
        let unused: Vec<_> = kept.into_iter().filter(|key| !used.contains(key)).collect();
        Ok(self.discard_unused(&unused).await)
    }

    /// The compiled code of a tenant's versions, to be asked for before they are deleted.
    pub(crate) async fn code_of_tenant(&self, tenant: &TenantName) -> Result<Vec<ProgramKey>, StoreError> {
        Ok(self.hashes(Some(tenant)).await?.into_iter().collect())
    }

    async fn hashes(&self, tenant: Option<&TenantName>) -> Result<HashSet<ProgramKey>, StoreError> {
        let (mut keys, mut request) = (HashSet::new(), PageRequest::first(snaphook_store::MAX_PAGE));
        loop {
            let page = match tenant {
                Some(tenant) => self.parts.store.component_hashes_of(tenant, &request).await?,
                None => self.parts.store.component_hashes(&request).await?,
            };
            keys.extend(page.items.iter().filter_map(|hash| ProgramKey::from_hex(hash)));
            let Some(next) = page.next else { return Ok(keys) };
            request.after = Some(next);
        }
    }

    /// Discards those of these that no version needs any more. What cannot be told from the store now is left to the next sweep.
    pub(crate) async fn discard_unused(&self, keys: &[ProgramKey]) -> u64 {
        let mut discarded = 0;
        for key in keys {
            match self.discard_if_unused(key).await {
                Ok(true) => discarded += 1,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "compiled code that may be unused is left where it is");
                    break;
                }
            }
        }
        discarded
    }

    async fn discard_if_unused(&self, key: &ProgramKey) -> Result<bool, StoreError> {
        loop {
            let before = self.making.state().ended;
            if self.parts.store.component_is_used(&key.to_string()).await? {
                return Ok(false);
            }
            let state = self.making.state();
            if state.keys.contains_key(key) {
                return Ok(false);
            }
            if state.ended == before {
                self.parts.sandbox.discard(key);
                return Ok(true);
            }
        }
    }
}
