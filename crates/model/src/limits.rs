//! Budgets of an invocation and of what surrounds it, and what was spent of them.

use serde::{Deserialize, Serialize};

/// Budgets in force for a tenant. Limits are data: the API shows them and the operator changes them per tenant.
///
/// Recordings hold them: what a recording of an earlier release lacks is at its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Fuel per invocation, in wasmtime's units.
    pub fuel: u64,
    /// Wall time per invocation, waiting included.
    pub wall_ms: u64,
    /// Linear memory per invocation.
    pub memory_bytes: u64,
    /// Body or payload that an invocation may give back.
    pub output_bytes: u64,
    /// Log text kept per invocation.
    pub log_bytes: u64,
    /// Host calls per invocation that leave the sandbox's own data: HTTP requests.
    pub host_calls: u32,
    /// Uploaded source text.
    pub source_bytes: u64,
    /// Uploaded or compiled component.
    pub component_bytes: u64,
    /// Body of a request to us.
    pub request_body_bytes: u64,
    /// Body of an upstream's response, after decompression.
    pub response_body_bytes: u64,
    /// State of the tenant and of all of its flows together: each key, its JSON text, and [`crate::STATE_ENTRY_BYTES`] for the entry.
    pub state_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // About a second of the interpreter on a current core; the deadline is the second wall.
            fuel: 1_000_000_000,
            wall_ms: 10_000,
            memory_bytes: 64 << 20,
            output_bytes: 6 << 20,
            log_bytes: 64 << 10,
            host_calls: 50,
            source_bytes: 1 << 20,
            component_bytes: 16 << 20,
            request_body_bytes: 6 << 20,
            response_body_bytes: 16 << 20,
            state_bytes: 4 << 20,
        }
    }
}

/// Limits as an operator writes them: what is absent stays at the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of `Limits` with the same name")]
pub struct LimitsChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}

impl LimitsChange {
    /// The defaults with these changes.
    #[must_use]
    pub fn applied(&self) -> Limits {
        let d = Limits::default();
        Limits {
            fuel: self.fuel.unwrap_or(d.fuel),
            wall_ms: self.wall_ms.unwrap_or(d.wall_ms),
            memory_bytes: self.memory_bytes.unwrap_or(d.memory_bytes),
            output_bytes: self.output_bytes.unwrap_or(d.output_bytes),
            log_bytes: self.log_bytes.unwrap_or(d.log_bytes),
            host_calls: self.host_calls.unwrap_or(d.host_calls),
            source_bytes: self.source_bytes.unwrap_or(d.source_bytes),
            component_bytes: self.component_bytes.unwrap_or(d.component_bytes),
            request_body_bytes: self.request_body_bytes.unwrap_or(d.request_body_bytes),
            response_body_bytes: self.response_body_bytes.unwrap_or(d.response_body_bytes),
            state_bytes: self.state_bytes.unwrap_or(d.state_bytes),
        }
    }
}

/// What one invocation spent, beside the limits it had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Fuel spent. The same input to the same version always spends the same.
    pub fuel: u64,
    /// Fuel that was there.
    pub fuel_limit: u64,
    /// Largest linear memory.
    pub memory_bytes: u64,
    /// Linear memory that was allowed.
    pub memory_limit_bytes: u64,
    /// Wall time in microseconds, from the start of the instantiation to the end of the call.
    pub wall_us: u64,
}
