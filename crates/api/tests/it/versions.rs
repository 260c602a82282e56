//! Versions of scripts: reading and uploading them, as far as no compiler is needed.

use insta::assert_snapshot;
use serde_json::Value;
use snaphook_model::Hook;

use crate::support::{Answered, TestNode, TestTenant};

async fn upload(tenant: &TestTenant<'_>, path: &str, content_type: &str, body: String) -> Answered {
    let authorization = format!("Bearer {}", tenant.token);
    tenant.node.send("PUT", path, &[("authorization", &authorization), ("content-type", content_type)], body).await
}

#[tokio::test]
async fn versions_are_listed_and_read() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.seed_script("s", &[Hook::PreHook]).await;
    acme.seed_script("s", &[Hook::PostHook]).await;
    assert_snapshot!(acme.get("/v1/scripts/s/versions/1").await.shown(), @"");
    let script = acme.get("/v1/scripts/s").await.expect(200).json();
    let numbers: Vec<_> = script["versions"].as_array().unwrap().iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!((script["version"].as_u64(), numbers), (Some(2), vec![2, 1]));
    let listed = acme.get("/v1/scripts").await.expect(200).json();
    assert_eq!((listed["items"][0]["name"].as_str(), listed["items"][0]["version"].as_u64()), (Some("s"), Some(2)));

    let source = acme.get("/v1/scripts/s/versions/1/source").await.expect(200);
    assert_eq!((source.header("content-type"), source.text().as_str()), (Some("application/javascript"), "// s [PreHook]"));
    let component = acme.get("/v1/scripts/s/versions/1/component").await.expect(200);
    assert_eq!((component.header("content-type"), &component.body[..]), (Some("application/wasm"), &b"\0asm"[..]));
    for missing in ["/v1/scripts/x", "/v1/scripts/s/versions/3", "/v1/scripts/s/versions/0", "/v1/scripts/s/versions/3/source"] {
        assert_eq!(acme.get(missing).await.expect(404).json()["code"], "not-found", "{missing}");
    }
    acme.send("DELETE", "/v1/scripts/s/versions/3", Value::Null).await.expect(404);
}

#[tokio::test]
async fn an_upload_is_checked_before_it_is_compiled() {
    let node = TestNode::start().await;
    let acme = node.tenant_with("acme", serde_json::json!({"limits": {"source_bytes": 20, "request_body_bytes": 10}})).await;
    assert_snapshot!(upload(&acme, "/v1/scripts/s", "text/plain", "x".to_owned()).await.shown(), @"");
    assert_snapshot!(upload(&acme, "/v1/scripts/s?dialect=cobol", "application/javascript", "x".to_owned()).await.shown(), @"");
    assert_snapshot!(upload(&acme, "/v1/scripts/s?speed=1", "application/javascript", "x".to_owned()).await.shown(), @"");
    assert_snapshot!(upload(&acme, "/v1/scripts/s", "application/javascript", "x".repeat(21)).await.shown(), @"");
    assert_snapshot!(upload(&acme, "/v1/scripts/a%20b", "application/javascript", "x".to_owned()).await.shown(), @"");
}
