//! A node under mixed load for a long while: what it holds levels off.
//!
//! `SNAPHOOK_SOAK_S` says how long: half a minute without, five minutes in CI. Tenants come and go meanwhile, with all that they have; runs have
//! had their time after a few seconds; one tenant's guests are hostile. The curve is printed.

mod curve;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{NodeProcess, Tenant};

use crate::support::binary;
use curve::Curve;

/// Scripts that end by no will of their own.
const HOSTILE: [&str; 5] = [
    "export default () => { for (;;) {} };",
    "export default () => { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); };",
    "export default () => { const line = 'x'.repeat(1000); for (;;) console.log(line); };",
    "export default () => { const down = () => down() + 1; return down(); };",
    "export default () => new Promise(() => {});",
];

/// What tenants of the soak may, whose runs are kept for seconds.
fn document(limits: &Value) -> Value {
    let retention = json!({"logs_s": 5, "payloads_s": 5, "audit_s": 1});
    json!({"limits": limits, "retention": retention, "egress": {"allow_private": ["127.0.0.0/8"]}})
}

/// Counts of what was done, and the word to stop.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    calls: AtomicU64,
    runs: AtomicU64,
    hostile: AtomicU64,
    tenants: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// A connector whose calls are hooked, and flows that answer at once, wait, and fail.
async fn define(tenant: &Tenant, upstream: &Upstream) {
    tenant.js("pre", "export function preHook(call) { call.arguments.stamp = true; console.log('seen'); }").await;
    tenant.js("post", "export function postRequest(response) { const body = response.json(); body.seen = true; return body; }").await;
    let hooks = json!({"pre-hook": [{"script": "pre"}], "post-request": [{"script": "post"}]});
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "hooks": hooks}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    tenant.flow("straight", json!({"steps": [{"name": "Call", "call": "api/x"}]})).await;
    let retry = json!({"attempts": 2, "delay_s": 1});
    let waits = json!({"name": "Flaky", "url": upstream.url("/flaky"), "method": "GET", "retry": retry});
    tenant.flow("waits", json!({"steps": [waits, {"name": "Call", "call": "api/x"}]})).await;
}

/// A tenant with hostile scripts, which end soon.
async fn hostile(node: &NodeProcess) -> Tenant {
    let tenant = node.tenant_with(document(&json!({"fuel": 50_000_000, "wall_ms": 500, "memory_bytes": 16 << 20}))).await;
    for (number, source) in HOSTILE.iter().enumerate() {
        tenant.js(&format!("hostile-{number}"), source).await;
        tenant.flow(&format!("hostile-{number}"), json!({"steps": [{"script": format!("hostile-{number}")}]})).await;
    }
    tenant
}

/// Calls, and runs that are answered in one go or accepted.
async fn work(tenant: Tenant, load: Arc<Load>) {
    for number in 0_u64.. {
        if !load.goes_on() {
            return;
        }
        let payload = json!({"number": number, "text": "some kilobytes of it ".repeat(50)});
        match number % 4 {
            0 | 1 => drop(tenant.call("api/x", payload).await.expect(200)),
            2 => drop(tenant.run("straight", payload).await.expect(200)),
            _ => drop(tenant.start("waits", payload).await),
        }
        let counted = if number % 4 < 2 { &load.calls } else { &load.runs };
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

/// Hostile scripts, one after another. Each of them fails, by its own fault.
async fn harm(tenant: Tenant, load: Arc<Load>) {
    for number in 0.. {
        if !load.goes_on() {
            return;
        }
        let answer = tenant.run(&format!("hostile-{}", number % HOSTILE.len()), json!({})).await;
        let refused = answer.status == 503 && answer.json()["code"] == "overloaded";
        assert!(refused || answer.status == 422, "{}", answer.text());
        load.hostile.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tenants that come, use the node, upload a script over and over, and go.
async fn come_and_go(node: Arc<NodeProcess>, upstream: Arc<Upstream>, load: Arc<Load>) {
    while load.goes_on() {
        let tenant = node.tenant_with(document(&json!({}))).await;
        define(&tenant, &upstream).await;
        for version in 0..5 {
            tenant.js("changing", &format!("export default () => ({version});")).await;
            drop(tenant.call("api/x", json!({"version": version})).await.expect(200));
        }
        let stored = tenant.client.put("/v1/connections/key", &json!({"kind": "api-key", "fields": {"api_key": "a-key"}})).await;
        drop(stored.expect(201));
        drop(tenant.start("waits", json!({})).await);
        drop(node.operator().delete(&format!("/v1/tenants/{}", tenant.name)).await.expect(204));
        load.tenants.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long the soak lasts.
fn duration() -> Duration {
    let usual = if std::env::var_os("CI").is_some() { 300 } else { 30 };
    Duration::from_secs(std::env::var("SNAPHOOK_SOAK_S").ok().and_then(|text| text.parse().ok()).unwrap_or(usual))
}

/// Answers, and every second time 503 at `/flaky`. Bodies are not remembered.
async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"text": "some kilobytes of it ".repeat(50)})));
    let times = AtomicU64::new(0);
    upstream.on_request("/flaky", move |_| {
        let ok = times.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        Answer::json(json!({"ok": ok})).with_status(if ok { 200 } else { 503 })
    });
    upstream.skim("/x").skim("/flaky");
    upstream
}

/// Says it past the harness, which keeps what a test prints to itself unless it fails.
fn show(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_holds_levels_off() {
    let (node, upstream, load) = (Arc::new(NodeProcess::start(binary())), Arc::new(upstream().await), Arc::new(Load::default()));
    let (tenant, hostile) = (node.tenant_with(document(&json!({}))).await, hostile(&node).await);
    define(&tenant, &upstream).await;
    let tasks = vec![
        tokio::spawn(work(tenant.clone(), Arc::clone(&load))),
        tokio::spawn(work(tenant.clone(), Arc::clone(&load))),
        tokio::spawn(harm(hostile, Arc::clone(&load))),
        tokio::spawn(come_and_go(Arc::clone(&node), Arc::clone(&upstream), Arc::clone(&load))),
    ];
    let (mut curve, begun, whole) = (Curve::default(), Instant::now(), duration());
    let mut every = tokio::time::interval(whole / 60);
    while begun.elapsed() < whole && !tasks.iter().any(tokio::task::JoinHandle::is_finished) {
        let _ = every.tick().await;
        curve.add(begun.elapsed(), node.pid(), node.data_dir());
    }
    load.stop.store(true, Ordering::Relaxed);
    show(&format!("{curve}\n"));
    for task in tasks {
        task.await.unwrap();
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let [calls, runs, hostile, tenants] = [&load.calls, &load.runs, &load.hostile, &load.tenants].map(count);
    show(&format!("{calls} calls, {runs} runs, {hostile} runs of hostile scripts, {tenants} tenants that came and went\n"));
    assert!(calls > 0 && runs > 0 && hostile > 0 && tenants > 0, "too little happened");
    curve.levels_off().unwrap();
}
