//! Values by key that an invocation wrote.

use serde::Serialize;
use serde_json::{Map, Value};
use snaphook_model::{VariableScope, VariableWrite};

/// What it wrote, by key; null: it deleted the key. Absent where it wrote nothing.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Written {
    /// Into the run's variables.
    #[serde(skip_serializing_if = "Map::is_empty")]
    variables: Map<String, Value>,
    /// Into `meta`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
    /// Into state.
    #[serde(skip_serializing_if = "WrittenState::is_empty")]
    state: WrittenState,
}

/// What it wrote into state.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(crate) struct WrittenState {
    /// Of the flow.
    #[serde(skip_serializing_if = "Map::is_empty")]
    flow: Map<String, Value>,
    /// Of the tenant.
    #[serde(skip_serializing_if = "Map::is_empty")]
    tenant: Map<String, Value>,
}

impl WrittenState {
    fn is_empty(&self) -> bool {
        self.flow.is_empty() && self.tenant.is_empty()
    }
}

impl Written {
    pub(crate) fn new(writes: Vec<VariableWrite>) -> Self {
        let mut written = Self::default();
        for VariableWrite { scope, key, value } in writes {
            // The sandbox takes JSON text only.
            let value = value.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
            match scope {
                VariableScope::Variables => written.variables.insert(key, value),
                VariableScope::Meta => written.meta.insert(key, value),
                VariableScope::FlowState => written.state.flow.insert(key, value),
                VariableScope::TenantState => written.state.tenant.insert(key, value),
                VariableScope::Config | VariableScope::StepResults | VariableScope::Connection => None,
            };
        }
        written
    }
}
