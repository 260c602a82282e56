//! `on_error` of script steps, and payloads of every JSON type between steps.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::Answer;

use crate::support::{ok, problem, tenant};

/// The record's script invocations of a step.
fn invocations(run: &Value, step: usize) -> Vec<Value> {
    run["steps"][step]["hooks"].as_array().cloned().unwrap_or_default()
}

const THROWS: &str = "export default function (payload, context) { console.log('attempt ' + context.attempt + ' ' + Math.random()); throw new Error('no ' + context.attempt); }";

#[tokio::test]
async fn f116_a_script_step_is_tried_again_and_its_last_failure_may_be_ignored() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("throws", THROWS).await;
    let flow = |on_error: Value| {
        json!({"steps": [
            {"name": "Try", "script": "throws", "on_error": on_error},
            {"name": "Go on", "url": upstream.url("/x"), "method": "POST", "data": {"got": "here"}},
        ]})
    };
    let retry = |ignore_final: bool| json!({"policy": "retry", "attempts": 2, "delay_s": 1, "backoff": 1, "ignore_final": ignore_final});

    let stored = tenant.flow("f", flow(retry(false))).await;
    assert_eq!(stored["steps"][0]["on_error"], retry(false));
    let begun = Instant::now();
    let failed = tenant.run_to_end("f", json!({"n": 1})).await.expect(422);
    assert!(begun.elapsed() >= Duration::from_secs(2), "two waits of a second");
    assert_eq!(problem(&failed), ("script-threw".to_owned(), "Error: no 3".to_owned()));
    let run = tenant.record(&failed).await;
    assert_eq!((&run["status"], run["steps"].as_array().unwrap().len()), (&json!("failed"), 1));
    let tried = invocations(&run, 0);
    let faults: Vec<_> = tried.iter().map(|invocation| invocation["fault"]["detail"].clone()).collect();
    assert_eq!(faults, ["Error: no 1", "Error: no 2", "Error: no 3"]);
    let logs: Vec<_> = tried.iter().map(|invocation| invocation["logs"][0]["message"].as_str().unwrap().to_owned()).collect();
    let drawn: std::collections::BTreeSet<_> = logs.iter().map(|log| log.rsplit(' ').next().unwrap()).collect();
    assert_eq!(drawn.len(), 3, "each attempt has chance of its own: {logs:?}");
    assert_eq!(upstream.requests().len(), 0);

    tenant.flow("f", flow(retry(true))).await;
    let partial = tenant.run_to_end("f", json!({"n": 1})).await.expect(200);
    assert_eq!(partial.json(), json!({"ok": true}));
    let run = tenant.record(&partial).await;
    assert_eq!((&run["status"], &run["code"]), (&json!("partial"), &Value::Null));
    let step = &run["steps"][0];
    assert_eq!((&step["status"], &step["code"], &step["message"]), (&json!("failed"), &json!("script-threw"), &json!("Error: no 3")));
    assert_eq!((invocations(&run, 0).len(), upstream.requests().len()), (3, 1));

    let listed = tenant.client.get("/v1/runs?status=partial").await.expect(200).json();
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [run["id"].clone()]);
}

#[tokio::test]
async fn an_ignored_failure_leaves_payload_and_variables_as_they_were() {
    let (tenant, _) = tenant().await;
    tenant
        .js("throws", "export default function (payload, context) { payload.n = 2; context.variables.seen = true; throw new Error('x'); }")
        .await;
    tenant
        .js("last", "export default (payload, context) => [payload, context.variables.seen ?? null, context.stepResults.first ?? null]")
        .await;
    let steps = json!([{"name": "First", "script": "throws", "on_error": {"policy": "ignore"}}, {"script": "last"}]);
    tenant.flow("f", json!({ "steps": steps })).await;
    let answer = tenant.run("f", json!({"n": 1})).await.expect(200);
    assert_eq!(answer.json(), json!([{"n": 1}, null, null]));
    assert_eq!(tenant.record(&answer).await["status"], "partial");

    // As the last step, it leaves the payload as the run's answer.
    tenant.flow("g", json!({"steps": [{"script": "throws", "on_error": {"policy": "ignore"}}]})).await;
    assert_eq!(tenant.run("g", json!({"n": 7})).await.expect(200).json(), json!({"n": 7}));
}

#[tokio::test]
async fn f008_a_crashing_script_is_tried_again_only_as_its_policy_says() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let trap = "export default function () { for (;;) ; }";
    tenant.js("trap", &format!("{trap}; export function postRequest() {{ for (;;) ; }}")).await;
    let operator = crate::support::node().operator();
    let limits = json!({"limits": {"fuel": 2_000_000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let _ = operator.put(&format!("/v1/tenants/{}", tenant.name), &limits).await.expect(200);

    tenant.flow("once", json!({"steps": [{"script": "trap"}]})).await;
    let failed = tenant.run("once", Value::Null).await.expect(422);
    assert_eq!((problem(&failed).0.as_str(), invocations(&tenant.record(&failed).await, 0).len()), ("fuel", 1));

    let again = json!({"policy": "retry", "attempts": 3});
    tenant.flow("again", json!({"steps": [{"script": "trap", "on_error": again}]})).await;
    let failed = tenant.run("again", Value::Null).await.expect(422);
    let run = tenant.record(&failed).await;
    let codes: Vec<_> = invocations(&run, 0).iter().map(|invocation| invocation["fault"]["code"].clone()).collect();
    assert_eq!((run["status"].as_str(), codes), (Some("failed"), vec![json!("fuel"); 4]));

    // The hook of a request: as the step's `retry` says, with a request for each attempt.
    let hooks = json!({"post-request": [{"script": "trap"}]});
    for (retry, attempts) in [(Value::Null, 1), (json!({"attempts": 3}), 4)] {
        let before = upstream.requests().len();
        let step = json!({"url": upstream.url("/x"), "hooks": hooks, "retry": retry});
        tenant.flow("request", json!({ "steps": [step] })).await;
        let failed = tenant.run("request", Value::Null).await.expect(422);
        let run = tenant.record(&failed).await;
        assert_eq!(run["steps"][0]["attempts"].as_array().unwrap().len(), attempts);
        assert_eq!((run["status"].as_str(), upstream.requests().len() - before), (Some("failed"), attempts));
    }
}

/// A script's text goes on as text, everything else as JSON.
fn value_of(content_type: Option<&str>, body: &str) -> Value {
    match content_type {
        Some("application/json") => serde_json::from_str(body).expect("it says that it is JSON"),
        Some(text) if text.starts_with("text/plain") => body.into(),
        other => panic!("{other:?}: {body}"),
    }
}

#[tokio::test]
async fn every_json_type_arrives_unchanged_between_native_steps() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("give", "export default (payload, context) => context.parms.value").await;
    tenant.js("look", "export default (payload, context) => ({ payload, kind: typeof payload, result: context.stepResults.give })").await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    for (value, kind) in [
        (json!("x"), "string"),
        (json!(5), "number"),
        (json!(true), "boolean"),
        (json!({"a": [1]}), "object"),
        (json!([1, "2", null]), "object"),
        (Value::Null, "object"),
    ] {
        let give = json!({"name": "Give", "script": "give", "parms": {"value": value}});
        tenant.flow("f", json!({"steps": [give, {"script": "look"}]})).await;
        let seen = tenant.run("f", json!({"before": 1})).await.expect(200).json();
        assert_eq!(seen, json!({"payload": value, "kind": kind, "result": value}), "{value}");
        tenant.flow("g", json!({"steps": [give, {"call": "api/x"}]})).await;
        let _ = tenant.run("g", json!({"before": 1})).await.expect(200);
        let sent = upstream.last();
        assert_eq!(value_of(sent.header("content-type"), &sent.text()), value, "as a request's body");
        tenant.flow("h", json!({"steps": [give]})).await;
        let answer = tenant.run("h", json!({"before": 1})).await.expect(200);
        assert_eq!(value_of(answer.header("content-type"), &answer.text()), value, "as the run's answer");
    }
}

#[tokio::test]
async fn a_step_is_given_the_text_of_what_says_it_is_json_and_is_not() {
    let (tenant, upstream) = tenant().await;
    tenant.js("tells", "export default (payload, context) => [payload, context.stepResults.one];").await;
    tenant.js("keeps", "export default () => {}").await;
    let steps = |script: &str| json!({"steps": [{"name": "One", "url": upstream.url("/x")}, {"script": script}]});
    let broken = || Answer::bytes("<html>").with_status(502).header("content-type", "application/json");
    upstream.on_request("/x", move |_| broken());
    tenant.flow("f", steps("tells")).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!(["<html>", "<html>"]));
    // Who only looks at it passes it on as it came.
    tenant.flow("f", steps("keeps")).await;
    let kept = tenant.run("f", json!({})).await.expect(200);
    assert_eq!((kept.text().as_str(), kept.header("content-type")), ("<html>", Some("application/json")));
}

#[tokio::test]
async fn an_empty_text_is_a_text_for_later_steps_too() {
    let (tenant, upstream) = tenant().await;
    tenant.js("empty", "export default () => '';").await;
    tenant.js("tells", "export default (payload, context) => [payload, context.stepResults.one];").await;
    tenant.flow("f", json!({"steps": [{"name": "One", "script": "empty"}, {"script": "tells"}]})).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!(["", ""]));
    // An answer without a body that is no text leaves nothing.
    upstream.on("/x", Answer::status(200).header("content-type", "application/json"));
    tenant.flow("f", json!({"steps": [{"name": "One", "url": upstream.url("/x")}, {"script": "tells"}]})).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!([null, null]));
}
