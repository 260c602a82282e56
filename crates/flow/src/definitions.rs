//! What the runner asks of whoever keeps definitions.

use std::pin::Pin;
use std::sync::Arc;

use snaphook_model::{Code, Fault, Flow, Name, Tenant, TenantName};

use crate::prepared::PreparedFlow;
use crate::runner::Runner;
use crate::{prepare, record};

/// A definition, some time from now.
pub type DefinitionsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Finds what queued runs are made of. A [`Runner`] reads it from the store each time.
pub trait Definitions: Send + Sync {
    /// A tenant; absent when there is none of this name.
    ///
    /// # Errors
    /// `store-unavailable`, or that what the operator set is not valid.
    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> DefinitionsFuture<'a, Option<Arc<Tenant>>>;

    /// A version of a flow, with connectors as they are now.
    ///
    /// # Errors
    /// `not-found` when the tenant has no such version, else why it cannot be made ready.
    fn flow<'a>(&'a self, tenant: &'a TenantName, flow: &'a Name, version: u32) -> DefinitionsFuture<'a, Arc<PreparedFlow>>;
}

impl Definitions for Runner {
    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> DefinitionsFuture<'a, Option<Arc<Tenant>>> {
        Box::pin(async move {
            let stored = self.inner.parts.store.tenant(tenant).await.map_err(record::store_fault)?;
            let tenant = stored.map(|stored| Tenant::new(stored.name, stored.document)).transpose()?;
            Ok(tenant.map(Arc::new))
        })
    }

    fn flow<'a>(&'a self, tenant: &'a TenantName, flow: &'a Name, version: u32) -> DefinitionsFuture<'a, Arc<PreparedFlow>> {
        Box::pin(async move {
            let stored = self.inner.parts.store.flow_version(tenant, flow, version).await.map_err(record::store_fault)?;
            let gone = || Fault::new(Code::NotFound, format!("flow `{flow}` has no version {version} any more"));
            let document = Flow::parse(stored.ok_or_else(gone)?.document)?;
            prepare::flow(&self.inner.parts, tenant, flow, version, &document).await.map(Arc::new)
        })
    }
}
