//! A front end on a temporary directory, and answers in a form that snapshots can hold.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use snaphook_api::{Api, ApiConfig, ApiParts, Programs, ProgramsParts, new_token, token_hash};
use snaphook_compile::{Compiler, CompilerConfig};
use snaphook_egress::{Egress, EgressConfig};
use snaphook_flow::{FileSpace, Runner, RunnerConfig, RunnerParts, SystemClock};
use snaphook_model::{Dialect, Hook, Language, Name, ScriptKind, TenantName};
use snaphook_sandbox::{InterpreterCode, Sandbox, SandboxConfig};
use snaphook_store::{AddedVersion, NewVersion, ScriptStore as _, SqliteStore, Store, StoredComponent};
use tempfile::TempDir;

/// One for all tests of this binary: a pool of sandboxes takes gigabytes of addresses.
static SANDBOX: LazyLock<(Sandbox, TempDir)> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    (sandbox(dir.path(), None), dir)
});

pub(crate) fn sandbox(code_dir: &Path, interpreter: Option<InterpreterCode>) -> Sandbox {
    let config = SandboxConfig { memory_budget_bytes: 256 << 20, code_dir: code_dir.to_owned(), interpreter, max_concurrent: Some(8) };
    Sandbox::new(config).unwrap()
}

pub(crate) struct TestNode {
    pub(crate) api: Api,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) operator: String,
    pub(crate) programs: Arc<Programs>,
    pub(crate) dir: TempDir,
}

/// What scripts are made and run with.
pub(crate) struct Engine {
    pub(crate) sandbox: Sandbox,
    pub(crate) compiler: Compiler,
    pub(crate) interpreter: String,
}

/// A tenant `acme`-like with a token that may do everything.
pub(crate) struct TestTenant<'a> {
    pub(crate) node: &'a TestNode,
    pub(crate) name: String,
    pub(crate) token: String,
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestNode {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        let engine =
            Engine { sandbox: SANDBOX.0.clone(), compiler: no_compiler(), interpreter: "interpreter-h0000000000000000".to_owned() };
        Self::over(TempDir::new().unwrap(), engine, change).await
    }

    /// A node on a data directory, which may hold what another one left.
    pub(crate) async fn over(dir: TempDir, engine: Engine, change: impl FnOnce(&mut ApiConfig)) -> Self {
        let store = Arc::new(SqliteStore::open(dir.path()).await.unwrap());
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let operator = new_token();
        let mut config = ApiConfig::new(token_hash(&operator));
        change(&mut config);
        let Engine { sandbox, compiler, interpreter } = engine;
        let parts = ProgramsParts { store: Arc::clone(&shared), compiler, sandbox: sandbox.clone(), interpreter };
        let programs = Arc::new(Programs::new(parts));
        let parts = RunnerParts {
            sandbox,
            egress: Egress::new(EgressConfig::default()).unwrap(),
            store: Arc::clone(&shared),
            programs: Arc::clone(&programs) as Arc<dyn snaphook_flow::Programs>,
            files: Arc::new(FileSpace::open(&dir.path().join("files"), 1 << 30).unwrap()),
            clock: Arc::new(SystemClock),
        };
        let runner = Runner::new(parts, RunnerConfig::default());
        let api = Api::new(config, ApiParts { store: shared, programs: Arc::clone(&programs), runner });
        Self { api, programs, store, operator, dir }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answered {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.api.answer(request.body(Full::new(body.into())).unwrap()).await;
        let (parts, body) = response.into_parts();
        assert!(parts.headers.contains_key("x-request-id"), "{method} {path} has no request id");
        Answered { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) async fn as_operator(&self, method: &str, path: &str, body: Value) -> Answered {
        self.json(method, path, &self.operator, body).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, token: &str, body: Value) -> Answered {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &headers, body).await
    }

    /// A tenant that may reach loopback.
    pub(crate) async fn tenant(&self, name: &str) -> TestTenant<'_> {
        self.tenant_with(name, json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await
    }

    pub(crate) async fn tenant_with(&self, name: &str, mut document: Value) -> TestTenant<'_> {
        // Tests that are not about quotas send as fast as they can.
        document.as_object_mut().unwrap().entry("quota").or_insert(json!({"concurrency": 4096, "rate_per_s": 1_000_000}));
        self.as_operator("PUT", &format!("/v1/tenants/{name}"), document).await.expect(201);
        let token = self.token(name, &["admin"]).await;
        TestTenant { node: self, name: name.to_owned(), token }
    }

    /// The text of a new token.
    pub(crate) async fn token(&self, tenant: &str, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes});
        let answer = self.as_operator("POST", &format!("/v1/tenants/{tenant}/tokens"), body).await.expect(201);
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

/// For tests that compile nothing: an upload that gets as far as a child process fails.
fn no_compiler() -> Compiler {
    Compiler::new(CompilerConfig::new("/nonexistent".into(), Vec::new(), "/nonexistent".into()))
}

impl TestTenant<'_> {
    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Answered {
        self.node.json(method, path, &self.token, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, Value::Null).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answered {
        self.send("PUT", path, body).await
    }

    /// A version in the store with these hooks and no code: what binds it can be tested, what runs it not.
    pub(crate) async fn seed_script(&self, name: &str, hooks: &[Hook]) -> u32 {
        let source = Bytes::from(format!("// {name} {hooks:?}"));
        let version = NewVersion {
            name: Name::new(name).unwrap(),
            hash: format!("{hooks:?}"),
            kind: ScriptKind::Script,
            language: Language::JavaScript,
            dialect: Dialect::Native,
            hooks: hooks.iter().copied().collect(),
            imports: Vec::new(),
            deploy_ms: 1,
            warnings: Vec::new(),
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            source,
            component: StoredComponent { bytes: Bytes::from_static(b"\0asm"), interpreter: None },
            most_bytes: u64::MAX,
        };
        match self.node.store.add_version(&self.tenant_name(), version).await.unwrap() {
            AddedVersion::Created(version) | AddedVersion::Unchanged(version) => version.version,
        }
    }

    /// Uploads a source.
    pub(crate) async fn upload(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answered {
        let authorization = format!("Bearer {}", self.token);
        self.node.send("PUT", path, &[("authorization", &authorization), ("content-type", content_type)], body).await
    }

    pub(crate) fn tenant_name(&self) -> TenantName {
        TenantName::new(&self.name).unwrap()
    }
}

impl Answered {
    /// The same, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, content type and body for a snapshot, without what differs from run to run.
    pub(crate) fn shown(&self) -> String {
        let content_type = self.headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(mut value) => {
                redact(&mut value);
                serde_json::to_string_pretty(&value).unwrap()
            }
            Err(_) => self.text(),
        };
        format!("{} {content_type}\n{body}", self.status).trim_end().to_owned()
    }
}

fn redact(value: &mut Value) {
    const VOLATILE: [&str; 14] = [
        "id",
        "token",
        "request_id",
        "run",
        "created_at",
        "last_used_at",
        "updated_at",
        "expires_at",
        "started_at",
        "ended_at",
        "duration_ms",
        "deploy_ms",
        "next_cursor",
        "wall_us",
    ];
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match value {
            Value::Null => {}
            value if VOLATILE.contains(&key.as_str()) => *value = format!("[{key}]").into(),
            value => redact(value),
        }),
        Value::Array(list) => list.iter_mut().for_each(redact),
        _ => {}
    }
}
