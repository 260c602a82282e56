//! Polling, and what a run holds while it waits: nothing.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::NodeProcess;

use crate::support::{ended, node, on_both_databases, problem, tenant};

on_both_databases! {
    f041_polling_asks_at_its_interval_until_it_matches_or_its_amount_is_used_up,
    f042_polling_needs_a_condition_and_has_bounds,
    f043_polls_that_wait_hold_nothing_and_survive_a_kill,
    a_saved_file_outlives_a_wait_and_a_kill,
}

fn status(word: &str) -> Answer {
    Answer::json(json!({"detail": {"status": word}}))
}

fn polling(upstream: &Upstream, interval: u32, amount: u32) -> Value {
    json!({"steps": [{
        "name": "Ask", "url": upstream.url("/x"), "method": "GET",
        "continue_if": {"response_notation": "detail.status", "value": "done"}, "polling": {"interval": interval, "amount": amount},
    }]})
}

/// Seconds from one attempt of a step to the next, as the record has them.
fn gaps(run: &Value) -> Vec<f64> {
    let attempts = run["steps"][0]["attempts"].as_array().unwrap();
    let starts: Vec<jiff::Timestamp> = attempts.iter().map(|attempt| attempt["started_at"].as_str().unwrap().parse().unwrap()).collect();
    starts.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect()
}

async fn f041_polling_asks_at_its_interval_until_it_matches_or_its_amount_is_used_up() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", status("open")).on("/x", status("done"));
    tenant.flow("f", polling(&upstream, 1, 3)).await;
    let done = tenant.run_to_end("f", json!(null)).await.expect(200);
    assert_eq!(done.json(), json!({"detail": {"status": "done"}}));
    let run = tenant.record(&done).await;
    assert_eq!((upstream.requests().len(), run["status"].as_str()), (2, Some("succeeded")));
    assert!(gaps(&run).iter().all(|gap| (1.0..2.5).contains(gap)), "{:?}", gaps(&run));
    let wait = &run["steps"][0]["waits"][0];
    assert_eq!((&wait["reason"], &wait["after"]), (&json!("polling"), &json!(1)));

    let never = Upstream::start().await;
    never.on("/x", status("open"));
    tenant.flow("never", polling(&never, 1, 3)).await;
    let failed = tenant.run_to_end("never", json!(null)).await.expect(504);
    let (code, detail) = problem(&failed);
    assert_eq!((code.as_str(), never.requests().len()), ("polling-exhausted", 3));
    assert!(detail.contains("`\"open\"`") && detail.contains("3 requests"), "{detail}");
    let run = tenant.record(&failed).await;
    assert_eq!((run["status"].as_str(), gaps(&run).len()), (Some("failed"), 2));
}

async fn f042_polling_needs_a_condition_and_has_bounds() {
    let (tenant, upstream) = tenant().await;
    let flow = |extra: Value| {
        let mut step = json!({"url": upstream.url("/x"), "method": "GET", "continue_if": {"response_notation": "s", "value": 1}});
        step.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "steps": [step] })
    };
    let cases = [
        (flow(json!({"polling": {"interval": 0, "amount": 1}})), "steps[0].polling.interval"),
        (flow(json!({"polling": {"interval": 3601, "amount": 1}})), "steps[0].polling.interval"),
        (flow(json!({"polling": {"interval": 1, "amount": 0}})), "steps[0].polling.amount"),
        (flow(json!({"polling": {"interval": 1, "amount": 101}})), "steps[0].polling.amount"),
        (flow(json!({"polling": {"interval": 1}})), "steps[0].polling"),
        (flow(json!({"polling": {"interval": 1, "amount": 1}, "continue_if": null})), "steps[0].polling"),
        (json!({"steps": [{"script": "s", "polling": {"interval": 1, "amount": 1}}]}), "steps[0].polling"),
    ];
    for (document, path) in cases {
        let refused = tenant.client.put("/v1/flows/f", &document).await.expect(400).json();
        assert_eq!((refused["code"].as_str(), refused["path"].as_str()), (Some("invalid"), Some(path)), "{document}");
    }
    for polling in [json!({"interval": 1, "amount": 100}), json!({"interval": 3600, "amount": 1})] {
        tenant.flow("f", flow(json!({ "polling": polling }))).await;
    }
}

async fn f043_polls_that_wait_hold_nothing_and_survive_a_kill() {
    let mut own = NodeProcess::start_like(node());
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    upstream.on("/x", status("open"));
    upstream.on("/quick", Answer::json(json!({"ok": true})));
    // Long enough that all of them wait at once between their first request and the second one.
    tenant.flow("f", polling(&upstream, 10, 100)).await;
    tenant.flow("quick", json!({"steps": [{"url": upstream.url("/quick"), "method": "GET"}]})).await;
    // Many more than a node drives at once.
    let mut runs = Vec::new();
    for _ in 0..100 {
        runs.push(tenant.start("f", json!(null)).await);
    }
    upstream.received(100).await;
    let _ = tenant.run("quick", json!(null)).await.expect(200);
    let waiting =
        async || tenant.client.get("/v1/runs?status=waiting&limit=200").await.expect(200).json()["items"].as_array().unwrap().len();
    let mut most = 0_usize;
    for _ in 0..400 {
        most = most.max(waiting().await);
        if most == 100 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(most, 100, "all of them wait");

    own.kill();
    let asked = upstream.requests().len();
    upstream.on_request("/x", |_| status("done"));
    own.restart();
    tenant.client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    for run in &runs {
        let record = ended(&tenant, run).await;
        assert_eq!(record["status"], "succeeded", "{record}");
    }
    assert!(upstream.requests().len() <= asked + 101, "a run asks once more, and nothing twice");
}

async fn a_saved_file_outlives_a_wait_and_a_kill() {
    let mut own = NodeProcess::start_like(node());
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    let picture: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    upstream.on("/f", Answer::bytes(picture.clone()).header("content-type", "image/png"));
    upstream.on("/x", status("open")).on("/x", status("done")).on("/up", Answer::json(json!({"ok": true})));
    let mut flow = polling(&upstream, 2, 9);
    let steps = flow["steps"].as_array_mut().unwrap();
    steps.insert(0, json!({"url": upstream.url("/f"), "method": "GET", "save_as_file": "picture.png"}));
    steps.push(json!({"url": upstream.url("/up"), "files": {"file": "picture.png"}}));
    tenant.flow("f", flow).await;
    let run = tenant.run("f", json!(null)).await.expect(202).json()["run"].as_str().unwrap().to_owned();
    own.kill();
    own.restart();
    tenant.client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    let record = ended(&tenant, &run).await;
    assert_eq!(record["status"], "succeeded", "{record}");
    let sent = upstream.last();
    assert!(sent.body.windows(picture.len()).any(|part| part == picture), "{} bytes arrived", sent.body.len());
    let kept = own.data_dir().join("files/kept").join(&tenant.name);
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 0, "the file went with its run");
}
