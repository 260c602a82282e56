//! What runs leave goes when the clock says so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use snaphook_model::{Author, Code, RunId, Who};
use snaphook_testkit::{Answer, Upstream};

use crate::rig::{Rig, payload};

const HOUR: u64 = 3600;

/// A rig whose clock begins now, since the usual times go by the ids of runs, which are times.
async fn rig(retention: Value) -> Rig {
    rig_of(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "retention": retention})).await
}

async fn rig_of(tenant: Value) -> Rig {
    let rig = Rig::of(tenant).await;
    let beginning: Timestamp = crate::rig::BEGINNING.parse().unwrap();
    rig.clock.advance(u64::try_from(Timestamp::now().duration_since(beginning).as_secs()).unwrap());
    rig.deploy("s", "export function postRequest(response) { console.log('seen'); }");
    rig
}

/// Runs a flow whose step has a hook; gives its run.
async fn run(rig: &Rig, upstream: &Upstream, extra: Value) -> RunId {
    let step = json!({"url": upstream.url("/x"), "data": {"recipe": "secret"}, "hooks": {"post-request": [{"script": "s", "version": 1}]}});
    let mut document = json!({ "steps": [step] });
    document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let flow = rig.flow(document).await;
    let finished = rig.run(&flow, "{}").await;
    assert_eq!(payload(&finished), "{\"answer\":\"secret\"}");
    finished.run
}

/// Whether payloads, logs and a replay of a run are there.
async fn left(rig: &Rig, run: RunId) -> (bool, bool, bool) {
    rig.runner.sweep().await.unwrap();
    let record = rig.store.run(&rig.tenant.name, run).await.unwrap();
    let text = serde_json::to_string(&record).unwrap();
    let replayed = rig.runner.replay(&rig.tenant, run, &BTreeMap::new(), rig.deadline(), &mut |_| {}).await;
    let replays = match replayed {
        Ok(same) => same,
        Err(fault) => {
            let expected = if record.is_some() { Code::Conflict } else { Code::NotFound };
            assert_eq!(fault.code, expected, "{fault:?}");
            false
        }
    };
    (text.contains("secret"), text.contains("seen"), replays)
}

fn author() -> Author {
    Author { who: Who::Operator, at: Timestamp::UNIX_EPOCH, request_id: String::new() }
}

#[tokio::test]
async fn payloads_go_after_three_days_and_logs_after_seven() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"answer": "secret"})));
    let rig = rig(json!({})).await;
    let first = run(&rig, &upstream, json!({})).await;
    assert!(rig.record(first).await.retention.is_none(), "it goes by the usual times");
    rig.clock.advance(71 * HOUR);
    assert_eq!(left(&rig, first).await, (true, true, true));
    rig.clock.advance(2 * HOUR);
    assert_eq!(left(&rig, first).await, (false, true, false));
    let fault = rig.runner.retry(&author(), &rig.tenant, first).await.unwrap_err();
    assert!(fault.code == Code::Conflict && fault.detail.contains("have had their time"), "{fault:?}");
    rig.clock.advance(94 * HOUR);
    assert_eq!(left(&rig, first).await, (false, true, false));
    rig.clock.advance(25 * HOUR);
    assert_eq!(left(&rig, first).await, (false, false, false));
    assert!(rig.store.run(&rig.tenant.name, first).await.unwrap().is_none());
}

/// A flow that says it itself is kept to the second: payloads for three days, and the rest for the tenant's usual seven.
#[tokio::test]
async fn usual_times_end_with_their_last_second() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"answer": "secret"})));
    let rig = rig(json!({})).await;
    let of_flow = run(&rig, &upstream, json!({"record": {"payloads_s": 72 * HOUR}})).await;
    rig.clock.advance(72 * HOUR - 1);
    assert_eq!(left(&rig, of_flow).await, (true, true, true));
    rig.clock.advance(1);
    assert_eq!(left(&rig, of_flow).await, (false, true, false));
    rig.clock.advance((168 - 72) * HOUR - 1);
    assert_eq!(left(&rig, of_flow).await, (false, true, false));
    rig.clock.advance(1);
    assert_eq!(left(&rig, of_flow).await, (false, false, false));
}

#[tokio::test]
async fn a_tenant_and_a_flow_may_say_otherwise() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"answer": "secret"})));
    let rig = rig(json!({"payloads_s": 10 * HOUR, "logs_s": 20 * HOUR})).await;
    let tenants = run(&rig, &upstream, json!({})).await;
    let flows = run(&rig, &upstream, json!({"record": {"payloads_s": 60}})).await;
    rig.clock.advance(59);
    assert_eq!((left(&rig, tenants).await, left(&rig, flows).await), ((true, true, true), (true, true, true)));
    rig.clock.advance(1);
    assert_eq!((left(&rig, tenants).await, left(&rig, flows).await), ((true, true, true), (false, true, false)));
    rig.clock.advance(11 * HOUR);
    assert_eq!((left(&rig, tenants).await, left(&rig, flows).await), ((false, true, false), (false, true, false)));
    rig.clock.advance(9 * HOUR);
    assert_eq!((left(&rig, tenants).await, left(&rig, flows).await), ((false, true, false), (false, false, false)));
    rig.clock.advance(HOUR);
    assert_eq!(left(&rig, tenants).await, (false, false, false));
}

#[tokio::test]
async fn beyond_the_quota_the_oldest_goes_before_its_time() {
    let upstream = Upstream::start().await;
    upstream.on_request("/x", |_| Answer::json(json!({"answer": "secret".repeat(10_000)})));
    let rig = rig_of(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "quota": {"history_bytes": 1 << 20}})).await;
    let flow = rig.flow(json!({"steps": [{"url": upstream.url("/x")}]})).await;
    let mut runs = Vec::new();
    for _ in 0..24 {
        runs.push(rig.run(&flow, "{}").await.run);
    }
    rig.store.flush().await.unwrap();
    let with_payloads = async || {
        rig.runner.bound_history().await.unwrap();
        let mut with = Vec::new();
        for run in &runs {
            let record = rig.store.run(&rig.tenant.name, *run).await.unwrap().expect("no run goes as a whole");
            with.push(serde_json::to_string(&record).unwrap().contains("secret"));
        }
        with
    };
    assert_eq!(with_payloads().await, [true; 24], "one that began just now may not be written yet");
    rig.clock.advance(HOUR);
    let left = with_payloads().await;
    let gone = left.iter().take_while(|has| !**has).count();
    assert!((6..14).contains(&gone) && left[gone..].iter().all(|has| *has), "{left:?}");
    let kept = rig.store.history_bytes(&rig.tenant.name).await.unwrap();
    assert!(kept <= (1 << 20) - (1 << 16), "{kept}: down to fifteen sixteenths");
    rig.clock.advance(HOUR);
    assert_eq!(with_payloads().await, left, "then it stays");
}
