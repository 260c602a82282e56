//! Test runs: one hook on sample input, calling nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use snaphook_model::{Code, Context, DecisionRecord, Fault, Hook, LogEntry, LogLevel, Name, RunId, Tenant, Usage};
use snaphook_sandbox::Invocation;

use crate::ambient;
use crate::answer::{self, Answer};
use crate::extract::{At, Deploy, Json};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::Shared;

pub(crate) mod given;
mod input;
pub(crate) mod shown;
pub(crate) mod written;

/// Sample input of a test run; everything but `hook` is optional.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestRun {
    #[schema(value_type = String)]
    hook: Hook,
    /// As `pre-hook` sees it.
    #[serde(default)]
    connector: String,
    /// As `pre-hook` sees it.
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    request: input::SampleRequest,
    #[serde(default)]
    response: input::SampleResponse,
    /// In place of the response's body, what a step is given, and in place of the body of a trigger's request.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Value>,
    /// JSON; absent: null.
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    failure: input::SampleFailure,
    #[serde(default)]
    parms: Map<String, Value>,
    #[serde(default)]
    variables: Map<String, Value>,
    /// Text to text.
    #[serde(default)]
    meta: BTreeMap<String, String>,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    step_results: Map<String, Value>,
    /// What is kept when the hook begins.
    #[serde(default)]
    state: input::SampleState,
    /// The connection's fields as a script sees them.
    #[serde(default)]
    connection: Map<String, Value>,
    /// From 1.
    attempt: Option<u32>,
}

/// What the hook made of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TestAnswer {
    /// `kind`, and `message`, `status` and `reason_code` where the decision has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    decision: Option<DecisionRecord>,
    #[serde(flatten)]
    shown: shown::Shown,
    #[serde(flatten)]
    written: written::Written,
    /// In order, `debug` included.
    logs: Vec<TestLog>,
    /// What was spent, beside the limits.
    #[schema(value_type = Object)]
    usage: Usage,
    /// The test ran, the script failed: `code`, `detail`, `line`, `column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fault: Option<Fault>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TestLog {
    #[schema(value_type = String)]
    level: LogLevel,
    message: String,
}

/// Run one hook on sample input
///
/// Calls nobody. A fault of the script is an answer too: the test ran, the script failed.
#[utoipa::path(post, path = "/v1/scripts/{script}/versions/{version}/test", tag = "scripts", security(("token" = ["deploy"])),
    params(("script" = String, Path), ("version" = u32, Path)), request_body = TestRun,
    responses((status = 200, body = TestAnswer), (status = 404, body = ProblemDetails<'static>), (status = 422, body = ProblemDetails<'static>)))]
pub(crate) async fn test(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    At((name, version)): At<(Name, u32)>,
    Json(test): Json<TestRun>,
) -> Answer {
    let program = core.programs.ready(&tenant.name, &name, version).await?;
    if !program.hooks().contains(test.hook) {
        let detail = format!("version {version} of script `{name}` has no `{}`", test.hook);
        return Err(Fault::new(Code::ScriptNoHook, detail).in_field("hook").into());
    }
    let (given, mut invocation) = prepare(&test, &tenant)?;
    invocation.keys = Some(core.runner.test_keys(&tenant));
    let outcome = core.programs.sandbox().invoke(&program, invocation).await;
    let (decision, shown, written, fault) = match outcome.result {
        Ok(decision) => (Some(DecisionRecord::from(&decision)), shown::shown(decision, given), written::Written::new(outcome.writes), None),
        Err(fault) => (None, shown::Shown::default(), written::Written::default(), Some(fault)),
    };
    let logs = outcome.logs.into_iter().map(|LogEntry { level, message, .. }| TestLog { level, message }).collect();
    answer::ok(&TestAnswer { decision, shown, written, logs, usage: outcome.usage, fault })
}

/// The invocation, and once more what it is given, for the answer.
fn prepare(test: &TestRun, tenant: &Tenant) -> Result<(snaphook_model::HookInput, Invocation), Problem> {
    let given = input::hook_input(test)?;
    let now_ms = ambient::now_ms();
    let context = Context {
        tenant: tenant.name.clone(),
        flow: None,
        step: None,
        run: RunId(uuid::Uuid::now_v7()),
        attempt: test.attempt.unwrap_or(1).max(1),
        started_at_ms: now_ms,
        now_ms,
        // The same chance in every test run, so that a test run can be repeated.
        seed: 0,
        parms: Value::from(test.parms.clone()).to_string().into(),
        test_run: true,
    };
    let invocation = Invocation {
        input: given.clone(),
        context,
        weight: tenant.weight,
        limits: tenant.limits,
        deadline: None,
        variables: Arc::new(input::variables(test)),
        state: Some(Arc::new(input::GivenState::new(&test.state))),
        http: None,
        keys: None,
    };
    Ok((given, invocation))
}

/// Tells `null` from nothing.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
