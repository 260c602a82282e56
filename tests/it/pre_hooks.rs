//! `pre-hook` and `pre-request`.

use serde_json::json;

use crate::support::{endpoint, hooked, node, ok, problem, tenant};

#[tokio::test]
async fn f011_a_pre_hook_sees_the_call() {
    let source =
        "export function preHook(call, context) { call.arguments = { call: { ...call }, parms: context.parms, keys: Object.keys(call) }; }";
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "parms": {"p": [1]}}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    let sent = upstream.last().json();
    assert_eq!(sent["call"]["connector"], "api");
    assert_eq!(sent["call"]["endpoint"], "x");
    assert_eq!(sent["call"]["arguments"], json!({"a": 1}));
    assert_eq!(sent["parms"], json!({"p": [1]}));
    assert_eq!(sent["keys"], json!(["connector", "endpoint", "arguments"]));
}

#[tokio::test]
async fn f012_a_pre_hook_replaces_the_arguments() {
    let source =
        "export function preHook(call, context) { return { eventData: { ...call.arguments.eventData, ...context.parms.extradata } }; }";
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "parms": {"extradata": {"b": 2}}}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({"eventData": {"a": 1}, "gone": true})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"eventData": {"a": 1, "b": 2}}));
}

#[tokio::test]
async fn f013_a_pre_hook_that_returns_nothing_leaves_the_arguments() {
    let source = "export function preHook(call) { const copy = structuredClone(call.arguments); copy.a = 2; }";
    let (tenant, upstream) = hooked("pre-hook", source).await;
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"a": 1}));
    // Untouched arguments go out byte for byte.
    let (tenant, upstream) = hooked("pre-hook", "export function preHook(call) {}").await;
    upstream.on("/x", ok());
    let text = "{ \"a\" :\t1.0e1,  \"a\": 2 }";
    let _ = tenant.client.send("POST", "/v1/call/api/x", &[("content-type", "application/json")], text.into()).await.expect(200);
    assert_eq!(upstream.last().text(), text);
}

#[tokio::test]
async fn f014_a_rejection_reaches_the_caller_and_nothing_is_sent() {
    let source = "import { reject } from 'snaphook';\nexport function preHook() { return reject(500, 'too high', 50000); }";
    let (tenant, upstream) = hooked("pre-hook", source).await;
    let answer = tenant.call("api/x", json!({})).await.expect(500);
    assert_eq!(answer.json(), json!({"status": 500, "reason_code": 50000, "status_message": "too high"}));
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(tenant.record(&answer).await["code"], "rejected");
}

#[tokio::test]
async fn f015_parms_belong_to_the_binding() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", "export function preHook(call, context) { call.arguments.text += context.parms.suffix; }").await;
    let endpoint = |suffix| json!({"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "s", "parms": {"suffix": suffix}}]}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint("x"), "y": endpoint("y")}})).await;
    for name in ["x", "y"] {
        let _ = tenant.call(&format!("api/{name}"), json!({"text": "ends in "})).await.expect(200);
        assert_eq!(upstream.last().json()["text"], format!("ends in {name}"));
    }
}

#[tokio::test]
async fn f019_a_malformed_return_is_a_contract_fault() {
    for value in ["5", "'text'", "true", "Symbol('s')", "() => 1", "10n"] {
        let (tenant, upstream) = hooked("pre-hook", &format!("export function preHook() {{ return {value}; }}")).await;
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{value}: {}", answer.text());
        assert_eq!(upstream.requests().len(), 0);
    }
    // A helper of another hook does not belong here either.
    let source = "import { retry } from 'snaphook';\nexport function preHook() { return retry('again'); }";
    let (tenant, upstream) = hooked("pre-hook", source).await;
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    assert_eq!(problem(&answer).0, "script-contract");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn f020_a_pre_request_script_changes_body_headers_and_url() {
    let source = "export function preRequest(request) {
        const url = new URL(request.url);
        url.searchParams.set('q', 'a b&c');
        request.url = url.href;
        request.headers.set('X-Sig', 'abc');
        request.headers.append('x-many', '1');
        request.headers.append('x-many', '2');
        const body = request.json();
        body.signed = true;
        request.body = body;
    }";
    let (tenant, upstream) = hooked("pre-request", source).await;
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    let sent = upstream.last();
    assert_eq!(sent.path, "/x?q=a+b%26c");
    assert_eq!(sent.header("x-sig"), Some("abc"));
    assert_eq!(sent.json(), json!({"a": 1, "signed": true}));
    let many: Vec<_> = sent.headers.iter().filter(|(name, _)| name == "x-many").map(|(_, value)| value.as_str()).collect();
    assert_eq!(many.join(", "), "1, 2");
}

#[tokio::test]
async fn hooks_may_answer_themselves() {
    let source = "import { respond } from 'snaphook';
        export function preHook() { return respond({ status: 203, headers: { 'x-own': 'yes', 'content-type': 'text/css' }, body: 'a{}' }); }";
    let (tenant, upstream) = hooked("pre-hook", source).await;
    let answer = tenant.call("api/x", json!({})).await.expect(203);
    assert_eq!((answer.text().as_str(), answer.header("x-own"), answer.header("content-type")), ("a{}", Some("yes"), Some("text/css")));
    let (tenant, second) = hooked("pre-request", &source.replace("preHook", "preRequest").replace("203", "200")).await;
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(answer.text(), "a{}");
    assert_eq!((upstream.requests().len(), second.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_later_hook_sees_what_the_one_before_made() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("one", "export function preHook(call) { call.arguments.list = ['one']; }").await;
    tenant.js("two", "export async function preHook(call) { call.arguments.list.push('two'); }").await;
    tenant.js("three", "export function preHook(call) { return { list: [...call.arguments.list, 'three'] }; }").await;
    let document = json!({"base_url": upstream.url(""), "hooks": {"pre-hook": [{"script": "one"}]},
        "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "two"}, {"script": "three"}]}}}});
    tenant.connector("api", document).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"list": ["one", "two", "three"]}));
}

#[tokio::test]
async fn f030_methods_are_the_six_in_capitals() {
    let tenant = node().tenant().await;
    let upstream = snaphook_testkit::Upstream::start().await;
    for method in ["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE"] {
        upstream.on(&format!("/{method}"), ok());
        let endpoint = json!({"method": method, "path": format!("/{method}")});
        tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}})).await;
        let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
        assert_eq!(upstream.last().method, method);
    }
    for method in ["post", "OPTIONS", "TRACE", "", "GET "] {
        let document = json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": method, "path": "/x"}}});
        let refused = tenant.client.put("/v1/connectors/api", &document).await.expect(400);
        assert_eq!((problem(&refused).0.as_str(), refused.json()["path"].as_str()), ("invalid", Some("endpoints.x.method")));
        let flow = json!({"steps": [{"url": upstream.url("/x"), "method": method}]});
        let refused = tenant.client.put("/v1/flows/f", &flow).await.expect(400);
        assert_eq!(refused.json()["path"], "steps[0].method");
    }
}
