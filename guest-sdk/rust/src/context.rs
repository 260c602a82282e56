//! Circumstances of an invocation, and the values that it reaches by key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, host};

/// Circumstances of one invocation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// Whose script runs.
    pub tenant: String,
    /// Absent in a direct call.
    pub flow: Option<String>,
    /// Absent in a direct call.
    pub step: Option<String>,
    /// The run that this invocation belongs to.
    pub run_id: String,
    /// The attempt within the step, from 1.
    pub attempt: u32,
    /// When the run began, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The frozen clock, likewise.
    pub now_ms: u64,
    /// All chance of the invocation follows from this.
    pub seed: u64,
    /// Wall time that the invocation may take, in milliseconds.
    pub deadline_ms: u32,
    /// Whether somebody tries the guest out: what it decides has no effect.
    pub test_run: bool,
    /// The run's variables: later hooks and steps of the run see what is written.
    pub variables: Variables,
    /// Texts of the run, at most 10,240 bytes of keys and values together.
    pub meta: Meta,
    /// The flow's configuration, by display name.
    pub config: Config,
    /// Results of earlier steps, by camel-cased name.
    pub step_results: StepResults,
    /// The connection that the call uses: its `name` and its fields, with placeholders for secret ones. The node puts a secret in where its
    /// placeholder stands in a request to the connection's own hosts.
    pub connection: Connection,
    /// Values that outlive the run.
    pub state: State,
    pub(crate) parms: String,
}

impl Context {
    /// The binding's parameters.
    ///
    /// # Errors
    /// When they are not of this type. A binding without parameters has an empty object.
    #[track_caller]
    pub fn parms<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.parms)?)
    }

    /// The binding's parameters as JSON text.
    #[must_use]
    pub fn parms_json(&self) -> &str {
        &self.parms
    }
}

/// Sets of values by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Variables,
    Meta,
    Config,
    StepResults,
    FlowState,
    TenantState,
    Connection,
}

/// Why the host did not take a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    ReadOnly,
    Invalid,
    TooLarge,
}

#[track_caller]
fn read<T: DeserializeOwned>(scope: Scope, key: &str) -> Result<Option<T>> {
    match host::get(scope, key) {
        Some(json) => Ok(serde_json::from_str(&json)?),
        None => Ok(None),
    }
}

#[track_caller]
fn write(scope: Scope, key: &str, value: Option<&str>) -> Result<()> {
    let why = match host::set(scope, key, value) {
        Ok(()) => return Ok(()),
        Err(Refusal::ReadOnly) => "cannot be written",
        Err(Refusal::Invalid) => "was given a value that is not allowed there",
        Err(Refusal::TooLarge) => "would outgrow its limit",
    };
    let scope = match scope {
        Scope::Meta => "meta",
        Scope::FlowState => "the flow's state",
        Scope::TenantState => "the tenant's state",
        _ => "variables",
    };
    let key: String = key.chars().take(100).collect();
    Err(Error::new([scope, " `", &key, "` ", why].concat()))
}

macro_rules! readers {
    () => {
        /// The value of a key; `None` where there is none or it is `null`.
        ///
        /// # Errors
        /// When it is not of this type.
        #[track_caller]
        pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
            read(Self::SCOPE, key)
        }

        keys!();
    };
}

macro_rules! keys {
    () => {
        /// The keys that have a value.
        #[must_use]
        pub fn keys(&self) -> Vec<String> {
            host::keys(Self::SCOPE)
        }
    };
}

/// The run's variables.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Variables;

impl Variables {
    const SCOPE: Scope = Scope::Variables;

    readers!();

    /// Sets a variable for the rest of the run.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, or the run's variables would outgrow their limit.
    #[track_caller]
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        write(Self::SCOPE, key, Some(&serde_json::to_string(value)?))
    }

    /// Removes a variable for the rest of the run.
    pub fn remove(&self, key: &str) {
        // A removal neither outgrows a limit nor carries a value, and the scope is writable.
        let _ = host::set(Self::SCOPE, key, None);
    }
}

/// Texts of the run.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Meta;

impl Meta {
    const SCOPE: Scope = Scope::Meta;

    /// The text of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        // The host keeps JSON strings only in this scope, so nothing else can be there.
        read(Self::SCOPE, key).unwrap_or_default()
    }

    keys!();

    /// Sets a text for the rest of the run.
    ///
    /// # Errors
    /// When keys and values together would be longer than 10,240 bytes.
    #[track_caller]
    pub fn set(&self, key: &str, text: &str) -> Result<()> {
        write(Self::SCOPE, key, Some(&serde_json::to_string(text)?))
    }

    /// Removes a text for the rest of the run.
    pub fn remove(&self, key: &str) {
        // As with variables, nothing can be refused here.
        let _ = host::set(Self::SCOPE, key, None);
    }
}

/// The flow's configuration; read-only.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Config;

impl Config {
    const SCOPE: Scope = Scope::Config;

    readers!();
}

/// Results of earlier steps; read-only.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct StepResults;

impl StepResults {
    const SCOPE: Scope = Scope::StepResults;

    readers!();
}

/// Fields of the connection that the call uses; read-only, and empty where it uses none.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Connection;

impl Connection {
    const SCOPE: Scope = Scope::Connection;

    readers!();
}

/// Values that outlive the run. An invocation sees them as they were when it first asked, with what its run has written; what a run writes is kept
/// when it succeeds.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct State {
    /// Of the flow, in all of its runs. Empty in a direct call, which belongs to no flow, and cannot be written there.
    pub flow: FlowState,
    /// Of the tenant, in all flows and direct calls.
    pub tenant: TenantState,
}

macro_rules! state {
    ($(#[$doc:meta] $name:ident)+) => {
        $(#[$doc]
        #[derive(Debug, Clone, Copy, Default)]
        #[non_exhaustive]
        pub struct $name;

        impl $name {
            const SCOPE: Scope = Scope::$name;

            readers!();

            /// Sets a value, to be kept when the run succeeds.
            ///
            /// # Errors
            /// When the value cannot be written as JSON, the key is longer than 512 bytes or holds a zero, or there is no flow whose state it
            /// could be. A run that writes more than all state of the tenant may take fails at once.
            #[track_caller]
            pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
                write(Self::SCOPE, key, Some(&serde_json::to_string(value)?))
            }

            /// Removes a value, when the run succeeds.
            pub fn remove(&self, key: &str) {
                // What is refused is the key of nothing.
                let _ = host::set(Self::SCOPE, key, None);
            }
        })+
    };
}

state! {
    /// State of the flow.
    FlowState
    /// State of the tenant.
    TenantState
}
