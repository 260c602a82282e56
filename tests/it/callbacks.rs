//! Steps that end when their upstream calls back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{NodeProcess, Response, Tenant};

use crate::support::{ended, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    f090_an_async_step_sends_where_and_by_which_name_to_call_back,
    f091_a_parked_run_holds_nothing_and_survives_a_kill,
    f092_the_body_of_a_callback_becomes_the_payload,
    f093_the_body_of_a_callback_is_ignored_where_the_step_says_so,
    f094_a_failed_callback_skips_the_rest,
    f095_a_known_document_status_is_set,
    f096_an_unknown_document_status_is_the_technical_one,
    f097_code_and_text_of_a_failure_are_kept,
    f098_optional_headers_mean_nothing_beside_ok,
    f099_names_and_values_are_read_in_any_letter_case_and_other_values_refused,
    f100_a_callback_without_its_headers_is_refused_and_the_run_goes_on_waiting,
    f101_of_many_callbacks_one_counts_and_a_strange_one_is_unknown,
    f103_a_callback_may_come_before_the_request_is_answered,
    f104_a_callback_that_does_not_come_fails_the_run,
    f102_a_callback_needs_a_token_that_may_send_one,
    all_requests_of_a_step_bear_the_same_name,
    each_step_that_waits_has_a_name_of_its_own,
    a_callback_that_repeats_a_secret_is_masked,
}

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

/// Waits until a node is at so many runs: one that was just answered is let go of a moment later.
async fn drives(node: &NodeProcess, count: u32) {
    let expected = format!("snaphook_runs_driven {count}");
    let mut found = String::new();
    for _ in 0..100 {
        let scraped = node.operator().get("/metrics").await.expect(200).text();
        found = scraped.lines().find(|line| line.starts_with("snaphook_runs_driven ")).expect("it is told from the start").to_owned();
        if found == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{found}`, not `{expected}`");
}

async fn f091_a_parked_run_holds_nothing_and_survives_a_kill() {
    let mut own = NodeProcess::start_like(node());
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    flow(&tenant, &upstream, json!({})).await;
    let mut parked = Vec::new();
    for _ in 0..100 {
        parked.push(begun(&tenant, &upstream).await);
    }
    drives(&own, 0).await;
    // One that does not wait is held, as long as its request is under way.
    let gate = Gate::closed();
    upstream.on("/held", ok().after(&gate));
    tenant.flow("held", json!({"steps": [{"url": upstream.url("/held"), "method": "GET"}]})).await;
    let held = tenant.start("held", json!(null)).await;
    upstream.received(101).await;
    drives(&own, 1).await;
    gate.open();
    assert_eq!(ended(&tenant, &held).await["status"], "succeeded");
    drives(&own, 0).await;
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

/// What the next step is given after a good callback, for a step that waits so.
async fn given_after(awaits: Value) -> Value {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, awaits).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let _ = call_back(&tenant, &correlation, "Ok", &[], r#"{"x": 1}"#).await.expect(200);
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], &record["document"]["status"]), (&json!("succeeded"), &json!("Completed")));
    let wait = &record["steps"][0]["waits"][0];
    assert_eq!(wait["reason"], "callback");
    assert!(wait["ended_at"].is_string());
    after(&upstream).remove(0)
}

async fn f092_the_body_of_a_callback_becomes_the_payload() {
    assert_eq!(given_after(json!({})).await, json!({"x": 1}));
}

async fn f093_the_body_of_a_callback_is_ignored_where_the_step_says_so() {
    assert_eq!(given_after(json!({"use_body": false})).await, json!({"n": 1}));
}

/// The record of a run whose upstream called back with `Failed`, and with this document status.
async fn failed_with(status: Option<&str>) -> Value {
    let (tenant, upstream) = tenant().await;
    let operator = node().operator();
    let document = json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "document_statuses": ["Awaiting Legal"]});
    let _ = operator.put(&format!("/v1/tenants/{}", tenant.name), &document).await.expect(200);
    flow(&tenant, &upstream, json!({})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    let mut says = vec![("x-link-error-code", "14001"), ("x-link-error-text", "bad VAT")];
    says.extend(status.map(|status| ("x-link-document-status", status)));
    let _ = call_back(&tenant, &correlation, "Failed", &says, "").await.expect(200);
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], &record["code"]), (&json!("failed"), &json!("callback-failed")));
    assert_eq!(after(&upstream), Vec::<Value>::new(), "what follows is not run");
    record
}

async fn f094_a_failed_callback_skips_the_rest() {
    let record = failed_with(None).await;
    assert_eq!(record["document"]["status"], "Failed");
    assert_eq!(record["steps"].as_array().unwrap().len(), 1);
}

async fn f095_a_known_document_status_is_set() {
    for (given, status) in [("Ignored", "Ignored"), ("AWAITING LEGAL", "Awaiting Legal")] {
        let document = &failed_with(Some(given)).await["document"];
        assert_eq!((&document["status"], &document["technical_status"]), (&json!(status), &Value::Null));
    }
}

async fn f096_an_unknown_document_status_is_the_technical_one() {
    let document = &failed_with(Some("AwaitingLegal")).await["document"];
    assert_eq!((&document["status"], &document["technical_status"]), (&json!("Failed"), &json!("AwaitingLegal")));
}

async fn f097_code_and_text_of_a_failure_are_kept() {
    let record = failed_with(None).await;
    assert_eq!((&record["document"]["error_code"], &record["document"]["error_text"]), (&json!("14001"), &json!("bad VAT")));
    assert!(record["message"].as_str().unwrap().contains("14001, bad VAT"), "{record}");
}

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

/// Each of these is refused, and the run goes on waiting until a good callback comes.
async fn refused_until_good(wrong: impl Fn(&str) -> Vec<Vec<(&'static str, String)>>, good: [&'static str; 2]) {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let (run, correlation) = begun(&tenant, &upstream).await;
    for headers in wrong(&correlation) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = tenant.call_back(&headers, "{}").await.expect(400);
        assert_eq!(problem(&refused).0, "callback-header");
        assert_eq!(tenant.record_of(&run).await["status"], "waiting");
    }
    let _ = tenant.call_back(&[(good[0], correlation.as_str()), (good[1], "oK")], r#"{"late": true}"#).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    assert_eq!(after(&upstream), [json!({"late": true})]);
}

async fn f099_names_and_values_are_read_in_any_letter_case_and_other_values_refused() {
    let wrong =
        |id: &str| ["Done", ""].map(|status| vec![("X-LINK-Correlation-ID", id.to_owned()), ("X-Link-STATUS", status.to_owned())]).to_vec();
    refused_until_good(wrong, ["X-LINK-Correlation-ID", "X-Link-STATUS"]).await;
}

async fn f100_a_callback_without_its_headers_is_refused_and_the_run_goes_on_waiting() {
    let wrong = |id: &str| vec![vec![("x-link-correlation-id", id.to_owned())], vec![("x-link-status", "Ok".to_owned())]];
    refused_until_good(wrong, ["x-link-correlation-id", "x-link-status"]).await;
}

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

async fn f103_a_callback_may_come_before_the_request_is_answered() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let gate = Gate::closed();
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

async fn f102_a_callback_needs_a_token_that_may_send_one() {
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let token = async |scopes: Value| {
        let made = tenant.client.post("/v1/tokens", &json!({"name": "t", "scopes": scopes})).await.expect(201).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let anonymous = snaphook_tests::Client::new(&tenant.client.url, None);
    let sent = async |correlation: &str, authorization: Option<&str>| {
        let mut headers = vec![("x-link-correlation-id", correlation), ("x-link-status", "Ok")];
        headers.extend(authorization.map(|authorization| ("authorization", authorization)));
        anonymous.send("POST", "/v1/callbacks", &headers, "{}".into()).await
    };
    let (run, correlation) = begun(&tenant, &upstream).await;
    assert_eq!(problem(&sent(&correlation, None).await.expect(401)).0, "unauthorized");
    let basic = |token: &str| format!("Basic {}", STANDARD.encode(format!(":{token}")));
    let without = token(json!(["deploy", "invoke", "read"])).await;
    for authorization in [format!("Bearer {without}"), basic(&without)] {
        assert_eq!(problem(&sent(&correlation, Some(&authorization)).await.expect(403)).0, "scope-missing");
    }
    let with = token(json!(["callback"])).await;
    let _ = sent(&correlation, Some(&basic(&with))).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    let (run, correlation) = begun(&tenant, &upstream).await;
    let _ = sent(&correlation, Some(&format!("Bearer {with}"))).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
}

async fn all_requests_of_a_step_bear_the_same_name() {
    let (tenant, upstream) = tenant().await;
    // The first request is taken, and its answer comes too late.
    let never = Gate::closed();
    upstream.on("/ask", ok().after(&never)).on("/ask", ok()).on("/after", ok());
    let retry = json!({"attempts": 1, "delay_s": 0});
    let steps = json!([
        {"name": "Ask", "url": upstream.url("/ask"), "method": "POST", "data": "{{ payload }}", "idempotent": true, "async": {},
         "status_code": [200], "timeout_s": 1, "retry": retry},
        {"name": "After", "url": upstream.url("/after"), "method": "POST", "data": "{{ payload }}"},
    ]);
    tenant.flow("f", json!({ "steps": steps })).await;
    let (run, first) = begun(&tenant, &upstream).await;
    let asked = upstream.requests();
    let names: Vec<_> = asked.iter().map(|request| request.header("x-link-correlation-id")).collect();
    assert_eq!(names, [Some(first.as_str()); 2]);
    // To an upstream that looks at keys the second one is the first one again.
    assert!(asked[0].header("idempotency-key").is_some());
    assert_eq!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));
    let _ = call_back(&tenant, &first, "Ok", &[], r#"{"of": "the first"}"#).await.expect(200);
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], &record["steps"][0]["attempts"][0]["error"]["code"]), (&json!("succeeded"), &json!("timeout")));
    assert_eq!(after(&upstream), [json!({"of": "the first"})]);
}

async fn each_step_that_waits_has_a_name_of_its_own() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/ask", ok());
    let ask = |name: &str| json!({"name": name, "url": upstream.url("/ask"), "method": "POST", "async": {}});
    tenant.flow("f", json!({"steps": [ask("One"), ask("Two")]})).await;
    let (run, first) = begun(&tenant, &upstream).await;
    let _ = call_back(&tenant, &first, "Ok", &[], "{}").await.expect(200);
    let second = upstream.received(2).await[1].header("x-link-correlation-id").unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(problem(&call_back(&tenant, &first, "Ok", &[], "{}").await.expect(409)).0, "callback-used");
    let _ = call_back(&tenant, &second, "Ok", &[], "{}").await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
}

/// A callback is an answer of where the request went.
async fn a_callback_that_repeats_a_secret_is_masked() {
    const SECRET: &str = "s3cret/of+the=step";
    let (tenant, upstream) = tenant().await;
    flow(&tenant, &upstream, json!({})).await;
    let connection = json!({"kind": "api-key", "fields": {"api_key": SECRET}});
    let _ = tenant.client.put("/v1/connections/own", &connection).await.expect(201);
    tenant.js("sees", "export default (payload, context) => { context.log.info(JSON.stringify(payload)); return payload; };").await;
    let headers = json!({"x-key": "{{ connection.api_key }}"});
    let ask = json!({"name": "Ask", "url": upstream.url("/ask"), "method": "POST", "connection": "own", "headers": headers, "async": {}});
    let steps = json!([ask, {"script": "sees"}]);
    tenant.flow("f", json!({ "steps": steps })).await;
    for status in ["Ok", "Failed"] {
        let (run, correlation) = begun(&tenant, &upstream).await;
        assert_eq!(upstream.last().header("x-key"), Some(SECRET));
        let text = [("x-link-error-text", SECRET)];
        let body = json!({"plain": SECRET, "base64": STANDARD.encode(SECRET)}).to_string();
        let _ = call_back(&tenant, &correlation, status, if status == "Ok" { &[] } else { &text }, &body).await.expect(200);
        let record = ended(&tenant, &run).await.to_string();
        assert!(!record.contains(SECRET) && !record.contains(&STANDARD.encode(SECRET)), "{record}");
        assert!(status == "Failed" || record.contains("plain"), "what it said else is there: {record}");
    }
}
