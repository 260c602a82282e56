//! Around the API: health, what codes mean, and addresses that are not there.

use insta::assert_snapshot;
use serde_json::Value;
use snaphook_model::Code;
use snaphook_store::Store as _;

use crate::support::TestNode;

#[tokio::test]
async fn health_needs_no_token() {
    let node = TestNode::start().await;
    assert_snapshot!(node.send("GET", "/healthz", &[], "").await.shown(), @r#"
    200 application/json
    {
      "status": "ok"
    }
    "#);
    assert_snapshot!(node.send("GET", "/readyz", &[], "").await.shown(), @r#"
    200 application/json
    {
      "status": "ready"
    }
    "#);
    node.store.close().await.unwrap();
    let closed = node.send("GET", "/readyz", &[], "").await;
    assert_eq!(closed.header("retry-after"), Some("1"));
    assert_snapshot!(closed.shown(), @r#"
    503 application/problem+json
    {
      "type": "/errors/store-unavailable",
      "title": "store is not available",
      "status": 503,
      "code": "store-unavailable",
      "blame": "platform",
      "detail": "the store is closed",
      "request_id": "[request_id]"
    }
    "#);
    node.send("GET", "/healthz", &[], "").await.expect(200);
}

#[tokio::test]
async fn a_full_node_still_answers_probes() {
    let node = TestNode::with(|config| config.max_requests = 1).await;
    node.send("GET", "/healthz", &[], "").await.expect(200);
    node.as_operator("GET", "/v1/tenants", Value::Null).await.expect(200);
}

#[tokio::test]
async fn every_code_has_a_page() {
    let node = TestNode::start().await;
    assert_snapshot!(node.send("GET", "/errors/script-bound", &[], "").await.shown(), @r#"
    200 application/json
    {
      "code": "script-bound",
      "title": "script version is bound",
      "blame": "caller",
      "status": 409,
      "retryable": false,
      "help": "The version still sits at a hook. Bind another version there first; `detail` says where."
    }
    "#);
    for code in Code::ALL {
        let path = format!("/errors/{code}");
        assert_eq!(node.send("GET", &path, &[], "").await.expect(200).json()["code"], code.as_str());
        let page = node.send("GET", &path, &[("accept", "text/html,*/*;q=0.8")], "").await.expect(200);
        assert!(page.header("content-type").unwrap().starts_with("text/html") && page.text().contains(code.help()));
    }
    assert_snapshot!(node.send("GET", "/errors/nonsense", &[], "").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no code `nonsense`",
      "request_id": "[request_id]"
    }
    "#);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let node = TestNode::start().await;
    assert_snapshot!(node.send("GET", "/v2/everything", &[], "").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no such path",
      "request_id": "[request_id]"
    }
    "#);
    let method = node.send("PATCH", "/v1/scripts/s", &[], "").await;
    assert_eq!(method.header("allow"), Some("PUT,GET,HEAD"));
    assert_snapshot!(method.shown(), @r#"
    405 application/problem+json
    {
      "type": "/errors/method-not-allowed",
      "title": "method not allowed",
      "status": 405,
      "code": "method-not-allowed",
      "blame": "caller",
      "detail": "the path exists but does not take this method",
      "request_id": "[request_id]"
    }
    "#);
    node.send("GET", "/v1/call/a/b", &[], "").await.expect(405);
    node.send("POST", "/v1/call/a", &[], "").await.expect(404);
    node.send("GET", "/healthz?deep=1", &[], "").await.expect(400);
    let head = node.send("HEAD", "/healthz", &[], "").await.expect(200);
    assert!(head.body.is_empty());
}
