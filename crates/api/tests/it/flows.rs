//! Flows and their versions.

use insta::assert_snapshot;
use serde_json::{Value, json};
use snaphook_model::Hook;

use crate::support::TestNode;

#[tokio::test]
async fn a_flow_counts_its_versions() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.seed_script("shape", &[Hook::Step]).await;
    acme.seed_script("check", &[Hook::PostRequest]).await;
    acme.put("/v1/connectors/shop", json!({"base_url": "https://shop.example", "endpoints": {"order": {"method": "POST", "path": "/o"}}}))
        .await
        .expect(201);
    let first = json!({"execute": [{"call": "shop/order", "hooks": {"post-request": [{"script": "check"}]}}, {"script": "shape", "parms": {"a": 1}}]});
    assert_snapshot!(acme.put("/v1/flows/orders", first.clone()).await.shown(), @r#"
    201 application/json
    {
      "name": "orders",
      "version": 1,
      "steps": [
        {
          "name": "step-1",
          "call": "shop/order",
          "hooks": {
            "post-request": [
              {
                "script": "check",
                "version": 1
              }
            ]
          }
        },
        {
          "name": "step-2",
          "script": "shape",
          "version": 1,
          "parms": {
            "a": 1
          }
        }
      ],
      "updated_at": "[updated_at]"
    }
    "#);
    let again = acme.put("/v1/flows/orders", first).await.expect(200).json();
    assert_eq!(again["version"], 1);
    let changed = acme.put("/v1/flows/orders", json!({"steps": [{"name": "only", "script": "shape"}]})).await.expect(200).json();
    assert_eq!(changed["version"], 2);
    assert_eq!(acme.get("/v1/flows/orders").await.expect(200).json()["steps"][0]["name"], "only");
    assert_eq!(acme.get("/v1/flows/orders/versions/1").await.expect(200).json()["steps"][1]["version"], 1);
    assert_eq!(acme.get("/v1/flows").await.expect(200).json()["items"][0]["version"], 2);
    assert_snapshot!(acme.get("/v1/flows/orders/versions/3").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no version 3 of flow `orders`",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.get("/v1/flows/orders/versions/x").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no version `x`",
      "request_id": "[request_id]"
    }
    "#);
    acme.send("DELETE", "/v1/flows/orders", Value::Null).await.expect(204);
    acme.get("/v1/flows/orders").await.expect(404);
    acme.get("/v1/flows/orders/versions/1").await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_in_a_flow_is_named_by_its_path() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    acme.seed_script("s", &[Hook::PreHook]).await;
    acme.put("/v1/connectors/shop", json!({"base_url": "https://shop.example", "endpoints": {"order": {"method": "POST", "path": "/o"}}}))
        .await
        .expect(201);
    let put = async |steps: Value| acme.put("/v1/flows/f", json!({"steps": steps})).await;
    assert_snapshot!(put(json!([{"script": "s"}])).await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/script-no-hook",
      "title": "script has no such hook",
      "status": 422,
      "code": "script-no-hook",
      "blame": "guest",
      "detail": "version 1 of script `s` has no `step`; it has pre-hook",
      "path": "steps[0]",
      "line": 1,
      "column": 11,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(json!([{"script": "s", "version": 9}])).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "script `s` has no version 9",
      "path": "steps[0].version",
      "line": 1,
      "column": 25,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(json!([{"call": "nope/order"}])).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "there is no connector `nope`",
      "path": "steps[0].call",
      "line": 1,
      "column": 12,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(json!([{"call": "shop/order"}, {"call": "shop/cancel"}])).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "connector `shop` has no endpoint `cancel`",
      "path": "steps[1].call",
      "line": 1,
      "column": 34,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(put(json!([{"call": "shop/order", "foo": 1}])).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "unknown field `foo`, expected one of `name`, `call`, `url`, `script`, `version`, `parms`, `on_error`, `method`, `headers`, `data`, `encode`, `cast_data_to_json`, `status_code`, `save_as_file`, `files`, `continue_if`, `store_data`, `polling`, `async`, `idempotent`, `connection`, `retry`, `timeout_s`, `hooks`",
      "path": "steps[0].foo",
      "line": 1,
      "column": 32,
      "request_id": "[request_id]"
    }
    "#);
    assert_eq!(
        put(json!([{"call": "shop/order", "hooks": {"post-hook": [{"script": "s"}]}}])).await.expect(422).json()["path"],
        "steps[0].hooks.post-hook[0]"
    );
}
