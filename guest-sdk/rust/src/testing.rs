//! Ordinary unit tests for hooks: the host's functions are played by a host of the test's own, one per thread.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::json_of;
use crate::context::{Context, Scope, Variables};
use crate::crypto::Scheme;
use crate::host::{self, native};
use crate::http;
use crate::log::Level;

/// One invocation under test: prepares what the hook reaches, and tells what it left behind.
///
/// Making one clears this thread's host, so a test makes it first and calls hooks afterwards, on the same thread.
#[derive(Debug, Clone)]
pub struct Test {
    context: Context,
}

impl Default for Test {
    fn default() -> Self {
        Self::new()
    }
}

impl Test {
    /// A direct call of the tenant `test` at its first attempt, with nothing prepared.
    #[must_use]
    pub fn new() -> Self {
        native::with(|host| *host = native::Host::default());
        let context = Context {
            tenant: "test".to_owned(),
            flow: None,
            step: None,
            run_id: "00000000-0000-7000-8000-000000000000".to_owned(),
            attempt: 1,
            started_at_ms: 1_700_000_000_000,
            now_ms: 1_700_000_000_000,
            seed: 1,
            deadline_ms: 10_000,
            test_run: false,
            variables: Variables,
            meta: crate::context::Meta,
            config: crate::context::Config,
            step_results: crate::context::StepResults,
            connection: crate::context::Connection,
            state: crate::context::State::default(),
            parms: "{}".to_owned(),
        };
        Self { context }.seed(1)
    }

    /// Sets the binding's parameters.
    ///
    /// # Panics
    /// When they cannot be written as JSON.
    #[must_use]
    pub fn parms(mut self, parms: &impl Serialize) -> Self {
        self.context.parms = text_of(parms);
        self
    }

    /// Makes it an invocation for a flow's step.
    #[must_use]
    pub fn flow(mut self, flow: impl Into<String>, step: impl Into<String>) -> Self {
        self.context.flow = Some(flow.into());
        self.context.step = Some(step.into());
        native::with(|host| host.has_flow = true);
        self
    }

    /// Sets the attempt, from 1.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.context.attempt = attempt;
        self
    }

    /// Makes it a test run, as a node's `POST …/test` is one.
    #[must_use]
    pub fn test_run(mut self) -> Self {
        self.context.test_run = true;
        self
    }

    /// Sets when the run began, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn started_at_ms(mut self, ms: u64) -> Self {
        self.context.started_at_ms = ms;
        self
    }

    /// Sets the frozen clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(mut self, ms: u64) -> Self {
        self.context.now_ms = ms;
        self
    }

    /// Sets the seed of all chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.context.seed = seed;
        native::with(|host| host.chance = seed);
        self
    }

    /// Prepares a variable of the run.
    ///
    /// # Panics
    /// When the value cannot be written as JSON; so do the three after it.
    #[must_use]
    pub fn variable(self, key: &str, value: &impl Serialize) -> Self {
        self.put(Scope::Variables, key, value)
    }

    /// Prepares a text of the run.
    #[must_use]
    pub fn meta(self, key: &str, text: &str) -> Self {
        self.put(Scope::Meta, key, &text)
    }

    /// Prepares a value of the flow's configuration.
    #[must_use]
    pub fn config(self, key: &str, value: &impl Serialize) -> Self {
        self.put(Scope::Config, key, value)
    }

    /// Prepares the result of an earlier step.
    #[must_use]
    pub fn step_result(self, key: &str, value: &impl Serialize) -> Self {
        self.put(Scope::StepResults, key, value)
    }

    /// Prepares a field of the connection.
    #[must_use]
    pub fn connection(self, field: &str, value: &impl Serialize) -> Self {
        self.put(Scope::Connection, field, value)
    }

    /// Prepares a value of the flow's state. It is seen in an invocation for a flow.
    ///
    /// # Panics
    /// When the value cannot be written as JSON; so does the one after it.
    #[must_use]
    pub fn flow_state(self, key: &str, value: &impl Serialize) -> Self {
        self.put(Scope::FlowState, key, value)
    }

    /// Prepares a value of the tenant's state.
    #[must_use]
    pub fn tenant_state(self, key: &str, value: &impl Serialize) -> Self {
        self.put(Scope::TenantState, key, value)
    }

    /// Grants requests and answers them.
    #[must_use]
    pub fn answering(self, answer: impl FnMut(&http::Request) -> Result<http::Response, http::Failure> + 'static) -> Self {
        native::with(|host| host.answerer = Some(Box::new(answer)));
        self
    }

    /// Makes what [`crypto::sign`](crate::crypto::sign) gives. Without it HMAC is computed, and private keys are refused.
    #[must_use]
    pub fn signing(self, sign: impl FnMut(Scheme, &[u8], &[u8]) -> Result<Vec<u8>, String> + 'static) -> Self {
        native::with(|host| host.signer = Some(Box::new(sign)));
        self
    }

    /// The context to call a hook with.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// What was logged, in order.
    #[must_use]
    pub fn logs(&self) -> Vec<(Level, String)> {
        native::with(|host| host.logs.clone())
    }

    /// The requests that the hook made itself, in the order in which they were started.
    #[must_use]
    pub fn requests(&self) -> Vec<http::Request> {
        native::with(|host| host.requests.clone())
    }

    /// A variable of the run as it is now.
    ///
    /// # Panics
    /// When it is not of this type.
    #[must_use]
    pub fn variable_now<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let json = host::get(Scope::Variables, key)?;
        Some(serde_json::from_str(&json).expect("the variable is of the type that the test asks for"))
    }

    /// A text of the run as it is now.
    #[must_use]
    pub fn meta_now(&self, key: &str) -> Option<String> {
        self.context.meta.get(key)
    }

    fn put(self, scope: Scope, key: &str, value: &impl Serialize) -> Self {
        native::put(scope, key.to_owned(), text_of(value));
        self
    }
}

fn text_of(value: &impl Serialize) -> String {
    String::from_utf8(json_of(value)).expect("JSON text is UTF-8")
}
