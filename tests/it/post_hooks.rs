//! `post-hook` and `post-fail`.

use serde_json::json;
use snaphook_testkit::Answer;

use crate::support::{endpoint, hooked, ok, problem, tenant};

#[tokio::test]
async fn f082_a_post_hook_sees_arguments_and_result() {
    let source = "export function postHook(result, context) {
        return { arguments: result.arguments, payload: result.payload, status: result.status, header: result.headers.get('x-up'), parms: context.parms, keys: Object.keys(result) };
    }";
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::json(json!({"r": 1})).with_status(202).header("x-up", "yes"));
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"post-hook": [{"script": "s", "parms": {"p": 1}}]}), json!({})).await;
    let answer = tenant.call("api/x", json!({"a": 1})).await.expect(200).json();
    let expected = json!({"arguments": {"a": 1}, "payload": {"r": 1}, "status": 202, "header": "yes", "parms": {"p": 1},
        "keys": ["arguments", "status", "headers", "payload"]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn f083_a_post_hook_that_returns_nothing_leaves_the_result() {
    let (tenant, upstream) = hooked("post-hook", "export function postHook() {}").await;
    let text = "{ \"a\" : 1.0,\n \"a\": 2 }";
    upstream.on("/x", Answer::text(text).header("content-type", "application/json"));
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).text(), text);
}

#[tokio::test]
async fn f084_a_post_hook_replaces_the_result() {
    let (tenant, upstream) =
        hooked("post-hook", "export function postHook(result) { return { ...result.payload, wasPostHooked: true }; }").await;
    upstream.on("/x", ok());
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"ok": true, "wasPostHooked": true}));
}

#[tokio::test]
async fn f085_a_post_hook_turns_the_result_into_an_error() {
    let source = "import { reject } from 'snaphook';\nexport const postHook = () => reject(403, 'no', 40001);";
    let (tenant, upstream) = hooked("post-hook", source).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(403);
    assert_eq!(answer.json(), json!({"status": 403, "reason_code": 40001, "status_message": "no"}));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn f086_a_post_fail_hook_sees_the_failure() {
    let source = "import { recover } from 'snaphook';\nexport function postFail(failure, context) { return recover({ ...failure, parms: context.parms, keys: Object.keys(failure) }); }";
    let (tenant, upstream) = hooked("post-fail", source).await;
    upstream.on("/x", Answer::json(json!({"e": 1})).with_status(409));
    let seen = tenant.call("api/x", json!({"a": 1})).await.expect(200).json();
    assert_eq!((&seen["status"], &seen["code"], &seen["arguments"]), (&json!(409), &json!("status"), &json!({"a": 1})));
    assert!(seen["message"].as_str().unwrap().contains("409"), "{seen}");
    assert_eq!(seen["keys"], json!(["arguments", "status", "code", "message"]));
}

#[tokio::test]
async fn f087_a_post_fail_hook_keeps_recovers_or_replaces() {
    let cases = [
        ("undefined", 502, json!(null)),
        ("recover({ ok: 'after all' })", 200, json!({"ok": "after all"})),
        ("replace({ status: 418, message: 'teapot', code: 7 })", 418, json!({"status": 418, "reason_code": 7, "status_message": "teapot"})),
    ];
    for (expression, status, body) in cases {
        let source = format!("import {{ recover, replace }} from 'snaphook';\nexport function postFail() {{ return {expression}; }}");
        let (tenant, upstream) = hooked("post-fail", &source).await;
        upstream.on("/x", Answer::status(500));
        let answer = tenant.call("api/x", json!({})).await.expect(status);
        if body.is_null() {
            assert_eq!(problem(&answer).0, "status");
        } else {
            assert_eq!(answer.json(), body, "{expression}");
        }
    }
}

#[tokio::test]
async fn f088_post_hook_and_post_fail_never_both_run() {
    let (tenant, upstream) = tenant().await;
    tenant.js("done", "export function postHook(r, context) { context.log.info('post-hook'); }").await;
    tenant.js("broken", "export function postHook(r, context) { context.log.info('post-hook'); throw new Error('x'); }").await;
    tenant.js("failed", "export function postFail(f, context) { context.log.info('post-fail'); }").await;
    for (script, status, expected) in [("done", 200, "post-hook"), ("done", 500, "post-fail"), ("broken", 200, "post-hook")] {
        upstream.on("/x", Answer::json(json!({})).with_status(status));
        endpoint(&tenant, &upstream, json!({"post-hook": [{"script": script}], "post-fail": [{"script": "failed"}]}), json!({})).await;
        let answer = tenant.call("api/x", json!({})).await;
        assert_eq!(crate::support::messages(&tenant.record(&answer).await), [expected], "{script} {status}");
        upstream.on_request("/x", |_| ok());
    }
}

/// A script of each hook after the response, which says what it is given as payload.
const TELLS: &str = "const told = (payload) => ({ type: payload?.constructor.name, payload });
    export function postRequest(response) { return { ...told(response.payload), header: response.headers.get('content-type') }; }
    export function postHook(result) { return { ...told(result.payload), header: result.headers.get('content-type') }; }";

/// What the last of these hooks is given, where the upstream answers so.
async fn told(upstream_answer: Answer, scripts: &[(&str, &str)], hooks: serde_json::Value) -> serde_json::Value {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", upstream_answer);
    tenant.js("tells", TELLS).await;
    for (name, source) in scripts {
        tenant.js(name, source).await;
    }
    endpoint(&tenant, &upstream, hooks, json!({})).await;
    tenant.call("api/x", json!({})).await.expect(200).json()
}

#[tokio::test]
async fn a_later_hook_is_given_the_payload_as_what_an_earlier_one_made_of_it() {
    let csv = || Answer::bytes("a,b").header("content-type", "text/csv");
    let rows = "export function postRequest(response) { return { rows: response.text().split(',') }; }";
    let made = json!({"type": "Object", "payload": {"rows": ["a", "b"]}, "header": "text/csv"});
    for later in ["post-request", "post-hook"] {
        let mut hooks = json!({"post-request": [{"script": "rows"}]});
        match later {
            "post-request" => hooks["post-request"] = json!([{"script": "rows"}, {"script": "tells"}]),
            _ => hooks[later] = json!([{"script": "tells"}]),
        }
        assert_eq!(told(csv(), &[("rows", rows)], hooks).await, made, "{later}");
    }
    let plain = "export function postHook() { return 'plain'; }";
    let hooks = json!({"post-hook": [{"script": "plain"}, {"script": "tells"}]});
    let expected = json!({"type": "String", "payload": "plain", "header": "application/json"});
    assert_eq!(told(ok(), &[("plain", plain)], hooks).await, expected);
    // What nobody changed is what the upstream says it is.
    let untouched = json!({"type": "String", "payload": "a,b", "header": "text/csv"});
    for hook in ["post-request", "post-hook"] {
        assert_eq!(told(csv(), &[], json!({hook: [{"script": "tells"}]})).await, untouched, "{hook}");
    }
}

#[tokio::test]
async fn the_payload_of_a_part_or_of_a_file_is_json_whatever_the_response_is() {
    let (tenant, upstream) = tenant().await;
    tenant.js("tells", TELLS).await;
    let hooks = json!({"post-hook": [{"script": "tells", "version": 1}]});
    upstream.on("/form", Answer::bytes("%PDF-1.7").header("content-type", "application/pdf"));
    let saved = json!({"url": upstream.url("/form"), "method": "GET", "save_as_file": "form.pdf", "hooks": hooks});
    tenant.flow("f", json!({"steps": [saved]})).await;
    let description = json!({"file": "form.pdf", "bytes": 8, "content_type": "application/pdf"});
    let seen = tenant.run("f", json!({})).await.expect(200).json();
    assert_eq!(seen, json!({"type": "Object", "payload": description, "header": "application/pdf"}));

    upstream.on("/x", Answer::text("{\"data\": {\"n\": 1}}"));
    endpoint(&tenant, &upstream, hooks, json!({"payload_path": "data"})).await;
    let seen = tenant.call("api/x", json!({})).await.expect(200).json();
    assert_eq!((&seen["type"], &seen["payload"]), (&json!("Object"), &json!({"n": 1})));
}

#[tokio::test]
async fn a_payload_that_is_not_the_json_it_says_it_is_is_given_as_text() {
    let (tenant, upstream) = hooked("post-hook", TELLS).await;
    upstream.on("/x", Answer::bytes("<html>").header("content-type", "application/json"));
    let seen = tenant.call("api/x", json!({})).await.expect(200).json();
    assert_eq!((&seen["type"], &seen["payload"]), (&json!("String"), &json!("<html>")));
}
