//! Invocations, uploads, first calls, starts, and a node full of scripts.

use std::process::Command;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeProcess, Tenant};

use crate::Paths;
use crate::load::resident_bytes;
use crate::table::Table;

/// Fresh-sandbox invocations, measured inside one process by the example `invocations` of `compile`.
pub(crate) fn invocations(paths: &Paths, table: &mut Table) {
    let count = if paths.quick { "500" } else { "20000" };
    rows("fresh-sandbox invocation", Command::new(&paths.invocations).arg(count).arg(&paths.rust_guest), table);
}

/// Filling in a request's templates, measured inside one process by the example `templates` of `flow`, which is built beside the other.
pub(crate) fn templates(paths: &Paths, table: &mut Table) {
    let count = if paths.quick { "20000" } else { "400000" };
    rows("filling in", Command::new(paths.invocations.with_file_name("templates")).arg(count), table);
}

/// What an example prints, as rows.
fn rows(of: &str, example: &mut Command, table: &mut Table) {
    let output = example.output().expect("the example was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).expect("the example prints a JSON object per line");
        let what = format!("{of}, {}", row["what"].as_str().unwrap_or_default());
        let (p50, p99) = (row["p50_us"].as_f64().unwrap_or_default(), row["p99_us"].as_f64().unwrap_or_default());
        match row["promise_us"].as_f64() {
            Some(promise) => table.at_most(&format!("{what}, p50"), p50, promise, "µs"),
            None => table.plain(&format!("{what}, p50"), &format!("{p50:.2} µs")),
        }
        table.plain(&format!("{what}, p99"), &format!("{p99:.2} µs"));
    }
}

/// A script of about five kilobytes that differs with `i`.
fn five_kilobytes(i: usize) -> String {
    let table: String = (0..60).map(|n| format!("  code{n}: {{ text: 'meaning of code {n} in version {i}', weight: {n} }},\n")).collect();
    format!(
        "const CODES = {{\n{table}}};\nexport function preHook(call) {{\n  call.arguments.codes = Object.keys(CODES).length + {i};\n}}\n"
    )
}

fn bound(upstream: &Upstream, script: &str) -> Value {
    let endpoint = json!({"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": script}]}});
    json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}})
}

async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({})));
    upstream
}

/// Upload, binding and first call, one after another.
pub(crate) async fn upload(paths: &Paths, table: &mut Table) {
    let node = NodeProcess::start(&paths.snaphook);
    let upstream = upstream().await;
    let tenant = node.tenant().await;
    let mut times = Vec::new();
    for i in 0..if paths.quick { 5 } else { 40 } {
        let begun = Instant::now();
        tenant.js("s", &five_kilobytes(i)).await;
        tenant.connector("api", bound(&upstream, "s")).await;
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    table.at_most("upload of a 5 KB script, binding it, until its first answer, p50", percentile(&mut times, 50), 50.0, "ms");
    table.plain("upload of a 5 KB script, binding it, until its first answer, p99", &format!("{:.1} ms", percentile(&mut times, 99)));
}

/// First calls after a restart: compiled code is on disk only.
pub(crate) async fn from_disk(paths: &Paths, table: &mut Table) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut node = NodeProcess::start_in(&paths.snaphook, directory.path());
    let upstream = upstream().await;
    let tenant = node.tenant().await;
    let scripts = if paths.quick { 20 } else { 500 };
    for i in 0..scripts {
        tenant.js(&format!("s{i}"), &five_kilobytes(i)).await;
        tenant.connector(&format!("api{i}"), bound(&upstream, &format!("s{i}"))).await;
    }
    tenant.connector("warm", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    node.restart();
    let tenant = Tenant { name: tenant.name, client: Client::new(node.url(), tenant.client.token.as_deref()) };
    for _ in 0..50 {
        let _ = tenant.call("warm/x", json!({})).await.expect(200);
    }
    let mut times = Vec::new();
    for i in 0..scripts {
        let begun = Instant::now();
        let _ = tenant.call(&format!("api{i}/x"), json!({})).await.expect(200);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    table.plain("first call of a script that is on disk only, p50", &format!("{:.2} ms", percentile(&mut times, 50)));
    table.at_most("first call of a script that is on disk only, p99", percentile(&mut times, 99), 2.0, "ms");
}

/// From the start of the process to an answer of a hooked call, on a data directory that was used before.
pub(crate) async fn warm_start(paths: &Paths, table: &mut Table) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut node = NodeProcess::start_in(&paths.snaphook, directory.path());
    let upstream = upstream().await;
    let tenant = node.tenant().await;
    tenant.js("s", &five_kilobytes(0)).await;
    tenant.connector("api", bound(&upstream, "s")).await;
    let mut times = Vec::new();
    for _ in 0..if paths.quick { 3 } else { 15 } {
        node.kill();
        let begun = Instant::now();
        node.restart();
        let _ = Client::new(node.url(), tenant.client.token.as_deref()).post("/v1/call/api/x", &json!({})).await.expect(200);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    table.at_most("start with a warm data directory until the first answer, p50", percentile(&mut times, 50), 150.0, "ms");
}

/// As many tenants with a script each, all of them called once.
pub(crate) async fn many_scripts(paths: &Paths, table: &mut Table) {
    let count = if paths.quick { 100 } else { 10_000 };
    let node = NodeProcess::start(&paths.snaphook);
    let upstream = upstream().await;
    // One warm-up, so that what is made once is not counted as a script's.
    one_script(&node, &upstream, count).await;
    let before = resident_bytes(node.pid());
    let begun = Instant::now();
    // Four at a time: enough to keep both the compiler's children and the node busy.
    for first in (0..count).step_by(4) {
        join_all((first..count.min(first + 4)).map(|i| one_script(&node, &upstream, i))).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = resident_bytes(node.pid()).saturating_sub(before) as f64 / count as f64;
    table.at_most(&format!("{count} scripts of {count} tenants: resident memory per script"), bytes / 1024.0, 64.0, "KB");
    table.plain(&format!("{count} scripts of {count} tenants: made, deployed, bound and called in"), &format!("{seconds:.0} s"));
}

async fn one_script(node: &NodeProcess, upstream: &Upstream, i: usize) {
    let tenant = node.tenant().await;
    tenant.js("s", &format!("const own = {i};\nexport function preHook(call) {{ call.arguments.own = own; }}")).await;
    tenant.connector("api", bound(upstream, "s")).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
}

pub(crate) fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
