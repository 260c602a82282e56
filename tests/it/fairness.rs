//! Tenants beside each other: what one is refused, and what another does not notice.

use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::NodeProcess;
use snaphook_tests::neighbours::{self, Load, Neighbour, Quiet};
use tokio::sync::Mutex;

use crate::limit_edges::too_large;
use crate::support::{binary, ended, node, problem};

/// Repeats the body that it was sent.
async fn mirror() -> Upstream {
    let upstream = Upstream::start().await;
    upstream.on_request("/x", |request| Answer::json(serde_json::from_str::<Value>(&request.text()).unwrap_or_default()));
    upstream
}

#[tokio::test]
async fn f125_a_tenant_at_its_cap_is_told_and_another_is_not() {
    let upstream = mirror().await;
    let slow = Upstream::start().await;
    let gate = Gate::closed();
    slow.on("/x", Answer::json(json!({})).after(&gate));
    let allowed = json!({"allow_private": ["127.0.0.0/8"]});
    let capped = node().tenant_with(json!({"quota": {"concurrency": 2, "rate_per_s": 1000}, "egress": allowed})).await;
    let endpoints = json!({"x": {"method": "POST", "path": "/x"}});
    capped.connector("api", json!({"base_url": slow.url(""), "endpoints": endpoints})).await;
    let held = [capped.clone(), capped.clone()].map(|tenant| tokio::spawn(async move { tenant.call("api/x", json!({})).await }));
    let _ = slow.received(2).await;
    let refused = capped.call("api/x", json!({})).await.expect(429);
    assert_eq!((problem(&refused).0.as_str(), refused.header("retry-after")), ("quota-concurrency", Some("1")));
    assert_eq!(refused.json()["limit"], 2);
    let other = neighbours::quiet(node(), &upstream.url("")).await;
    let _ = other.call("api/x", json!({"items": []})).await.expect(200);
    // Looking is no work: whoever wants to know why may read.
    let _ = capped.client.get("/v1/runs").await.expect(200);
    gate.open();
    for call in held {
        let _ = call.await.unwrap().expect(200);
    }
    let _ = capped.call("api/x", json!({})).await.expect(200);
}

#[tokio::test]
async fn f125_a_body_over_the_limit_is_refused_before_anything_runs() {
    let tenant = node().tenant().await;
    tenant.js("hook", "export default (payload) => payload;").await;
    tenant.flow("f", json!({"steps": [{"script": "hook"}]})).await;
    too_large(&tenant, "POST /v1/flows/f/runs", "application/json", 6 << 20, "too-large").await;
    assert_eq!(tenant.client.get("/v1/runs").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn a_tenant_that_is_too_fast_is_told_when_to_come_again() {
    let upstream = mirror().await;
    let quota = json!({"quota": {"rate_per_s": 5}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(quota).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    let mut refused = Vec::new();
    for _ in 0..20 {
        let answer = tenant.call("api/x", json!({})).await;
        if answer.status != 200 {
            refused.push(answer.expect(429));
        }
    }
    assert!(refused.len() >= 10, "{} of 20 calls at once were refused", refused.len());
    assert_eq!((problem(&refused[0]).0.as_str(), refused[0].header("retry-after")), ("quota-rate", Some("1")));
}

#[tokio::test]
async fn who_only_looks_has_a_rate_as_well() {
    let tenant = node().tenant_with(json!({"quota": {"rate_per_s": 1}})).await;
    for _ in 0..100 {
        let _ = tenant.client.get("/v1/runs").await.expect(200);
    }
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = tenant.client.get("/v1/runs").await;
        if answer.status != 200 {
            refused = Some(answer.expect(429));
            break;
        }
    }
    let refused = refused.expect("ten a second are let in, and more are asked for");
    assert_eq!((problem(&refused).0.as_str(), refused.header("retry-after")), ("quota-rate", Some("1")));
    assert_eq!(refused.json()["limit"], 10);
}

#[tokio::test]
async fn two_tenants_whose_queued_runs_hang_leave_a_third_its_turn() {
    let node = NodeProcess::start(binary());
    let (slow, gate) = (Upstream::start().await, Gate::closed());
    slow.on("/x", Answer::json(json!({})).after(&gate));
    // Half of sixteen places is for the first, and half of the rest for the second.
    for under_way in [8, 12] {
        let hog = neighbours::quiet(&node, &slow.url("")).await;
        hog.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
        for _ in 0..16 {
            let _ = hog.start("f", json!({})).await;
        }
        let _ = slow.received(under_way).await;
    }
    let upstream = mirror().await;
    let third = neighbours::quiet(&node, &upstream.url("")).await;
    third.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    for _ in 0..4 {
        let run = third.start("f", json!({"items": []})).await;
        let run = tokio::time::timeout(Duration::from_secs(20), ended(&third, &run)).await.expect("it is served at once");
        assert_eq!(run["status"], "succeeded", "{run}");
    }
    assert_eq!(slow.received(12).await.len(), 12, "the others are still at theirs");
    gate.open();
}

/// Of as many rounds alone and beside the neighbour, the one in the middle counts.
const ROUNDS: usize = 3;

/// Two neighbours of two tests would be beside each other's quiet tenant as well, and perhaps not while it is alone.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What the quiet tenant's 99th percentile may be beside a neighbour. A release build promises less than twice the one alone, which the bench measures on
/// a machine that does nothing else; this one is built for debugging and beside other tests. But where one turn is not taken after the other,
/// the quiet tenant waits behind requests that take a second each, of which there are 128: that is far beyond this.
fn most(alone: Duration) -> Duration {
    alone * 5 + Duration::from_millis(400)
}

/// No answer of the quiet tenant is a refusal, and few take longer than they would alone.
async fn stays_quiet(neighbour: Neighbour) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let node = NodeProcess::start(binary());
    let upstream = mirror().await;
    let [alone, beside] = neighbours::beside(&node, &upstream.url(""), neighbour, Duration::from_millis(1500), ROUNDS).await;
    let shown = |rounds: &[Quiet]| {
        let shown = rounds
            .iter()
            .map(|quiet| format!("{} calls, p50 {:?}, p99 {:?}", quiet.latencies.len(), quiet.percentile(50), quiet.percentile(99)));
        shown.collect::<Vec<_>>().join("; ")
    };
    println!("{}: alone {}; beside {}", neighbour.words(), shown(&alone), shown(&beside));
    let failed: Vec<&String> = alone.iter().chain(&beside).flat_map(|quiet| &quiet.failed).collect();
    assert_eq!(failed.first(), None, "{} failed", failed.len());
    let (before, after) = (neighbours::median(&alone, 99), neighbours::median(&beside, 99));
    assert!(after < most(before), "alone {}; beside {}", shown(&alone), shown(&beside));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_endless_loops_refuse_nobody() {
    stays_quiet(Neighbour::Loops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_memory_bombs_refuse_nobody() {
    stays_quiet(Neighbour::MemoryBombs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_log_floods_refuse_nobody() {
    stays_quiet(Neighbour::LogFloods).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_uploads_refuse_nobody() {
    stays_quiet(Neighbour::Uploads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_queue_refuses_nobody_and_queued_runs_take_turns() {
    stays_quiet(Neighbour::QueuedRuns).await;
    let _turn = ONE_AT_A_TIME.lock().await;
    let node = NodeProcess::start(binary());
    let upstream = mirror().await;
    let tenant = neighbours::quiet(&node, &upstream.url("")).await;
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let load = Load::start(&node, Neighbour::QueuedRuns).await;
    // Thousands of runs are ahead, and more come.
    for _ in 0..5 {
        let run = tenant.start("f", json!({"items": []})).await;
        let run = tokio::time::timeout(Duration::from_secs(10), ended(&tenant, &run)).await.expect("its turn comes soon");
        assert_eq!(run["status"], "succeeded", "{run}");
    }
    load.is_at_work().await;
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_signatures_refuse_nobody() {
    stays_quiet(Neighbour::Signatures).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_templates_refuse_nobody() {
    stays_quiet(Neighbour::Templates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_large_secrets_refuse_nobody() {
    stays_quiet(Neighbour::Secrets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_refused_requests_refuse_nobody() {
    stays_quiet(Neighbour::Refused).await;
}
