//! State: values that outlive runs, of each flow and of its tenant. Runs write it as they end ([`crate::EndedRun::state`]).

use std::collections::BTreeMap;

use snaphook_model::{Name, TenantName};

use crate::StoreFuture;

/// State of a tenant and of its flows. That of a flow goes when the flow is deleted.
pub trait StateStore: Send + Sync {
    /// All of a flow's state, or of the tenant's own, at one moment: JSON texts by key.
    fn state<'a>(&'a self, tenant: &'a TenantName, flow: Option<&'a Name>) -> StoreFuture<'a, BTreeMap<String, String>>;
}
