//! Tenants, by the operator.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::TestNode;

#[tokio::test]
async fn a_tenant_is_created_changed_and_deleted() {
    let node = TestNode::start().await;
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/acme", Value::Null).await.shown(), @"");
    let document = json!({"limits": {"fuel": 5_000_000}, "grants": {"fetch": true}, "egress": {"allow": ["*.example.org"], "allow_private": ["10.0.0.0/8"]}});
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/acme", document).await.shown(), @"");
    let read = node.as_operator("GET", "/v1/tenants/acme", Value::Null).await.expect(200).json();
    assert_eq!((read["limits"]["fuel"].as_u64(), read["grants"]["fetch"].as_bool()), (Some(5_000_000), Some(true)));

    let token = node.token("acme", &["read"]).await;
    node.json("GET", "/v1/scripts", &token, Value::Null).await.expect(200);
    node.as_operator("DELETE", "/v1/tenants/acme", Value::Null).await.expect(204);
    node.json("GET", "/v1/scripts", &token, Value::Null).await.expect(401);
    assert_snapshot!(node.as_operator("GET", "/v1/tenants/acme", Value::Null).await.shown(), @"");
    node.as_operator("DELETE", "/v1/tenants/acme", Value::Null).await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_in_a_tenant_is_named_by_its_path() {
    let node = TestNode::start().await;
    let refused = async |document: Value| node.as_operator("PUT", "/v1/tenants/acme", document).await;
    assert_snapshot!(refused(json!({"limits": {"fuel": 1}})).await.shown(), @"");
    assert_snapshot!(refused(json!({"limits": {"petrol": 1}})).await.shown(), @"");
    assert_snapshot!(refused(json!({"egress": {"allow": ["ok.example", "http://x"]}})).await.shown(), @"");
    assert_eq!(refused(json!({"quota": {}})).await.expect(400).json()["path"], "quota");
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/-bad", json!({})).await.shown(), @"");
    node.as_operator("GET", "/v1/tenants/acme", Value::Null).await.expect(404);
}

#[tokio::test]
async fn a_change_of_limits_holds_at_once() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.send("POST", "/v1/tokens", json!({"name": "a", "scopes": ["read"]})).await.expect(201);
    node.as_operator("PUT", "/v1/tenants/acme", json!({"limits": {"request_body_bytes": 10}})).await.expect(200);
    let refused = acme.send("POST", "/v1/tokens", json!({"name": "a", "scopes": ["read"]})).await.expect(413).json();
    assert_eq!((refused["code"].as_str(), refused["limit"].as_u64()), (Some("too-large"), Some(10)));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let node = TestNode::start().await;
    for name in ["c", "a", "b"] {
        node.as_operator("PUT", &format!("/v1/tenants/{name}"), json!({})).await.expect(201);
    }
    let page = async |query: String| node.as_operator("GET", &format!("/v1/tenants{query}"), Value::Null).await;
    let first = page("?limit=2".to_owned()).await.expect(200).json();
    let names =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a", "b"]);
    let second = page(format!("?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((names(&second), &second["next_cursor"]), (vec!["c".to_owned()], &Value::Null));
    assert_snapshot!(page("?limit=0".to_owned()).await.shown(), @"");
    assert_snapshot!(page("?limit=ten".to_owned()).await.shown(), @"");
    assert_snapshot!(page("?page=2".to_owned()).await.shown(), @"");
    assert_snapshot!(page("?cursor=nonsense%00".to_owned()).await.shown(), @"");
}
