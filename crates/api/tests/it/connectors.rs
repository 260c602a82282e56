//! Connectors and their bindings.

use insta::assert_snapshot;
use serde_json::{Value, json};
use snaphook_model::Hook;

use crate::support::TestNode;

fn connector(hooks: Value) -> Value {
    json!({"base_url": "https://api.example.com", "endpoints": {"send": {"method": "POST", "path": "/send", "hooks": hooks}}})
}

#[tokio::test]
async fn a_connector_is_created_replaced_and_deleted() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    assert_eq!(acme.seed_script("s", &[Hook::PreHook]).await, 1);
    assert_eq!(acme.seed_script("s", &[Hook::PreHook, Hook::PostHook]).await, 2);
    let bound = connector(json!({"pre-hook": [{"script": "s", "parms": {"a": 1}}, {"script": "s", "version": 1}]}));
    assert_snapshot!(acme.put("/v1/connectors/crm", bound.clone()).await.shown(), @r#"
    201 application/json
    {
      "name": "crm",
      "base_url": "https://api.example.com",
      "endpoints": {
        "send": {
          "method": "POST",
          "path": "/send",
          "hooks": {
            "pre-hook": [
              {
                "script": "s",
                "version": 2,
                "parms": {
                  "a": 1
                }
              },
              {
                "script": "s",
                "version": 1
              }
            ]
          }
        }
      },
      "updated_at": "[updated_at]"
    }
    "#);
    acme.put("/v1/connectors/crm", bound).await.expect(200);
    assert_eq!(acme.get("/v1/connectors/crm").await.expect(200).json()["endpoints"]["send"]["hooks"]["pre-hook"][0]["version"], 2);
    assert_eq!(acme.get("/v1/connectors").await.expect(200).json()["items"][0]["name"], "crm");

    let kept = acme.send("DELETE", "/v1/scripts/s/versions/2", Value::Null).await;
    assert_snapshot!(kept.shown(), @r#"
    409 application/problem+json
    {
      "type": "/errors/script-bound",
      "title": "script version is bound",
      "status": 409,
      "code": "script-bound",
      "blame": "caller",
      "detail": "version 2 of script `s` is bound at connector crm, endpoints.send.hooks.pre-hook[0]",
      "request_id": "[request_id]"
    }
    "#);
    acme.send("DELETE", "/v1/connectors/crm", Value::Null).await.expect(204);
    assert_snapshot!(acme.get("/v1/connectors/crm").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no connector `crm`",
      "request_id": "[request_id]"
    }
    "#);
    acme.send("DELETE", "/v1/connectors/crm", Value::Null).await.expect(404);
    acme.send("DELETE", "/v1/scripts/s/versions/2", Value::Null).await.expect(204);
}

#[tokio::test]
async fn what_is_wrong_in_a_connector_is_named_by_its_path() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.seed_script("s", &[Hook::PreHook]).await;
    let put = async |document: Value| acme.put("/v1/connectors/crm", document).await;
    assert_snapshot!(put(connector(json!({"pre-hook": [{"script": "nope"}]}))).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "there is no script `nope`",
      "path": "endpoints.send.hooks.pre-hook[0].script",
      "line": 1,
      "column": 113,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(connector(json!({"pre-hook": [{"script": "s"}, {"script": "s", "version": 7}]}))).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "script `s` has no version 7",
      "path": "endpoints.send.hooks.pre-hook[1].version",
      "line": 1,
      "column": 141,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(connector(json!({"post-hook": [{"script": "s"}]}))).await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/script-no-hook",
      "title": "script has no such hook",
      "status": 422,
      "code": "script-no-hook",
      "blame": "guest",
      "detail": "version 1 of script `s` has no `post-hook`; it has pre-hook",
      "path": "endpoints.send.hooks.post-hook[0]",
      "line": 1,
      "column": 113,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(connector(json!({"before": [{"script": "s"}]}))).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "`before` is no hook; there are pre-hook, pre-request, post-request, post-hook, post-fail, step, trigger",
      "path": "endpoints.send.hooks.before",
      "line": 1,
      "column": 100,
      "request_id": "[request_id]"
    }
    "#);
    let mut unknown = connector(json!({}));
    unknown["endpoints"]["send"]["colour"] = "red".into();
    assert_snapshot!(put(unknown).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `colour`, expected one of `method`, `path`, `query`, `headers`, `data`, `files`, `encode`, `payload_path`, `status_code`, `continue_if`, `store_data`, `retry`, `idempotent`, `timeout_s`, `redirects`, `hooks`",
      "path": "endpoints.send.colour",
      "line": 1,
      "column": 102,
      "request_id": "[request_id]"
    }
    "#);
    let mut method = connector(json!({}));
    method["endpoints"]["send"]["method"] = "post".into();
    assert_eq!(put(method).await.expect(400).json()["path"], "endpoints.send.method");
    acme.get("/v1/connectors/crm").await.expect(404);
}

#[tokio::test]
async fn another_tenants_script_does_not_exist() {
    let node = TestNode::start().await;
    let (acme, other) = (node.tenant("acme").await, node.tenant("other").await);
    other.seed_script("theirs", &[Hook::PreHook]).await;
    let refused = acme.put("/v1/connectors/crm", connector(json!({"pre-hook": [{"script": "theirs"}]}))).await.expect(400).json();
    assert_eq!(refused["path"], "endpoints.send.hooks.pre-hook[0].script");
}
