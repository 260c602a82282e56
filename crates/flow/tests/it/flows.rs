//! Flows without hooks.

use serde_json::{Value, json};
use snaphook_model::{Code, RunStatus};
use snaphook_testkit::{Answer, Upstream};

use crate::rig::{Rig, failure, payload};

#[tokio::test]
async fn payloads_go_from_step_to_step() {
    let upstream = Upstream::start().await;
    upstream.on("/a", Answer::json(json!({"items": [1, 2]}))).on("/b", Answer::json(json!("b")).with_status(404));
    upstream.on("/c", Answer::json(json!("c")));
    let rig = Rig::new().await;
    let endpoint = |path: &str, pick: Value| json!({"method": "POST", "path": path, "payload_path": pick});
    let connector =
        json!({"base_url": upstream.url(""), "endpoints": {"a": endpoint("/a", json!("items")), "c": endpoint("/c", Value::Null)}});
    rig.put_connector("up", &connector).await;
    let document = json!({
        "headers": {"x-default": "1", "x-other": "2"},
        "steps": [
            {"call": "up/a"},
            {"name": "B", "url": upstream.url("/b"), "data": {"k": "v"}},
            {"name": "B with headers", "url": upstream.url("/b"), "headers": {"x-own": "3"}},
            {"call": "up/c"},
        ],
    });
    let flow = rig.flow(document).await;
    let finished = rig.run(&flow, "{\"in\":1}").await;
    assert_eq!(payload(&finished), "\"c\"");
    let sent = upstream.requests();
    let texts: Vec<_> = sent.iter().map(|request| (request.method.as_str(), request.text())).collect();
    let expected = [("POST", "{\"in\":1}"), ("POST", "{\"k\":\"v\"}"), ("GET", ""), ("POST", "\"b\"")];
    assert_eq!(texts, expected.map(|(method, text)| (method, text.to_owned())));
    assert_eq!((sent[1].header("x-default"), sent[1].header("x-other")), (Some("1"), Some("2")));
    assert_eq!((sent[2].header("x-default"), sent[2].header("x-own")), (None, Some("3")));

    let record = rig.record(finished.run).await;
    assert_eq!(
        (record.status, record.flow.as_ref().map(|name| name.as_str()), record.flow_version),
        (RunStatus::Succeeded, Some("f"), Some(1))
    );
    let names: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["step-1", "B", "B with headers", "step-4"]);
}

#[tokio::test]
async fn a_flow_stops_at_its_first_failure() {
    let upstream = Upstream::start().await;
    upstream.on("/ok", Answer::json(json!(1))).on("/bad", Answer::status(500));
    let rig = Rig::new().await;
    let step = |path: &str| json!({"url": upstream.url(path), "status_code": [200]});
    let flow = rig.flow(json!({"steps": [step("/ok"), step("/bad"), step("/ok")]})).await;
    let finished = rig.run(&flow, "null").await;
    assert_eq!((failure(&finished).0.code, failure(&finished).1, upstream.requests().len()), (Code::Status, None, 2));
    let record = rig.record(finished.run).await;
    assert_eq!((record.status, record.code, record.steps.len()), (RunStatus::Failed, Some(Code::Status), 2));
}

#[tokio::test]
async fn a_step_that_cannot_be_prepared_is_named() {
    let rig = Rig::new().await;
    for (step, path) in [(json!({"call": "none/x"}), "steps[1]"), (json!({"script": "s", "version": 1}), "steps[1]")] {
        let document = json!({"steps": [{"url": "http://a.example"}, step]});
        let flow = snaphook_model::Flow::parse(document).unwrap();
        let fault = rig.runner.prepare_flow(&rig.tenant.name, &crate::rig::name("f"), 1, &flow).await.unwrap_err();
        assert_eq!((fault.code, fault.path.as_deref()), (Code::NotFound, Some(path)));
    }
}

#[tokio::test]
async fn a_definition_weighs_what_its_document_does() {
    let rig = Rig::new().await;
    let text = "x".repeat(100_000);
    let endpoint = json!({"method": "POST", "path": "/", "data": {"t": text}});
    let connector = json!({"base_url": "http://a.example", "endpoints": {"small": {"method": "GET", "path": "/"}, "large": endpoint}});
    rig.put_connector("up", &connector).await;
    let weight = async |document: Value| rig.flow(document).await.memory_bytes();
    let small = weight(json!({"steps": [{"call": "up/small"}]})).await;
    assert!(small < 4_000, "{small}");
    for large in [
        json!({"steps": [{"call": "up/large"}]}),
        json!({"steps": [{"url": "http://a.example", "data": text}]}),
        json!({"variables": {"t": text}, "steps": [{"call": "up/small"}]}),
        json!({"config": {"t": [text]}, "steps": [{"call": "up/small"}]}),
        json!({"headers": {"x-t": text}, "steps": [{"url": "http://a.example"}]}),
    ] {
        let weight = weight(large).await;
        assert!((100_000..1_000_000).contains(&weight), "{weight}");
    }
    let twice = weight(json!({"steps": [{"call": "up/large"}, {"name": "b", "call": "up/large"}]})).await;
    assert!(twice >= 200_000, "a step holds its endpoint for itself: {twice}");
}
