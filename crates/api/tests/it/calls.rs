//! Direct calls: what reaches the upstream, what comes back, and what is refused before.

use insta::assert_snapshot;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};

use crate::support::{TestNode, TestTenant};

async fn connect(tenant: &TestTenant<'_>, upstream: &Upstream) {
    let document = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send", "query": {"v": "2"}}}});
    tenant.put("/v1/connectors/crm", document).await;
}

#[tokio::test]
async fn a_call_gives_the_payload_and_leaves_a_record() {
    let node = TestNode::start().await;
    let (acme, upstream) = (node.tenant("acme").await, Upstream::start().await);
    connect(&acme, &upstream).await;
    upstream.on("/send", Answer::bytes("{\"n\": 1.0}").header("content-type", "application/vnd.crm+json"));
    let answer = acme.send("POST", "/v1/call/crm/send", json!({"a": [1]})).await.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("{\"n\": 1.0}", Some("application/vnd.crm+json")));
    assert_eq!(upstream.last().json(), json!({"a": [1]}));
    let run = answer.header("x-run-id").unwrap().to_owned();
    let record = acme.get(&format!("/v1/runs/{run}")).await.expect(200).json();
    assert_eq!(
        (record["id"].as_str(), record["status"].as_str(), record["call"].as_str()),
        (Some(&*run), Some("succeeded"), Some("crm/send"))
    );
    // A name that is written with escapes takes the way through the router and comes to the same.
    acme.send("POST", "/v1/call/crm/s%65nd", json!({})).await.expect(200);
    // No body: no arguments.
    acme.send("POST", "/v1/call/crm/send", Value::Null).await.expect(200);
}

#[tokio::test]
async fn what_is_no_call_is_refused_before_anything_runs() {
    let node = TestNode::start().await;
    let upstream = Upstream::start().await;
    let acme = node.tenant_with("acme", json!({"limits": {"request_body_bytes": 500}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    connect(&acme, &upstream).await;
    let call = async |path: &str, headers: &[(&str, &str)], body: &'static str| {
        let authorization = format!("Bearer {}", acme.token);
        let headers: Vec<_> = [("authorization", authorization.as_str())].iter().chain(headers).copied().collect();
        node.send("POST", path, &headers, body).await
    };
    assert_snapshot!(call("/v1/call/nope/send", &[], "{}").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no connector `nope`",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(call("/v1/call/crm/nope", &[], "{}").await.shown(), @r#"
    404 application/problem+json
    {
      "type": "/errors/not-found",
      "title": "not found",
      "status": 404,
      "code": "not-found",
      "blame": "caller",
      "detail": "there is no endpoint `nope` of connector `crm`",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(call("/v1/call/crm/se!nd", &[], "{}").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/name",
      "title": "not a valid name",
      "status": 400,
      "code": "name",
      "blame": "caller",
      "detail": "`se!nd` is not a name: it must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(call("/v1/call/crm/send", &[], "{\"a\": }").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "the body is not JSON: expected value",
      "line": 1,
      "column": 7,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(call("/v1/call/crm/send?x=1", &[], "{}").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "this route takes no query parameters",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(call("/v1/call/crm/send", &[("idempotency-key", "")], "{}").await.shown(), @r#"
    400 application/problem+json
    {
      "type": "/errors/invalid",
      "title": "request or document is not valid",
      "status": 400,
      "code": "invalid",
      "blame": "caller",
      "detail": "must be 1 to 255 visible ASCII characters",
      "path": "idempotency-key",
      "request_id": "[request_id]"
    }
    "#);
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(500)).into_boxed_str());
    assert_snapshot!(call("/v1/call/crm/send", &[], large).await.shown(), @r#"
    413 application/problem+json
    {
      "type": "/errors/too-large",
      "title": "body is too large",
      "status": 413,
      "code": "too-large",
      "blame": "caller",
      "detail": "the body is larger than 500 bytes, the tenant's limit `request_body_bytes`",
      "limit": 500,
      "used": 502,
      "request_id": "[request_id]"
    }
    "#);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn failures_of_the_way_out_are_problems_with_their_run() {
    let node = TestNode::start().await;
    let (acme, upstream) = (node.tenant_with("acme", json!({})).await, Upstream::start().await);
    connect(&acme, &upstream).await;
    let refused = acme.send("POST", "/v1/call/crm/send", json!({})).await.expect(403).json();
    assert_eq!((refused["code"].as_str(), refused["blame"].as_str()), (Some("egress-refused"), Some("caller")));

    node.as_operator("PUT", "/v1/tenants/acme", json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await.expect(200);
    upstream.on("/send", Answer::status(418));
    let status = acme.send("POST", "/v1/call/crm/send", json!({})).await;
    assert_eq!(status.header("x-run-id"), status.json()["run"].as_str());
    assert_snapshot!(status.shown(), @r#"
    502 application/problem+json
    {
      "type": "/errors/status",
      "title": "status is not accepted",
      "status": 502,
      "code": "status",
      "blame": "upstream",
      "detail": "the upstream answered 418; accepted: 2xx",
      "request_id": "[request_id]",
      "run": "[run]"
    }
    "#);
}

#[tokio::test]
async fn a_changed_connector_holds_at_once() {
    let node = TestNode::start().await;
    let (acme, old, new) = (node.tenant("acme").await, Upstream::start().await, Upstream::start().await);
    old.on("/send", Answer::json(json!("old")));
    new.on("/send", Answer::json(json!("new")));
    connect(&acme, &old).await;
    assert_eq!(acme.send("POST", "/v1/call/crm/send", json!({})).await.json(), "old");
    connect(&acme, &new).await;
    assert_eq!(acme.send("POST", "/v1/call/crm/send", json!({})).await.json(), "new");
    acme.send("DELETE", "/v1/connectors/crm", Value::Null).await.expect(204);
    acme.send("POST", "/v1/call/crm/send", json!({})).await.expect(404);
}

#[tokio::test]
async fn a_full_node_says_when_to_come_again_and_takes_up_work_again() {
    let node = TestNode::with(|config| config.max_requests = 1).await;
    let (acme, upstream, gate) = (node.tenant("acme").await, Upstream::start().await, Gate::closed());
    connect(&acme, &upstream).await;
    upstream.on("/send", Answer::json(json!(1)).after(&gate));
    let held = acme.send("POST", "/v1/call/crm/send", json!({}));
    let refused = async {
        upstream.received(1).await;
        let refused = acme.send("POST", "/v1/call/crm/send", json!({})).await;
        node.send("GET", "/healthz", &[], "").await.expect(200);
        gate.open();
        refused
    };
    let (held, refused) = tokio::join!(held, refused);
    held.expect(200);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_snapshot!(refused.shown(), @r#"
    503 application/problem+json
    {
      "type": "/errors/overloaded",
      "title": "node is at its limit",
      "status": 503,
      "code": "overloaded",
      "blame": "platform",
      "detail": "this node has as many requests in flight as it takes",
      "request_id": "[request_id]"
    }
    "#);
    acme.send("POST", "/v1/call/crm/send", json!({})).await.expect(200);
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_finished_and_recorded() {
    let node = TestNode::with(|config| config.max_requests = 1).await;
    let (acme, upstream, gate) = (node.tenant("acme").await, Upstream::start().await, Gate::closed());
    connect(&acme, &upstream).await;
    upstream.on("/send", Answer::json(json!(1)).after(&gate));
    tokio::select! {
        biased;
        _ = acme.send("POST", "/v1/call/crm/send", json!({})) => panic!("the upstream has not answered"),
        _ = upstream.received(1) => {}
    }
    // The call goes on with its permit.
    acme.get("/v1/runs").await.expect(503);
    gate.open();
    let runs = loop {
        let runs = acme.get("/v1/runs").await;
        if runs.status == 200 {
            break runs.json();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((runs["items"][0]["status"].as_str(), runs["items"].as_array().unwrap().len()), (Some("succeeded"), 1));
}
