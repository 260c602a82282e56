//! Tokens and who may use them.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::TestNode;

#[tokio::test]
async fn a_token_is_made_used_and_deleted() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let made = acme.send("POST", "/v1/tokens", json!({"name": "ci", "scopes": ["read", "deploy", "read"], "expires_s": 60})).await;
    assert_snapshot!(made.shown(), @r#"
    201 application/json
    {
      "id": "[id]",
      "name": "ci",
      "scopes": [
        "deploy",
        "read"
      ],
      "created_at": "[created_at]",
      "expires_at": "[expires_at]",
      "last_used_at": null,
      "token": "[token]"
    }
    "#);
    let (id, token) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["token"].as_str().unwrap().to_owned());
    assert_snapshot!(acme.get("/v1/tokens").await.shown(), @r#"
    200 application/json
    {
      "items": [
        {
          "id": "[id]",
          "name": "test",
          "scopes": [
            "admin"
          ],
          "created_at": "[created_at]",
          "expires_at": null,
          "last_used_at": "[last_used_at]"
        },
        {
          "id": "[id]",
          "name": "ci",
          "scopes": [
            "deploy",
            "read"
          ],
          "created_at": "[created_at]",
          "expires_at": "[expires_at]",
          "last_used_at": null
        }
      ],
      "next_cursor": null
    }
    "#);

    node.json("GET", "/v1/flows", &token, Value::Null).await.expect(200);
    acme.send("DELETE", &format!("/v1/tokens/{id}"), Value::Null).await.expect(204);
    // It was kept in memory a moment ago.
    assert_snapshot!(node.json("GET", "/v1/flows", &token, Value::Null).await.shown(), @r#"
    401 application/problem+json
    {
      "type": "/errors/unauthorized",
      "title": "token missing or unknown",
      "status": 401,
      "code": "unauthorized",
      "blame": "caller",
      "detail": "the token is unknown or has expired",
      "request_id": "[request_id]"
    }
    "#);
    acme.send("DELETE", &format!("/v1/tokens/{id}"), Value::Null).await.expect(404);
}

#[tokio::test]
async fn a_token_comes_as_bearer_or_basic() {
    use base64::Engine as _;
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!(":{}", acme.token)));
    node.send("GET", "/v1/flows", &[("authorization", &basic)], "").await.expect(200);
    for bad in ["", "Bearer", "Bearer snap_unknown", "Basic eA=="] {
        let refused = node.send("GET", "/v1/flows", &[("authorization", bad)], "").await.expect(401);
        assert_eq!((refused.json()["code"].as_str(), refused.header("www-authenticate")), (Some("unauthorized"), Some("Bearer")), "{bad}");
    }
}

#[tokio::test]
async fn an_expired_token_is_unknown() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let record = snaphook_model::TokenRecord {
        id: "old".to_owned(),
        name: "old".to_owned(),
        scopes: snaphook_model::TokenScopes(vec![snaphook_model::TokenScope::Read]),
        created_at: "2020-01-01T00:00:00Z".parse().unwrap(),
        expires_at: Some("2020-01-02T00:00:00Z".parse().unwrap()),
        last_used_at: None,
    };
    use snaphook_store::TenantStore as _;
    node.store.add_token(&acme.tenant_name(), &record, snaphook_api::token_hash("snap_old")).await.unwrap();
    for _ in 0..2 {
        node.json("GET", "/v1/flows", "snap_old", Value::Null).await.expect(401);
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_token_is_named() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    let path = async |body: Value| acme.send("POST", "/v1/tokens", body).await.expect(400).json()["path"].as_str().map(str::to_owned);
    assert_eq!(path(json!({"name": "", "scopes": ["read"]})).await.as_deref(), Some("name"));
    assert_eq!(path(json!({"name": "x", "scopes": []})).await.as_deref(), Some("scopes"));
    assert_eq!(path(json!({"name": "x", "scopes": ["read", "fly"]})).await.as_deref(), Some("scopes[1]"));
    assert_eq!(path(json!({"name": "x", "scopes": ["read"], "expires_s": 0})).await.as_deref(), Some("expires_s"));
    assert_eq!(path(json!({"name": "x", "scopes": ["read"], "extra": 1})).await.as_deref(), Some("extra"));
    let unknown = node.as_operator("POST", "/v1/tenants/nobody/tokens", json!({"name": "x", "scopes": ["read"]})).await;
    assert_snapshot!(unknown.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "tenant `nobody` does not exist",
      "request_id": "[request_id]"
    }
    "#);
    let stray = acme.send("POST", "/v1/tokens?x=1", json!({"name": "x", "scopes": ["read"]})).await;
    assert_snapshot!(stray.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `x`, there are no fields",
      "path": "x",
      "request_id": "[request_id]"
    }
    "#);
}
