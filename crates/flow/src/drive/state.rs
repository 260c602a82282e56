//! State as a run meets it: what its invocations find there, and what is to be kept of what they wrote.

use std::sync::Arc;

use snaphook_model::{Name, RunRecord, RunState, RunStatus, TenantName, VariableScope, Variables};
use snaphook_sandbox::{GuestState, StateFuture};
use snaphook_store::Store;

use super::Scope;
use crate::record;

/// What is kept, for one invocation.
struct KeptState {
    store: Arc<dyn Store>,
    tenant: TenantName,
    /// None in a direct call.
    flow: Option<Name>,
}

/// Where an invocation finds what is kept. Nothing is read before it asks.
pub(super) fn kept(scope: &Scope<'_>) -> Arc<dyn GuestState> {
    let flow = scope.flow.map(|flow| flow.name.clone());
    Arc::new(KeptState { store: Arc::clone(&scope.inner.parts.store), tenant: scope.tenant.name.clone(), flow })
}

impl GuestState for KeptState {
    fn read(&self, scope: VariableScope) -> StateFuture<'_> {
        let flow = if scope == VariableScope::FlowState { self.flow.as_ref() } else { None };
        Box::pin(async move { self.store.state(&self.tenant, flow).await.map_err(record::store_fault) })
    }
}

/// What a run has written that ended well, also where a step failed and was ignored; none where it wrote nothing.
pub(super) fn written(scope: &Scope<'_>, record: &RunRecord) -> Option<RunState> {
    if !matches!(record.status, RunStatus::Succeeded | RunStatus::Partial) {
        return None;
    }
    let Variables { flow_state, tenant_state, .. } = &**scope.variables.values();
    let flow = scope.flow.map(|flow| flow.name.clone());
    let limit = scope.tenant.limits.state_bytes;
    let state = RunState { flow, of_flow: flow_state.clone(), of_tenant: tenant_state.clone(), limit };
    (!state.is_empty()).then_some(state)
}
