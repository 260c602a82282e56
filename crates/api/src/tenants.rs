//! Tenants as they are in force, kept in memory.

use std::sync::Arc;

use snaphook_model::{Tenant, TenantName};
use snaphook_store::{Store, StoreError, StoredTenant};

use crate::cache::Cache;

/// Tenants kept in memory: about a kilobyte each.
const KEPT_TENANTS: u64 = 20_000;

/// Reads tenants and keeps them.
pub(crate) struct Tenants {
    store: Arc<dyn Store>,
    kept: Cache<TenantName, Arc<Tenant>>,
}

impl Tenants {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, kept: Cache::new("tenants", KEPT_TENANTS) }
    }

    /// A tenant; absent when there is none of this name.
    pub(crate) async fn get(&self, name: &TenantName) -> Result<Option<Arc<Tenant>>, StoreError> {
        let load = async || {
            let stored = self.store.tenant(name).await?;
            stored.map(in_force).transpose()
        };
        self.kept.get_or(name, load).await
    }

    /// After a tenant was changed or deleted.
    pub(crate) fn forget(&self, name: &TenantName) {
        self.kept.forget(name);
    }

    /// After something of these tenants was changed.
    pub(crate) fn forget_of(&self, tenants: &dyn Fn(&TenantName) -> bool) {
        self.kept.forget_where(|name, _| tenants(name));
    }
}

fn in_force(stored: StoredTenant) -> Result<Arc<Tenant>, StoreError> {
    // It was checked before it was stored; a stricter release may still refuse it.
    let tenant = Tenant::new(stored.name, stored.document);
    tenant.map(Arc::new).map_err(|invalid| StoreError::Form { what: "tenant", source: invalid.into() })
}
