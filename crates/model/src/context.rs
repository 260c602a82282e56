//! What an invocation is given and what it leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Fault, Headers, Hook, HttpRequest, HttpResponse, Payload, RunId, TenantName};

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
}

impl VariableScope {
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
}

impl Variables {
    /// The values of a scope.
    #[must_use]
    pub const fn scope(&self, scope: VariableScope) -> &BTreeMap<String, String> {
        match scope {
            VariableScope::Variables => &self.variables,
            VariableScope::Meta => &self.meta,
            VariableScope::Config => &self.config,
            VariableScope::StepResults => &self.step_results,
        }
    }

    /// What makes these values of earlier ones, in the scopes that scripts write.
    #[must_use]
    pub fn writes_since(&self, earlier: &Self) -> Vec<VariableWrite> {
        let mut writes = Vec::new();
        for scope in [VariableScope::Variables, VariableScope::Meta] {
            let (before, now) = (earlier.scope(scope), self.scope(scope));
            let write = |key: &String, value: Option<&String>| VariableWrite { scope, key: key.clone(), value: value.cloned() };
            writes.extend(now.iter().filter(|(key, value)| before.get(*key) != Some(*value)).map(|(key, value)| write(key, Some(value))));
            writes.extend(before.keys().filter(|key| !now.contains_key(*key)).map(|key| write(key, None)));
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
    use super::Variables;

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
}
