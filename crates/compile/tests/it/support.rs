//! One interpreter and one sandbox for all tests; uploads in one line.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use snaphook_compile::{CompileError, Compiled, Compiler, CompilerConfig, Interpreter, Turn, Upload, compile_here, prepare_interpreter};
use snaphook_model::{
    Context, Decision, Dialect, Fault, HookInput, Language, Limits, Name, Payload, RunId, StepDecision, TenantName, Variables, Weight,
};
use snaphook_sandbox::{InterpreterCode, Invocation, Outcome, Sandbox, SandboxConfig};
use tempfile::TempDir;

/// 2026-01-02T03:04:05Z.
pub(crate) const NOW_MS: u64 = 1_767_323_045_000;

/// Kept between runs of the tests: making the interpreter takes seconds, and what is kept is verified.
pub(crate) fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compile-data")
}

pub(crate) static INTERPRETER: LazyLock<Interpreter> = LazyLock::new(|| prepare_interpreter(&data_dir()).unwrap());

static SANDBOX: LazyLock<(Sandbox, TempDir)> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let sandbox = Sandbox::new(SandboxConfig {
        memory_budget_bytes: 256 << 20,
        code_dir: directory.path().to_owned(),
        interpreter: Some(InterpreterCode { name: INTERPRETER.name.clone(), code: Arc::clone(&INTERPRETER.code) }),
        max_concurrent: Some(8),
    });
    (sandbox.unwrap(), directory)
});

static TENANT: LazyLock<TenantName> = LazyLock::new(|| TenantName::new("acme").unwrap());

/// The turn of a tenant whose uploads are all that there are.
pub(crate) fn turn() -> Turn<'static> {
    Turn::Upload(&TENANT)
}

pub(crate) fn upload(language: Language, bytes: impl Into<Bytes>) -> Upload {
    let name = Name::new("script").unwrap();
    Upload { name, language, dialect: Dialect::Native, bytes: bytes.into(), limits: Limits::default(), imports: Vec::new(), now_ms: NOW_MS }
}

pub(crate) fn js(source: &str) -> Result<Compiled, CompileError> {
    compile_here(upload(Language::JavaScript, source.to_owned()), &INTERPRETER)
}

pub(crate) fn ts(source: &str) -> Result<Compiled, CompileError> {
    compile_here(upload(Language::TypeScript, source.to_owned()), &INTERPRETER)
}

#[track_caller]
pub(crate) fn fault(result: Result<Compiled, CompileError>) -> Fault {
    match result {
        Err(CompileError::Rejected(fault)) => fault,
        Err(CompileError::Failed(why)) => panic!("failed: {why}"),
        Ok(_) => panic!("was accepted"),
    }
}

/// Starts the children of the tests, with limits as the node has them.
pub(crate) fn compiler(change: impl FnOnce(&mut CompilerConfig)) -> Compiler {
    LazyLock::force(&INTERPRETER);
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_snaphook-compile-child"));
    let mut config = CompilerConfig::new(executable, Vec::new(), data_dir());
    config.wall = Duration::from_secs(60);
    change(&mut config);
    Compiler::new(config)
}

pub(crate) async fn invoke(compiled: &Compiled, input: HookInput) -> Outcome {
    invoke_with(compiled, input, Variables::default()).await
}

pub(crate) async fn invoke_with(compiled: &Compiled, input: HookInput, variables: Variables) -> Outcome {
    let (sandbox, _) = &*SANDBOX;
    let key = Sandbox::key(&compiled.component);
    sandbox.admit(&key, &compiled.code).unwrap();
    let program = sandbox.load(&key).unwrap().unwrap();
    assert_eq!(program.hooks(), compiled.hooks);
    let context = Context {
        tenant: TenantName::new("acme").unwrap(),
        flow: None,
        step: None,
        run: RunId(uuid::Uuid::nil()),
        attempt: 1,
        started_at_ms: NOW_MS,
        now_ms: NOW_MS,
        seed: 7,
        parms: "{}".into(),
        test_run: false,
    };
    let variables = Arc::new(variables);
    sandbox
        .invoke(
            &program,
            Invocation {
                input,
                context,
                weight: Weight::default(),
                limits: Limits::default(),
                deadline: None,
                variables,
                state: None,
                http: None,
                keys: None,
            },
        )
        .await
}

/// Calls a default function with a JSON payload, and gives the payload it returns.
pub(crate) async fn step(compiled: &Compiled, payload: &'static str) -> Result<String, Fault> {
    let outcome = invoke(compiled, HookInput::Step { payload: Payload::json(payload) }).await;
    match outcome.result? {
        Decision::Step(StepDecision(Some(payload))) => Ok(String::from_utf8(payload.bytes.into()).unwrap()),
        Decision::Step(StepDecision(None)) => Ok(String::new()),
        other => panic!("{other:?}"),
    }
}
