//! Test runs: one hook on sample input.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::engine::node;
use crate::support::{Answered, TestTenant};

const SCRIPT: &str = "import { recover, reject, respond } from 'snaphook';
export function preHook(call, context) {
  context.log.debug(`${call.connector}/${call.endpoint}`);
  if (call.arguments.stop) return reject(423, 'locked', 17);
  call.arguments.added = context.parms.value;
}
export function preRequest(request) {
  request.headers.set('x-sig', 'abc');
  request.body = request.json().a;
}
export function postRequest(response) { return { status: response.status, body: response.json() }; }
export function postHook(result) { return { ...result.payload, from: result.arguments.who }; }
export function postFail(failure) { return recover({ code: failure.code, status: failure.status }); }
export function trigger(request, context) { return { payload: [request.path, request.query, request.json()], response: { status: 202, headers: { 'x-made': 'here' } } }; }
export default function (payload, context) { return [payload, context.config['App Base URL'], context.stepResults.first]; }
";

async fn test(tenant: &TestTenant<'_>, body: Value) -> Answered {
    tenant.send("POST", "/v1/scripts/s/versions/1/test", body).await
}

/// Without usage, which is the next test's matter.
async fn shown(tenant: &TestTenant<'_>, body: Value) -> String {
    let mut answer = test(tenant, body).await.expect(200).json();
    answer.as_object_mut().unwrap().remove("usage");
    answer.to_string()
}

pub(crate) async fn every_hook_shows_what_it_decided() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    acme.upload("/v1/scripts/s", "application/javascript", SCRIPT).await.expect(201);
    let pre_hook = json!({"hook": "pre-hook", "connector": "crm", "endpoint": "send", "arguments": {"a": 1}, "parms": {"value": [2]}});
    assert_snapshot!(shown(&acme, pre_hook).await, @r#"{"decision":{"kind":"call"},"arguments":{"a":1,"added":[2]},"logs":[{"level":"debug","message":"crm/send"}]}"#);
    assert_snapshot!(shown(&acme, json!({"hook": "pre-hook", "arguments": {"stop": true}})).await, @r#"{"decision":{"kind":"reject","message":"locked","status":423,"reason_code":17},"logs":[{"level":"debug","message":"/"}]}"#);
    let request = json!({"method": "POST", "url": "https://x.example/", "headers": {"Accept": ["a/b", "c/d"]}, "body": {"a": "text"}});
    assert_snapshot!(shown(&acme, json!({"hook": "pre-request", "request": request})).await, @r#"{"decision":{"kind":"send"},"request":{"method":"POST","url":"https://x.example/","headers":{"accept":["a/b","c/d"],"content-type":"application/json","x-sig":"abc"},"body":"text"},"logs":[]}"#);
    assert_snapshot!(shown(&acme, json!({"hook": "post-request", "response": {"status": 201, "body": "{\"n\": 1}"}})).await, @r#"{"decision":{"kind":"none"},"payload":{"status":201,"body":{"n":1}},"logs":[]}"#);
    assert_snapshot!(shown(&acme, json!({"hook": "post-hook", "payload": {"n": 1}, "arguments": {"who": "me"}})).await, @r#"{"decision":{"kind":"replace"},"payload":{"n":1,"from":"me"},"logs":[]}"#);
    assert_snapshot!(shown(&acme, json!({"hook": "post-fail", "failure": {"status": 409, "code": "status"}})).await, @r#"{"decision":{"kind":"recover"},"payload":{"code":"status","status":409},"logs":[]}"#);
    let step = json!({"hook": "step", "payload": "x", "config": {"App Base URL": "https://app"}, "step_results": {"first": {"n": 1}}});
    assert_snapshot!(shown(&acme, step).await, @r#"{"decision":{"kind":"return"},"payload":["x","https://app",{"n":1}],"logs":[]}"#);
    let request = json!({"method": "POST", "url": "https://node.example/t/acme/f/a/b?q=2&r=1&r=2", "path": "/a/b", "body": {"a": 1}});
    assert_snapshot!(shown(&acme, json!({"hook": "trigger", "request": request})).await, @r#"{"decision":{"kind":"return","status":202},"payload":["/a/b",{"q":"2","r":["1","2"]},{"a":1}],"response":{"status":202,"headers":{"x-made":"here"}},"logs":[]}"#);
    let usage = test(&acme, json!({"hook": "step", "payload": 1})).await.expect(200).json()["usage"].clone();
    assert!(
        usage["fuel"].as_u64().unwrap() > 0 && usage["fuel_limit"] == 1_000_000_000 && usage["memory_limit_bytes"] == 64 << 20,
        "{usage}"
    );
    assert_eq!(acme.get("/v1/runs").await.json()["items"], json!([]));
}

pub(crate) async fn a_fault_is_an_answer() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    let source = "export function preHook(call) {\n  console.warn('before');\n  return call.nothing.at.all;\n}";
    acme.upload("/v1/scripts/s", "application/javascript", source).await.expect(201);
    assert_snapshot!(shown(&acme, json!({"hook": "pre-hook"})).await, @r#"{"logs":[{"level":"warn","message":"before"}],"fault":{"code":"script-threw","detail":"TypeError: cannot read property 'at' of undefined","line":3,"column":10}}"#);
    assert_snapshot!(test(&acme, json!({"hook": "post-hook"})).await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/script-no-hook",
      "title": "script has no such hook",
      "status": 422,
      "code": "script-no-hook",
      "blame": "guest",
      "detail": "version 1 of script `s` has no `post-hook`",
      "path": "hook",
      "request_id": "[request_id]"
    }
    "#);
}

pub(crate) async fn what_a_test_run_may_not_hold_is_named() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    acme.upload("/v1/scripts/s", "application/javascript", "export function preHook() {}\nexport function trigger() {}").await.expect(201);
    let path = async |body: Value| test(&acme, body).await.expect(400).json()["path"].as_str().map(str::to_owned);
    assert_eq!(path(json!({})).await, None);
    assert_eq!(path(json!({"hook": "webhook"})).await.as_deref(), Some("hook"));
    assert_eq!(path(json!({"hook": "pre-hook", "connection": 5})).await.as_deref(), Some("connection"));
    assert_eq!(path(json!({"hook": "pre-hook", "meta": {"a": 1}})).await.as_deref(), Some("meta.a"));
    assert_eq!(path(json!({"hook": "trigger", "request": {"path": "a"}})).await.as_deref(), Some("request.path"));
    assert_eq!(path(json!({"hook": "pre-hook", "request": {"verb": "GET"}})).await.as_deref(), Some("request.verb"));
    acme.send("POST", "/v1/scripts/s/versions/2/test", json!({"hook": "pre-hook"})).await.expect(404);
}
