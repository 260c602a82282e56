//! The front end: requests of tenants, of upstreams that call back, and of strangers, on a node without a network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use snaphook_api::{Api, ApiConfig, ApiParts, Programs, ProgramsParts, new_token, token_hash};
use snaphook_compile::{Compiler, CompilerConfig};
use snaphook_egress::{Egress, EgressConfig, Vault};
use snaphook_flow::{FileSpace, Runner, RunnerConfig, RunnerParts, SystemClock};
use snaphook_model::{CorrelationId, Payload, RunId, RunRecord, RunStatus, RunUsage, SubjectValues, TenantName};
use snaphook_sandbox::{Sandbox, SandboxConfig};
use snaphook_store::{KeptCallback, QueuedRun, SavedRun, SqliteStore, Store, Wake};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What is asked for. A tail of the input's own follows where the path ends with `*`. No route leads to a flow that the input wrote, so nobody is
/// asked for anything.
const ROUTES: [(&str, &str); 17] = [
    ("POST", "/v1/callbacks"),
    ("POST", "/t/acme/open*"),
    ("POST", "/t/acme/signed*"),
    ("GET", "/t/*"),
    ("POST", "/v1/call/refused/x"),
    ("POST", "/v1/flows/open/runs"),
    ("PUT", "/v1/flows/written"),
    ("PUT", "/v1/connectors/written"),
    ("PUT", "/v1/connections/written"),
    ("PUT", "/v1/subjects/*"),
    ("PUT", "/v1/secrets/*"),
    ("POST", "/v1/tokens"),
    ("GET", "/v1/runs*"),
    ("GET", "/v1/audit*"),
    ("GET", "/oauth/callback*"),
    ("GET", "/*"),
    ("GET", "/v1/overview*"),
];

/// Whoever calls back with this id finds a run that waits for it.
const AWAITED: &str = "0123456789abcdef0123456789abcdef";
const CORRELATION: &str = "x-link-correlation-id";

/// The first byte chooses a route; then come the rest of the path, headers, each on a line, an empty line, and the body. Whatever they are, the
/// answer says whose fault it is, and that is never the node's.
pub fn front(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let (method, path) = ROUTES[usize::from(first) % ROUTES.len()];
    let Some(mut request) = request(method, path, rest) else { return };
    let node = &*NODE;
    let shown = format!("{method} {} {:?}", request.uri(), request.headers());
    let awaited = path == "/v1/callbacks" && request.headers().get(CORRELATION).is_some_and(|id| id.as_bytes() == AWAITED.as_bytes());
    let expected = awaited.then(|| (node.runtime.block_on(node.awaits(&mut request)), request.body().clone()));
    let (status, body) = node.runtime.block_on(node.send(request));
    if let (Some((id, sent)), 200) = (expected, status) {
        node.runtime.block_on(node.keeps(&id, sent));
    }
    assert!(!matches!(status, 500 | 503), "{shown}: {status} {}", String::from_utf8_lossy(&body));
    if status >= 400 {
        let problem: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{shown}: {status} {error}"));
        assert!(problem["code"].is_string() || problem["status_message"].is_string(), "{shown}: {status} {problem}");
    }
}

/// The request, if HTTP has such a one.
fn request(method: &str, path: &str, rest: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut head = rest.split(|byte| *byte == b'\n');
    let tail = head.next().unwrap_or_default();
    let uri = match path.strip_suffix('*') {
        Some(path) => Uri::try_from([path.as_bytes(), tail].concat()).ok()?,
        None => Uri::from_static(path_of(path)),
    };
    let mut taken = tail.len() + 1;
    let mut request = Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {}", NODE.token));
    for line in head {
        taken += line.len() + 1;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(rest.get(taken..).unwrap_or_default()))).ok()
}

/// The same path: it stands in the table above and is as static as that.
fn path_of(path: &str) -> &'static str {
    ROUTES.iter().find(|(_, known)| *known == path).map_or("/", |(_, known)| known)
}

fn acme() -> TenantName {
    TenantName::new("acme").expect("a name")
}

struct Node {
    runtime: Runtime,
    api: Api,
    store: Arc<dyn Store>,
    /// With the node's key of secrets.
    egress: Egress,
    /// Runs that have waited for a callback.
    waited: AtomicU64,
    token: String,
    _directory: TempDir,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = TempDir::new().expect("a temporary directory");
    let operator = new_token();
    let vault = Arc::new(Vault::ephemeral().expect("a key"));
    let (api, store) = runtime.block_on(api(&directory, &operator, &vault));
    let mut node = Node { api, store, egress: egress(&vault), waited: AtomicU64::new(0), token: operator, runtime, _directory: directory };
    node.token = node.runtime.block_on(node.furnish());
    node
});

fn egress(vault: &Arc<Vault>) -> Egress {
    Egress::new(EgressConfig { vault: Some(Arc::clone(vault)), ..EgressConfig::default() }).expect("a way out")
}

async fn api(directory: &TempDir, operator: &str, vault: &Arc<Vault>) -> (Api, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).await.expect("a database"));
    let code_dir = directory.path().join("code");
    let sandbox = SandboxConfig { memory_budget_bytes: 64 << 20, code_dir, interpreter: None, max_concurrent: Some(4) };
    let sandbox = Sandbox::new(sandbox).expect("a sandbox");
    // No script is uploaded, so nothing is compiled.
    let compiler = Compiler::new(CompilerConfig::new("/nonexistent".into(), Vec::new(), "/nonexistent".into()));
    let interpreter = "interpreter-h0000000000000000".to_owned();
    let parts = ProgramsParts { store: Arc::clone(&store), compiler, sandbox: sandbox.clone(), interpreter };
    let programs = Arc::new(Programs::new(parts));
    let parts = RunnerParts {
        sandbox,
        egress: egress(vault),
        store: Arc::clone(&store),
        programs: Arc::clone(&programs) as Arc<dyn snaphook_flow::Programs>,
        files: Arc::new(FileSpace::open(&directory.path().join("files"), 1 << 30).expect("a folder")),
        clock: Arc::new(SystemClock),
    };
    let runner = Runner::new(parts, RunnerConfig::default());
    let api = Api::new(ApiConfig::new(token_hash(operator)), ApiParts { store: Arc::clone(&store), programs, runner });
    (api, store)
}

impl Node {
    /// Makes what the routes lead to; gives the tenant's token.
    async fn furnish(&self) -> String {
        let _ = self.put("PUT", "/v1/tenants/acme", &self.token, &json!({"quota": {"rate_per_s": 1_000_000, "concurrency": 1_000}})).await;
        let asked = json!({"name": "fuzz", "scopes": ["admin"]});
        let token = self.put("POST", "/v1/tenants/acme/tokens", &self.token, &asked).await["token"].as_str().expect("a token").to_owned();
        let _ = self.send_as("PUT", "/v1/secrets/KEY", &token, "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0".to_owned()).await;
        // An address that nobody may be asked at, so that a call ends before there is a connection.
        let endpoint = json!({"method": "POST", "path": "/{{ payload.a }}", "query": {"q": "{{ payload.b }}"}});
        let _ = self
            .put("PUT", "/v1/connectors/refused", &token, &json!({"base_url": "http://127.0.0.1:1", "endpoints": {"x": endpoint}}))
            .await;
        for (name, auth) in [("open", json!("none")), ("signed", json!({"signature": {"secret": "KEY"}}))] {
            let flow = json!({"trigger": {"auth": auth}, "steps": [{"call": "refused/x"}]});
            let _ = self.put("PUT", &format!("/v1/flows/{name}"), &token, &flow).await;
        }
        token
    }

    /// Lets a run wait for the callback that a request is. Each is taken once, so each has a run and an id of its own.
    async fn awaits(&self, request: &mut Request<Full<Bytes>>) -> CorrelationId {
        let number = self.waited.fetch_add(1, Ordering::Relaxed);
        let id = CorrelationId(format!("{number:032x}"));
        let run = RunId(uuid::Uuid::from_u128(number.into()));
        let record = json!({"id": run, "flow": "open", "flow_version": 1, "status": RunStatus::Waiting, "attempt": 1,
            "started_at": "2026-01-31T08:00:00Z", "usage": RunUsage::default(), "steps": []});
        let record: RunRecord = serde_json::from_value(record).expect("a run");
        let run = QueuedRun { record, input: Payload::default(), writes: Vec::new(), subject_values: SubjectValues::default() };
        let wake = Wake::Callback(&id, run.record.started_at);
        let (token, checkpoint) = (uuid::Uuid::now_v7(), Bytes::new());
        let saved =
            SavedRun { run: &run, token, checkpoint: &checkpoint, recording: None, events: &[], wake, expects: Some(&id), heard: None };
        self.store.save_run(&acme(), None, saved).await.expect("a run that waits");
        request.headers_mut().insert(CORRELATION, HeaderValue::from_str(&id.0).expect("digits"));
        id
    }

    /// A callback that was taken is kept sealed, with what was sent.
    async fn keeps(&self, id: &CorrelationId, sent: Full<Bytes>) {
        let sent = sent.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let kept = self.store.callback(&acme(), id).await.expect("the database answers").expect("it was taken");
        let KeptCallback::Sealed(sealed) = kept else { panic!("it is kept in plain") };
        let opened = self.egress.open_callback(&acme(), id, &sealed).expect("it opens");
        assert!(sent.is_empty() || opened.windows(sent.len()).any(|part| part == &sent[..]), "{sent:?} became {opened:?}");
    }

    async fn put(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        self.send_as(method, path, token, body.to_string()).await
    }

    async fn send_as(&self, method: &str, path: &str, token: &str, body: String) -> Value {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(Full::new(body.into())).expect("a request");
        let (status, body) = self.send(request).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (u16, Bytes) {
        let response: Response<_> = self.api.answer(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (status, body)
    }
}
