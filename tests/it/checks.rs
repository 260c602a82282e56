//! Uploads that are only looked at, and where what was uploaded is bound.

use serde_json::{Value, json};
use snaphook_tests::{Response, Tenant};

use crate::support::{endpoint, node, on_both_databases, problem, tenant};

on_both_databases! {
    a_check_stores_nothing,
    a_scripts_bindings_are_listed,
}

async fn check(tenant: &Tenant, name: &str, language: &str, source: impl Into<bytes::Bytes>) -> Response {
    let content_type = format!("application/{language}");
    let (path, query) = name.split_once('?').map_or((name, String::new()), |(name, query)| (name, format!("?{query}")));
    tenant.client.send("POST", &format!("/v1/scripts/{path}/check{query}"), &[("content-type", &content_type)], source.into()).await
}

/// The one error of a check that found one: code, and line.
async fn wrong(tenant: &Tenant, name: &str, language: &str, source: impl Into<bytes::Bytes>) -> (String, Option<u64>) {
    let answer = check(tenant, name, language, source).await.expect(200).json();
    let [error] = answer["errors"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&answer["ok"], &answer["warnings"], answer.get("hooks")), (&json!(false), &json!([]), None), "{answer}");
    assert!(!error["detail"].as_str().unwrap().is_empty(), "{answer}");
    (error["code"].as_str().unwrap().to_owned(), error["line"].as_u64())
}

async fn a_check_stores_nothing() {
    let (tenant, _) = tenant().await;
    let source = "import { reject } from 'snaphook';\nconst begun: number = Date.now();\nexport function preHook(call: object) { return begun ? undefined : reject(400, 'no'); }";
    let checked = check(&tenant, "s", "typescript", source).await.expect(200).json();
    let [line] = checked["warnings"].as_array().unwrap().as_slice() else { panic!("{checked}") };
    assert_eq!(line["line"], 2, "a warning has its place: {checked}");
    let _ = tenant.client.get("/v1/scripts/s").await.expect(404);
    let _ = check(&tenant, "s", "typescript", source).await.expect(200);
    let stored = tenant.upload("s", "typescript", source).await.expect(201).json();
    let known = json!({"ok": true, "kind": "script", "hooks": ["pre-hook"], "source_bytes": source.len(), "errors": [],
        "component_bytes": stored["component_bytes"], "warnings": stored["warnings"]});
    // The clock of top-level code differs, and with it, at times, the length of what is kept of it.
    let about = |value: &Value| value["component_bytes"].as_u64().unwrap() / 4096;
    assert!(about(&checked).abs_diff(about(&known)) <= 1, "{checked} {known}");
    let without_length = |mut value: Value| {
        value.as_object_mut().unwrap().remove("component_bytes");
        value
    };
    assert_eq!(without_length(checked), without_length(known));
    let script = tenant.client.get("/v1/scripts/s").await.expect(200).json();
    assert_eq!((&script["version"], script["versions"].as_array().unwrap().len()), (&json!(1), 1));
}

#[tokio::test]
async fn a_check_says_what_is_wrong_and_where() {
    let (tenant, _) = tenant().await;
    let of = |code: &str, line| (code.to_owned(), line);
    assert_eq!(wrong(&tenant, "s", "typescript", "\nlet x: = 3;").await, of("script-syntax", Some(2)));
    assert_eq!(wrong(&tenant, "s", "javascript", "export function preHook() {}\n\nnull.x;").await, of("script-compile", Some(3)));
    assert_eq!(wrong(&tenant, "s", "javascript", "const x = 1;").await.0, "script-no-hook");
    assert_eq!(
        wrong(&tenant, "s", "javascript", "import 'script:none';\nexport function preHook() {}").await,
        of("script-compile", Some(1))
    );
    assert_eq!(wrong(&tenant, "s", "javascript", "for (;;) {}").await.0, "compile");
    assert_eq!(wrong(&tenant, "s", "wasm", "no wasm").await.0, "component-invalid");
    // As the dialect has it, and as the native one does not.
    let brought = "function handle(data) { return data; }";
    assert_eq!(check(&tenant, "s?dialect=patchworks", "javascript", brought).await.expect(200).json()["ok"], true);
    assert_eq!(wrong(&tenant, "s", "javascript", brought).await.0, "script-no-hook");

    // What is wrong with the request is no matter of the script.
    for (name, language) in [("s", "json"), ("s?dialect=none", "javascript"), ("s?version=1", "javascript")] {
        assert_eq!(problem(&check(&tenant, name, language, brought).await.expect(400)).0, "invalid", "{name} {language}");
    }
    assert_eq!(problem(&check(&tenant, "-s", "javascript", brought).await.expect(400)).0, "name");
    let small = node().tenant_with(json!({"limits": {"source_bytes": 20}})).await;
    assert_eq!(problem(&check(&small, "s", "javascript", brought).await.expect(413)).0, "source-size");
    assert_eq!(check(&small, "s", "javascript", "export default x=>x").await.expect(200).json()["hooks"], json!(["step"]));
}

#[tokio::test]
async fn a_check_counts_as_an_upload() {
    let tenant = node().tenant_with(json!({"quota": {"concurrency": 4, "rate_per_s": 1}})).await;
    let mut refused = None;
    for _ in 0..20 {
        let answer = check(&tenant, "s", "javascript", "export function preHook() {}").await;
        if answer.status != 200 {
            refused = Some(answer.expect(429));
            break;
        }
    }
    assert_eq!(problem(&refused.expect("more than one in a second")).0, "quota-rate");
}

async fn a_scripts_bindings_are_listed() {
    let (tenant, upstream) = tenant().await;
    let source = "export function preHook() {}\nexport function preRequest() {}\nexport function trigger() {}\nexport default () => {};";
    tenant.js("s", source).await;
    tenant.js("s", &format!("{source}\n// again")).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "version": 1}]}), json!({})).await;
    let own = json!({"base_url": upstream.url(""), "hooks": {"pre-request": [{"script": "s"}]}, "endpoints": {"a.b": {"method": "GET", "path": "/"}}});
    tenant.connector("own", own).await;
    let request =
        json!({"name": "Ask", "url": upstream.url("/x"), "method": "POST", "hooks": {"pre-request": [{"script": "s", "version": 2}]}});
    tenant.flow("f", json!({"steps": [{"script": "s", "version": 1}]})).await;
    tenant
        .flow("f", json!({"trigger": {"script": "s"}, "steps": [{"name": "Shape it", "script": "s", "version": 1}, request.clone()]}))
        .await;
    tenant.flow("g", json!({"execute": [request]})).await;
    let bound = |kind: &str, name: &str, place: Value, hook: &str, path: &str, version: u32| json!({"kind": kind, "name": name, "place": place, "hook": hook, "path": path, "version": version});
    let of_flow = |name: &str, place: &str, hook: &str, path: &str, version: u32, flow_version: u32| {
        let mut bound = bound("flow", name, json!(place), hook, path, version);
        bound["flow_version"] = json!(flow_version);
        bound
    };
    let expected = [
        bound("connector", "api", json!("x"), "pre-hook", "endpoints.x.hooks.pre-hook[0]", 1),
        bound("connector", "own", Value::Null, "pre-request", "hooks.pre-request[0]", 2),
        of_flow("f", "Shape it", "step", "steps[0]", 1, 2),
        of_flow("f", "Ask", "pre-request", "steps[1].hooks.pre-request[0]", 2, 2),
        of_flow("f", "trigger", "trigger", "trigger", 2, 2),
        of_flow("g", "Ask", "pre-request", "steps[0].hooks.pre-request[0]", 2, 1),
    ];
    let listed = tenant.client.get("/v1/scripts/s/bindings").await.expect(200).json();
    assert_eq!(listed, json!({"items": expected, "next_cursor": null}));

    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = tenant.client.get(&format!("/v1/scripts/s/bindings?limit=2{cursor}")).await.expect(200).json();
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('[', "%5B").replace(']', "%5D")),
            None => break,
        }
    }
    assert_eq!(items, expected);
    tenant.js("free", source).await;
    assert_eq!(tenant.client.get("/v1/scripts/free/bindings").await.expect(200).json()["items"], json!([]));
    let _ = tenant.client.get("/v1/scripts/none/bindings").await.expect(404);
    assert_eq!(problem(&tenant.client.get("/v1/scripts/s/bindings?cursor=x").await.expect(400)).0, "invalid");
}
