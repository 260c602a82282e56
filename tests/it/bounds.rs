//! Quotas at their defaults, and the bounds that nobody sets: what is exactly as much as they allow passes, and one more is refused. Others of the page
//! of limits have theirs elsewhere: `meta` in `patchworks.rs`, templates of a document in `saving.rs`, imports in `library.rs`, compiling in
//! `limit_edges.rs`; times in the tests of `flow` and of the store, whose clock they hold.

use std::time::Instant;

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::limit_edges::too_large;
use crate::support::{endpoint, node, ok, problem, tenant};

/// A part of the quota of a tenant, as the operator sees it.
async fn quota(tenant: &Tenant, name: &str) -> usize {
    let shown = node().operator().get(&format!("/v1/tenants/{}", tenant.name)).await.expect(200).json();
    usize::try_from(shown["quota"][name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {shown}"))).unwrap()
}

fn refused(answer: Response, status: u16, code: &str, limit: usize) {
    let problem = answer.expect(status).json();
    assert_eq!((problem["code"].as_str(), problem["limit"].as_u64()), (Some(code), Some(limit as u64)), "{problem}");
}

#[tokio::test]
async fn edge_concurrency() {
    let tenant = node().tenant_with(json!({"quota": {}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let (upstream, gate) = (Upstream::start().await, Gate::closed());
    upstream.on("/x", ok().after(&gate));
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let most = quota(&tenant, "concurrency").await;
    let call = || {
        let tenant = tenant.clone();
        tokio::spawn(async move { tenant.call("api/x", json!({})).await })
    };
    let held: Vec<_> = (0..most).map(|_| call()).collect();
    let _ = upstream.received(most).await;
    refused(tenant.call("api/x", json!({})).await, 429, "quota-concurrency", most);
    gate.open();
    for call in held {
        let _ = call.await.unwrap().expect(200);
    }
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.requests().len(), most + 1);
}

/// What begins at once may be a second's worth, and while the requests come in there is one more each hundredth of a second.
#[tokio::test]
async fn edge_rate_per_s() {
    let tenant = node().tenant_with(json!({"quota": {"concurrency": 4096}})).await;
    let most = quota(&tenant, "rate_per_s").await;
    let begun = Instant::now();
    // None of them does anything: there is no such connector.
    let call = || {
        let tenant = tenant.clone();
        tokio::spawn(async move { tenant.call("none/x", json!({})).await })
    };
    let asked: Vec<_> = (0..most + most / 2).map(|_| call()).collect();
    let mut let_in = 0;
    for call in asked {
        let answer = call.await.unwrap();
        if answer.status == 404 {
            let_in += 1;
        } else {
            refused(answer, 429, "quota-rate", most);
        }
    }
    let meanwhile = usize::try_from(begun.elapsed().as_millis()).unwrap() * most / 1000;
    assert!((most..=most + meanwhile + 1).contains(&let_in), "{let_in} of them began, in the time in which {meanwhile} more may");
}

#[tokio::test]
async fn edge_steps_of_a_flow() {
    const MOST: usize = 200;
    let tenant = node().tenant().await;
    let put = async |count: usize| {
        let steps = vec![json!({"url": "https://a.example/"}); count];
        tenant.client.put("/v1/flows/f", &json!({ "steps": steps })).await
    };
    for count in [0, MOST + 1] {
        let problem = put(count).await.expect(400).json();
        assert_eq!((&problem["code"], &problem["path"]), (&json!("invalid"), &json!("steps")), "{problem}");
    }
    let _ = put(1).await.expect(201);
    let stored = put(MOST).await.expect(200).json();
    assert_eq!(stored["steps"].as_array().map(Vec::len), Some(MOST));
}

#[tokio::test]
async fn edge_scripts_at_one_hook() {
    const MOST: usize = 16;
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", "export function preHook(call) { call.arguments.seen = (call.arguments.seen ?? 0) + 1; }").await;
    let hooks = |count: usize| json!({"pre-hook": vec![json!({"script": "s"}); count]});
    endpoint(&tenant, &upstream, hooks(MOST), json!({})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": MOST}));
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "hooks": hooks(MOST + 1)}});
    let connector = json!({"base_url": upstream.url(""), "endpoints": endpoints});
    let problem = tenant.client.put("/v1/connectors/api", &connector).await.expect(400).json();
    assert_eq!(problem["path"], "endpoints.x.hooks.pre-hook", "{problem}");
}

#[tokio::test]
async fn edge_template_output_bytes() {
    const MOST: usize = 6 << 20;
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    // Two quotes stand around it: what is sent is JSON.
    let half = "x".repeat((MOST - 2) / 2);
    let filled = async |template: &str| {
        tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "data": template}]})).await;
        tenant.run("f", json!({"t": half})).await
    };
    let _ = filled("{{ payload.t }}{{ payload.t }}").await.expect(200);
    assert_eq!(upstream.last().body.len(), MOST);
    refused(filled("{{ payload.t }}{{ payload.t }}y").await, 422, "template-limit", MOST);
    assert_eq!(upstream.requests().len(), 1);
}

/// A round of an empty loop is three steps of the engine, and a few stand around it.
#[tokio::test]
async fn edge_template_fuel() {
    const MOST: usize = 50_000;
    // The engine charges for output as well, so what the longest one costs is there beside what is for work.
    const WITH_OUTPUT: usize = MOST + (6 << 20) / 64;
    const AROUND: usize = 3;
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let looping = async |rounds: usize| {
        let template = format!("{{% for a in range({rounds}) %}}{{% endfor %}}");
        tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "data": {"a": template}}]})).await;
        tenant.run("f", Value::Null).await
    };
    for rounds in [MOST / 3, WITH_OUTPUT / 3 - AROUND] {
        let _ = looping(rounds).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"a": ""}), "{rounds}");
    }
    refused(looping(WITH_OUTPUT / 3 + AROUND).await, 422, "template-limit", MOST);
}

#[tokio::test]
async fn edge_document_bytes() {
    const MOST: usize = 1 << 20;
    let tenant = node().tenant().await;
    let with_text = |bytes: usize| json!({"steps": [{"url": "https://a.example/", "data": "x".repeat(bytes)}]});
    let around = with_text(0).to_string().len();
    let _ = tenant.client.put("/v1/flows/f", &with_text(MOST - around)).await.expect(201);
    too_large(&tenant, "PUT /v1/flows/f", "application/json", MOST, "too-large").await;
}

#[tokio::test]
async fn edge_state_key_bytes() {
    const MOST: usize = 512;
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    for (bytes, status) in [(MOST, 200), (MOST + 1, 422)] {
        tenant.js("s", &format!("export function preHook(call, {{ state }}) {{ state.tenant.set('k'.repeat({bytes}), 1); }}")).await;
        endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
        let answer = tenant.call("api/x", json!({})).await.expect(status);
        if status == 422 {
            let (code, detail) = problem(&answer);
            assert!(code == "script-contract" && detail.contains("at most 512 bytes"), "{code}: {detail}");
        }
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn edge_recorded_body_bytes() {
    const MOST: usize = 64 << 10;
    let (tenant, upstream) = tenant().await;
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    for (bytes, note) in [(MOST, ""), (MOST + 1, "… [1 more bytes]")] {
        upstream.on_request("/x", move |_| Answer::text(&"x".repeat(bytes)));
        let answer = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(answer.body.len(), bytes, "the answer is whole");
        let run = tenant.record(&answer).await;
        let kept = run["steps"][0]["attempts"][0]["response"]["body"].as_str().unwrap();
        assert!(kept == "x".repeat(MOST) + note, "{} bytes, {:?}", kept.len(), kept.get(MOST..));
    }
}
