//! Steps that end when their upstream calls back.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{NodeProcess, Response, Tenant};

use crate::support::{ended, node, ok, problem, tenant};

/// A flow whose first step waits for a callback, and whose second one shows what came of it.
async fn flow(tenant: &Tenant, upstream: &Upstream, awaits: Value) {
    upstream.on("/ask", Answer::json(json!({"accepted": true})).with_status(202));
    upstream.on("/after", ok());
    let endpoints = json!({
        "ask": {"method": "POST", "path": "/ask"},
        "after": {"method": "POST", "path": "/after"},
    });
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let steps = json!([{"name": "Ask", "call": "c/ask", "async": awaits}, {"name": "After", "call": "c/after"}]);
    tenant.flow("f", json!({ "steps": steps })).await;
}

/// Starts the flow; gives the run and the correlation id that the upstream was sent.
async fn begun(tenant: &Tenant, upstream: &Upstream) -> (String, String) {
    let before = upstream.requests().len();
    let answer = tenant.run("f", json!({"n": 1})).await.expect(202);
    assert_eq!(answer.json()["status"], "waiting");
    let run = answer.json()["run"].as_str().unwrap().to_owned();
    assert_eq!((answer.header("x-run-id"), answer.header("location")), (Some(run.as_str()), Some(format!("/v1/runs/{run}").as_str())));
    let asked = &upstream.requests()[before];
    (run, asked.header("x-link-correlation-id").unwrap().to_owned())
}

async fn call_back(tenant: &Tenant, correlation: &str, status: &str, extra: &[(&str, &str)], body: &str) -> Response {
    let mut headers = vec![("x-link-correlation-id", correlation), ("x-link-status", status), ("content-type", "application/json")];
    headers.extend_from_slice(extra);
    tenant.call_back(&headers, body).await
}

fn after(upstream: &Upstream) -> Vec<Value> {
    upstream.requests().iter().filter(|request| request.path == "/after").map(snaphook_testkit::Recorded::json).collect()
}

#[tokio::test]
async fn f090_an_async_step_sends_where_and_by_which_name_to_call_back() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let (_, first) = begun(&tenant, &upstream).await;
    let (_, second) = begun(&tenant, &upstream).await;
    assert_ne!(first, second);
    assert_eq!(first.len(), 22);
    let url = upstream.requests()[0].header("x-link-callback-url").unwrap().to_owned();
    assert_eq!(url, format!("{}/v1/callbacks", node().url()));
    // The address is the one that takes callbacks.
    let taken = call_back(&tenant, &first, "Ok", &[], "{}").await.expect(200);
    assert!(taken.json()["run"].is_string());
}

#[tokio::test]
async fn f091_a_parked_run_holds_nothing_and_survives_a_kill() {
    let mut own = NodeProcess::start_like(node());
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    flow(&tenant, &upstream, json!({})).await;
    let mut parked = Vec::new();
    for _ in 0..100 {
        parked.push(begun(&tenant, &upstream).await);
    }
    let record = tenant.record_of(&parked[0].0).await;
    assert_eq!((&record["status"], &record["document"]["status"]), (&json!("waiting"), &json!("Awaiting Confirmation")));
    own.kill();
    own.restart();
    tenant.client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    assert_eq!(tenant.record_of(&parked[99].0).await["status"], "waiting");
    for (index, (run, correlation)) in parked.iter().enumerate() {
        let _ = call_back(&tenant, correlation, "Ok", &[], &json!({ "index": index }).to_string()).await.expect(200);
        assert_eq!(ended(&tenant, run).await["status"], "succeeded");
    }
    assert_eq!(upstream.requests().iter().filter(|request| request.path == "/ask").count(), 100, "nobody was asked twice");
    assert_eq!(after(&upstream), (0..100).map(|index| json!({ "index": index })).collect::<Vec<_>>());
}

#[tokio::test]
async fn f092_f093_the_body_of_a_callback_becomes_the_payload_where_the_step_says_so() {
    for (awaits, payload) in [(json!({}), json!({"x": 1})), (json!({"use_body": false}), json!({"n": 1}))] {
        let (tenant, upstream) = tenant().await;
        flow(&tenant, &upstream, awaits).await;
        let (run, correlation) = begun(&tenant, &upstream).await;
        let _ = call_back(&tenant, &correlation, "Ok", &[], r#"{"x": 1}"#).await.expect(200);
        let record = ended(&tenant, &run).await;
        assert_eq!((&record["status"], &record["document"]["status"]), (&json!("succeeded"), &json!("Completed")));
        assert_eq!(after(&upstream), [payload]);
        let wait = &record["steps"][0]["waits"][0];
        assert_eq!(wait["reason"], "callback");
        assert!(wait["ended_at"].is_string());
    }
}

#[tokio::test]
async fn f094_f095_f096_f097_a_failed_callback_ends_the_run_with_what_it_says() {
    let (tenant, upstream) = tenant().await;
    let operator = node().operator();
    let document = json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "document_statuses": ["Awaiting Legal"]});
    let _ = operator.put(&format!("/v1/tenants/{}", tenant.name), &document).await.expect(200);
    flow(&tenant, &upstream, json!({})).await;
    let says = |status| match status {
        Some(status) => vec![("x-link-document-status", status), ("x-link-error-code", "14001"), ("x-link-error-text", "bad VAT")],
        None => vec![("x-link-error-code", "14001"), ("x-link-error-text", "bad VAT")],
    };
    for (given, status, technical) in [
        (None, "Failed", json!(null)),
        (Some("Ignored"), "Ignored", json!(null)),
        (Some("AWAITING LEGAL"), "Awaiting Legal", json!(null)),
        (Some("AwaitingLegal"), "Failed", json!("AwaitingLegal")),
    ] {
        let (run, correlation) = begun(&tenant, &upstream).await;
        let _ = call_back(&tenant, &correlation, "Failed", &says(given), "").await.expect(200);
        let record = ended(&tenant, &run).await;
        assert_eq!((&record["status"], &record["code"]), (&json!("failed"), &json!("callback-failed")));
        let expected = json!({"status": status, "technical_status": technical, "error_code": "14001", "error_text": "bad VAT"});
        assert_eq!(record["document"], expected, "{given:?}");
        assert!(record["message"].as_str().unwrap().contains("14001, bad VAT"), "{record}");
    }
    assert_eq!(after(&upstream), Vec::<Value>::new(), "what follows is not run");
}

#[tokio::test]
async fn f098_optional_headers_mean_nothing_beside_ok() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let extra = [("x-link-error-code", "1"), ("x-link-document-status", "Ignored")];
    let _ = call_back(&tenant, &correlation, "Ok", &extra, "{}").await.expect(200);
    let record = ended(&tenant, &run).await;
    let expected = json!({"status": "Completed", "technical_status": null, "error_code": null, "error_text": null});
    assert_eq!((&record["status"], &record["document"]), (&json!("succeeded"), &expected));
}

#[tokio::test]
async fn f099_f100_a_callback_without_its_headers_is_refused_and_the_run_goes_on_waiting() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let id = correlation.as_str();
    for headers in [
        vec![("x-link-correlation-id", id), ("x-link-status", "Done")],
        vec![("x-link-correlation-id", id)],
        vec![("x-link-correlation-id", id), ("x-link-status", "")],
        vec![("x-link-status", "Ok")],
    ] {
        let refused = tenant.call_back(&headers, "{}").await.expect(400);
        assert_eq!(problem(&refused).0, "callback-header");
        assert_eq!(tenant.record_of(&run).await["status"], "waiting");
    }
    let odd = [("X-LINK-Correlation-ID", id), ("X-Link-STATUS", "oK")];
    let _ = tenant.call_back(&odd, r#"{"late": true}"#).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    assert_eq!(after(&upstream), [json!({"late": true})]);
}

#[tokio::test]
async fn f101_of_many_callbacks_one_counts_and_a_strange_one_is_unknown() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let unknown = call_back(&tenant, "AAAAAAAAAAAAAAAAAAAAAA", "Ok", &[], "{}").await.expect(404);
    assert_eq!(problem(&unknown).0, "not-found");
    let (run, correlation) = begun(&tenant, &upstream).await;
    let (other, _) = crate::support::tenant().await;
    let foreign = call_back(&other, &correlation, "Ok", &[], "{}").await.expect(404);
    assert_eq!(problem(&foreign).0, "not-found");
    let many = (0..50).map(|index| {
        let (tenant, correlation) = (tenant.clone(), correlation.clone());
        tokio::spawn(async move { call_back(&tenant, &correlation, "Ok", &[], &index.to_string()).await })
    });
    let mut taken = Vec::new();
    for (index, answer) in futures_util::future::join_all(many).await.into_iter().enumerate() {
        let answer = answer.unwrap();
        match answer.status {
            200 => taken.push(json!(index)),
            _ => assert_eq!(problem(&answer.expect(409)).0, "callback-used"),
        }
    }
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    assert_eq!((taken.len(), after(&upstream)), (1, taken));
    let late = call_back(&tenant, &correlation, "Ok", &[], "{}").await.expect(409);
    assert_eq!(problem(&late).0, "callback-used");
}

#[tokio::test]
async fn f103_a_callback_may_come_before_the_request_is_answered() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let gate = snaphook_testkit::Gate::closed();
    let slow = gate.clone();
    upstream.on_request("/ask", move |_| Answer::json(json!({"accepted": true})).after(&slow));
    let running = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.run("f", json!({"n": 1})).await }
    });
    upstream.received(1).await;
    let correlation = upstream.requests()[0].header("x-link-correlation-id").unwrap().to_owned();
    let _ = call_back(&tenant, &correlation, "Ok", &[], r#"{"early": true}"#).await.expect(200);
    gate.open();
    // It had to wait for nothing, so whoever started it gets the end.
    let answer = running.await.unwrap().expect(200);
    assert_eq!(answer.json(), json!({"ok": true}));
    assert_eq!(after(&upstream), [json!({"early": true})]);
}

#[tokio::test]
async fn f104_a_callback_that_does_not_come_fails_the_run() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({"timeout_s": 1})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], &record["code"]), (&json!("failed"), &json!("callback-timeout")));
    assert_eq!(record["document"]["status"], "Failed");
    // Too late: nothing goes on.
    let _ = call_back(&tenant, &correlation, "Ok", &[], "{}").await;
    assert_eq!((tenant.record_of(&run).await["status"].as_str(), after(&upstream).len()), (Some("failed"), 0));
}

#[tokio::test]
async fn callbacks_need_their_scope() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let with = async |scopes: Value| {
        let token = tenant.client.post("/v1/tokens", &json!({"name": "t", "scopes": scopes})).await.expect(201).json();
        let client = snaphook_tests::Client::new(&tenant.client.url, token["token"].as_str());
        let headers = [("x-link-correlation-id", correlation.as_str()), ("x-link-status", "Ok")];
        client.send("POST", "/v1/callbacks", &headers, "{}".into()).await
    };
    assert_eq!(problem(&with(json!(["deploy", "invoke", "read"])).await.expect(403)).0, "scope-missing");
    let _ = with(json!(["callback"])).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
}
