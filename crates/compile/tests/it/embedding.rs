//! The shortest program that runs a script without a node; `docs/embedding.md` shows its parts.

use std::error::Error;
use std::sync::Arc;

use snaphook_compile::{Upload, compile_here, prepare_interpreter};
use snaphook_model::{
    Context, Decision, Dialect, HookInput, Language, Limits, Name, Payload, RunId, StepDecision, TenantName, Variables, Weight,
};
use snaphook_sandbox::{InterpreterCode, Invocation, Sandbox, SandboxConfig};

use crate::support::{NOW_MS, data_dir};

#[tokio::test]
async fn a_program_runs_a_script_without_a_node() -> Result<(), Box<dyn Error>> {
    let source = "export default (order: { price: number; count: number }) => ({ total: order.price * order.count });";
    let (data_dir, code_dir, now_ms) = (data_dir(), tempfile::tempdir()?, NOW_MS);
    let code_dir = code_dir.path().to_owned();
    let interpreter = prepare_interpreter(&data_dir)?;
    let sandbox = Sandbox::new(SandboxConfig {
        memory_budget_bytes: 256 << 20,
        code_dir: code_dir.clone(),
        interpreter: Some(InterpreterCode { name: interpreter.name.clone(), code: Arc::clone(&interpreter.code) }),
        max_concurrent: Some(8),
    })?;

    let upload = Upload {
        name: Name::new("total")?,
        language: Language::TypeScript,
        dialect: Dialect::Native,
        bytes: source.into(),
        limits: Limits::default(),
        imports: Vec::new(),
        now_ms,
    };
    let compiled = compile_here(upload, &interpreter)?;
    let key = Sandbox::key(&compiled.component);
    sandbox.admit(&key, &compiled.code)?;
    let program = sandbox.load(&key)?.ok_or("it was admitted")?;

    let payload = r#"{"price": 3, "count": 4}"#;
    let context = Context {
        tenant: TenantName::new("acme")?,
        flow: None,
        step: None,
        run: RunId(uuid::Uuid::nil()),
        attempt: 1,
        started_at_ms: now_ms,
        now_ms,
        seed: 7,
        parms: "{}".into(),
        test_run: false,
    };
    let outcome = sandbox
        .invoke(
            &program,
            Invocation {
                input: HookInput::Step { payload: Payload::json(payload) },
                context,
                weight: Weight::default(),
                limits: Limits::default(),
                deadline: None,
                variables: Arc::new(Variables::default()),
                state: None,
                http: None,
                keys: None,
            },
        )
        .await;
    let Decision::Step(StepDecision(Some(answer))) = outcome.result? else { return Err("a step gives a payload".into()) };
    assert_eq!(&answer.bytes[..], br#"{"total":12}"#);
    assert!(outcome.usage.fuel > 0);
    Ok(())
}
