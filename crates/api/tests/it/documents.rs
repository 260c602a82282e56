//! Documents as bodies: JSON, YAML, and what is neither.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Answered, TestNode, TestTenant};

async fn put(tenant: &TestTenant<'_>, content_type: &str, body: impl Into<bytes::Bytes>) -> Answered {
    let authorization = format!("Bearer {}", tenant.token);
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
    tenant.node.send("PUT", "/v1/connectors/crm", &headers, body).await
}

#[tokio::test]
async fn yaml_and_json_are_the_same_document() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let yaml = "base_url: https://api.example.com\nheaders:\n  accept: application/json\nendpoints:\n  send:\n    method: POST\n    path: /send\n    query: {v: \"2\"}\n    data: {n: 1.5, on: true, none: null}\n    status_code: [200, \"201\"]\n";
    let from_yaml = put(&acme, "application/yaml", yaml).await.expect(201).json();
    let document = json!({"base_url": "https://api.example.com", "headers": {"accept": "application/json"}, "endpoints": {"send":
        {"method": "POST", "path": "/send", "query": {"v": "2"}, "data": {"n": 1.5, "on": true, "none": null}, "status_code": [200, "201"]}}});
    let from_json = put(&acme, "application/json; charset=utf-8", document.to_string()).await.expect(200).json();
    let without_time = |mut value: Value| {
        value.as_object_mut().unwrap().remove("updated_at");
        value
    };
    assert_eq!(without_time(from_yaml), without_time(from_json));
}

#[tokio::test]
async fn what_does_not_parse_is_placed() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    assert_snapshot!(put(&acme, "application/json", "{\n  \"base_url\": }").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "the body is not JSON: expected value",
      "line": 2,
      "column": 15,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(&acme, "application/yaml", "base_url: [a\nendpoints: {}").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "the body is not YAML: illegal placement of ':' indicator at line 2, column 10",
      "line": 2,
      "column": 10,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(&acme, "text/plain", "{}").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "a document is `application/json` or `application/yaml`, not `text/plain`",
      "path": "content-type",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(&acme, "application/json", "").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "the body is empty; a JSON document belongs there",
      "request_id": "[request_id]"
    }
    "#);
    put(&acme, "application/json", "[1]").await.expect(400);
    put(&acme, "application/json", &b"{\"base_url\": \"\xff\"}"[..]).await.expect(400);
    put(&acme, "application/json", "[".repeat(100_000)).await.expect(400);
}

#[tokio::test]
async fn a_yaml_bomb_is_refused() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        let below = format!("*a{}, ", i - 1).repeat(10);
        bomb += &format!("a{i}: &a{i} [{}]\n", below.trim_end_matches(", "));
    }
    assert_eq!(put(&acme, "application/yaml", bomb).await.expect(400).json()["code"], "invalid");
}

#[tokio::test]
async fn a_document_is_at_most_one_mebibyte() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let refused = put(&acme, "application/json", " ".repeat((1 << 20) + 1)).await;
    assert_snapshot!(refused.shown(), @r#"
    413 application/problem+json
    {
      "type": "/errors/too-large",
      "title": "body is too large",
      "status": 413,
      "code": "too-large",
      "blame": "caller",
      "detail": "the body is larger than 1048576 bytes, the most that a document may have",
      "limit": 1048576,
      "used": 1048577,
      "request_id": "[request_id]"
    }
    "#);
}
