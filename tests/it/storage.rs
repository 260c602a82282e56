//! What is kept for a tenant has bounds in bytes, and documents one by number: what passes at the last one is refused, or goes, at the next.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{endpoint, node, ok, on_both_databases};

on_both_databases!(
    edge_history_bytes_the_oldest_runs_go,
    edge_script_bytes,
    edge_queue_bytes,
    edge_documents,
    edge_document_bytes_of_a_tenant
);

/// The least that may be set.
const LEAST: u64 = 1 << 20;

/// Sets a quota of a tenant's, whose other rules stay as these tests need them.
async fn allow(tenant: &Tenant, quota: &str, most: u64) {
    let quota = json!({"concurrency": 4096, "rate_per_s": 1_000_000, quota: most});
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

async fn edge_documents() {
    let (tenant, other, upstream) = (node().tenant().await, node().tenant().await, Upstream::start().await);
    upstream.on("/make", Answer::json(json!({"id": 9})));
    let put = async |path: &str, document: Value| tenant.client.put(path, &document).await;
    let connector = |text: &str| json!({"base_url": "https://a.example", "headers": {"x-a": text}, "endpoints": {}});
    let secret = async |name: &str| tenant.client.send("PUT", &format!("/v1/secrets/{name}"), &[], "text".into()).await;
    let flow = |path: &str| json!({"steps": [{"url": upstream.url(path), "store_data": {"ID": "id"}}]});
    let token = json!({"name": "one more", "scopes": ["read"]});
    // With the token that asks.
    allow(&tenant, "documents", 6).await;
    let _ = put("/v1/connectors/c", connector("a")).await.expect(201);
    let _ = put("/v1/flows/f", flow("/other")).await.expect(201);
    let _ = put("/v1/flows/f", flow("/make")).await.expect(200);
    let _ = secret("A").await.expect(201);
    assert_eq!(usage(&tenant).await["documents"], 5);
    let _ = tenant.run_about("f", json!("p-1"), Value::Null).await.expect(200);
    assert_eq!(usage(&tenant).await["documents"], 6, "what a run stores for a subject that was not there");

    let connection = json!({"kind": "bearer", "fields": {"token": "t"}, "hosts": ["a.example"]});
    for answer in [
        put("/v1/connectors/d", connector("a")).await,
        put("/v1/flows/f", flow("/again")).await,
        put("/v1/flows/g", flow("/make")).await,
        put("/v1/subjects/p-2", json!({"values": {}})).await,
        put("/v1/connections/k", connection).await,
        secret("B").await,
        tenant.client.post("/v1/tokens", &token).await,
    ] {
        assert_eq!(answer.header("retry-after"), None, "to wait does not help");
        assert!(answer.text().contains("its quota `documents` allows 6: delete some"), "{}", answer.text());
        assert_eq!(refused(answer, 429, "quota-storage", 6), 7);
    }
    assert_eq!(tenant.run_about("f", json!("p-2"), Value::Null).await.json()["code"], "quota-storage");
    let _ = tenant.client.get("/v1/subjects/p-2").await.expect(404);
    assert_eq!(usage(&tenant).await["documents"], 6, "nothing of it was stored");

    let _ = put("/v1/connectors/c", connector("longer than before")).await.expect(200);
    let _ = put("/v1/flows/f", flow("/make")).await.expect(200);
    let _ = tenant.run_about("f", json!("p-1"), Value::Null).await.expect(200);
    let _ = other.client.post("/v1/tokens", &token).await.expect(201);
    let of_operator = format!("/v1/tenants/{}/tokens", tenant.name);
    let _ = node().operator().post(&of_operator, &token).await.expect(201);
    assert_eq!(usage(&tenant).await["documents"], 7, "the operator may");
    // Both of its versions.
    let _ = tenant.client.delete("/v1/flows/f").await.expect(204);
    let _ = secret("B").await.expect(201);
    assert_eq!(usage(&tenant).await["documents"], 6);
    let _ = secret("C").await.expect(429);
}

async fn edge_document_bytes_of_a_tenant() {
    const MANY: u64 = 600_000;
    let (tenant, other) = (node().tenant().await, node().tenant().await);
    allow(&tenant, "document_bytes", LEAST).await;
    let kept = async || usage(&tenant).await["document_bytes"].as_u64().unwrap();
    // The record of a token, and around the text of a subject an object with one name.
    let (token, around) = (kept().await, r#"{"v":""}"#.len() as u64);
    let subject = async |of: &Tenant, id: &str, bytes: u64| {
        let values = json!({"values": {"v": "x".repeat(usize::try_from(bytes - around).unwrap())}});
        of.client.put(&format!("/v1/subjects/{id}"), &values).await
    };
    let _ = subject(&tenant, "a", MANY).await.expect(201);
    let rest = LEAST - token - MANY;
    assert_eq!(refused(subject(&tenant, "b", rest + 1).await, 429, "quota-storage", LEAST), LEAST + 1);
    let _ = tenant.client.get("/v1/subjects/b").await.expect(404);
    assert_eq!(kept().await, token + MANY, "nothing of it was stored");
    let _ = subject(&tenant, "b", rest).await.expect(201);
    assert_eq!(kept().await, LEAST);
    assert_eq!(refused(subject(&tenant, "a", MANY + 1).await, 429, "quota-storage", LEAST), LEAST + 1);
    let _ = subject(&tenant, "a", MANY).await.expect(200);
    let _ = subject(&tenant, "a", 1_000).await.expect(200);
    let _ = subject(&tenant, "c", MANY - 1_000).await.expect(201);
    assert_eq!(refused(subject(&tenant, "d", around).await, 429, "quota-storage", LEAST), LEAST + around);
    let _ = tenant.client.delete("/v1/subjects/b").await.expect(204);
    let _ = subject(&tenant, "d", rest).await.expect(201);
    for id in ["a", "b"] {
        let _ = subject(&other, id, MANY).await.expect(201);
    }
}
