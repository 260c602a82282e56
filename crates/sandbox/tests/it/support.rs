//! A sandbox on a directory of its own, and invocations with little to say.

use std::sync::Arc;
use std::time::Duration;

use snaphook_model::{Code, Context, Decision, Fault, HookInput, Limits, Payload, RunId, StepDecision, TenantName, Variables, Weight};
use snaphook_sandbox::{InterpreterCode, Invocation, Outcome, Program, Sandbox, SandboxConfig, check_component};
use tempfile::TempDir;

/// A sandbox with its directory, which goes away with it.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    pub(crate) fn with(interpreter: Option<InterpreterCode>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let sandbox = open(&directory, interpreter);
        Self { sandbox, directory }
    }

    /// The program of an uploaded component.
    pub(crate) fn program(&self, component: &[u8]) -> Program {
        let checked = check_component(component, None).unwrap_or_else(|error| panic!("{error}"));
        let key = Sandbox::key(component);
        self.sandbox.admit(&key, &checked.code).expect("admitted");
        self.sandbox.load(&key).expect("loads").expect("is there")
    }

    /// Runs a guest's step once.
    pub(crate) async fn step(&self, component: &[u8], limits: Limits) -> Outcome {
        let program = self.program(component);
        self.sandbox.invoke(&program, step(limits)).await
    }
}

pub(crate) fn open(directory: &TempDir, interpreter: Option<InterpreterCode>) -> Sandbox {
    let config =
        SandboxConfig { memory_budget_bytes: 256 << 20, code_dir: directory.path().join("code"), interpreter, max_concurrent: Some(32) };
    Sandbox::new(config).expect("a sandbox")
}

/// Limits in which a guest that behaves has more than enough and one that does not is soon over.
pub(crate) fn limits() -> Limits {
    Limits { fuel: 50_000_000, wall_ms: 20_000, ..Limits::default() }
}

pub(crate) fn step(limits: Limits) -> Invocation {
    with_input(HookInput::Step { payload: Payload::json("{\"a\":1}") }, limits)
}

/// The same of another tenant.
pub(crate) fn of_tenant(tenant: &str, mut invocation: Invocation) -> Invocation {
    invocation.context.tenant = TenantName::new(tenant).expect("a name");
    invocation
}

pub(crate) fn with_input(input: HookInput, limits: Limits) -> Invocation {
    Invocation {
        input,
        context: Context {
            tenant: TenantName::new("acme").expect("a name"),
            flow: Some("orders".to_owned()),
            step: None,
            run: RunId(uuid::Uuid::from_u128(7)),
            attempt: 1,
            started_at_ms: 1_600_000_000_000,
            now_ms: 1_700_000_000_000,
            seed: 42,
            parms: "{}".into(),
            test_run: false,
        },
        weight: Weight::default(),
        limits,
        deadline: None,
        variables: Arc::new(Variables::default()),
        state: None,
        http: None,
        keys: None,
    }
}

pub(crate) fn fault(outcome: &Outcome) -> &Fault {
    outcome.result.as_ref().expect_err("a fault")
}

pub(crate) fn code(outcome: &Outcome) -> Code {
    fault(outcome).code
}

/// The bytes of the payload that a step gave back, or nothing when it kept the one given.
pub(crate) fn returned(outcome: &Outcome) -> Option<&[u8]> {
    match &outcome.result {
        Ok(Decision::Step(StepDecision(payload))) => payload.as_ref().map(|payload| &payload.bytes[..]),
        other => panic!("{other:?}"),
    }
}

/// How long something takes that must not take long.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.expect("in time")
}
