//! State: values by key that outlive runs, of a flow and of its tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Name, VariableScope};

/// What an entry of state counts beside its key and its JSON text: what keeping it costs.
pub const STATE_ENTRY_BYTES: u64 = 64;

/// Longest key of state, in bytes. Databases index it.
pub const STATE_KEY_BYTES: usize = 512;

/// What was written into a state, by key, as JSON text; none: the key was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateChanges(pub BTreeMap<String, Option<String>>);

impl StateChanges {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they take, counted as the limit `state_bytes` counts; a deletion takes what its key does.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(key, value)| state_entry_bytes(key, value.as_deref().unwrap_or_default())).sum()
    }
}

/// What an entry counts against the limit `state_bytes`.
#[must_use]
pub const fn state_entry_bytes(key: &str, json: &str) -> u64 {
    key.len() as u64 + json.len() as u64 + STATE_ENTRY_BYTES
}

/// What a run that ended well has written into state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunState {
    /// Whose flow's; none of a direct call, which writes nothing there.
    pub flow: Option<Name>,
    /// Into the flow's.
    pub of_flow: StateChanges,
    /// Into the tenant's.
    pub of_tenant: StateChanges,
    /// What all state of the tenant may take.
    pub limit: u64,
}

impl RunState {
    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of_flow.is_empty() && self.of_tenant.is_empty()
    }
}

/// What an invocation learned of state that was kept before its run, for a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSeen {
    /// Keys that it asked for, and what they had: JSON text, or nothing.
    pub values: Vec<(VariableScope, String, Option<String>)>,
    /// Keys that it was told of, where it asked for all of them.
    pub keys: Vec<(VariableScope, Vec<String>)>,
}

impl StateSeen {
    /// Whether it asked for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty() && self.keys.is_empty()
    }
}
