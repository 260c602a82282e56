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
    assert_snapshot!(acme.put("/v1/flows/orders", first.clone()).await.shown(), @"");
    let again = acme.put("/v1/flows/orders", first).await.expect(200).json();
    assert_eq!(again["version"], 1);
    let changed = acme.put("/v1/flows/orders", json!({"steps": [{"name": "only", "script": "shape"}]})).await.expect(200).json();
    assert_eq!(changed["version"], 2);
    assert_eq!(acme.get("/v1/flows/orders").await.expect(200).json()["steps"][0]["name"], "only");
    assert_eq!(acme.get("/v1/flows/orders/versions/1").await.expect(200).json()["steps"][1]["version"], 1);
    assert_eq!(acme.get("/v1/flows").await.expect(200).json()["items"][0]["version"], 2);
    assert_snapshot!(acme.get("/v1/flows/orders/versions/3").await.shown(), @"");
    assert_snapshot!(acme.get("/v1/flows/orders/versions/x").await.shown(), @"");
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
    assert_snapshot!(put(json!([{"script": "s"}])).await.shown(), @"");
    assert_snapshot!(put(json!([{"script": "s", "version": 9}])).await.shown(), @"");
    assert_snapshot!(put(json!([{"call": "nope/order"}])).await.shown(), @"");
    assert_snapshot!(put(json!([{"call": "shop/order"}, {"call": "shop/cancel"}])).await.shown(), @"");
    assert_snapshot!(put(json!([{"call": "shop/order", "foo": 1}])).await.shown(), @"");
    assert_eq!(
        put(json!([{"call": "shop/order", "hooks": {"post-hook": [{"script": "s"}]}}])).await.expect(422).json()["path"],
        "steps[0].hooks.post-hook[0]"
    );
}
