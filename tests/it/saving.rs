//! What may be saved: nothing of a document is lost or hidden without a word, and a refused change leaves what was there.

use serde_json::{Value, json};
use snaphook_tests::{Response, Tenant};

use crate::support::{endpoint, ok, on_both_databases, tenant};

on_both_databases! {
    a_refused_change_leaves_what_was_there,
}

/// Stores text as it is written.
async fn put(tenant: &Tenant, path: &str, text: impl Into<String>) -> Response {
    tenant.client.send("PUT", path, &[("content-type", "application/json")], text.into().into()).await
}

fn detail(answer: &Response) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

async fn a_refused_change_leaves_what_was_there() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let read = async |path: &str| tenant.client.get(path).await.expect(200).json();
    tenant.js("s", "export function preHook(call) { call.arguments.by = 's'; }").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let stored = async || [read("/v1/scripts/s").await, read("/v1/connectors/api").await, read("/v1/flows/f").await];
    let before = stored().await;

    let bad_endpoint = json!({"method": "POST", "path": "/y", "hooks": {"pre-hook": [{"script": "none"}]}});
    for (path, document) in [
        ("/v1/connectors/api", json!({"base_url": upstream.url(""), "endpoints": {"x": bad_endpoint}})),
        ("/v1/connectors/api", json!({"base_url": "no URL", "endpoints": {}})),
        ("/v1/flows/f", json!({"steps": [{"call": "api/none"}]})),
        ("/v1/flows/f", json!({"steps": [{"call": "api/x"}, {"url": upstream.url("/{{")}]})),
        ("/v1/flows/f", json!({"steps": []})),
    ] {
        let _ = tenant.client.put(path, &document).await.expect(400);
    }
    let _ = tenant.upload("s", "javascript", "export function preHook( {").await.expect(422);

    assert_eq!(stored().await, before);
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let _ = tenant.run("f", json!({"n": 1})).await.expect(200);
    let seen: Vec<Value> = upstream.requests().iter().map(snaphook_testkit::Recorded::json).collect();
    assert_eq!(seen, [json!({"by": "s"}), json!({"n": 1, "by": "s"})]);
}

#[tokio::test]
async fn names_under_which_results_meet_are_refused() {
    let (tenant, upstream) = tenant().await;
    let flow = |names: [&str; 2], trigger: Value| {
        let steps: Vec<Value> = names.iter().map(|name| json!({"name": name, "url": upstream.url("/x")})).collect();
        json!({"trigger": trigger, "steps": steps})
    };
    for (names, trigger, place, says) in [
        (["Get data", "get-data"], Value::Null, "steps[1].name", "`steps.getData`"),
        (["Trigger", "x"], Value::Null, "steps[0].name", "`steps.trigger`"),
        (["x", "In Take"], json!({"name": "in take"}), "steps[1].name", "`steps.inTake`"),
        (["--", "x"], Value::Null, "steps[0].name", "letter or digit"),
    ] {
        let refused = tenant.client.put("/v1/flows/f", &flow(names, trigger)).await.expect(400).json();
        assert_eq!((&refused["code"], &refused["path"]), (&json!("invalid"), &json!(place)), "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
    let _ = tenant.client.put("/v1/flows/f", &flow(["Get data", "Getdata"], Value::Null)).await.expect(201);
    let executed = json!({"execute": [{"url": upstream.url("/x")}, {"url": upstream.url("/x"), "name": "Step 1"}]});
    assert_eq!(tenant.client.put("/v1/flows/f", &executed).await.expect(400).json()["path"], "execute[1].name");
}

#[tokio::test]
async fn nothing_of_a_json_document_is_dropped_without_a_word() {
    let (tenant, _) = tenant().await;
    let flow = |data: &str| format!(r#"{{"steps": [{{"url": "https://a.example/", "data": {data}}}]}}"#);
    for (data, path, says) in [
        (r#"{"a": 1, "b": [{"c": 1, "c": 2}]}"#, "steps[0].data.b[0].c", "twice"),
        ("[1, 12345678901234567890123]", "steps[0].data[1]", "as a text"),
        ("0.12345678901234567890", "steps[0].data", "as a text"),
    ] {
        let refused = put(&tenant, "/v1/flows/f", flow(data)).await.expect(400);
        let document = refused.json();
        assert_eq!((&document["code"], &document["path"]), (&json!("invalid"), &json!(path)), "{document}");
        assert!(detail(&refused).contains(says) && document["line"] == 1 && document["column"].is_u64(), "{document}");
    }
    let twice =
        put(&tenant, "/v1/connectors/c", r#"{"base_url": "https://a.example", "base_url": "https://b.example", "endpoints": {}}"#).await;
    assert_eq!(twice.expect(400).json()["path"], "base_url");
    let kept = put(&tenant, "/v1/flows/f", flow("[18446744073709551615, -9223372036854775808, 1.50, 0.1, 1e3]")).await.expect(201);
    assert_eq!(kept.json()["steps"][0]["data"], json!([u64::MAX, i64::MIN, 1.5, 0.1, 1000.0]));
}

#[tokio::test]
async fn what_is_wrong_in_a_document_has_its_line_and_column() {
    let (tenant, _) = tenant().await;
    let step = |more: &str| format!("{{\n \"steps\": [\n  {{\"url\": \"https://a.example/\",\n   {more}}}]}}");
    for (more, path, column) in [
        (r#""timeout_s": 5, "foo": 1"#, "steps[0].foo", 20),
        (r#""headers": {"x": 5}"#, "steps[0].headers.x", 16),
        (r#""data": {"a": [1, {"b": "{{ b | nope }}"}]}"#, "steps[0].data.a[1].b", 23),
        (r#""hooks": {"pre-request": [{"script": "nobody"}]}"#, "steps[0].hooks.pre-request[0].script", 31),
    ] {
        let refused = put(&tenant, "/v1/flows/f", step(more)).await.json();
        let place = (&refused["path"], &refused["line"], &refused["column"]);
        assert_eq!(place, (&json!(path), &json!(4), &json!(column)), "{refused}");
    }
    let yaml = "steps:\n  - url: https://a.example/\n    data:\n      deep:\n        - '{{ b | nope }}'\n    foo: 1\n";
    let headers = [("content-type", "application/yaml")];
    let refused = tenant.client.send("PUT", "/v1/flows/f", &headers, yaml.into()).await.expect(400).json();
    assert_eq!((&refused["path"], &refused["line"], &refused["column"]), (&json!("steps[0].foo"), &json!(6), &json!(5)), "{refused}");
    let yaml = yaml.replace("    foo: 1\n", "");
    let refused = tenant.client.send("PUT", "/v1/flows/f", &headers, yaml.into()).await.expect(400).json();
    assert_eq!((&refused["path"], &refused["line"]), (&json!("steps[0].data.deep[0]"), &json!(5)), "{refused}");
}

#[tokio::test]
async fn yaml_keeps_what_json_keeps() {
    let (tenant, _) = tenant().await;
    let put_yaml = async |data: &str| {
        let text = format!("steps:\n  - url: https://a.example/\n    data: {data}\n");
        tenant.client.send("PUT", "/v1/flows/f", &[("content-type", "application/yaml")], text.into()).await
    };
    // Words are words: Norway's code is no boolean.
    let kept = put_yaml("[no, NO, on, y, true, 1.5, 18446744073709551615]").await.expect(201).json();
    assert_eq!(kept["steps"][0]["data"], json!(["no", "NO", "on", "y", true, 1.5, u64::MAX]));
    let refused = put_yaml("{a: [1, 123456789012345678901234567890]}").await.expect(400).json();
    let place = (&refused["path"], &refused["code"], &refused["line"], &refused["column"]);
    assert_eq!(place, (&json!("steps[0].data.a[1]"), &json!("invalid"), &json!(3), &json!(19)), "{refused}");
    // What JSON keeps is kept: what is a float there is one here.
    let kept = put_yaml("[1e20, 0.1, -9223372036854775808]").await.expect(200).json();
    assert_eq!(kept["steps"][0]["data"], json!([1e20, 0.1, i64::MIN]));
    for lost in ["0.12345678901234567890", "-9223372036854775809", "18446744073709551617", "0x1FFFFFFFFFFFFFFFFF", "1e-400", "007"] {
        let refused = put_yaml(lost).await.expect(400).json();
        assert_eq!((&refused["path"], &refused["line"]), (&json!("steps[0].data"), &json!(3)), "{lost}: {refused}");
    }
    let elsewhere = put(&tenant, "/v1/connectors/c", r#"{"base_url": "https://a.example/#x", "endpoints": {}}"#).await.expect(400);
    assert_eq!(elsewhere.json()["path"], "base_url");
}

#[tokio::test]
async fn a_document_has_so_many_templates() {
    let (tenant, upstream) = tenant().await;
    let data = |count: usize| vec!["{{ payload.a }}"; count];
    let steps = |counts: [usize; 2]| json!({"steps": counts.map(|count| json!({"url": upstream.url("/x"), "data": data(count)}))});
    let _ = tenant.client.put("/v1/flows/f", &steps([1500, 500])).await.expect(201);
    let refused = tenant.client.put("/v1/flows/f", &steps([1500, 501])).await.expect(400).json();
    assert_eq!(
        (&refused["code"], &refused["path"], &refused["limit"]),
        (&json!("invalid"), &json!("steps[1].data[500]"), &json!(2000)),
        "{refused}"
    );
    let endpoint = json!({"method": "POST", "path": "/x", "data": data(2000), "headers": {"x-a": "{{ payload.a }}"}});
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}});
    let refused = tenant.client.put("/v1/connectors/c", &connector).await.expect(400).json();
    assert!(refused["path"].as_str().unwrap().starts_with("endpoints.x."), "{refused}");
}

/// The old document's rules, where `hooks` refuses a step whose endpoint sends files.
#[tokio::test]
async fn a_list_called_execute_is_called_so_in_every_complaint() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function preRequest() {}").await;
    endpoint(&tenant, &upstream, json!({}), json!({"files": {"file": "f.txt"}})).await;
    let flow = json!({"execute": [{"call": "api/x", "hooks": {"pre-request": [{"script": "s"}]}}]});
    assert_eq!(tenant.client.put("/v1/flows/f", &flow).await.expect(400).json()["path"], "execute[0].hooks.pre-request");
}
