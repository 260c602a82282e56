//! Every limit has somebody who goes past it; the answer names the limit, and a neighbour is answered meanwhile.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem};

/// A tenant with one limit changed, whose endpoint has a script at `pre-hook`.
async fn limited(limits: Value, source: &str) -> (Tenant, Upstream) {
    let tenant = node().tenant_with(json!({"limits": limits, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    (tenant, upstream)
}

async fn refused(answer: Response, status: u16, code: &str, limit: u64) {
    let document = answer.expect(status).json();
    assert_eq!((document["code"].as_str(), document["limit"].as_u64()), (Some(code), Some(limit)), "{document}");
    neighbour_is_answered().await;
}

#[tokio::test]
async fn limit_fuel() {
    let (tenant, _upstream) = limited(json!({"fuel": 2_000_000}), "export function preHook() { while (true) {} }").await;
    let answer = tenant.call("api/x", json!({})).await;
    assert_eq!(answer.json()["line"], 1, "{}", answer.text());
    refused(answer, 422, "fuel", 2_000_000).await;
}

#[tokio::test]
async fn limit_wall_ms() {
    let (tenant, _) =
        limited(json!({"wall_ms": 200, "fuel": 1_000_000_000_000_u64}), "export function preHook() {\n  for (;;) {}\n}").await;
    let answer = tenant.call("api/x", json!({})).await;
    assert_eq!(answer.json()["line"], 2, "{}", answer.text());
    refused(answer, 422, "deadline", 200).await;
}

#[tokio::test]
async fn limit_memory_bytes() {
    let (tenant, _) =
        limited(json!({"memory_bytes": 4 << 20}), "export function preHook() { return { a: new Uint8Array(8 << 20).length }; }").await;
    refused(tenant.call("api/x", json!({})).await, 422, "memory", 4 << 20).await;
}

#[tokio::test]
async fn limit_output_bytes() {
    let (tenant, upstream) = limited(json!({"output_bytes": 1000}), "export function preHook() { return { a: 'x'.repeat(1000) }; }").await;
    refused(tenant.call("api/x", json!({})).await, 422, "output", 1000).await;
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn limit_output_bytes_of_requests() {
    let document = json!({"limits": {"output_bytes": 1000}, "grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let source = "export default async function () { for (;;) await fetch('api:/x', { method: 'POST', body: 'x'.repeat(400) }); }";
    tenant.js("s", source).await;
    tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
    let answer = tenant.run("f", json!({})).await;
    assert_eq!(upstream.requests().len(), 2);
    refused(answer, 422, "output", 1000).await;
}

#[tokio::test]
async fn limit_log_bytes_drops_and_counts() {
    let (tenant, _upstream) = limited(
        json!({"log_bytes": 100}),
        "export function preHook(call, context) { for (let i = 0; i < 1000; i++) context.log.info('0123456789'); }",
    )
    .await;
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    let messages = crate::support::messages(&tenant.record(&answer).await);
    assert_eq!(messages.iter().filter(|message| *message == "0123456789").count(), 10);
    assert_eq!(messages.len(), 11, "{messages:?}");
    assert!(messages[10].contains("9900"), "{messages:?}");
    neighbour_is_answered().await;
}

#[tokio::test]
async fn limit_host_calls() {
    let document = json!({"limits": {"host_calls": 3}, "grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    tenant.js("s", "export default async function () { for (let i = 0; i < 4; i++) await fetch('api:/x'); return 'done'; }").await;
    tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
    let answer = tenant.run("f", json!({})).await;
    assert_eq!(upstream.requests().len(), 3);
    refused(answer, 422, "host-calls", 3).await;
}

#[tokio::test]
async fn limit_state_bytes() {
    let source = "export function preHook(call, { state }) { for (let i = 0; ; i++) state.tenant.set(`k${i}`, i); }";
    let (tenant, upstream) = limited(json!({"state_bytes": 100_000}), source).await;
    refused(tenant.call("api/x", json!({})).await, 422, "state-size", 100_000).await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn limit_source_bytes() {
    let tenant = node().tenant_with(json!({"limits": {"source_bytes": 1000}})).await;
    let answer = tenant.upload("s", "javascript", format!("export function preHook() {{ /* {} */ }}", "x".repeat(1000))).await;
    refused(answer, 413, "source-size", 1000).await;
}

#[tokio::test]
async fn limit_component_bytes() {
    let tenant = node().tenant_with(json!({"limits": {"component_bytes": 1000}})).await;
    let answer = tenant.upload("s", "wasm", vec![0; 1001]).await;
    refused(answer, 413, "source-size", 1000).await;
}

#[tokio::test]
async fn limit_request_body_bytes() {
    let (tenant, upstream) = limited(json!({"request_body_bytes": 2000}), "export function preHook() {}").await;
    let big = json!({"a": "x".repeat(2000)});
    refused(tenant.call("api/x", big.clone()).await, 413, "too-large", 2000).await;
    refused(tenant.run("f", big.clone()).await, 413, "too-large", 2000).await;
    refused(tenant.client.put("/v1/connectors/c", &big).await, 413, "too-large", 2000).await;
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn limit_response_body_bytes() {
    let (tenant, upstream) = limited(json!({"response_body_bytes": 1000}), "export function preHook() {}").await;
    upstream.on_request("/x", |_| Answer::text(&"x".repeat(1001)));
    refused(tenant.call("api/x", json!({})).await, 502, "response-size", 1000).await;
    upstream.on_request("/x", |_| Answer::gzip_bomb(1 << 20));
    let bomb = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(problem(&bomb).0, "response-size");
}
