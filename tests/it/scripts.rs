//! Scripts: versions, test runs, and the limits that every script meets.

use serde_json::{Value, json};
use snaphook_testkit::Upstream;

use crate::support::{endpoint, messages, node, ok, problem, tenant};

#[tokio::test]
async fn f001_a_binding_pins_one_version() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let logs = |text: &str| format!("export function preHook(call, context) {{ context.log.info('{text}'); }}");
    let v1 = tenant.js("s", &logs("v1")).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "version": v1}]}), json!({})).await;
    let v2 = tenant.js("s", &logs("v2")).await;
    assert_eq!((v1, v2), (1, 2));
    let first = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&first).await), ["v1"]);
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "version": v2}]}), json!({})).await;
    let second = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&second).await), ["v2"]);
}

#[tokio::test]
async fn f002_a_binding_without_version_takes_the_latest() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function preHook() {}").await;
    tenant.js("s", "export function preHook() { return {}; }").await;
    let bound = |binding| json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": {"pre-hook": [binding]}}}});
    let version = |document: &serde_json::Value| document["endpoints"]["x"]["hooks"]["pre-hook"][0]["version"].clone();
    assert_eq!(version(&tenant.connector("c", bound(json!({"script": "s"}))).await), 2);
    assert_eq!(version(&tenant.connector("c", bound(json!({"script": "s", "version": 1}))).await), 1);
    let broken = tenant.upload("s", "javascript", "export function preHook( {").await.expect(422);
    assert_eq!(broken.json()["code"], "script-syntax");
    let refused = tenant.client.put("/v1/connectors/c", &bound(json!({"script": "s", "version": 3}))).await.expect(400);
    assert_eq!(refused.json()["path"], "endpoints.x.hooks.pre-hook[0].version");
    let listed = tenant.client.get("/v1/scripts/s").await.expect(200).json();
    let versions: Vec<_> = listed["versions"].as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!(versions.len(), 2);
    assert!(versions.contains(&1) && versions.contains(&2));
}

#[tokio::test]
async fn f004_a_test_run_calls_nobody() {
    let (tenant, upstream) = tenant().await;
    let source =
        "export default function (payload, context) { context.log.info('got ' + payload); console.warn('two'); return payload + '!'; }";
    let version = tenant.js("s", source).await;
    let result = tenant.test("s", version, json!({"hook": "step", "payload": "x"})).await;
    assert_eq!(result["decision"]["kind"], "return");
    assert_eq!(result["payload"], "x!");
    let logs: Vec<_> = result["logs"].as_array().unwrap().iter().map(|log| (log["level"].clone(), log["message"].clone())).collect();
    assert_eq!(logs, [("info".into(), "got x".into()), ("warn".into(), "two".into())]);
    let usage = &result["usage"];
    assert!(usage["fuel"].as_u64().unwrap() > 0 && usage["fuel"].as_u64() < usage["fuel_limit"].as_u64());
    assert!(usage["memory_bytes"].as_u64().unwrap() > 0 && usage["memory_limit_bytes"] == 64 << 20);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_test_run_reports_the_scripts_fault_with_its_place() {
    let (tenant, _) = tenant().await;
    let version = tenant.js("s", "export function preHook(call) {\n  return call.nothing.at.all;\n}").await;
    let result = tenant.test("s", version, json!({"hook": "pre-hook", "arguments": {}})).await;
    assert_eq!((result["fault"]["code"].as_str(), result["fault"]["line"].as_u64()), (Some("script-threw"), Some(2)));
    let lacking = tenant.client.post(&format!("/v1/scripts/s/versions/{version}/test"), &json!({"hook": "post-hook"})).await;
    assert_eq!(problem(&lacking).0, "script-no-hook");
}

#[tokio::test]
async fn f006_wall_time_is_limited_and_neighbours_are_not_delayed() {
    let slow = node()
        .tenant_with(json!({"limits": {"wall_ms": 4000, "fuel": 1_000_000_000_000_u64}, "egress": {"allow_private": ["127.0.0.0/8"]}}))
        .await;
    let upstream = Upstream::start().await;
    slow.js("s", "export function preHook() { while (true) {} }").await;
    endpoint(&slow, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let (other, other_upstream) = crate::support::hooked("pre-hook", "export function preHook() {}").await;
    other_upstream.on("/x", ok());

    let looping = tokio::spawn(async move { slow.call("api/x", json!({})).await });
    // The neighbour's calls all end while the loop is running.
    for _ in 0..10 {
        let _ = other.call("api/x", json!({})).await.expect(200);
    }
    assert!(!looping.is_finished(), "the neighbour waited for the loop");
    let ended = looping.await.unwrap();
    assert_eq!(problem(&ended).0, "deadline");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn f006_a_limit_of_a_second_is_one() {
    let document = json!({"limits": {"wall_ms": 1000, "fuel": 1_000_000_000_000_u64}});
    let tenant = node().tenant_with(document).await;
    let version = tenant.js("s", "export function preHook() { while (true) {} }").await;
    let mut took = Vec::new();
    // The least late of some: this machine may be busy with other tests.
    for _ in 0..5 {
        let result = tenant.test("s", version, json!({"hook": "pre-hook", "arguments": {}})).await;
        assert_eq!((result["fault"]["code"].as_str(), result["fault"]["limit"].as_u64()), (Some("deadline"), Some(1000)), "{result}");
        took.push(result["usage"]["wall_us"].as_u64().expect("what ran took time"));
        if took.iter().any(|took| (1_000_000..1_500_000).contains(took)) {
            return;
        }
    }
    panic!("a limit of 1,000,000 µs, and the invocations took {took:?} µs");
}

#[tokio::test]
async fn f007_memory_is_limited() {
    let bomb = "export function preHook() { const a = []; while (true) a.push(new Uint8Array(1 << 20)); }";
    let (tenant, upstream) = crate::support::hooked("pre-hook", bomb).await;
    upstream.on("/x", ok());
    for _ in 0..3 {
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(answer.json()["code"], "memory", "{}", answer.text());
        assert_eq!(answer.json()["limit"], 64 << 20);
    }
    tenant.js("good", "export function preHook() {}").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "good"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
}

#[tokio::test]
async fn equal_uploads_are_one_version_and_bound_ones_stay() {
    let (tenant, upstream) = tenant().await;
    let first = tenant.upload("s", "javascript", "export function preHook() {}").await.expect(201).json();
    let again = tenant.upload("s", "javascript", "export function preHook() {}").await.expect(200).json();
    assert_eq!((first["version"].clone(), first["hash"].clone()), (again["version"].clone(), again["hash"].clone()));
    assert_eq!(first["hooks"], json!(["pre-hook"]));
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let bound = tenant.client.delete("/v1/scripts/s/versions/1").await.expect(409);
    assert_eq!(bound.json()["code"], "script-bound");
    assert!(bound.text().contains("api"), "{}", bound.text());
    let _ = tenant.client.delete("/v1/connectors/api").await.expect(204);
    let _ = tenant.client.delete("/v1/scripts/s/versions/1").await.expect(204);
    let _ = tenant.client.get("/v1/scripts/s/versions/1").await.expect(404);
}

#[tokio::test]
async fn f009_an_earlier_version_is_put_back_in_use() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let source = |text: &str| format!("export function preHook(call) {{ call.arguments.by = '{text}'; }}");
    let sent = async |version: Value| {
        endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "version": version}]}), json!({})).await;
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        upstream.last().json()["by"].clone()
    };
    assert_eq!((tenant.js("s", &source("one")).await, sent(Value::Null).await), (1, json!("one")));
    assert_eq!((tenant.js("s", &source("two")).await, sent(Value::Null).await), (2, json!("two")));
    assert_eq!(sent(json!(1)).await, "one");
    let history = tenant.client.get("/v1/scripts/s").await.expect(200).json();
    let versions: Vec<_> = history["versions"].as_array().unwrap().iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert!(versions.contains(&1) && versions.contains(&2), "{versions:?}");
    let kept = tenant.client.get("/v1/scripts/s/versions/2/source").await.expect(200);
    assert_eq!(kept.text(), source("two"));
}

#[tokio::test]
async fn f127_a_script_asks_the_tenants_connectors_and_nobody_else() {
    let document = json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let asking = "export default async (url) => {
        try { return { status: (await fetch(url, { method: 'POST', body: '{}' })).status }; }
        catch (error) { return { error: error.message }; }
    };";
    tenant.js("s", asking).await;
    tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
    let asked = async |url: String| tenant.run("f", json!(url)).await.expect(200).json();
    assert_eq!(asked("api:/x".to_owned()).await, json!({"status": 200}));
    for refused in
        [upstream.url("/x"), "https://example.com/".to_owned(), "http://localhost/".to_owned(), "http://169.254.169.254/".to_owned()]
    {
        let answer = asked(refused.clone()).await;
        assert!(answer["error"].as_str().is_some_and(|error| error.contains("connectors by name")), "{refused}: {answer}");
    }
    assert!(asked("unknown:/x".to_owned()).await["error"].as_str().is_some_and(|error| error.contains("unknown")));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn errors_point_into_the_text_as_uploaded() {
    let (tenant, _) = tenant().await;
    let syntax =
        tenant.upload("s", "typescript", "interface A { b: string }\nexport function preHook(call: A): void {\n  let x: = 3;\n}").await;
    assert_eq!((problem(&syntax).0.as_str(), syntax.json()["line"].as_u64()), ("script-syntax", Some(3)));
    let thrown =
        tenant.upload("s", "typescript", "type T = { a: number };\n\nconst t: T = null!;\nt.a;\nexport function preHook() {}").await;
    assert_eq!((problem(&thrown).0.as_str(), thrown.json()["line"].as_u64()), ("script-compile", Some(4)));
    let nothing = tenant.upload("s", "javascript", "const x = 1;").await;
    assert_eq!(problem(&nothing).0, "script-no-hook");
    // An enum is code, so positions behind it go through the source map.
    let source = "enum Colour { Red, Green }\nexport function preHook(call: { arguments: any }) {\n  if (Colour.Green === 1) {\n    throw new TypeError('no green');\n  }\n}";
    let version = tenant.script("s", "typescript", source).await;
    let result = tenant.test("s", version, json!({"hook": "pre-hook"})).await;
    assert_eq!(result["fault"]["line"], 4, "{result}");
    assert!(result["fault"]["detail"].as_str().unwrap().contains("no green"));
}

#[tokio::test]
async fn what_promises_pass_on_keeps_its_place() {
    let (tenant, _) = tenant().await;
    let throwing = ["null.x;", "throw new TypeError('no');", "throw 'text';", "throw { message: 'object' };"];
    for (i, statement) in throwing.iter().enumerate() {
        let source = format!(
            "async function load() {{\n  {statement}\n}}\nexport default () => load().then((value) => value).then((value) => value);"
        );
        let version = tenant.js(&format!("s{i}"), &source).await;
        let result = tenant.test(&format!("s{i}"), version, json!({"hook": "step"})).await;
        assert_eq!(
            (result["fault"]["code"].as_str(), result["fault"]["line"].as_u64()),
            (Some("script-threw"), Some(2)),
            "{statement} {result}"
        );
    }
}

#[tokio::test]
async fn a_large_source_is_read_whole() {
    let tenant = node().tenant().await;
    let lines: String =
        (0..8_000).map(|i| format!("  () => 'line {i} of a table that makes this source a long one, as bundles are',\n")).collect();
    let source = format!(
        "const table = [\n{lines}];\nexport default function () {{ return [table.length, table[0](), table[4321](), table[7999]()]; }}"
    );
    assert!(source.len() > 500_000);
    let version = tenant.js("large", &source).await;
    let result = tenant.test("large", version, json!({"hook": "step"})).await;
    let line = |i: usize| format!("line {i} of a table that makes this source a long one, as bundles are");
    assert_eq!(result["payload"], json!([8000, line(0), line(4321), line(7999)]), "{}", result["fault"]);
}
