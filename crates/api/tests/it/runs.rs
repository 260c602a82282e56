//! Runs: started, waited for, and read.

use insta::assert_snapshot;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};

use crate::support::TestNode;

#[tokio::test]
async fn a_flow_runs_to_its_end_and_can_be_read() {
    let node = TestNode::start().await;
    let (acme, upstream) = (node.tenant("acme").await, Upstream::start().await);
    upstream.on("/one", Answer::json(json!({"one": 1}))).on("/two", Answer::json(json!({"two": 2})));
    let step = |path: &str| json!({"url": upstream.url(path), "method": "POST", "data": {"x": 1}});
    acme.put("/v1/flows/f", json!({"steps": [step("/one"), step("/two")]})).await.expect(201);
    let answer = acme.send("POST", "/v1/flows/f/runs", json!({"payload": {"a": 1}})).await.expect(200);
    assert_eq!(answer.json(), json!({"two": 2}));
    let run = answer.header("x-run-id").unwrap().to_owned();
    let record = acme.get(&format!("/v1/runs/{run}")).await.expect(200).json();
    assert_eq!(
        (record["flow"].as_str(), record["flow_version"].as_u64(), record["steps"].as_array().unwrap().len()),
        (Some("f"), Some(1), 2)
    );
}

#[tokio::test]
async fn a_failed_run_is_a_problem_that_names_it() {
    let node = TestNode::start().await;
    let (acme, upstream) = (node.tenant("acme").await, Upstream::start().await);
    upstream.on("/x", Answer::status(500));
    let flow = json!({"steps": [{"url": upstream.url("/x"), "status_code": [200]}], "retry": {"attempts": 1, "delay_s": 3600}});
    acme.put("/v1/flows/f", flow).await.expect(201);
    let failed = acme.send("POST", "/v1/flows/f/runs", Value::Null).await.expect(502).json();
    let again = acme.get(&format!("/v1/runs/{}", failed["retry_run"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((again["status"].as_str(), again["retry_of"].as_str()), (Some("queued"), failed["run"].as_str()));
}

#[tokio::test]
async fn runs_are_filtered() {
    let node = TestNode::start().await;
    let (acme, upstream) = (node.tenant("acme").await, Upstream::start().await);
    upstream.on("/good", Answer::json(json!(1))).on("/bad", Answer::status(500));
    for name in ["good", "bad"] {
        let steps = json!([{"url": upstream.url(&format!("/{name}")), "status_code": [200]}]);
        acme.put(&format!("/v1/flows/{name}"), json!({"steps": steps})).await.expect(201);
        acme.send("POST", &format!("/v1/flows/{name}/runs"), json!({})).await;
    }
    let count = async |query: &str| acme.get(&format!("/v1/runs{query}")).await.expect(200).json()["items"].as_array().unwrap().len();
    assert_eq!(count("").await, 2);
    assert_eq!(count("?flow=good").await, 1);
    assert_eq!(count("?status=failed").await, 1);
    assert_eq!(count("?flow=good&status=failed").await, 0);
    assert_eq!(count("?since=2020-01-01T00:00:00Z").await, 2);
    assert_eq!(count("?since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("?limit=1").await, 1);
    let path = async |query: &str| acme.get(&format!("/v1/runs{query}")).await.expect(400).json()["path"].as_str().map(str::to_owned);
    assert_eq!(path("?status=odd").await.as_deref(), Some("status"));
    assert_eq!(path("?since=yesterday").await.as_deref(), Some("since"));
    assert_eq!(path("?flow=a%20b").await.as_deref(), Some("flow"));
    acme.get("/v1/runs/nonsense").await.expect(404);
    acme.get("/v1/runs/0199f0a0-0000-7000-8000-000000000000").await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_in_a_start_is_named() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    assert_snapshot!(acme.send("POST", "/v1/flows/f/runs", json!({"payload": 1})).await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no flow `f`",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.send("POST", "/v1/flows/f/runs", json!({"subject": 1})).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "must be an id, or an object such as {\"id\": \"p-1\", \"values\": {…}}",
      "path": "subject",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.send("POST", "/v1/flows/f/runs", json!([1])).await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "the body is an object such as {\"payload\": …}",
      "request_id": "[request_id]"
    }
    "#);
}
