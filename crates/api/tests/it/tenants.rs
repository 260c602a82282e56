//! Tenants, by the operator.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::TestNode;

#[tokio::test]
async fn a_tenant_is_created_with_every_default() {
    let node = TestNode::start().await;
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/acme", Value::Null).await.shown(), @r#"
    201 application/json
    {
      "name": "acme",
      "limits": {
        "fuel": 1000000000,
        "wall_ms": 10000,
        "memory_bytes": 67108864,
        "output_bytes": 6291456,
        "log_bytes": 65536,
        "host_calls": 50,
        "source_bytes": 1048576,
        "component_bytes": 16777216,
        "request_body_bytes": 6291456,
        "response_body_bytes": 16777216,
        "state_bytes": 4194304
      },
      "quota": {
        "concurrency": 16,
        "rate_per_s": 100,
        "history_bytes": 10737418240,
        "script_bytes": 1073741824,
        "queue_bytes": 1073741824,
        "documents": 1000000,
        "document_bytes": 1073741824
      },
      "weight": 1,
      "grants": {
        "fetch": false
      },
      "retention": {
        "logs_s": 604800,
        "payloads_s": 259200,
        "audit_s": 31536000
      },
      "usage": {
        "concurrency": 0
      },
      "egress": {},
      "created_at": "[created_at]",
      "updated_at": "[updated_at]"
    }
    "#);
}

#[tokio::test]
async fn a_tenant_is_changed_and_deleted() {
    let node = TestNode::start().await;
    node.as_operator("PUT", "/v1/tenants/acme", Value::Null).await.expect(201);
    let document = json!({"limits": {"fuel": 5_000_000}, "grants": {"fetch": true}, "egress": {"allow": ["*.example.org"], "allow_private": ["10.0.0.0/8"]}});
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/acme", document).await.shown(), @r#"
    200 application/json
    {
      "name": "acme",
      "limits": {
        "fuel": 5000000,
        "wall_ms": 10000,
        "memory_bytes": 67108864,
        "output_bytes": 6291456,
        "log_bytes": 65536,
        "host_calls": 50,
        "source_bytes": 1048576,
        "component_bytes": 16777216,
        "request_body_bytes": 6291456,
        "response_body_bytes": 16777216,
        "state_bytes": 4194304
      },
      "quota": {
        "concurrency": 16,
        "rate_per_s": 100,
        "history_bytes": 10737418240,
        "script_bytes": 1073741824,
        "queue_bytes": 1073741824,
        "documents": 1000000,
        "document_bytes": 1073741824
      },
      "weight": 1,
      "grants": {
        "fetch": true
      },
      "retention": {
        "logs_s": 604800,
        "payloads_s": 259200,
        "audit_s": 31536000
      },
      "usage": {
        "concurrency": 0
      },
      "egress": {
        "allow": [
          "*.example.org"
        ],
        "allow_private": [
          "10.0.0.0/8"
        ]
      },
      "created_at": "[created_at]",
      "updated_at": "[updated_at]"
    }
    "#);
    let read = node.as_operator("GET", "/v1/tenants/acme", Value::Null).await.expect(200).json();
    assert_eq!((read["limits"]["fuel"].as_u64(), read["grants"]["fetch"].as_bool()), (Some(5_000_000), Some(true)));

    let token = node.token("acme", &["read"]).await;
    node.json("GET", "/v1/scripts", &token, Value::Null).await.expect(200);
    node.as_operator("DELETE", "/v1/tenants/acme", Value::Null).await.expect(204);
    node.json("GET", "/v1/scripts", &token, Value::Null).await.expect(401);
    assert_snapshot!(node.as_operator("GET", "/v1/tenants/acme", Value::Null).await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no tenant `acme`",
      "request_id": "[request_id]"
    }
    "#);
    node.as_operator("DELETE", "/v1/tenants/acme", Value::Null).await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_in_a_tenant_is_named_by_its_path() {
    let node = TestNode::start().await;
    let refused = async |document: Value| node.as_operator("PUT", "/v1/tenants/acme", document).await;
    assert_snapshot!(refused(json!({"limits": {"fuel": 1}})).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "1 is not between 100000 and 1000000000000",
      "path": "limits.fuel",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(refused(json!({"limits": {"petrol": 1}})).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `petrol`, expected one of `fuel`, `wall_ms`, `memory_bytes`, `output_bytes`, `log_bytes`, `host_calls`, `source_bytes`, `component_bytes`, `request_body_bytes`, `response_body_bytes`, `state_bytes`",
      "path": "limits.petrol",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(refused(json!({"egress": {"allow": ["ok.example", "http://x"]}})).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "`//x` is no port",
      "path": "egress.allow[1]",
      "request_id": "[request_id]"
    }
    "#);
    assert_eq!(refused(json!({"quotas": {}})).await.expect(400).json()["path"], "quotas");
    for (quota, path) in [
        (json!({"concurrency": 0}), "quota.concurrency"),
        (json!({"rate_per_s": 1_000_001}), "quota.rate_per_s"),
        (json!({"history_bytes": (1 << 20) - 1}), "quota.history_bytes"),
        (json!({"script_bytes": (1_u64 << 50) + 1}), "quota.script_bytes"),
        (json!({"queue_bytes": 0}), "quota.queue_bytes"),
        (json!({"documents": 0}), "quota.documents"),
        (json!({"document_bytes": (1 << 20) - 1}), "quota.document_bytes"),
    ] {
        assert_eq!(refused(json!({"quota": quota})).await.expect(400).json()["path"], path);
    }
    for weight in [0, 1001] {
        assert_eq!(refused(json!({"weight": weight})).await.expect(400).json()["path"], "weight");
    }
    assert_snapshot!(node.as_operator("PUT", "/v1/tenants/-bad", json!({})).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/name",
      "title": "not a valid name",
      "status": 400,
      "code": "name",
      "blame": "caller",
      "detail": "`-bad` is not a name: it must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}",
      "request_id": "[request_id]"
    }
    "#);
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
    assert_snapshot!(page("?limit=0".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "must be a number from 1 to 200",
      "path": "limit",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(page("?limit=ten".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "must be a number from 1 to 200",
      "path": "limit",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(page("?page=2".to_owned()).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `page`, expected `limit` or `cursor`",
      "path": "page",
      "request_id": "[request_id]"
    }
    "#);
    assert_eq!(page("?limit=1&limit=2".to_owned()).await.expect(400).json()["path"], "limit");
}
