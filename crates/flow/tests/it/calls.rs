//! Direct calls without hooks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use snaphook_flow::Outcome;
use snaphook_model::{Code, Connector, RunStatus, StepStatus};
use snaphook_testkit::{Answer, Gate, Upstream};

use crate::rig::{BEGINNING, Rig, failure, name, payload};

#[tokio::test]
async fn a_call_passes_bytes_and_leaves_a_record() {
    let upstream = Upstream::start().await;
    upstream.on("/v2/x", Answer::bytes("{ \"n\" : 1.0 }").header("content-type", "application/json").header("set-cookie", "id=1"));
    let rig = Rig::new().await;
    let connector = json!({
        "base_url": upstream.url("/v2"), "headers": {"Authorization": "Bearer t0k3n", "x-a": "wide"},
        "endpoints": {"it": {"method": "POST", "path": "/x", "query": {"q": "1"}, "headers": {"X-A": "narrow"}}},
    });
    let finished = rig.call_of(connector, "{\"a\" :1}").await;
    assert_eq!(payload(&finished), "{ \"n\" : 1.0 }");

    let sent = upstream.last();
    assert_eq!((sent.path.as_str(), sent.text().as_str()), ("/v2/x?q=1", "{\"a\" :1}"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!((sent.header("x-a"), sent.header("authorization")), (Some("narrow"), Some("Bearer t0k3n")));

    let record = rig.record(finished.run).await;
    assert_eq!((record.status, record.call.as_deref(), record.attempt), (RunStatus::Succeeded, Some("up/it"), 1));
    assert_eq!((record.started_at.to_string().as_str(), record.flow, record.code), (BEGINNING, None, None));
    let [step] = record.steps.as_slice() else { panic!("one step") };
    let [attempt] = step.attempts.as_slice() else { panic!("one attempt") };
    let request = attempt.request.as_ref().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", upstream.url("/v2/x?q=1").as_str()));
    assert_eq!((&request.headers["authorization"], &request.body.0), (&json!("[masked]"), &Bytes::from_static(b"{\"a\" :1}")));
    let response = attempt.response.as_ref().unwrap();
    assert_eq!((response.status, &response.headers["set-cookie"], &attempt.error), (200, &json!("[masked]"), &None));
}

#[tokio::test]
async fn arguments_stay_at_home_where_a_method_has_no_body_or_data_stands_in() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    rig.call(&upstream.url("/x"), json!({"method": "GET", "path": ""}), "{\"a\":1}").await;
    assert_eq!((upstream.last().text().as_str(), upstream.last().header("content-type")), ("", None));
    rig.call(&upstream.url("/x"), json!({"method": "PUT", "path": "", "data": {"b": 2}}), "{\"a\":1}").await;
    assert_eq!(upstream.last().text(), "{\"b\":2}");
    rig.call(&upstream.url("/x"), json!({"method": "DELETE", "path": ""}), "").await;
    assert_eq!((upstream.last().text().as_str(), upstream.last().header("content-type")), ("", None));
}

#[tokio::test]
async fn a_status_that_is_not_accepted_is_tried_again_as_often_as_the_endpoint_says() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::status(503)).on("/x", Answer::json(json!("done")));
    let rig = Rig::new().await;
    let endpoint = json!({"method": "POST", "path": "/x", "retry": {"attempts": 2}});
    let finished = rig.call(&upstream.url(""), endpoint, "{}").await;
    assert_eq!((payload(&finished), upstream.requests().len()), ("\"done\"", 3));
    let record = rig.record(finished.run).await;
    let codes: Vec<_> = record.steps[0].attempts.iter().map(|attempt| attempt.error.as_ref().map(|fault| fault.code)).collect();
    assert_eq!(codes, [Some(Code::Status), Some(Code::Status), None]);
}

#[tokio::test]
async fn a_failed_call_says_why_and_leaves_a_record() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"items": []})).with_status(201));
    let rig = Rig::new().await;
    let cases = [
        (json!({"method": "POST", "path": "/x", "status_code": ["200"]}), Code::Status, "the upstream answered 201; accepted: 200"),
        (
            json!({"method": "POST", "path": "/x", "payload_path": "items.0"}),
            Code::ResponseJson,
            "the response has nothing at `items.0`, which payload_path `items.0` needs",
        ),
    ];
    for (endpoint, code, detail) in cases {
        let finished = rig.call(&upstream.url(""), endpoint, "{}").await;
        let (fault, retry_run) = failure(&finished);
        assert_eq!((fault.code, fault.detail.as_str(), retry_run), (code, detail, None));
        let record = rig.record(finished.run).await;
        assert_eq!((record.status, record.code, record.message.as_deref()), (RunStatus::Failed, Some(code), Some(detail)));
        assert_eq!((record.steps[0].status, record.steps[0].code), (StepStatus::Failed, Some(code)));
        assert_eq!(record.steps[0].attempts[0].response.as_ref().unwrap().status, 201);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_has_status_0_in_its_record() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::reset());
    let rig = Rig::new().await;
    let finished = rig.call(&upstream.url(""), json!({"method": "POST", "path": "/x"}), "{}").await;
    assert_eq!(failure(&finished).0.code, Code::Reset);
    let record = rig.record(finished.run).await;
    let attempt = &record.steps[0].attempts[0];
    assert_eq!((attempt.response.as_ref().unwrap().status, attempt.error.as_ref().unwrap().code), (0, Code::Reset));
}

#[tokio::test]
async fn nothing_is_sent_where_the_policy_forbids_it() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::of(json!({})).await;
    let endpoint = json!({"method": "POST", "path": "/x", "retry": {"attempts": 3}});
    let finished = rig.call(&upstream.url(""), endpoint, "{}").await;
    assert_eq!((failure(&finished).0.code, upstream.connections()), (Code::EgressRefused, 0));
    assert_eq!(rig.record(finished.run).await.steps[0].attempts.len(), 1);
}

#[tokio::test]
async fn the_deadline_of_the_call_bounds_its_request() {
    let upstream = Upstream::start().await;
    let gate = Gate::closed();
    upstream.on("/x", Answer::json(json!(1)).after(&gate));
    let rig = Rig::new().await;
    let document = json!({"base_url": upstream.url(""), "endpoints": {"it": {"method": "POST", "path": "/x", "timeout_s": 60}}});
    let connector = Connector::parse(document).unwrap();
    let prepared = rig.runner.prepare_endpoint(&rig.tenant.name, &name("up"), &connector, &name("it")).await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    let finished = rig.runner.call(&rig.tenant, &prepared, Bytes::new(), deadline).await;
    assert_eq!(failure(&finished).0.code, Code::Timeout);
    let late = rig.runner.call(&rig.tenant, &prepared, Bytes::new(), deadline).await;
    assert!(matches!(late.outcome, Outcome::Failed { fault, .. } if fault.code == Code::Timeout));
    assert_eq!(upstream.requests().len(), 1);
    gate.open();
}

#[tokio::test]
async fn what_cannot_be_prepared_says_why() {
    let rig = Rig::new().await;
    let endpoint = json!({"method": "GET", "path": "/x"});
    let hooks = |binding: serde_json::Value| json!({"method": "GET", "path": "/x", "hooks": {"pre-request": [binding]}});
    let cases = [
        ("http://a.example", json!({"other": endpoint}), Code::NotFound),
        ("http://[::", json!({"it": endpoint}), Code::Url),
        ("http://a.example", json!({"it": hooks(json!({"script": "s", "version": 7}))}), Code::NotFound),
        ("http://a.example", json!({"it": hooks(json!({"script": "s"}))}), Code::Conflict),
    ];
    for (base_url, endpoints, code) in cases {
        let document = Connector::parse(json!({"base_url": base_url, "endpoints": endpoints})).unwrap();
        let found = rig.runner.prepare_endpoint(&rig.tenant.name, &name("up"), &document, &name("it")).await;
        assert_eq!(found.unwrap_err().code, code, "{endpoints}");
    }
}
