//! A run that loses its process, wherever it is just then: it is gone on with, nothing is lost and nothing is done twice.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use serde_json::{Value, json};
use snaphook_model::{Callback, Code, CorrelationId, EventKind, Payload, RunEvent, RunId, RunRecord, RunStatus};
use snaphook_testkit::{Answer, Recorded, Upstream};

use crate::rig::Rig;

/// A future that is dropped where it waits for the `left`-th time, as a killed process drops what it does.
struct Killed<F> {
    work: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Killed<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        self.work.as_mut().poll(context).map(Some)
    }
}

/// Requests to a path that were made for one run.
fn of_run(upstream: &Upstream, path: &str, number: usize) -> Vec<Recorded> {
    let own = |request: &Recorded| request.path == path && request.json()["number"] == number;
    upstream.requests().into_iter().filter(own).collect()
}

async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    let echo = |request: &Recorded| Answer::json(request.json());
    let orders = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    // The first request of each run finds the upstream busy.
    upstream.on_request("/order", move |request| match orders.lock().unwrap().insert(request.json()["number"].to_string()) {
        true => Answer::status(503),
        false => Answer::json(request.json()),
    });
    upstream.on_request("/charge", echo).on_request("/ask", echo);
    upstream.on("/poll", Answer::json(json!({"s": "open"}))).on("/poll", Answer::json(json!({"s": "done"})));
    // Each answer is another file, so that a poll replaces the one before.
    let polls = std::sync::atomic::AtomicUsize::new(0);
    upstream.on_request("/file", move |_| {
        let number = polls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::json(json!({"s": if number % 3 == 2 { "done" } else { "open" }, "number": number}))
    });
    upstream.on_request("/filed", |request| Answer::json(json!({"whole": String::from_utf8_lossy(&request.body).contains("done")})));
    upstream
}

async fn flow(rig: &Rig, upstream: &Upstream) -> snaphook_flow::PreparedFlow {
    rig.deploy("note", "export default function (payload, context) { context.variables.noted = payload.number; return payload; }");
    rig.deploy("last", "export default (payload, context) => ({ number: context.variables.noted, polled: payload })");
    let endpoints = json!({
        "order": {"method": "POST", "path": "/order", "idempotent": true, "retry": {"attempts": 1, "delay_s": 5}},
        "charge": {"method": "POST", "path": "/charge"},
        "ask": {"method": "POST", "path": "/ask"},
        "filed": {"method": "POST", "path": "/filed", "idempotent": true, "files": {"file": "f.json"}},
    });
    rig.put_connector("up", &json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let steps = json!([
        {"script": "note", "version": 1}, {"call": "up/order"}, {"call": "up/charge"}, {"call": "up/ask", "async": {}},
        {"url": upstream.url("/poll"), "method": "GET", "continue_if": {"response_notation": "s", "value": "done"},
         "polling": {"interval": 5, "amount": 50}},
        {"url": upstream.url("/file"), "method": "GET", "save_as_file": "f.json",
         "continue_if": {"response_notation": "s", "value": "done"}, "polling": {"interval": 5, "amount": 50}},
        {"call": "up/filed"},
        {"script": "last", "version": 1},
    ]);
    rig.flow(json!({ "steps": steps })).await
}

/// Does what time and upstreams would do, until the run has ended.
async fn to_the_end(rig: &Rig, upstream: &Upstream, run: RunId, number: usize) -> RunRecord {
    for _ in 0..40 {
        rig.runner.run_due().await.unwrap();
        let record = rig.record(run).await;
        if record.status.has_ended() {
            return record;
        }
        for asked in of_run(upstream, "/ask", number) {
            let id = CorrelationId(asked.header("x-link-correlation-id").unwrap().to_owned());
            let body = Payload::json(json!({ "number": number }).to_string());
            let callback = Callback { ok: true, body, document_status: None, error_code: None, error_text: None };
            match rig.runner.call_back(&rig.tenant.name, &id, &callback).await {
                Ok(called) => assert_eq!(called, run),
                Err(fault) => assert_eq!(fault.code, Code::CallbackUsed),
            }
        }
        rig.clock.advance(5);
    }
    panic!("run {run} does not end: {:?}", rig.record(run).await);
}

fn ended_well(record: &RunRecord, number: usize) -> bool {
    if record.status == RunStatus::Succeeded {
        let last = record.steps.last().unwrap();
        assert_eq!((record.steps.len(), last.hooks.len()), (8, 1), "run {number}");
        let filed = record.steps[6].attempts.last().unwrap().response.as_ref().unwrap();
        assert_eq!(serde_json::to_value(&filed.body).unwrap(), json!(r#"{"whole":true}"#), "run {number}");
        return true;
    }
    assert_eq!((record.status, record.code), (RunStatus::Failed, Some(Code::OutcomeUnknown)), "run {number}: {record:?}");
    false
}

/// What is known of the request whose outcome is not.
fn shows_what_was_sent(record: &RunRecord, events: &[RunEvent], number: usize) {
    let step = record.steps.last().unwrap();
    let attempt = step.attempts.last().unwrap();
    let request = attempt.request.as_ref().expect("what was about to leave is in the record");
    assert!(attempt.response.is_none(), "run {number}: {attempt:?}");
    assert!(["/charge", "/ask"].iter().any(|path| request.url.ends_with(path)), "run {number}: {}", request.url);
    let of_it = |event: &&RunEvent| event.step.as_ref() == Some(&step.name) && event.attempt == u32::try_from(step.attempts.len()).ok();
    let kinds: Vec<_> = events.iter().filter(of_it).map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::RequestStarted], "run {number}");
}

#[tokio::test]
async fn a_run_survives_the_loss_of_its_process_at_any_moment() {
    let (rig, upstream) = (Rig::new().await, upstream().await);
    let flow = flow(&rig, &upstream).await;
    let (mut well, mut unknown, mut repeated) = (0, 0, 0);
    for number in 1.. {
        let input = Payload::json(json!({ "number": number }).to_string());
        let run = rig.runner.accept_flow(&rig.tenant, &flow, input).await.unwrap().run;
        let killed = Killed { work: Box::pin(to_the_end(&rig, &upstream, run, number)), left: number }.await;
        let whole = killed.is_some();
        // What another process finds when it starts.
        rig.store.requeue_claimed().await.unwrap();
        let record = to_the_end(&rig, &upstream, run, number).await;

        let keys: Vec<_> =
            of_run(&upstream, "/order", number).iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        let (charged, asked) = (of_run(&upstream, "/charge", number).len(), of_run(&upstream, "/ask", number).len());
        // The busy upstream has answered, so what follows is another request; one whose answer was not heard is the same again.
        assert!(distinct.len() <= 2 && keys.len() <= 3 && charged <= 1 && asked <= 1, "run {number}: {keys:?} {charged} {asked}");
        repeated += usize::from(keys.len() == 3);
        let events = rig.runner.events(&rig.tenant.name, run, 0).await.unwrap().unwrap().1;
        let numbers: Vec<_> = events.iter().map(|event| event.seq as usize).collect();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "run {number}");
        let last = events.last().unwrap();
        assert_eq!((last.kind, last.detail.get("status")), (EventKind::RunEnded, Some(&json!(record.status))), "run {number}");
        match ended_well(&record, number) {
            true => {
                assert_eq!((charged, asked), (1, 1), "run {number}");
                well += 1;
            }
            false => {
                shows_what_was_sent(&record, &events, number);
                unknown += 1;
            }
        }
        if whole {
            break;
        }
    }
    assert_eq!(rig.store.sealed_callbacks(&rig.tenant.name, "").await.unwrap(), [], "what runs have heard is kept no more");
    assert!(well > 5 && unknown + repeated > 0, "{well} ended well, {unknown} with an unknown outcome, {repeated} requests were repeated");
}

#[tokio::test]
async fn a_checkpoint_outlives_a_change_of_the_connector() {
    let (rig, upstream) = (Rig::new().await, upstream().await);
    let flow = flow(&rig, &upstream).await;
    let run = rig.runner.accept_flow(&rig.tenant, &flow, Payload::json(r#"{"number":1}"#.to_owned())).await.unwrap().run;
    rig.runner.run_due().await.unwrap();
    let waiting = rig.record(run).await;
    assert_eq!((waiting.status, waiting.steps.len()), (RunStatus::Waiting, 2));
    let endpoint = |path: &str| -> Value { json!({"method": "POST", "path": path, "retry": {"attempts": 1}}) };
    let endpoints =
        json!({"order": endpoint("/order"), "charge": endpoint("/charge"), "ask": endpoint("/ask"), "filed": endpoint("/filed")});
    rig.put_connector("up", &json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let record = to_the_end(&rig, &upstream, run, 1).await;
    assert_eq!(record.status, RunStatus::Succeeded, "{record:?}");
}
