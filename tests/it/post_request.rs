//! `post-request` and its decisions.

use serde_json::json;
use snaphook_testkit::Answer;

use crate::support::{ended, endpoint, hooked, messages, ok, problem, tenant};

/// Source of a post-request script that returns what the expression gives.
fn returning(expression: &str) -> String {
    format!(
        "import {{ proceed, retry, retryRun, fail, reauthenticate }} from 'snaphook';
         export function postRequest(response, context) {{ return {expression}; }}"
    )
}

#[tokio::test]
async fn f063_a_post_request_script_sees_the_response_and_the_run() {
    let source = "export function postRequest(response, context) {
        return { status: response.status, h: response.headers.get('H'), body: response.text(), method: response.method, url: response.url,
                 variables: context.variables.customerID, meta: Object.keys(context.meta), flow: context.flow, step: context.step, type: typeof response.status };
    }";
    let (tenant, upstream) = hooked("post-request", source).await;
    upstream.on("/x", Answer::text("b").with_status(201).header("h", "v"));
    tenant.flow("f", json!({"variables": {"customerID": "42"}, "steps": [{"name": "one", "call": "api/x"}]})).await;
    let seen = tenant.run("f", json!({})).await.expect(200).json();
    let expected = json!({"status": 201, "h": "v", "body": "b", "method": "POST", "url": upstream.url("/x"),
        "variables": "42", "meta": [], "flow": "f", "step": "one", "type": "number"});
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn f064_proceed_goes_on_whatever_the_status() {
    let (tenant, upstream) = hooked("post-request", &returning("proceed()")).await;
    upstream.on("/x", Answer::json(json!({"e": 1})).with_status(500));
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(answer.json(), json!({"e": 1}));
}

#[tokio::test]
async fn f065_retry_sends_the_request_again() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", &returning("response.json().again ? retry('once more') : proceed()")).await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({"retry": {"attempts": 1}})).await;
    upstream.on("/x", Answer::json(json!({"again": true}))).on("/x", ok());
    tenant.flow("f", json!({"steps": [{"name": "one", "call": "api/x"}]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(upstream.requests().len(), 2);
    let run = tenant.record(&answer).await;
    assert_eq!(run["status"], "succeeded");
    let attempts = run["steps"][0]["attempts"].as_array().unwrap();
    let kinds: Vec<_> = attempts.iter().map(|attempt| attempt["hooks"][0]["decision"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["retry-step", "proceed"]);
    assert!(!attempts[0]["error"].is_null() && attempts[1]["error"].is_null());
}

#[tokio::test]
async fn retries_that_are_not_allowed_fail_the_step() {
    let (tenant, upstream) = hooked("post-request", &returning("retry('again')")).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    assert_eq!(problem(&answer).0, "retries-used");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn f067_fail_ends_the_run_without_another_try() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", &returning("fail('enough')")).await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({"retry": {"attempts": 3}})).await;
    upstream.on("/x", ok());
    // Another request and another run would both be allowed.
    tenant.flow("f", json!({"retry": {"attempts": 3, "delay_s": 0}, "steps": [{"call": "api/x"}]})).await;
    let answer = tenant.run("f", json!({})).await.expect(422);
    assert_eq!(problem(&answer), ("script-failed".to_owned(), "enough".to_owned()));
    assert!(answer.json()["retry_run"].is_null());
    assert_eq!(upstream.requests().len(), 1);
    let queued = tenant.client.get("/v1/runs?status=queued").await.expect(200).json();
    assert_eq!(queued["items"], json!([]));
}

#[tokio::test]
async fn f070_a_message_is_optional_and_shown() {
    let (tenant, upstream) = hooked("post-request", &returning("fail('Invalid session')")).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    let run = tenant.record(&answer).await;
    assert_eq!((run["code"].as_str(), run["message"].as_str()), (Some("script-failed"), Some("Invalid session")));
    let decision = &run["steps"][0]["attempts"][0]["hooks"][0]["decision"];
    assert_eq!(decision, &json!({"kind": "fail", "message": "Invalid session"}));
    let (tenant, upstream) = hooked("post-request", &returning("fail()")).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    assert_eq!(problem(&answer).0, "script-failed");
}

#[tokio::test]
async fn f071_the_script_runs_for_every_attempt_and_status() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function postRequest(response, context) { context.log.info(response.status + '/' + context.attempt); }").await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({"retry": {"attempts": 2}})).await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::status(500)).on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["500/1", "500/2", "200/3"]);
}

#[tokio::test]
async fn f072_a_body_on_a_200_may_requeue_the_run() {
    let (tenant, upstream) =
        hooked("post-request", &returning("response.text().includes('Invalid session') ? retryRun('Invalid session') : undefined")).await;
    upstream.on("/x", Answer::text("Invalid session")).on("/x", ok());
    tenant.flow("now", json!({"retry": {"attempts": 1, "delay_s": 0}, "steps": [{"call": "api/x"}]})).await;
    let answer = tenant.run("now", json!({"p": 1})).await.expect(422);
    let first = tenant.record(&answer).await;
    assert_eq!((first["status"].as_str(), first["message"].as_str()), (Some("failed"), Some("Invalid session")));
    let next = answer.json()["retry_run"].as_str().expect("a new run is named").to_owned();
    assert_eq!(upstream.received(2).await.len(), 2);
    let run = ended(&tenant, &next).await;
    assert_eq!(
        (run["status"].as_str(), run["retry_of"].as_str(), run["attempt"].as_u64()),
        (Some("succeeded"), first["id"].as_str(), Some(2))
    );

    // Where the flow has no retry of its own, one more attempt waits for a minute.
    upstream.on("/x", Answer::text("Invalid session"));
    tenant.flow("later", json!({"steps": [{"call": "api/x"}]})).await;
    let answer = tenant.run("later", json!({})).await.expect(422);
    let queued = tenant.client.get("/v1/runs?status=queued&flow=later").await.expect(200).json();
    assert_eq!(queued["items"][0]["id"], answer.json()["retry_run"]);
}

#[tokio::test]
async fn f073_an_endpoints_script_acts_in_every_flow() {
    let (tenant, upstream) = hooked("post-request", "export function postRequest(r, context) { context.log.info('E'); }").await;
    upstream.on("/x", ok());
    for flow in ["f", "g"] {
        tenant.flow(flow, json!({"steps": [{"call": "api/x"}]})).await;
        let answer = tenant.run(flow, json!({})).await.expect(200);
        assert_eq!(messages(&tenant.record(&answer).await), ["E"]);
    }
}

#[tokio::test]
async fn f074_a_steps_script_replaces_the_endpoints_there_only() {
    let (tenant, upstream) = hooked("post-request", "export function postRequest(r, context) { context.log.info('E'); }").await;
    upstream.on("/x", ok());
    tenant.js("step", "export function postRequest(r, context) { context.log.info('S'); }").await;
    tenant.flow("own", json!({"steps": [{"call": "api/x", "hooks": {"post-request": [{"script": "step"}]}}]})).await;
    tenant.flow("none", json!({"steps": [{"call": "api/x", "hooks": {"post-request": []}}]})).await;
    tenant.flow("plain", json!({"steps": [{"call": "api/x"}]})).await;
    for (flow, expected) in [("own", vec!["S"]), ("none", vec![]), ("plain", vec!["E"])] {
        let answer = tenant.run(flow, json!({})).await.expect(200);
        assert_eq!(messages(&tenant.record(&answer).await), expected, "{flow}");
    }
}

#[tokio::test]
async fn f078_logs_come_in_order() {
    let source = "export function postRequest(r, context) { context.log.info('a'); console.log('b', { c: 1 }); context.log.error('d'); }";
    let (tenant, upstream) = hooked("post-request", source).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    let run = tenant.record(&answer).await;
    let logs = messages(&run);
    assert_eq!((logs[0].as_str(), logs[2].as_str(), logs.len()), ("a", "d", 3));
    assert!(logs[1].starts_with("b ") && logs[1].contains('1'), "{logs:?}");
    let level = |i: usize| run["steps"][0]["attempts"][0]["hooks"][0]["logs"][i]["level"].clone();
    assert_eq!((level(0), level(1), level(2)), ("info".into(), "log".into(), "error".into()));
}

#[tokio::test]
async fn f080_nothing_decides_nothing_and_nonsense_is_a_fault() {
    for expression in ["undefined", "void 0"] {
        let (tenant, upstream) = hooked("post-request", &returning(expression)).await;
        upstream.on("/x", Answer::status(500));
        let answer = tenant.call("api/x", json!({})).await.expect(502);
        assert_eq!(problem(&answer).0, "status", "{expression}");
        upstream.on("/x", ok());
        let _ = tenant.call("api/x", json!({})).await.expect(200);
    }
    for expression in ["Symbol('x')", "() => 1", "({ a: 1n })"] {
        let (tenant, upstream) = hooked("post-request", &returning(expression)).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{expression}: {}", answer.text());
    }
}

#[tokio::test]
async fn reauthentication_needs_something_to_renew() {
    let (tenant, upstream) = hooked("post-request", &returning("reauthenticate('expired')")).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    assert_eq!(problem(&answer).0, "reauthenticate-failed");
}

#[tokio::test]
async fn payload_path_picks_the_payload_unless_a_script_gave_one() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::json(json!({"data": {"items": [1, 2]}})));
    endpoint(&tenant, &upstream, json!({}), json!({"payload_path": "data.items.-1"})).await;
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!(2));
    tenant.js("whole", "export function postRequest(response) { return response.json(); }").await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "whole"}]}), json!({"payload_path": "data.items"})).await;
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"data": {"items": [1, 2]}}));
    endpoint(&tenant, &upstream, json!({}), json!({"payload_path": "data.none"})).await;
    let answer = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(problem(&answer).0, "response-json");
}

#[tokio::test]
async fn a_script_that_only_looks_hands_on_what_came() {
    let source = "import { fail } from 'snaphook';
        export function postRequest(r) { if (r.body.error) return fail('refused'); }";
    let (tenant, upstream) = hooked("post-request", source).await;
    let text = r#"{ "id": 9007199254740993, "data": {"items": [1.0]} }"#;
    upstream.on("/x", Answer::text(text).header("content-type", "application/json"));
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).text(), text);
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({"payload_path": "data"})).await;
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"items": [1.0]}));
}
