//! Runs that outlive a request: how many are accepted, how a million that wait weigh, and how soon a callback is heard.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeOptions, NodeProcess, Tenant};
use tokio::sync::Semaphore;

use crate::Paths;
use crate::load::{Load, Shot, fire_all, resident_bytes};
use crate::nodes::percentile;
use crate::table::{Table, number};

/// Tenants that start runs: what one of them may have in the queue is bounded.
const TENANTS: usize = 16;

/// Connections that start runs, over all tenants.
const CONNECTIONS: usize = 32;

/// What a node may have more in memory beside many runs that wait than beside few, in MB: pages of the larger database in its caches, and nothing for
/// each run.
const PAGES_MB: f64 = 16.0;

/// How long a start may take beside many runs that wait: so many times as long as beside few, and so many milliseconds.
const START: (f64, f64) = (2.0, 50.0);

/// How much slower the slowest fresh calls may be while thousands of timers come due than they are alone.
const BESIDE_TIMERS: f64 = 3.0;

const SCRIPT: &str = "export default (payload) => { payload.seen = true; return payload; }";

/// Tenants with a flow of one script step.
async fn starters(node: &NodeProcess) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for _ in 0..TENANTS {
        let tenant = node.tenant().await;
        tenant.js("s", SCRIPT).await;
        tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
        tenants.push(tenant);
    }
    tenants
}

/// Starts of runs whose caller does not wait, of all tenants on all nodes.
fn starts(tenants: &[Tenant], nodes: &[&NodeProcess]) -> Vec<Shot> {
    let shot = |index: usize| {
        let tenant = &tenants[index % tenants.len()];
        Shot {
            address: nodes[index % nodes.len()].url().trim_start_matches("http://").to_owned(),
            path: "/v1/flows/f/runs".to_owned(),
            token: tenant.client.token.clone().expect("the tenant has a token"),
            body: json!({"payload": {"n": index}}).to_string().into(),
            prefer: Some("respond-async"),
        }
    };
    (0..CONNECTIONS).map(shot).collect()
}

/// Accepts runs for some seconds while those that were accepted are run.
async fn accept(paths: &Paths, tenants: &[Tenant], nodes: &[&NodeProcess]) -> Load {
    let duration = if paths.quick { Duration::from_millis(300) } else { Duration::from_secs(3) };
    fire_all(&starts(tenants, nodes), duration).await
}

/// Waits until no run is queued any more.
async fn worked_off(tenants: &[Tenant]) -> Duration {
    let begun = Instant::now();
    for tenant in tenants {
        for status in ["queued", "running"] {
            while !tenant.client.get(&format!("/v1/runs?limit=1&status={status}")).await.json()["items"]
                .as_array()
                .is_some_and(Vec::is_empty)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    begun.elapsed()
}

/// Accepted runs on SQLite, with the node on one core.
pub(crate) async fn accepted(paths: &Paths, table: &mut Table) {
    let node = NodeProcess::start(&paths.snaphook);
    let tenants = starters(&node).await;
    let pinned = Command::new("taskset").args(["--all-tasks", "--pid", "--cpu-list", "0", &node.pid().to_string()]).output();
    let on = if pinned.is_ok_and(|output| output.status.success()) { "one core" } else { "all cores (`taskset` is missing)" };
    let load = accept(paths, &tenants, &[&node]).await;
    table.at_least(&format!("accepted runs per second on SQLite, {on}"), load.per_second, 3_000.0);
    let accepted = load.latencies.len();
    let left = worked_off(&tenants).await.as_secs_f64();
    table
        .plain("the same: answered, p50 and p99", &format!("{} and {} µs", number(load.percentile_us(50)), number(load.percentile_us(99))));
    table.plain("the same: all of them had ended", &format!("{} s after the last of {accepted} was accepted", number(left)));
}

/// Accepted runs on PostgreSQL, by one node and by three that share the database, and how soon a callback is heard there.
pub(crate) async fn on_postgres(paths: &Paths, table: &mut Table) {
    let url = Cluster::shared().database();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut nodes = vec![NodeProcess::start_at(&paths.snaphook, &directory.path().join("data"), NodeOptions::on(&url))];
    let tenants = starters(&nodes[0]).await;
    let alone = accept(paths, &tenants, &[&nodes[0]]).await.per_second;
    let _ = worked_off(&tenants).await;
    for index in 1..3 {
        nodes.push(NodeProcess::start_with(&nodes[0], NodeOptions::on(&url)));
        let shared: Vec<_> = nodes.iter().collect();
        let together = accept(paths, &tenants, &shared).await.per_second;
        let _ = worked_off(&tenants).await;
        let what = format!("accepted runs per second on PostgreSQL, {} nodes on this machine", index + 1);
        if index == 2 {
            table.at_least(&what, together, 2_000.0);
        } else {
            table.plain(&what, &number(together));
        }
        table.at_least(&format!("the same, of what one node accepts ({})", number(alone)), together / alone, 1.0);
    }
    let upstream = upstream().await;
    let tenant = asker(&nodes[0], &upstream).await;
    let mut times = call_back(&[tenant], &upstream, if paths.quick { 20 } else { 500 }).await;
    table.at_most("from a callback until the next step's request on PostgreSQL, p50", percentile(&mut times, 50), 10.0, "ms");
    table.plain("the same, p99", &format!("{} ms", number(percentile(&mut times, 99))));
}

/// A flow whose only request is answered at once and called back later.
async fn asker(node: &NodeProcess, upstream: &Upstream) -> Tenant {
    let tenant = node.tenant().await;
    let endpoints = json!({"ask": {"method": "POST", "path": "/ask"}, "after": {"method": "POST", "path": "/after"}});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    tenant.flow("f", json!({"steps": [{"call": "c/ask", "async": {"timeout_s": 86_400}}, {"call": "c/after"}]})).await;
    tenant
}

/// Starts runs that wait, until there are so many.
async fn park(tenants: &[Tenant], count: usize) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut starts = Vec::with_capacity(count);
    for index in 0..count {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        let client = tenants[index % tenants.len()].client.clone();
        starts.push(tokio::spawn(async move {
            let _ = client.post("/v1/flows/f/runs", &json!({"payload": {"n": index}})).await.expect(202);
            drop(place);
        }));
        if starts.len() >= 4 * CONNECTIONS {
            join_all(starts.drain(..)).await.into_iter().for_each(|started| started.expect("the start does not panic"));
        }
    }
    join_all(starts).await.into_iter().for_each(|started| started.expect("the start does not panic"));
}

/// Calls runs back one after another; milliseconds from each callback until the next step's request came.
async fn call_back(tenants: &[Tenant], upstream: &Upstream, count: usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        let tenant = &tenants[index % tenants.len()];
        let before = upstream.requests().len();
        let _ = tenant.client.post("/v1/flows/f/runs", &json!({"payload": {"n": index}})).await.expect(202);
        let correlation = upstream.requests()[before].header("x-link-correlation-id").expect("the step asks for a callback").to_owned();
        let begun = Instant::now();
        let headers = [("x-link-correlation-id", correlation.as_str()), ("x-link-status", "Ok"), ("content-type", "application/json")];
        let _ = tenant.call_back(&headers, "{}").await.expect(200);
        upstream.received(before + 2).await;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times
}

async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    upstream.on("/ask", Answer::json(json!({}))).on("/after", Answer::json(json!({})));
    upstream
}

/// Runs that wait on SQLite, a million of them if asked for: what they weigh, how long a start takes with them, how soon a callback is heard beside
/// them. Those of a tenant are repeated by the store itself while no node runs.
pub(crate) async fn parked(paths: &Paths, table: &mut Table) {
    let count = match (paths.quick, paths.million) {
        (true, _) => 1_000,
        (false, false) => 100_000,
        (false, true) => 1_000_000,
    };
    let mut node = NodeProcess::start(&paths.snaphook);
    let parking = upstream().await;
    let mut patterns = Vec::new();
    for _ in 0..TENANTS {
        let tenant = asker(&node, &parking).await;
        let run = tenant.client.post("/v1/flows/f/runs", &json!({"payload": {"n": 0}})).await.expect(202).json();
        let correlation = parking.last().header("x-link-correlation-id").expect("the step asks for a callback").to_owned();
        patterns.push(format!("{}={correlation}", run["run"].as_str().expect("an accepted run is named")));
    }
    let few = after_a_start(paths, &mut node).await;
    node.stop().await;
    let begun = Instant::now();
    let park = paths.invocations.with_file_name("park");
    let parked = Command::new(park).arg(node.data_dir()).arg(count.to_string()).args(&patterns).status();
    assert!(parked.is_ok_and(|status| status.success()), "the runs could not be repeated");
    let made = begun.elapsed().as_secs_f64();
    let many = after_a_start(paths, &mut node).await;
    table.plain(&format!("{count} runs that wait on SQLite: made in"), &format!("{made:.0} s"));
    let what = format!(
        "the same: resident memory after a start and some callbacks ({} MB), beyond that with {TENANTS} such runs ({} MB)",
        number(many.resident_mb),
        number(few.resident_mb)
    );
    table.at_most(&what, many.resident_mb - few.resident_mb, PAGES_MB, "MB");
    let what = format!("the same: start until ready, with {TENANTS} such runs {} ms", number(few.start_ms));
    table.at_most(&what, many.start_ms, START.0 * few.start_ms + START.1, "ms");
    table.at_most("the same: from a callback until the next step's request, p50", many.callback_ms[0], 10.0, "ms");
    table.plain("the same, p99", &format!("{} ms", number(many.callback_ms[1])));
}

/// What a node is like that has just been started.
struct Started {
    start_ms: f64,
    /// After callbacks, so that caches of pages, of statements and of definitions are filled.
    resident_mb: f64,
    /// p50 and p99.
    callback_ms: [f64; 2],
}

async fn after_a_start(paths: &Paths, node: &mut NodeProcess) -> Started {
    node.kill();
    let begun = Instant::now();
    node.restart();
    let _ = Client::new(node.url(), None).get("/readyz").await.expect(200);
    let start_ms = begun.elapsed().as_secs_f64() * 1e3;
    let fresh = upstream().await;
    let mut times = call_back(&[asker(node, &fresh).await], &fresh, if paths.quick { 20 } else { 500 }).await;
    let resident_mb = resident_bytes(node.pid()) as f64 / f64::from(1 << 20);
    Started { start_ms, resident_mb, callback_ms: [50, 99].map(|percent| percentile(&mut times, percent)) }
}

/// Ten thousand runs whose time comes at once, beside fresh calls.
pub(crate) async fn due_at_once(paths: &Paths, table: &mut Table) {
    let count = if paths.quick { 200 } else { 10_000 };
    let node = NodeProcess::start(&paths.snaphook);
    let upstream = Upstream::start().await;
    upstream.on("/busy", Answer::status(503)).on("/fresh", Answer::json(json!({})));
    let tenant = node.tenant().await;
    let step = json!({"url": upstream.url("/busy"), "method": "GET", "status_code": [200], "retry": {"attempts": 1, "delay_s": 30}});
    tenant.flow("f", json!({"steps": [step]})).await;
    let endpoint: Value = json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/fresh"}}});
    tenant.connector("api", endpoint).await;
    let call = async || {
        let begun = Instant::now();
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        begun.elapsed().as_secs_f64() * 1e3
    };
    let mut alone = Vec::new();
    for _ in 0..500 {
        alone.push(call().await);
    }
    park(std::slice::from_ref(&tenant), count).await;
    let waiting =
        async || !tenant.client.get("/v1/runs?limit=1&status=waiting").await.json()["items"].as_array().is_some_and(Vec::is_empty);
    let mut beside = Vec::new();
    let begun = Instant::now();
    // While all of them wait there is nothing to be beside of.
    while upstream.requests().len() <= alone.len() + count {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    loop {
        for _ in 0..50 {
            beside.push(call().await);
        }
        if !waiting().await {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (alone, beside) = (percentile(&mut alone, 99), percentile(&mut beside, 99));
    let what = format!(
        "{count} timers that come due together: a fresh call's p99 beside them ({} ms), of that alone ({} ms)",
        number(beside),
        number(alone)
    );
    table.at_most(&what, beside / alone, BESIDE_TIMERS, "×");
    table.plain("the same: begun, waited and worked off in", &format!("{seconds:.0} s"));
}
