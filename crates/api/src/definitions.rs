//! Definitions ready to be run, kept in memory so that a call reads nothing from the store.

use std::sync::Arc;

use snaphook_flow::{DefinitionsFuture, PreparedEndpoint, PreparedFlow, Runner};
use snaphook_model::{Connector, Flow, Invalid, Name, Tenant, TenantName, TriggerAuth};
use snaphook_store::Store;

use crate::cache::Cache;
use crate::problem::Problem;
use crate::shared::Core;

/// Memory for kept endpoints and for kept flows, each. A definition keeps its programs loaded, so it weighs what they do; a definition
/// that falls out is prepared again in well under a millisecond.
const KEPT_BYTES: u64 = 128 << 20;

/// What a definition takes besides its programs, about.
const OVERHEAD_BYTES: usize = 4 << 10;

type EndpointKey = (TenantName, Name, Name);
type FlowKey = (TenantName, Name);

/// Prepares definitions and keeps them until something they are made of changes.
pub(crate) struct Definitions {
    store: Arc<dyn Store>,
    runner: Runner,
    endpoints: Cache<EndpointKey, Arc<PreparedEndpoint>>,
    flows: Cache<FlowKey, Arc<PreparedFlow>>,
}

impl Definitions {
    pub(crate) fn new(store: Arc<dyn Store>, runner: Runner) -> Self {
        Self {
            store,
            runner,
            endpoints: Cache::weighed("endpoints", KEPT_BYTES, |_, endpoint: &Arc<PreparedEndpoint>| {
                endpoint.memory_bytes() + OVERHEAD_BYTES
            }),
            flows: Cache::weighed("flows", KEPT_BYTES, |_, flow: &Arc<PreparedFlow>| flow.memory_bytes() + OVERHEAD_BYTES),
        }
    }

    /// An endpoint, ready to be called.
    pub(crate) async fn endpoint(&self, tenant: &TenantName, connector: Name, endpoint: Name) -> Result<Arc<PreparedEndpoint>, Problem> {
        let key = (tenant.clone(), connector, endpoint);
        let kept = self.endpoints.get_or(&key, || self.prepare_endpoint(&key)).await?;
        kept.ok_or_else(|| Problem::not_found(format!("connector `{}`", key.1)))
    }

    /// The latest version of a flow, ready to be run.
    pub(crate) async fn flow(&self, tenant: &TenantName, flow: Name) -> Result<Arc<PreparedFlow>, Problem> {
        let found = self.find_flow(tenant, &flow).await?;
        found.ok_or_else(|| Problem::not_found(format!("flow `{flow}`")))
    }

    /// The same; absent when there is none of this name.
    pub(crate) async fn find_flow(&self, tenant: &TenantName, flow: &Name) -> Result<Option<Arc<PreparedFlow>>, Problem> {
        let key = (tenant.clone(), flow.clone());
        self.flows.get_or(&key, || self.prepare_flow(&key)).await
    }

    /// Who may begin runs of a flow from outside, read from its document; for a flow that cannot be prepared.
    pub(crate) async fn trigger_auth(&self, tenant: &TenantName, flow: &Name) -> Result<Option<TriggerAuth>, Problem> {
        let Some(stored) = self.store.flow(tenant, flow).await? else { return Ok(None) };
        let document = Flow::parse(stored.document).map_err(|invalid| unreadable(&invalid))?;
        Ok(document.trigger.map(|trigger| trigger.auth))
    }

    /// After a connector was changed or deleted. Any of the tenant's flows may call it.
    pub(crate) fn forget_connector(&self, tenant: &TenantName, connector: &Name) {
        self.endpoints.forget_where(|(owner, name, _), _| owner == tenant && name == connector);
        self.flows.forget_where(|(owner, _), _| owner == tenant);
    }

    /// After a flow was changed or deleted.
    pub(crate) fn forget_flow(&self, tenant: &TenantName, flow: &Name) {
        self.flows.forget(&(tenant.clone(), flow.clone()));
    }

    /// After a tenant was deleted.
    pub(crate) fn forget_tenant(&self, tenant: &TenantName) {
        self.forget_of(&|owner| owner == tenant);
    }

    /// After something of these tenants was changed.
    pub(crate) fn forget_of(&self, tenants: &dyn Fn(&TenantName) -> bool) {
        self.endpoints.forget_where(|(owner, ..), _| tenants(owner));
        self.flows.forget_where(|(owner, _), _| tenants(owner));
    }

    async fn prepare_endpoint(&self, (tenant, connector, endpoint): &EndpointKey) -> Result<Option<Arc<PreparedEndpoint>>, Problem> {
        let Some(stored) = self.store.connector(tenant, connector).await? else { return Ok(None) };
        let document = Connector::parse(stored.document).map_err(|invalid| unreadable(&invalid))?;
        if !document.endpoints.contains_key(endpoint) {
            return Err(Problem::not_found(format!("endpoint `{endpoint}` of connector `{connector}`")));
        }
        Ok(Some(Arc::new(self.runner.prepare_endpoint(tenant, connector, &document, endpoint).await?)))
    }

    async fn prepare_flow(&self, (tenant, flow): &FlowKey) -> Result<Option<Arc<PreparedFlow>>, Problem> {
        let Some(stored) = self.store.flow(tenant, flow).await? else { return Ok(None) };
        let document = Flow::parse(stored.document).map_err(|invalid| unreadable(&invalid))?;
        Ok(Some(Arc::new(self.runner.prepare_flow(tenant, flow, stored.version, &document).await?)))
    }
}

/// What queued runs are made of: what is kept, where it is that.
impl snaphook_flow::Definitions for Core {
    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> DefinitionsFuture<'a, Option<Arc<Tenant>>> {
        Box::pin(async move {
            match self.programs.tenants().get(tenant).await {
                Ok(found) => Ok(found),
                // Asked again, so that the fault is that of a run.
                Err(_) => self.runner.tenant(tenant).await,
            }
        })
    }

    fn flow<'a>(&'a self, tenant: &'a TenantName, flow: &'a Name, version: u32) -> DefinitionsFuture<'a, Arc<PreparedFlow>> {
        Box::pin(async move {
            match self.definitions.find_flow(tenant, flow).await {
                Ok(Some(latest)) if latest.version() == version => Ok(latest),
                _ => self.runner.flow(tenant, flow, version).await,
            }
        })
    }
}

/// A stored document was checked when it came in.
fn unreadable(invalid: &Invalid) -> Problem {
    Problem::internal(format!("a stored document is not valid any more: {invalid}"))
}
