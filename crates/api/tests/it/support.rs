//! A front end on a temporary directory, and answers in a form that snapshots can hold.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use snaphook_api::{Api, ApiConfig, ApiParts, Programs, ProgramsParts, new_token, token_hash};
use snaphook_compile::{Compiler, CompilerConfig};
use snaphook_egress::{Egress, EgressConfig};
use snaphook_flow::{Runner, RunnerConfig, RunnerParts, SystemClock};
use snaphook_model::{Dialect, Hook, Language, Name, ScriptKind, TenantName};
use snaphook_sandbox::{Sandbox, SandboxConfig};
use snaphook_store::{AddedVersion, NewVersion, ScriptStore as _, SqliteStore, Store, StoredComponent};
use tempfile::TempDir;

/// One for all tests of this binary: a pool of sandboxes takes gigabytes of addresses.
static SANDBOX: LazyLock<(Sandbox, TempDir)> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let config =
        SandboxConfig { memory_budget_bytes: 256 << 20, code_dir: dir.path().to_owned(), interpreter: None, max_concurrent: Some(8) };
    (Sandbox::new(config).unwrap(), dir)
});

pub struct TestNode {
    pub api: Api,
    pub store: Arc<SqliteStore>,
    pub operator: String,
    _dir: TempDir,
}

/// A tenant `acme`-like with a token that may do everything.
pub struct TestTenant<'a> {
    pub node: &'a TestNode,
    pub name: String,
    pub token: String,
}

#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).await.unwrap());
        let operator = new_token();
        let mut config = ApiConfig::new(token_hash(&operator));
        change(&mut config);
        let sandbox = SANDBOX.0.clone();
        let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let parts = ProgramsParts {
            store: Arc::clone(&shared),
            compiler: compiler(),
            sandbox: sandbox.clone(),
            interpreter: "interpreter-h0000000000000000".to_owned(),
        };
        let programs = Arc::new(Programs::new(parts));
        let parts = RunnerParts {
            sandbox,
            egress: Egress::new(EgressConfig::default()).unwrap(),
            store: Arc::clone(&shared),
            programs: Arc::clone(&programs) as Arc<dyn snaphook_flow::Programs>,
            clock: Arc::new(SystemClock),
        };
        let runner = Runner::new(parts, RunnerConfig::default());
        Self { api: Api::new(config, ApiParts { store: shared, programs, runner }), store, operator, _dir: dir }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answered {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.api.answer(request.body(Full::new(body.into())).unwrap()).await;
        let (parts, body) = response.into_parts();
        assert!(parts.headers.contains_key("x-request-id"), "{method} {path} has no request id");
        Answered { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub async fn as_operator(&self, method: &str, path: &str, body: Value) -> Answered {
        self.json(method, path, &self.operator, body).await
    }

    pub async fn json(&self, method: &str, path: &str, token: &str, body: Value) -> Answered {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &headers, body).await
    }

    /// A tenant that may reach loopback.
    pub async fn tenant(&self, name: &str) -> TestTenant<'_> {
        self.tenant_with(name, json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await
    }

    pub async fn tenant_with(&self, name: &str, document: Value) -> TestTenant<'_> {
        self.as_operator("PUT", &format!("/v1/tenants/{name}"), document).await.expect(201);
        let token = self.token(name, &["admin"]).await;
        TestTenant { node: self, name: name.to_owned(), token }
    }

    /// The text of a new token.
    pub async fn token(&self, tenant: &str, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "scopes": scopes});
        let answer = self.as_operator("POST", &format!("/v1/tenants/{tenant}/tokens"), body).await.expect(201);
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

/// These tests compile nothing: uploads that get as far as a child process fail.
fn compiler() -> Compiler {
    let nowhere = std::path::PathBuf::from("/nonexistent");
    Compiler::new(CompilerConfig {
        executable: nowhere.clone(),
        arguments: Vec::new(),
        data_dir: nowhere,
        cpu_s: 1,
        memory_bytes: 1 << 20,
        wall: std::time::Duration::from_secs(1),
    })
}

impl TestTenant<'_> {
    pub async fn send(&self, method: &str, path: &str, body: Value) -> Answered {
        self.node.json(method, path, &self.token, body).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, Value::Null).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answered {
        self.send("PUT", path, body).await
    }

    /// A version in the store with these hooks and no code: what binds it can be tested, what runs it not.
    pub async fn seed_script(&self, name: &str, hooks: &[Hook]) -> u32 {
        let source = Bytes::from(format!("// {name} {hooks:?}"));
        let version = NewVersion {
            name: Name::new(name).unwrap(),
            hash: format!("{hooks:?}"),
            kind: ScriptKind::Script,
            language: Language::JavaScript,
            dialect: Dialect::Native,
            hooks: hooks.iter().copied().collect(),
            deploy_ms: 1,
            warnings: Vec::new(),
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            source,
            component: StoredComponent { bytes: Bytes::from_static(b"\0asm"), interpreter: None },
        };
        match self.node.store.add_version(&self.tenant_name(), version).await.unwrap() {
            AddedVersion::Created(version) | AddedVersion::Unchanged(version) => version.version,
        }
    }

    pub fn tenant_name(&self) -> TenantName {
        TenantName::new(&self.name).unwrap()
    }
}

impl Answered {
    /// The same, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, content type and body for a snapshot, without what differs from run to run.
    pub fn shown(&self) -> String {
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
    const VOLATILE: [&str; 13] = [
        "id",
        "token",
        "request_id",
        "run",
        "created_at",
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
