//! What an invocation is given and what it leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Fault, Headers, Hook, HttpRequest, HttpResponse, Payload, RunId, StateChanges, TenantName};

/// Circumstances of one invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Whose script runs.
    pub tenant: TenantName,
    /// Absent in a direct call.
    pub flow: Option<String>,
    /// Absent in a direct call.
    pub step: Option<String>,
    /// The run this belongs to.
    pub run: RunId,
    /// The attempt within the step, from 1.
    pub attempt: u32,
    /// When the run began, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The frozen clock, likewise.
    pub now_ms: u64,
    /// All chance of the invocation follows from this.
    pub seed: u64,
    /// The binding's parameters as JSON text.
    pub parms: Arc<str>,
    /// Whether somebody tries the script out.
    pub test_run: bool,
}

/// What a hook acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it; `guest-sdk/wit/hooks.wit` explains each hook's input")]
pub enum HookInput {
    PreHook {
        connector: Arc<str>,
        endpoint: Arc<str>,
        #[serde(with = "crate::raw")]
        arguments: Bytes,
    },
    PreRequest {
        request: HttpRequest,
    },
    /// `payload` stands where the body stands in the guest: it is the response's body, or what the script before made of it, and then it has a
    /// media type of its own.
    PostRequest {
        method: String,
        url: String,
        status: u16,
        headers: Headers,
        #[serde(with = "crate::raw")]
        payload: Bytes,
        payload_type: Option<String>,
    },
    /// Without a `payload_type` the payload is what the headers say.
    PostHook {
        connector: Arc<str>,
        endpoint: Arc<str>,
        status: u16,
        headers: Headers,
        #[serde(with = "crate::raw")]
        payload: Bytes,
        payload_type: Option<String>,
        #[serde(with = "crate::raw")]
        arguments: Bytes,
    },
    PostFail {
        connector: Arc<str>,
        endpoint: Arc<str>,
        status: u16,
        code: String,
        message: String,
        #[serde(with = "crate::raw")]
        arguments: Bytes,
    },
    Step {
        payload: Payload,
    },
    Trigger {
        request: TriggerRequest,
    },
}

/// The request that begins a run of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRequest {
    /// In capitals where it is a usual one.
    pub method: String,
    /// As it came, query included.
    pub url: String,
    /// What follows the trigger's address: empty, or beginning with `/`. Not decoded.
    pub path: String,
    /// Names in lower case.
    pub headers: Headers,
    /// Exactly as it came.
    #[serde(with = "crate::raw")]
    pub body: Bytes,
}

impl HookInput {
    /// Which hook this is for.
    #[must_use]
    pub const fn hook(&self) -> Hook {
        match self {
            Self::PreHook { .. } => Hook::PreHook,
            Self::PreRequest { .. } => Hook::PreRequest,
            Self::PostRequest { .. } => Hook::PostRequest,
            Self::PostHook { .. } => Hook::PostHook,
            Self::PostFail { .. } => Hook::PostFail,
            Self::Step { .. } => Hook::Step,
            Self::Trigger { .. } => Hook::Trigger,
        }
    }
}

/// A set of values that scripts reach by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariableScope {
    /// Of the run; writable.
    Variables,
    /// Texts of the run, at most [`VariableScope::META_BYTES`] together; writable.
    Meta,
    /// The flow's configuration, by display name.
    Config,
    /// Results of earlier steps, by camel-cased name.
    StepResults,
    /// State of the flow; writable, and kept when the run succeeds.
    FlowState,
    /// State that all flows and direct calls of the tenant share; likewise.
    TenantState,
    /// Fields of the connection that the call uses, with placeholders for secret ones.
    Connection,
}

impl VariableScope {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Variables, Self::Meta, Self::Config, Self::StepResults, Self::FlowState, Self::TenantState, Self::Connection];
    /// Keys and values of `meta` together: the documented limit of the product whose scripts bring `meta` along.
    pub const META_BYTES: usize = 10_240;
    /// Keys and values of `variables` together. Generous for run data, small enough that a run record stays readable.
    pub const VARIABLES_BYTES: usize = 1 << 20;
}

/// Values by scope and key, each as JSON text. Shared by the invocations of a run until one writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "one map per scope")]
pub struct Variables {
    pub variables: BTreeMap<String, String>,
    pub meta: BTreeMap<String, String>,
    pub config: BTreeMap<String, String>,
    pub step_results: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connection: BTreeMap<String, String>,
    /// What the run has written into its flow's state and what is not kept yet.
    #[serde(default, skip_serializing_if = "StateChanges::is_empty")]
    pub flow_state: StateChanges,
    /// The same of the tenant's state.
    #[serde(default, skip_serializing_if = "StateChanges::is_empty")]
    pub tenant_state: StateChanges,
}

impl Variables {
    /// The values of a scope that lies in the run; those of state are elsewhere.
    #[must_use]
    pub const fn scope(&self, scope: VariableScope) -> Option<&BTreeMap<String, String>> {
        match scope {
            VariableScope::Variables => Some(&self.variables),
            VariableScope::Meta => Some(&self.meta),
            VariableScope::Config => Some(&self.config),
            VariableScope::StepResults => Some(&self.step_results),
            VariableScope::Connection => Some(&self.connection),
            VariableScope::FlowState | VariableScope::TenantState => None,
        }
    }

    /// What is written into a state and not kept yet; none of the other scopes.
    #[must_use]
    pub const fn state(&self, scope: VariableScope) -> Option<&StateChanges> {
        match scope {
            VariableScope::FlowState => Some(&self.flow_state),
            VariableScope::TenantState => Some(&self.tenant_state),
            _ => None,
        }
    }

    /// All there is, as writes that make it out of nothing.
    #[must_use]
    pub fn as_writes(&self) -> Vec<VariableWrite> {
        let mut writes = Vec::new();
        for scope in VariableScope::ALL {
            let write = |key: &String, value: Option<&String>| VariableWrite { scope, key: key.clone(), value: value.cloned() };
            writes.extend(self.scope(scope).into_iter().flatten().map(|(key, value)| write(key, Some(value))));
            writes.extend(self.state(scope).into_iter().flat_map(|state| &state.0).map(|(key, value)| write(key, value.as_ref())));
        }
        writes
    }

    /// The write that makes a key what it is here.
    #[must_use]
    pub fn as_write(&self, scope: VariableScope, key: String) -> VariableWrite {
        let kept = self.scope(scope).and_then(|values| values.get(&key));
        let value = kept.or_else(|| self.state(scope)?.0.get(&key)?.as_ref()).cloned();
        VariableWrite { scope, key, value }
    }

    /// What makes these values of earlier ones, in the scopes that scripts write.
    #[must_use]
    pub fn writes_since(&self, earlier: &Self) -> Vec<VariableWrite> {
        let mut writes = Vec::new();
        for scope in [VariableScope::Variables, VariableScope::Meta] {
            let (Some(before), Some(now)) = (earlier.scope(scope), self.scope(scope)) else { continue };
            let write = |key: &String, value: Option<&String>| VariableWrite { scope, key: key.clone(), value: value.cloned() };
            writes.extend(now.iter().filter(|(key, value)| before.get(*key) != Some(*value)).map(|(key, value)| write(key, Some(value))));
            writes.extend(before.keys().filter(|key| !now.contains_key(*key)).map(|key| write(key, None)));
        }
        for scope in [VariableScope::FlowState, VariableScope::TenantState] {
            let (Some(before), Some(now)) = (earlier.state(scope), self.state(scope)) else { continue };
            let new = now.0.iter().filter(|(key, value)| before.0.get(*key) != Some(*value));
            writes.extend(new.map(|(key, value)| VariableWrite { scope, key: key.clone(), value: value.clone() }));
        }
        writes
    }

    /// Applies what an invocation wrote.
    pub fn apply(&mut self, writes: Vec<VariableWrite>) {
        for write in writes {
            let scope = match write.scope {
                VariableScope::Variables => &mut self.variables,
                VariableScope::Meta => &mut self.meta,
                VariableScope::Config => &mut self.config,
                VariableScope::StepResults => &mut self.step_results,
                VariableScope::Connection => &mut self.connection,
                VariableScope::FlowState | VariableScope::TenantState => {
                    let flow = write.scope == VariableScope::FlowState;
                    let state = if flow { &mut self.flow_state } else { &mut self.tenant_state };
                    state.0.insert(write.key, write.value);
                    continue;
                }
            };
            match write.value {
                Some(value) => scope.insert(write.key, value),
                None => scope.remove(&write.key),
            };
        }
    }
}

/// One write by an invocation; the last one to a key counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct VariableWrite {
    pub scope: VariableScope,
    pub key: String,
    /// JSON text; absent removes the key.
    pub value: Option<String>,
}

/// One HTTP request of a guest's own, as it went in an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Which of the invocation's requests it was, from 1.
    pub ticket: u32,
    /// As the guest asked for it.
    pub request: HttpRequest,
    /// What the guest was told; absent when the invocation ended before it asked.
    pub told: Option<Told>,
}

/// How a guest learned the end of one of its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which of the invocation's answers it was, from 0: requests that overlap end in any order.
    pub order: u32,
    /// The response, or why there was none.
    pub answer: Result<HttpResponse, Fault>,
}

/// Levels of a run's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the usual names")]
pub enum LogLevel {
    Metric,
    Trace,
    Debug,
    Info,
    Log,
    Warn,
    Error,
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When the host received it.
    pub at: jiff::Timestamp,
    /// As the script gave it.
    pub level: LogLevel,
    /// As the script gave it.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::{VariableScope, VariableWrite, Variables};

    #[test]
    fn writes_make_the_later_values_of_the_earlier() {
        let of = |variables: &[(&str, &str)], meta: &[(&str, &str)]| {
            let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Variables { variables: map(variables), meta: map(meta), ..Variables::default() }
        };
        let earlier = of(&[("kept", "1"), ("changed", "1"), ("gone", "1")], &[("m", "\"a\"")]);
        let later = of(&[("kept", "1"), ("changed", "2"), ("new", "3")], &[]);
        let writes = later.writes_since(&earlier);
        assert_eq!(writes.len(), 4);
        let mut made = earlier.clone();
        made.apply(writes);
        assert_eq!(made, later);
        assert!(later.writes_since(&later).is_empty());
    }

    #[test]
    fn what_is_deleted_of_a_state_is_a_change_like_any_other() {
        let write = |key: &str, value: Option<&str>| VariableWrite {
            scope: VariableScope::TenantState,
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let mut later = Variables::default();
        later.apply(vec![write("a", Some("1")), write("b", None), write("a", Some("2"))]);
        let writes = later.writes_since(&Variables::default());
        assert_eq!(writes, [write("a", Some("2")), write("b", None)]);
        assert_eq!(later.as_writes(), writes);
        assert_eq!(later.as_write(VariableScope::TenantState, "b".to_owned()), writes[1]);
        assert!(later.writes_since(&later).is_empty());
        assert_eq!(later.tenant_state.bytes(), 1 + 1 + 64 + 1 + 64);
    }
}
