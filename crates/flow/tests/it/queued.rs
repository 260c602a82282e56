//! Runs that repeat failed ones.

use std::sync::Arc;

use serde_json::json;
use snaphook_model::{Code, RunStatus};
use snaphook_testkit::{Answer, Upstream};
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, failure, name};

#[tokio::test]
async fn a_failed_run_is_made_again_when_its_time_has_come() {
    let upstream = Upstream::start().await;
    upstream
        .on("/x", Answer::json(json!("first")))
        .on("/y", Answer::status(500))
        .on("/y", Answer::status(500))
        .on("/y", Answer::json(json!(2)));
    let rig = Rig::new().await;
    let connector =
        json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}, "y": {"method": "POST", "path": "/y"}}});
    rig.put_connector("up", &connector).await;
    let steps = json!([{"call": "up/x"}, {"call": "up/y"}]);
    let flow = rig.flow(json!({"retry": {"attempts": 2, "delay_s": 10, "backoff": 3}, "steps": steps})).await;
    let first = rig.run(&flow, "{\"in\":7}").await;
    let second = failure(&first).1.expect("another run is queued");

    let waiting = rig.record(second).await;
    assert_eq!((waiting.status, waiting.attempt, waiting.retry_of, waiting.flow_version), (RunStatus::Queued, 2, Some(first.run), Some(1)));
    assert_eq!(waiting.started_at.to_string(), "2026-01-02T03:04:15Z");
    assert_eq!(rig.record(first.run).await.retry_run, Some(second));

    // A newer version of the flow does not concern the run.
    rig.flow(json!({"steps": [{"call": "up/x"}]})).await;
    rig.clock.advance(9);
    assert_eq!(rig.runner.run_due().await, Ok(0));
    rig.clock.advance(1);
    assert_eq!(rig.runner.run_due().await, Ok(1));
    let failed = rig.record(second).await;
    assert_eq!((failed.status, failed.code), (RunStatus::Failed, Some(Code::Status)));
    let third = failed.retry_run.expect("a third run is queued");
    assert_eq!(rig.record(third).await.started_at.to_string(), "2026-01-02T03:04:45Z");
    rig.clock.advance(30);
    assert_eq!(rig.runner.run_due().await, Ok(1));
    let last = rig.record(third).await;
    assert_eq!((last.status, last.attempt, last.retry_of, last.steps.len()), (RunStatus::Succeeded, 3, Some(second), 2));
    assert_eq!(rig.runner.run_due().await, Ok(0));
    let inputs: Vec<_> = upstream.requests().into_iter().filter(|request| request.path == "/x").map(|request| request.text()).collect();
    assert_eq!(inputs, ["{\"in\":7}"; 3]);
}

#[tokio::test]
async fn the_last_attempt_queues_nothing() {
    let upstream = Upstream::start().await;
    let rig = Rig::new().await;
    let step = json!({"url": upstream.url("/none"), "status_code": [200]});
    let flow = rig.flow(json!({"retry": {"attempts": 1}, "steps": [step]})).await;
    let first = rig.run(&flow, "1").await;
    assert_eq!(rig.runner.run_due().await, Ok(1));
    let second = rig.record(failure(&first).1.unwrap()).await;
    assert_eq!((second.status, second.retry_run), (RunStatus::Failed, None));
    assert_eq!(rig.runner.run_due().await, Ok(0));
}

#[tokio::test]
async fn a_queued_run_whose_flow_is_gone_fails() {
    let rig = Rig::new().await;
    let flow = rig.flow(json!({"retry": {"attempts": 1}, "steps": [{"url": "http://127.0.0.1:1/", "status_code": [200]}]})).await;
    let next = failure(&rig.run(&flow, "1").await).1.unwrap();
    assert!(rig.store.delete_flow(&rig.tenant.name, &name("f")).await.unwrap());
    assert_eq!(rig.runner.run_due().await, Ok(1));
    let record = rig.record(next).await;
    assert_eq!((record.status, record.code, record.retry_run), (RunStatus::Failed, Some(Code::NotFound), None));
}

#[tokio::test]
async fn the_background_task_drives_what_is_due_and_ends_with_its_node() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(rig.runner.clone().requeue(Arc::new(rig.runner.clone()), shutdown.clone()));
    let flow = rig.flow(json!({"retry": {"attempts": 1}, "steps": [{"url": upstream.url("/x"), "status_code": [200]}]})).await;
    let next = failure(&rig.run(&flow, "1").await).1.unwrap();
    upstream.received(2).await;
    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(rig.record(next).await.status, RunStatus::Succeeded);
}
