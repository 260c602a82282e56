//! A runner over real parts in a directory of its own, with a clock that stands still until it is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use snaphook_compile::{Interpreter, Upload, compile_here, prepare_interpreter};
use snaphook_egress::{Egress, EgressConfig};
use snaphook_flow::{Clock, FileSpace, Finished, Outcome, PreparedFlow, Programs, ProgramsFuture, Runner, RunnerConfig, RunnerParts};
use snaphook_model::{
    Code, Connector, Dialect, Fault, Flow, Language, Name, Payload, RunId, RunRecord, Tenant, TenantDocument, TenantName,
};
use snaphook_sandbox::{InterpreterCode, Program, Sandbox, SandboxConfig};
use snaphook_store::{NewDocument, SqliteStore, Store};
use tempfile::TempDir;

/// The time at which every test begins.
pub(crate) const BEGINNING: &str = "2026-01-02T03:04:05Z";

pub(crate) struct Rig {
    pub(crate) runner: Runner,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) scripts: Arc<Scripts>,
    pub(crate) sandbox: Sandbox,
    pub(crate) tenant: Arc<Tenant>,
    _directory: TempDir,
}

/// Time as the test says; ids as everywhere.
pub(crate) struct HeldClock(Mutex<Timestamp>);

impl HeldClock {
    pub(crate) fn advance(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(Duration::from_secs(seconds)).unwrap();
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn run_id(&self) -> RunId {
        snaphook_flow::SystemClock.run_id()
    }
}

/// Programs by script and version.
#[derive(Default)]
pub(crate) struct Scripts(pub(crate) Mutex<BTreeMap<(Name, u32), Program>>);

impl Programs for Scripts {
    fn load<'a>(&'a self, _tenant: &'a TenantName, script: &'a Name, version: u32) -> ProgramsFuture<'a> {
        let found = self.0.lock().unwrap().get(&(script.clone(), version)).cloned();
        Box::pin(async move { found.ok_or_else(|| Fault::new(Code::NotFound, format!("script `{script}` has no version {version}"))) })
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl Rig {
    /// Of a tenant who may reach loopback.
    pub(crate) async fn new() -> Self {
        Self::of(json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await
    }

    pub(crate) async fn of(tenant: Value) -> Self {
        let directory = TempDir::new().unwrap();
        let code_dir = directory.path().join("code");
        let Interpreter { name, code, .. } = interpreter().clone();
        let interpreter = Some(InterpreterCode { name, code });
        let sandbox =
            Sandbox::new(SandboxConfig { memory_budget_bytes: 256 << 20, code_dir, interpreter, max_concurrent: Some(8) }).unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).await.unwrap());
        let document: TenantDocument = serde_json::from_value(tenant).unwrap();
        let tenant = Arc::new(Tenant::new(TenantName::new("acme").unwrap(), document).unwrap());
        let clock = Arc::new(HeldClock(Mutex::new(BEGINNING.parse().unwrap())));
        store.put_tenant(&tenant.name, &tenant.document, clock.now()).await.unwrap();
        let scripts = Arc::new(Scripts::default());
        let parts = RunnerParts {
            sandbox: sandbox.clone(),
            egress: Egress::new(EgressConfig::default()).unwrap(),
            store: store.clone(),
            programs: scripts.clone(),
            files: Arc::new(FileSpace::open(&directory.path().join("files"), 1 << 30).unwrap()),
            clock: clock.clone(),
        };
        let runner = Runner::new(parts, RunnerConfig::default());
        Self { runner, store, clock, scripts, sandbox, tenant, _directory: directory }
    }

    /// Deploys JavaScript as version 1 of a script.
    pub(crate) fn deploy(&self, script: &str, source: &str) {
        let upload = Upload {
            name: name(script),
            language: Language::JavaScript,
            dialect: Dialect::Native,
            bytes: Bytes::from(source.to_owned()),
            limits: self.tenant.limits,
            imports: Vec::new(),
            now_ms: 0,
        };
        let compiled = compile_here(upload, interpreter()).unwrap_or_else(|error| panic!("{script}: {error}"));
        let key = Sandbox::key(&compiled.component);
        self.sandbox.admit(&key, &compiled.code).unwrap();
        let program = self.sandbox.load(&key).unwrap().expect("the code was admitted");
        self.scripts.0.lock().unwrap().insert((name(script), 1), program);
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// Calls the endpoint `it` of a connector that has only this one.
    pub(crate) async fn call(&self, base_url: &str, endpoint: Value, arguments: &str) -> Finished {
        self.call_of(json!({"base_url": base_url, "endpoints": {"it": endpoint}}), arguments).await
    }

    /// Calls the endpoint `it` of a connector.
    pub(crate) async fn call_of(&self, connector: Value, arguments: &str) -> Finished {
        let document = Connector::parse(connector).unwrap();
        let prepared = self.runner.prepare_endpoint(&self.tenant.name, &name("up"), &document, &name("it")).await.unwrap();
        self.runner.call(&self.tenant, &prepared, Bytes::from(arguments.to_owned()), self.deadline()).await
    }

    pub(crate) async fn put_connector(&self, connector: &str, document: &Value) {
        let new = NewDocument { document, pins: &[], now: self.clock.now() };
        self.store.put_connector(&self.tenant.name, &name(connector), new).await.unwrap();
    }

    /// Stores a flow under the name `f` and prepares its latest version.
    pub(crate) async fn flow(&self, document: Value) -> PreparedFlow {
        let new = NewDocument { document: &document, pins: &[], now: self.clock.now() };
        let put = self.store.put_flow(&self.tenant.name, &name("f"), new).await.unwrap();
        let flow = Flow::parse(document).unwrap();
        self.runner.prepare_flow(&self.tenant.name, &name("f"), put.version, &flow).await.unwrap()
    }

    pub(crate) async fn run(&self, flow: &PreparedFlow, input: &str) -> Finished {
        self.runner.run_flow(&self.tenant, flow, Payload::json(input.to_owned()), self.deadline()).await
    }

    pub(crate) async fn record(&self, run: RunId) -> RunRecord {
        self.store.run(&self.tenant.name, run).await.unwrap().expect("the run has a record")
    }
}

pub(crate) fn payload(finished: &Finished) -> &str {
    match &finished.outcome {
        Outcome::Payload(payload) => std::str::from_utf8(&payload.bytes).unwrap(),
        other => panic!("no payload, but {other:?}"),
    }
}

pub(crate) fn failure(finished: &Finished) -> (&Fault, Option<RunId>) {
    match &finished.outcome {
        Outcome::Failed { fault, retry_run, .. } => (fault, *retry_run),
        other => panic!("no failure, but {other:?}"),
    }
}

/// Made once for all tests and kept in the target directory.
fn interpreter() -> &'static Interpreter {
    static INTERPRETER: LazyLock<Interpreter> = LazyLock::new(|| {
        prepare_interpreter(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("flow")).expect("the interpreter is part of the build")
    });
    &INTERPRETER
}
