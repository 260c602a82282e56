//! What is kept for a tenant has bounds in bytes: what passes at the last byte is refused, or goes, at the next.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{endpoint, node, ok, on_both_databases};

on_both_databases!(edge_history_bytes_the_oldest_runs_go, edge_script_bytes, edge_queue_bytes);

/// The least that may be set.
const LEAST: u64 = 1 << 20;

/// Sets a quota of a tenant's, whose other rules stay as these tests need them.
async fn allow(tenant: &Tenant, quota: &str, bytes: u64) {
    let quota = json!({"concurrency": 4096, "rate_per_s": 1_000_000, quota: bytes});
    // Below an hour a run is counted from its end, and needs no time to be surely there.
    let document = json!({"quota": quota, "egress": {"allow_private": ["127.0.0.0/8"]}, "retention": {"payloads_s": 3000, "logs_s": 3500}});
    let _ = node().operator().put(&format!("/v1/tenants/{}", tenant.name), &document).await.expect(200);
}

async fn usage(tenant: &Tenant) -> Value {
    tenant.client.get("/v1/usage").await.expect(200).json()["usage"].take()
}

/// A refusal, and how much there would have been.
fn refused(answer: Response, status: u16, code: &str, limit: u64) -> u64 {
    let problem = answer.expect(status).json();
    assert_eq!((problem["code"].as_str(), problem["limit"].as_u64()), (Some(code), Some(limit)), "{problem}");
    problem["used"].as_u64().unwrap()
}

async fn edge_history_bytes_the_oldest_runs_go() {
    let (tenant, upstream) = (node().tenant().await, Upstream::start().await);
    allow(&tenant, "history_bytes", LEAST).await;
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    upstream.on_request("/x", |_| Answer::json(json!({"answer": "secret".repeat(10_000)})));
    let call = async || tenant.call("api/x", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let record = async |run: &str| tenant.client.get(&format!("/v1/runs/{run}")).await.expect(200).text();
    let mut runs = Vec::new();
    for _ in 0..15 {
        runs.push(call().await);
    }
    // 60,000 bytes each, and something around them.
    wait("what is below the bound is counted", async || usage(&tenant).await["history_bytes"].as_u64() > Some(900_000)).await;
    assert!(record(&runs[0]).await.contains("secret"), "and stays");
    for _ in 0..15 {
        runs.push(call().await);
    }
    wait("payloads of the oldest go", async || !record(&runs[0]).await.contains("secret")).await;
    wait("no more is kept than may be", async || usage(&tenant).await["history_bytes"].as_u64() <= Some(LEAST)).await;
    let newest = record(&runs[29]).await;
    assert!(newest.contains("secret"), "the newest stay");
    let oldest: Value = serde_json::from_str(&record(&runs[0]).await).unwrap();
    assert_eq!((&oldest["payloads_removed"], &oldest["status"]), (&json!(true), &json!("succeeded")), "the rest of it stays");
}

/// Looks follow each other after some seconds.
async fn wait(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(180), "{what}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn edge_script_bytes() {
    let tenant = node().tenant().await;
    let source = |text: &str| format!("export function preHook() {{ return {{ answer: '{text}' }}; }}\n// {}", "x".repeat(600_000));
    let size = |version: &Value| version["source_bytes"].as_u64().unwrap() + version["component_bytes"].as_u64().unwrap();
    let first = size(&tenant.upload("a", "javascript", source("a")).await.expect(201).json());
    let second = size(&tenant.upload("b", "javascript", source("b")).await.expect(201).json());
    assert_eq!(usage(&tenant).await["script_bytes"], first + second);
    let _ = tenant.client.delete("/v1/scripts/b/versions/1").await.expect(204);
    assert_eq!(usage(&tenant).await["script_bytes"], first);
    allow(&tenant, "script_bytes", first + second - 1).await;
    let answer = tenant.upload("b", "javascript", source("b")).await;
    assert_eq!(answer.header("retry-after"), None, "to wait does not help");
    assert_eq!(refused(answer, 429, "quota-storage", first + second - 1), first + second);
    let _ = tenant.client.get("/v1/scripts/b").await.expect(404);
    assert_eq!(usage(&tenant).await["script_bytes"], first, "nothing of it was stored");
    allow(&tenant, "script_bytes", first + second).await;
    let _ = tenant.upload("b", "javascript", source("b")).await.expect(201);
    let _ = tenant.upload("b", "javascript", source("b")).await.expect(200);
    // What is certainly too large is not compiled first.
    let broken = tenant.upload("c", "javascript", "export function preHook( {").await;
    refused(broken, 429, "quota-storage", first + second);
    let _ = tenant.client.delete("/v1/scripts/a/versions/1").await.expect(204);
    tenant.js("c", "export function preHook() {}").await;
}

async fn edge_queue_bytes() {
    let (tenant, upstream) = (node().tenant().await, Upstream::start().await);
    allow(&tenant, "queue_bytes", LEAST).await;
    let gate = Gate::closed();
    let held = gate.clone();
    upstream.on_request("/x", move |_| ok().after(&held));
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x")}]})).await;
    let start = async |payload: Value| {
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        tenant.client.send("POST", "/v1/flows/f/runs", &headers, json!({ "payload": payload }).to_string().into()).await
    };
    // More than a node drives at once; the others wait behind these.
    for _ in 0..24 {
        let _ = start(json!(1)).await.expect(202);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let text = |bytes: u64| json!("x".repeat(usize::try_from(bytes).unwrap()));
    let used = refused(start(text(LEAST)).await, 503, "overloaded", LEAST);
    let _ = start(text(LEAST - (used - LEAST))).await.expect(202);
    assert_eq!(refused(start(json!(1)).await, 503, "overloaded", LEAST), LEAST + 1);
    gate.open();
    wait("there is room again", async || start(json!(1)).await.status == 202).await;
}
