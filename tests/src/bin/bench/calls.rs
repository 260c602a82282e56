//! Direct calls with two JavaScript hooks, beside a bare proxy and beside the same hooks in Rust without a sandbox.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use snaphook_tests::NodeProcess;

use crate::Paths;
use crate::load::{Load, Shot, cpu_time, fire};
use crate::table::{Table, number};

const PRE_HOOK: &str = "export function preHook(call) { call.arguments.stamp = true; }";
const POST_REQUEST: &str = "export function postRequest(response) { const body = response.json(); body.checked = true; return body; }";

/// About a kilobyte of JSON as APIs send it: strings, numbers, a list of objects.
pub(crate) fn kilobyte() -> serde_json::Value {
    let items: Vec<_> =
        (0..8).map(|i| json!({"sku": format!("SKU-{i:05}"), "quantity": i + 1, "price": 19.95, "note": "ships within two days"})).collect();
    json!({"id": 48151623, "customer": {"name": "Ada Lovelace", "email": "ada@example.com", "country": "GB"}, "currency": "EUR", "paid": true, "items": items})
}

/// A peer as a process, killed when dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: String,
}

impl Peer {
    pub(crate) fn start(role: &str, target: &str) -> Self {
        let own = std::env::current_exe().expect("we run from a file");
        let mut child = Command::new(own).args(["peer", role, target]).stdout(Stdio::piped()).spawn().expect("we can run ourselves");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut line).expect("the peer prints its address");
        Self { child, address: line.trim().trim_start_matches("listening on ").to_owned() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) async fn direct(paths: &Paths, table: &mut Table) {
    let upstream = Peer::start("upstream", "");
    let proxy = Peer::start("proxy", &upstream.address);
    let hooks = Peer::start("hooks", &upstream.address);
    let node = NodeProcess::start(&paths.snaphook);
    let tenant = node.tenant().await;
    tenant.js("pre", PRE_HOOK).await;
    tenant.js("post", POST_REQUEST).await;
    let bound = json!({"pre-hook": [{"script": "pre"}], "post-request": [{"script": "post"}]});
    let endpoint = |hooks| json!({"method": "POST", "path": "/x", "hooks": hooks});
    let document =
        json!({"base_url": format!("http://{}", upstream.address), "endpoints": {"x": endpoint(bound), "bare": endpoint(json!({}))}});
    tenant.connector("api", document).await;

    let body: bytes::Bytes = kilobyte().to_string().into();
    let token = tenant.client.token.clone().expect("the tenant has a token");
    let shot = |address: &str, path: &str| Shot {
        address: address.to_owned(),
        path: path.to_owned(),
        token: token.clone(),
        body: body.clone(),
        prefer: None,
    };
    let node_address = node.url().trim_start_matches("http://").to_owned();
    let ours = (shot(&node_address, "/v1/call/api/x"), node.pid());
    let unhooked = (shot(&node_address, "/v1/call/api/bare"), node.pid());
    let bare = (shot(&proxy.address, "/x"), proxy.child.id());
    let rust = (shot(&hooks.address, "/x"), hooks.child.id());

    for connections in [1, 16, 64] {
        let measured = interleaved(paths, connections, [&bare, &rust, &unhooked, &ours]).await;
        report(table, connections, &measured);
    }
}

/// What recording for replays costs: the same calls of a tenant whose runs are recorded, and of one whose payloads are kept for no time.
pub(crate) async fn recording(paths: &Paths, table: &mut Table) {
    let upstream = Peer::start("upstream", "");
    let node = NodeProcess::start(&paths.snaphook);
    let mut shots = Vec::new();
    for retention in [json!({}), json!({"payloads_s": 0})] {
        let tenant = node.tenant_with(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "retention": retention})).await;
        tenant.js("pre", PRE_HOOK).await;
        tenant.js("post", POST_REQUEST).await;
        let hooks = json!({"pre-hook": [{"script": "pre"}], "post-request": [{"script": "post"}]});
        let document = json!({"base_url": format!("http://{}", upstream.address), "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": hooks}}});
        tenant.connector("api", document).await;
        let address = node.url().trim_start_matches("http://").to_owned();
        let token = tenant.client.token.clone().expect("the tenant has a token");
        shots.push((
            Shot { address, path: "/v1/call/api/x".to_owned(), token, body: kilobyte().to_string().into(), prefer: None },
            node.pid(),
        ));
    }
    let measured = interleaved(paths, 16, [&shots[0], &shots[1]]).await;
    let [on, off] = measured.as_slice() else { return };
    let what = "direct call, 2 JavaScript hooks, 1 KB JSON, 16 connections: requests per second with recording on, of those with it off";
    table.at_least(what, on.per_second / off.per_second, 0.9);
    table.plain("the same: CPU on and off", &format!("{} and {} µs", number(on.cpu_us), number(off.cpu_us)));
}

/// Requests per second, CPU microseconds per request and latencies of one contestant.
struct Measured {
    per_second: f64,
    cpu_us: f64,
    load: Load,
}

/// Measures the contestants in turn, several rounds each, so that a noisy minute hits all of them; the median round counts.
async fn interleaved<const N: usize>(paths: &Paths, connections: usize, contestants: [&(Shot, u32); N]) -> Vec<Measured> {
    let (rounds, duration) = if paths.quick { (1, Duration::from_millis(300)) } else { (5, Duration::from_secs(2)) };
    let mut all: Vec<Vec<Measured>> = (0..N).map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contestant, measured) in contestants.iter().zip(&mut all) {
            let before = cpu_time(contestant.1);
            let load = fire(&contestant.0, connections, duration).await;
            let cpu = cpu_time(contestant.1) - before;
            // The warm-up's requests used CPU as well, at the same rate.
            let requests = load.latencies.len() as f64 * 1.1;
            measured.push(Measured { per_second: load.per_second, cpu_us: cpu.as_secs_f64() * 1e6 / requests, load });
        }
    }
    all.into_iter()
        .map(|mut rounds| {
            rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            let median = rounds.len() / 2;
            rounds.swap_remove(median)
        })
        .collect()
}

fn report(table: &mut Table, connections: usize, measured: &[Measured]) {
    let [bare, rust, unhooked, ours] = measured else { return };
    let at = format!("direct call, 2 JavaScript hooks, 1 KB JSON, {connections} connections");
    let speed = |m: &Measured| {
        format!(
            "{}/s, p50 {} µs, p99 {} µs, {} µs CPU",
            number(m.per_second),
            number(m.load.percentile_us(50)),
            number(m.load.percentile_us(99)),
            number(m.cpu_us)
        )
    };
    table.plain(&format!("{at}: bare hyper proxy (a)"), &speed(bare));
    table.plain(
        &format!("{at}: the hooks in Rust inside (a), no sandbox (b)"),
        &format!("{}; {} of (a)", speed(rust), number(rust.per_second / bare.per_second)),
    );
    table.plain(
        &format!("{at}: Snaphook without hooks"),
        &format!("{}; {} of (a)", speed(unhooked), number(unhooked.per_second / bare.per_second)),
    );
    table.plain(&format!("{at}: Snaphook"), &speed(ours));
    table.at_least(&format!("{at}: requests per second, of (a)'s"), ours.per_second / bare.per_second, 0.25);
    table.at_most(&format!("{at}: CPU per request, of (a)'s"), ours.cpu_us / bare.cpu_us, 6.0, "×");
}
