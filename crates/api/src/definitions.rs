//! Definitions ready to be run, kept in memory so that a call reads nothing from the store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use snaphook_flow::{PreparedEndpoint, PreparedFlow, Runner};
use snaphook_model::{Connector, Flow, Invalid, Name, TenantName};
use snaphook_store::Store;

use crate::cache::Cache;
use crate::problem::Problem;

/// Connectors and flows kept in memory, each: some kilobytes apiece, besides the programs they hold.
const KEPT_DEFINITIONS: u64 = 20_000;

type Key = (TenantName, Name);

/// Prepares definitions and keeps them until something they are made of changes.
pub(crate) struct Definitions {
    store: Arc<dyn Store>,
    runner: Runner,
    connectors: Cache<Key, Arc<KeptConnector>>,
    flows: Cache<Key, Arc<PreparedFlow>>,
}

/// A connector with those of its endpoints that were called.
struct KeptConnector {
    document: Connector,
    endpoints: RwLock<HashMap<Name, Arc<PreparedEndpoint>>>,
}

impl Definitions {
    pub(crate) fn new(store: Arc<dyn Store>, runner: Runner) -> Self {
        Self { store, runner, connectors: Cache::new(KEPT_DEFINITIONS), flows: Cache::new(KEPT_DEFINITIONS) }
    }

    /// An endpoint, ready to be called.
    pub(crate) async fn endpoint(&self, tenant: &TenantName, connector: Name, endpoint: &Name) -> Result<Arc<PreparedEndpoint>, Problem> {
        let key = (tenant.clone(), connector);
        let load = async {
            let Some(stored) = self.store.connector(tenant, &key.1).await? else { return Ok(None) };
            let document = Connector::parse(stored.document).map_err(|invalid| unreadable(&invalid))?;
            Ok::<_, Problem>(Some(Arc::new(KeptConnector { document, endpoints: RwLock::default() })))
        };
        let kept = self.connectors.get_or(key.clone(), load).await?;
        let kept = kept.ok_or_else(|| Problem::not_found(format!("connector `{}`", key.1)))?;
        if let Some(prepared) = kept.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(endpoint) {
            return Ok(Arc::clone(prepared));
        }
        if !kept.document.endpoints.contains_key(endpoint) {
            return Err(Problem::not_found(format!("endpoint `{endpoint}` of connector `{}`", key.1)));
        }
        let prepared = Arc::new(self.runner.prepare_endpoint(tenant, &key.1, &kept.document, endpoint).await?);
        kept.endpoints.write().unwrap_or_else(PoisonError::into_inner).insert(endpoint.clone(), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// The latest version of a flow, ready to be run.
    pub(crate) async fn flow(&self, tenant: &TenantName, flow: Name) -> Result<Arc<PreparedFlow>, Problem> {
        let key = (tenant.clone(), flow);
        let load = async {
            let Some(stored) = self.store.flow(tenant, &key.1).await? else { return Ok(None) };
            let document = Flow::parse(stored.document).map_err(|invalid| unreadable(&invalid))?;
            let prepared = self.runner.prepare_flow(tenant, &key.1, stored.version, &document).await?;
            Ok::<_, Problem>(Some(Arc::new(prepared)))
        };
        let kept = self.flows.get_or(key.clone(), load).await?;
        kept.ok_or_else(|| Problem::not_found(format!("flow `{}`", key.1)))
    }

    /// After a connector was changed or deleted. Any of the tenant's flows may call it.
    pub(crate) fn forget_connector(&self, tenant: &TenantName, connector: &Name) {
        self.connectors.forget(&(tenant.clone(), connector.clone()));
        self.flows.forget_where(|(owner, _), _| owner == tenant);
    }

    /// After a flow was changed or deleted.
    pub(crate) fn forget_flow(&self, tenant: &TenantName, flow: &Name) {
        self.flows.forget(&(tenant.clone(), flow.clone()));
    }

    /// After a tenant was deleted.
    pub(crate) fn forget_tenant(&self, tenant: &TenantName) {
        self.connectors.forget_where(|(owner, _), _| owner == tenant);
        self.flows.forget_where(|(owner, _), _| owner == tenant);
    }
}

/// A stored document was checked when it came in.
fn unreadable(invalid: &Invalid) -> Problem {
    Problem::internal(format!("a stored document is not valid any more: {invalid}"))
}
