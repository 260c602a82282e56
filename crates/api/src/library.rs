//! The scripts of a tenant, for those of its uploads that import them.

use snaphook_compile::{Library, LibraryFuture, LibraryScript};
use snaphook_model::{Fault, Import, Name, ScriptVersion, TenantName};
use snaphook_store::{Store, StoreError};

use crate::problem::chain;

/// What one tenant can import: its own, and nobody else's.
pub(crate) struct TenantLibrary<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) tenant: &'a TenantName,
}

impl TenantLibrary<'_> {
    /// Whether an upload that imports these would import the same today, whether it names versions or not.
    pub(crate) async fn are_latest(&self, imports: &[Import]) -> Result<bool, StoreError> {
        for Import { script, version } in imports {
            let latest = self.store.latest_version(self.tenant, script).await?;
            if latest.is_none_or(|latest| latest.version != *version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read(&self, script: &Name, version: Option<u32>) -> Result<Option<LibraryScript>, StoreError> {
        let record = match version {
            Some(version) => self.store.version(self.tenant, script, version).await?,
            None => self.store.latest_version(self.tenant, script).await?,
        };
        let Some(ScriptVersion { version, language, dialect, imports, .. }) = record else { return Ok(None) };
        let source = self.store.source(self.tenant, script, version).await?;
        Ok(source.map(|bytes| LibraryScript { version, language, dialect, bytes, imports }))
    }
}

impl Library for TenantLibrary<'_> {
    fn find<'a>(&'a self, script: &'a Name, version: Option<u32>) -> LibraryFuture<'a> {
        Box::pin(async move {
            self.read(script, version).await.map_err(|error| {
                tracing::error!(error = chain(&error), "the library cannot be read");
                Fault::from(error)
            })
        })
    }
}
