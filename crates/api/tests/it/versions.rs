//! Versions of scripts: reading and uploading them, as far as no compiler is needed.

use insta::assert_snapshot;
use serde_json::Value;
use snaphook_model::Hook;

use crate::support::TestNode;

#[tokio::test]
async fn versions_are_listed_and_read() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.seed_script("s", &[Hook::PreHook]).await;
    acme.seed_script("s", &[Hook::PostHook]).await;
    assert_snapshot!(acme.get("/v1/scripts/s/versions/1").await.shown(), @r#"
    200 application/json
    {
      "name": "s",
      "version": 1,
      "hash": "[PreHook]",
      "kind": "script",
      "language": "javascript",
      "dialect": "native",
      "hooks": [
        "pre-hook"
      ],
      "source_bytes": 14,
      "component_bytes": 4,
      "deploy_ms": "[deploy_ms]",
      "warnings": [],
      "created_at": "[created_at]"
    }
    "#);
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
    // Uploaded components belong to no interpreter: none is made again.
    assert_eq!(node.programs.refresh().await.unwrap(), 0);
    assert!(node.dir.path().join("snaphook.db").exists());
}

#[tokio::test]
async fn an_upload_is_checked_before_it_is_compiled() {
    let node = TestNode::start().await;
    let acme = node.tenant_with("acme", serde_json::json!({"limits": {"source_bytes": 20, "request_body_bytes": 10}})).await;
    assert_snapshot!(acme.upload("/v1/scripts/s", "text/plain", "x".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "`text/plain` is no content type of a script; there are application/javascript, application/typescript, application/wasm",
      "path": "content-type",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/s?dialect=cobol", "application/javascript", "x".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "`cobol` is no dialect; there are native, patchworks, braincloud, prismatic",
      "path": "dialect",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/s?speed=1", "application/javascript", "x".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `speed`, expected `dialect`",
      "path": "speed",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/s", "application/javascript", "x".repeat(21)).await.shown(), @r#"
    413 application/problem+json
    {
      "type": "/errors/source-size",
      "title": "source or component is too large",
      "status": 413,
      "code": "source-size",
      "blame": "guest",
      "detail": "the body is larger than 20 bytes, the tenant's limit `source_bytes`",
      "limit": 20,
      "used": 21,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/a%20b", "application/javascript", "x".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/name",
      "title": "not a valid name",
      "status": 400,
      "code": "name",
      "blame": "caller",
      "detail": "`a b` is not a name: it must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}",
      "request_id": "[request_id]"
    }
    "#);
}
