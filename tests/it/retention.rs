//! How long what runs leave behind is kept.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Tenant;

use crate::support::{node, ok, on_both_databases, problem};

on_both_databases!(f131_payloads_go_first_and_then_the_logs);

/// A tenant with these times, whose endpoint has a script that logs.
async fn keeping(retention: Value) -> (Tenant, Upstream) {
    let tenant = node().tenant_with(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "retention": retention})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"answer": "secret"})));
    tenant.js("s", "export function preHook() { console.log('seen'); }").await;
    crate::support::endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    (tenant, upstream)
}

/// What is left of a run: nothing, its logs, or its payloads as well.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    Logs,
    Payloads,
}

async fn left(tenant: &Tenant, run: &str) -> Left {
    let answer = tenant.client.get(&format!("/v1/runs/{run}")).await;
    if answer.status == 404 {
        return Left::Nothing;
    }
    let text = answer.expect(200).text();
    assert!(text.contains("seen"), "{text}");
    if text.contains("secret") { Left::Payloads } else { Left::Logs }
}

/// Waits until no more than that is left of a run.
async fn until(tenant: &Tenant, run: &str, wanted: &Left) {
    let begun = Instant::now();
    loop {
        let found = left(tenant, run).await;
        if found <= *wanted {
            assert_eq!(found, *wanted, "run {run}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "run {run} still has {found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn f131_payloads_go_first_and_then_the_logs() {
    let (usual, _upstream) = keeping(json!({})).await;
    let shown = node().operator().get(&format!("/v1/tenants/{}", usual.name)).await.expect(200).json();
    assert_eq!(shown["retention"], json!({"logs_s": 604_800, "payloads_s": 259_200, "audit_s": 31_536_000}));
    let (brief, upstream) = keeping(json!({"payloads_s": 1, "logs_s": 3600})).await;
    let called = |answer: snaphook_tests::Response| answer.expect(200).header("x-run-id").unwrap().to_owned();
    let (kept, gone) = (called(usual.call("api/x", json!({})).await), called(brief.call("api/x", json!({})).await));
    // A flow says for itself what its tenant does not.
    let record = json!({"payloads_s": 2, "logs_s": 3});
    brief.flow("own", json!({"record": record, "steps": [{"call": "api/x"}]})).await;
    let own = called(brief.run("own", json!({})).await);
    until(&brief, &own, &Left::Nothing).await;
    until(&brief, &gone, &Left::Logs).await;
    assert_eq!(left(&usual, &kept).await, Left::Payloads);
    let body = brief.client.get(&format!("/v1/runs/{gone}")).await.expect(200).json();
    assert_eq!(body["steps"][0]["attempts"][0]["response"]["body"], "[removed, 19 bytes]", "{body:#}");
    assert_eq!((&body["payloads_removed"], &body["retention"]), (&json!(true), &json!({"logs_s": 3600, "payloads_s": 1})));
    for what in ["replay", "retry"] {
        let refused = brief.client.post(&format!("/v1/runs/{gone}/{what}"), &json!({})).await.expect(409);
        let (code, detail) = problem(&refused);
        assert!(code == "conflict" && detail.contains("have had their time"), "{code}: {detail}");
    }
    upstream.on("/x", ok());
    let _ = brief.call("api/x", json!({})).await.expect(200);
}

#[tokio::test]
async fn times_that_mean_nothing_are_refused() {
    let operator = node().operator();
    for (retention, path) in [
        (json!({"logs_s": 0}), "retention.logs_s"),
        (json!({"payloads_s": 400_000_000}), "retention.payloads_s"),
        (json!({"bodies_s": 1}), "retention.bodies_s"),
    ] {
        let refused = operator.put("/v1/tenants/never-made", &json!({ "retention": retention })).await.expect(400).json();
        assert_eq!(refused["path"], path, "{refused}");
    }
    let tenant = node().tenant().await;
    let flow = json!({"record": {"logs_s": 0}, "steps": [{"url": "https://a.example/"}]});
    let refused = tenant.client.put("/v1/flows/f", &flow).await.expect(400).json();
    assert_eq!(refused["path"], "record.logs_s", "{refused}");
}

#[tokio::test]
async fn payloads_that_are_kept_for_no_time_are_not_recorded() {
    let (tenant, _upstream) = keeping(json!({"payloads_s": 0})).await;
    let called = tenant.call("api/x", json!({"told": "secret"})).await.expect(200);
    assert_eq!(called.json(), json!({"answer": "secret"}));
    let run = called.header("x-run-id").unwrap();
    assert_eq!(left(&tenant, run).await, Left::Logs);
    let replayed = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(409);
    assert_eq!(problem(&replayed).0, "conflict");
    let refused = node().operator().put(&format!("/v1/tenants/{}", tenant.name), &json!({"retention": {"logs_s": 0}})).await.expect(400);
    assert_eq!(refused.json()["path"], "retention.logs_s");
}
