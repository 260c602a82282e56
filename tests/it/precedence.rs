//! Which script, which value stands over which.

use serde_json::{Value, json};
use snaphook_testkit::Answer;

use crate::support::{endpoint, messages, ok, tenant};

#[tokio::test]
async fn f075_a_scripts_payload_goes_on_as_it_is_returned() {
    let (tenant, upstream) = tenant().await;
    let body = json!({"items": [1, 2], "next": null});
    upstream.on("/x", Answer::json(body.clone()));
    tenant.js("whole", "export function postRequest(response) { return response.json(); }").await;
    tenant.js("look", "export function postRequest(response) { response.json(); }").await;
    tenant.js("keep", "export default function (payload) { return { got: payload }; }").await;
    for (script, expected) in [(Some("whole"), body), (Some("look"), json!([1, 2])), (None, json!([1, 2]))] {
        let hooks = script.map_or(json!({}), |script| json!({"post-request": [{"script": script}]}));
        endpoint(&tenant, &upstream, hooks, json!({"payload_path": "items"})).await;
        tenant.flow("f", json!({"steps": [{"call": "api/x"}, {"script": "keep"}]})).await;
        assert_eq!(tenant.run("f", Value::Null).await.expect(200).json(), json!({"got": expected}), "{script:?}");
    }
}

#[tokio::test]
async fn f076_flow_variables_last_for_the_run_and_are_defaults_for_the_next() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("set", "export default function (payload, context) { const before = context.variables.customerID; context.variables.customerID = 'set'; return { before }; }").await;
    tenant.js("read", "export default function (payload, context) { return { ...payload, after: context.variables.customerID }; }").await;
    let steps = json!([{"script": "set"}, {"script": "read"}]);
    tenant.flow("f", json!({"variables": {"customerID": "42"}, "steps": steps})).await;
    for _ in 0..2 {
        assert_eq!(tenant.run("f", Value::Null).await.expect(200).json(), json!({"before": "42", "after": "set"}));
    }
}

#[tokio::test]
async fn f089_hooks_run_in_the_order_of_the_document() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let source = "export function preHook(call, context) { const name = context.parms.name; context.log.info(name); call.arguments.seen = [...(call.arguments.seen ?? []), name]; }";
    tenant.js("s", source).await;
    let bound = |name: &str| json!({"script": "s", "parms": {"name": name}});
    let hooks = json!({"pre-hook": [bound("p1"), bound("p2")]});
    let connector = json!({
        "base_url": upstream.url(""), "hooks": {"pre-hook": [bound("wide")]},
        "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": hooks}},
    });
    let stored = tenant.connector("api", connector).await;
    let order = stored["endpoints"]["x"]["hooks"]["pre-hook"].as_array().unwrap().iter().map(|binding| binding["parms"]["name"].clone());
    assert_eq!(order.collect::<Vec<_>>(), ["p1", "p2"], "the order is shown");
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": ["wide", "p1", "p2"]}), "each sees what the one before made");
    assert_eq!(messages(&tenant.record(&answer).await), ["wide", "p1", "p2"]);
    // A step's list stands in place of the endpoint's, after the connector's.
    tenant.flow("f", json!({"steps": [{"call": "api/x", "hooks": {"pre-hook": [bound("q2"), bound("q1")]}}]})).await;
    let _ = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": ["wide", "q2", "q1"]}));
}
