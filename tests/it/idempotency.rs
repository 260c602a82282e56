//! `Idempotency-Key`: what comes again is answered again, and done once.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Client, NodeProcess, Response, Tenant};

use crate::support::{ended, endpoint, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    a_call_with_a_key_is_made_once,
    a_run_with_a_key_is_started_once,
    a_key_whose_answer_was_lost_tells_of_its_run,
}

async fn send(tenant: &Tenant, path: &str, key: &str, body: &Value) -> Response {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    tenant.client.send("POST", path, &headers, body.to_string().into()).await
}

async fn a_call_with_a_key_is_made_once() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::json(json!({"n": 1})).header("x-up", "a")).on("/x", Answer::status(500));
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let first = send(&tenant, "/v1/call/api/x", "k-1", &json!({"a": 1})).await.expect(200);
    let again = send(&tenant, "/v1/call/api/x", "k-1", &json!({"a": 1})).await.expect(200);
    assert_eq!((first.body.clone(), first.header("x-run-id")), (again.body.clone(), again.header("x-run-id")));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
    let other = send(&tenant, "/v1/call/api/x", "k-1", &json!({"a": 2})).await.expect(409);
    assert_eq!((problem(&other).0.as_str(), upstream.requests().len()), ("idempotency-key", 1));

    // A failure of a call that was made is its answer.
    let failed = send(&tenant, "/v1/call/api/x", "k-2", &json!({})).await.expect(502);
    let again = send(&tenant, "/v1/call/api/x", "k-2", &json!({})).await.expect(502);
    assert_eq!((failed.json()["run"].clone(), upstream.requests().len()), (again.json()["run"].clone(), 2));
    // What was refused before anything was done may come again.
    assert_eq!(send(&tenant, "/v1/call/api/none", "k-3", &json!({})).await.status, 404);
    let mut connector = json!({"base_url": upstream.url(""), "endpoints": {"none": {"method": "POST", "path": "/y"}}});
    upstream.on("/y", ok());
    connector["endpoints"]["x"] = json!({"method": "POST", "path": "/x"});
    tenant.connector("api", connector).await;
    let _ = send(&tenant, "/v1/call/api/none", "k-3", &json!({})).await.expect(200);

    // Keys are a tenant's own.
    let (stranger, elsewhere) = crate::support::tenant().await;
    elsewhere.on("/x", ok());
    endpoint(&stranger, &elsewhere, json!({}), json!({})).await;
    assert_eq!(send(&stranger, "/v1/call/api/x", "k-1", &json!({"a": 9})).await.expect(200).json(), json!({"ok": true}));
    for bad in ["", &"k".repeat(256)] {
        let refused = send(&tenant, "/v1/call/api/x", bad, &json!({})).await.expect(400);
        assert_eq!(refused.json()["path"], "idempotency-key");
    }
}

async fn a_run_with_a_key_is_started_once() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate)).on("/x", ok());
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "POST", "data": "{{ payload }}"}]})).await;
    let path = "/v1/flows/f/runs";
    let body = json!({"payload": {"n": 1}});
    let first = tokio::spawn({
        let (tenant, body) = (tenant.clone(), body.clone());
        async move { send(&tenant, path, "k", &body).await }
    });
    upstream.received(1).await;
    // Until the first is answered there is nothing to answer the second with.
    let busy = send(&tenant, path, "k", &body).await.expect(409);
    assert_eq!((problem(&busy).0.as_str(), busy.header("retry-after")), ("conflict", Some("1")));
    gate.open();
    let first = first.await.unwrap().expect(200);
    let again = send(&tenant, path, "k", &body).await.expect(200);
    assert_eq!((first.header("x-run-id"), upstream.requests().len()), (again.header("x-run-id"), 1));

    let accepted = async || {
        let headers = [("content-type", "application/json"), ("idempotency-key", "later"), ("prefer", "respond-async")];
        tenant.client.send("POST", path, &headers, body.to_string().into()).await.expect(202)
    };
    let (one, two) = (accepted().await, accepted().await);
    assert_eq!((one.json(), one.header("location")), (two.json(), two.header("location")));
    assert_eq!(ended(&tenant, one.json()["run"].as_str().unwrap()).await["status"], "succeeded");
    assert_eq!(upstream.requests().len(), 2);
}

async fn a_key_whose_answer_was_lost_tells_of_its_run() {
    let mut own = NodeProcess::start_like(node());
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    upstream.on("/x", Answer::json(json!({"s": "open"})));
    let condition = json!({"response_notation": "s", "value": "done"});
    let step = json!({"url": upstream.url("/x"), "method": "GET", "continue_if": condition, "polling": {"interval": 3600, "amount": 2}});
    tenant.flow("f", json!({"steps": [step]})).await;
    let send = |client: Client| async move {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("prefer", "wait=30")];
        client.try_send("POST", "/v1/flows/f/runs", &headers, r#"{"payload": 1}"#.into()).await
    };
    let asking = tokio::spawn(send(tenant.client.clone()));
    let waiting =
        async || tenant.client.get("/v1/runs?status=waiting").await.expect(200).json()["items"][0]["id"].as_str().map(str::to_owned);
    let mut run = waiting().await;
    while run.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        run = waiting().await;
    }
    own.kill();
    assert!(asking.await.unwrap().is_err(), "the answer is lost");
    own.restart();
    let again = send(Client::new(own.url(), tenant.client.token.as_deref())).await.unwrap().expect(202);
    assert_eq!((again.json(), again.header("idempotency-replayed")), (json!({"run": run, "status": "waiting"}), Some("true")));
    assert_eq!(upstream.requests().len(), 1);
}
