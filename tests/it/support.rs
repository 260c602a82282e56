//! One node for all tests of this binary, and a second one on PostgreSQL; each test makes tenants of its own.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{NodeOptions, NodeProcess, Response, Tenant};

static NODE: LazyLock<NodeProcess> = LazyLock::new(|| NodeProcess::start(binary()));

/// The same on PostgreSQL; there only once a test asks for it.
static NODE_ON_POSTGRES: LazyLock<NodeProcess> =
    LazyLock::new(|| NodeProcess::start_with(&NODE, NodeOptions::on(Cluster::shared().database())));

tokio::task_local! {
    /// Set in a test that runs on PostgreSQL.
    static ON_POSTGRES: ();
}

/// Runs a test with [`node`] and [`tenant`] on PostgreSQL.
pub(crate) async fn on_postgres(test: impl Future<Output = ()>) {
    ON_POSTGRES.scope((), test).await;
}

/// Makes two tests of each of these functions, one on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name().await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                crate::support::on_postgres(super::$name()).await;
            })+
        }
    };
}

pub(crate) use on_both_databases;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_snaphook"))
}

/// The shared node, of the database that the test is on.
pub(crate) fn node() -> &'static NodeProcess {
    match ON_POSTGRES.try_with(|()| ()) {
        Ok(()) => &NODE_ON_POSTGRES,
        Err(_) => &NODE,
    }
}

/// A tenant of the shared node, and an upstream that answers `/x` with 200 and `{"ok":true}` until told otherwise.
pub(crate) async fn tenant() -> (Tenant, Upstream) {
    (node().tenant().await, Upstream::start().await)
}

/// A connector `api` with one endpoint `x`: POST to `/x` of the upstream, with these hooks. `extra` adds to the endpoint.
pub(crate) async fn endpoint(tenant: &Tenant, upstream: &Upstream, hooks: Value, extra: Value) {
    let mut endpoint = json!({"method": "POST", "path": "/x", "hooks": hooks});
    if let (Some(endpoint), Some(extra)) = (endpoint.as_object_mut(), extra.as_object()) {
        endpoint.extend(extra.clone());
    }
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}})).await;
}

/// A tenant whose endpoint `api/x` has one script at one hook, and the upstream behind it.
pub(crate) async fn hooked(hook: &str, source: &str) -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({hook: [{"script": "s"}]}), json!({})).await;
    (tenant, upstream)
}

/// An upstream's usual answer.
pub(crate) fn ok() -> Answer {
    Answer::json(json!({"ok": true}))
}

/// A neighbour's call takes milliseconds. This much is for a machine on which all tests run at once; a hostile guest may take many times as long.
const NEIGHBOUR: Duration = Duration::from_secs(2);

/// Uploads a script, binds it to `pre-hook` and calls it, all of which must work, and the call at once: what a neighbour does while others misbehave.
pub(crate) async fn neighbour_is_answered() {
    let (tenant, upstream) = hooked("pre-hook", "export function preHook(call) { call.arguments.seen = true; }").await;
    upstream.on("/x", ok());
    let begun = Instant::now();
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    let took = begun.elapsed();
    assert!(took < NEIGHBOUR, "a neighbour's call took {took:?}");
    assert_eq!(answer.json(), json!({"ok": true}));
    assert_eq!(upstream.last().json(), json!({"seen": true}));
}

/// The code and detail of a failed answer.
pub(crate) fn problem(response: &Response) -> (String, String) {
    let document = response.json();
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("detail"))
}

/// All log messages of a run, in order.
pub(crate) fn messages(run: &Value) -> Vec<String> {
    let hooks = |value: &Value| value["hooks"].as_array().cloned().unwrap_or_default();
    let mut invocations = Vec::new();
    for step in run["steps"].as_array().expect("a run has steps") {
        let attempts = step["attempts"].as_array().cloned().unwrap_or_default();
        invocations.extend(hooks(step));
        invocations.extend(attempts.iter().flat_map(hooks));
    }
    let logs = invocations.iter().flat_map(|invocation| invocation["logs"].as_array().cloned().unwrap_or_default());
    logs.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until a run has ended: the node writes it when it does.
pub(crate) async fn ended(tenant: &Tenant, id: &str) -> Value {
    for _ in 0..400 {
        let run = tenant.client.get(&format!("/v1/runs/{id}")).await.expect(200).json();
        if !matches!(run["status"].as_str(), Some("queued" | "running" | "waiting")) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("run {id} does not end");
}

/// Asks again until it is so, and says how long that took: ten seconds at most.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// All files in a folder and below it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
