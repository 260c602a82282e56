//! Runs as they are started, watched, cancelled and made again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::Tenant;

use crate::support::{ended, endpoint, ok, on_both_databases, problem, tenant};

on_both_databases! {
    f058_a_failed_run_is_made_again_once_after_its_delay,
    f117_every_attempt_gets_the_first_ones_payload,
    f118_a_caller_waits_as_long_as_it_says,
    a_step_waits_before_it_tries_again,
    an_upstream_that_is_busy_says_when_to_ask_again,
    a_run_is_cancelled_where_it_is,
    a_run_is_made_again_with_its_input_and_its_version,
    a_run_that_was_too_large_to_be_recorded_is_made_again,
    a_history_tells_everything_in_order,
    a_history_shows_a_request_before_it_is_answered,
    f133_every_status_of_a_run_can_be_reached_and_asked_for,
}

fn one_step(upstream: &Upstream, retry: Value) -> Value {
    json!({"retry": retry, "steps": [{"name": "Ask", "url": upstream.url("/x"), "method": "POST", "data": "{{ payload }}", "status_code": [200]}]})
}

async fn post(tenant: &Tenant, path: &str) -> snaphook_tests::Response {
    tenant.client.post(path, &Value::Null).await
}

/// Seconds from the end of a failed run to when the next one is due, which is when that one says it starts.
fn delay(failed: &Value, next: &Value) -> f64 {
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // The queue keeps microseconds.
    let micros = time(&next["started_at"]).as_microsecond() - time(&failed["ended_at"]).as_microsecond();
    f64::from(i32::try_from(micros / 1000).unwrap()) / 1000.0
}

async fn f058_a_failed_run_is_made_again_once_after_its_delay() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500));
    tenant.flow("f", one_step(&upstream, json!({"attempts": 1, "delay_s": 1}))).await;
    let failed = tenant.run("f", json!({"n": 1})).await.expect(502);
    let first = tenant.record(&failed).await;
    let second = failed.json()["retry_run"].as_str().unwrap().to_owned();
    let queued = tenant.record_of(&second).await;
    assert_eq!((&queued["retry_of"], &queued["attempt"]), (&first["id"], &json!(2)));
    assert_eq!(delay(&first, &queued), 1.0);
    let second = ended(&tenant, &second).await;
    assert_eq!((&second["status"], &second["retry_run"]), (&json!("failed"), &Value::Null));
    assert_eq!(upstream.requests().len(), 2);

    // Where only a script asks for another run, that is made after a minute.
    tenant.js("again", "import { retryRun } from 'snaphook'; export function postRequest() { return retryRun('later'); }").await;
    let mut flow = one_step(&upstream, Value::Null);
    flow.as_object_mut().unwrap().remove("retry");
    flow["steps"][0]["hooks"] = json!({"post-request": [{"script": "again"}]});
    tenant.flow("g", flow).await;
    let asked = tenant.run("g", json!({})).await.expect(422);
    let first = tenant.record(&asked).await;
    let queued = tenant.record_of(asked.json()["retry_run"].as_str().unwrap()).await;
    assert_eq!((&queued["status"], &queued["attempt"]), (&json!("queued"), &json!(2)));
    assert_eq!(delay(&first, &queued), 60.0);

    // What is blocked is not made again.
    let mut flow = one_step(&upstream, json!({"attempts": 3, "delay_s": 0}));
    flow["steps"][0]["continue_if"] = json!({"response_notation": "a", "value": 1});
    flow["steps"][0]["status_code"] = json!([]);
    upstream.on("/x", ok());
    upstream.on_request("/x", |_| ok());
    tenant.flow("b", flow).await;
    let blocked = tenant.run("b", json!({})).await.expect(409);
    assert_eq!((problem(&blocked).0.as_str(), &blocked.json()["retry_run"]), ("blocked", &Value::Null));
}

async fn f117_every_attempt_gets_the_first_ones_payload() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::status(500)).on("/x", ok());
    tenant.flow("f", one_step(&upstream, json!({"attempts": 10, "delay_s": 0}))).await;
    let payload = json!({"n": 12.50, "list": [1, {"a": null}]});
    let failed = tenant.run("f", payload.clone()).await.expect(502);
    let second = ended(&tenant, failed.json()["retry_run"].as_str().unwrap()).await;
    let third = ended(&tenant, second["retry_run"].as_str().unwrap()).await;
    assert_eq!((&second["status"], &third["status"], &third["attempt"]), (&json!("failed"), &json!("succeeded"), &json!(3)));
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.body == requests[0].body && request.json() == payload));
    for attempts in [11, -1] {
        let refused = tenant.client.put("/v1/flows/f", &one_step(&upstream, json!({ "attempts": attempts }))).await.expect(400);
        assert!(refused.json()["path"].as_str().unwrap().starts_with("retry"), "{}", refused.text());
    }
}

async fn f118_a_caller_waits_as_long_as_it_says() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    tenant.flow("f", one_step(&upstream, Value::Null)).await;
    let send = async |prefer: &str| {
        let headers = [("content-type", "application/json"), ("prefer", prefer)];
        tenant.client.send("POST", "/v1/flows/f/runs", &headers, json!({"payload": 1}).to_string().into()).await
    };
    let begun = Instant::now();
    let late = send("wait=1").await.expect(202);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(late.header("preference-applied"), Some("wait"));
    let run = late.json()["run"].as_str().unwrap().to_owned();
    assert_eq!(late.header("location"), Some(format!("/v1/runs/{run}").as_str()));
    assert_eq!(tenant.record_of(&run).await["status"], "running", "it is durable before it is answered");
    gate.open();
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");

    let done = send("wait=20").await.expect(200);
    assert_eq!(done.json(), json!({"ok": true}));
    let accepted = send("respond-async").await.expect(202);
    assert_eq!((accepted.json()["status"].as_str(), accepted.header("preference-applied")), (Some("queued"), Some("respond-async")));
    assert_eq!(ended(&tenant, accepted.json()["run"].as_str().unwrap()).await["status"], "succeeded");
    assert_eq!(problem(&send("wait=soon").await.expect(400)).0, "invalid");
}

async fn a_step_waits_before_it_tries_again() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(503)).on("/x", ok());
    let mut flow = one_step(&upstream, Value::Null);
    flow.as_object_mut().unwrap().remove("retry");
    flow["steps"][0]["retry"] = json!({"attempts": 1, "delay_s": 1});
    tenant.flow("f", flow).await;
    // Who says nothing is not kept waiting.
    let parked = tenant.run("f", json!(1)).await.expect(202);
    assert_eq!(parked.json()["status"], "waiting");
    let run = ended(&tenant, parked.json()["run"].as_str().unwrap()).await;
    assert_eq!((&run["status"], run["steps"][0]["attempts"].as_array().unwrap().len()), (&json!("succeeded"), 2));
    assert_eq!(run["steps"][0]["attempts"][0]["error"]["code"], "status");
    assert_eq!(run["steps"][0]["waits"][0]["reason"], "retry");

    // A direct call belongs to no run of a flow: its caller waits.
    upstream.on("/y", Answer::status(503)).on("/y", ok());
    let endpoint = json!({"method": "POST", "path": "/y", "retry": {"attempts": 1, "delay_s": 1}});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"y": endpoint}})).await;
    let begun = Instant::now();
    assert_eq!(tenant.call("c/y", json!({})).await.expect(200).json(), json!({"ok": true}));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

/// How long a run's step waits, or waited, in seconds.
async fn waited(tenant: &Tenant, run: &str) -> f64 {
    let wait = tenant.record_of(run).await["steps"][0]["waits"][0].clone();
    let time = |key: &str| wait[key].as_str().unwrap_or_else(|| panic!("{wait}")).parse::<jiff::Timestamp>().unwrap();
    time("until").duration_since(time("since")).as_secs_f64()
}

async fn an_upstream_that_is_busy_says_when_to_ask_again() {
    let (tenant, upstream) = tenant().await;
    let busy =
        |status: u16, after: &str| Answer::status(status).header("date", "Sun, 06 Nov 1994 08:49:37 GMT").header("retry-after", after);
    let flow = |path: &str| json!({"steps": [{"name": "Ask", "url": upstream.url(path), "status_code": [200], "retry": {"attempts": 1, "delay_s": 1}}]});
    for (path, status, after, expected) in [
        ("/seconds", 429, "30", 30.0),
        ("/date", 503, "Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("/tomorrow", 503, "86400", 3600.0),
        ("/now", 429, "0", 1.0),
        ("/other", 500, "30", 1.0),
    ] {
        upstream.on(path, busy(status, after)).on(path, ok());
        tenant.flow("f", flow(path)).await;
        let parked = tenant.run("f", json!(1)).await.expect(202);
        let run = parked.json()["run"].as_str().unwrap().to_owned();
        assert_eq!(waited(&tenant, &run).await, expected, "{path}");
        let _ = post(&tenant, &format!("/v1/runs/{run}/cancel")).await;
    }
    upstream.on("/soon", busy(429, "2")).on("/soon", ok());
    tenant.flow("f", flow("/soon")).await;
    let parked = tenant.run("f", json!(1)).await.expect(202);
    let run = ended(&tenant, parked.json()["run"].as_str().unwrap()).await;
    let begun = |attempt: usize| run["steps"][0]["attempts"][attempt]["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(run["status"] == "succeeded" && begun(1).duration_since(begun(0)).as_secs_f64() >= 2.0, "{run}");

    // Whoever waits for a call would not wait for this: the failure is told at once.
    upstream.on("/y", busy(503, "3600"));
    let endpoint = json!({"method": "POST", "path": "/y", "retry": {"attempts": 1, "delay_s": 1}});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"y": endpoint}})).await;
    assert_eq!(problem(&tenant.call("c/y", json!({})).await.expect(502)).0, "status");
}

/// The kind of a run's last event, and the status that it names.
async fn last_event(tenant: &Tenant, run: &str) -> Value {
    let events = tenant.client.get(&format!("/v1/runs/{run}/events")).await.expect(200).json();
    let last = events["items"].as_array().unwrap().last().unwrap().clone();
    json!([last["kind"], last["status"]])
}

async fn a_run_is_cancelled_where_it_is() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    upstream.on("/open", Answer::json(json!({"s": "open"})));
    tenant.flow("f", one_step(&upstream, Value::Null)).await;

    // Under way: its request is given up.
    let running = tenant.start("f", json!(1)).await;
    upstream.received(1).await;
    let answer = post(&tenant, &format!("/v1/runs/{running}/cancel")).await.expect(200);
    assert_eq!(answer.json(), json!({"run": running, "status": "cancelled"}));
    let record = ended(&tenant, &running).await;
    assert_eq!(
        (&record["status"], &record["code"], &record["document"]["status"]),
        (&json!("cancelled"), &json!("cancelled"), &json!("Ignored"))
    );
    // What was under way is there, and its history has an end.
    let step = &record["steps"][0];
    assert_eq!((&step["status"], &step["code"]), (&json!("failed"), &json!("cancelled")));
    let attempt = &step["attempts"][0];
    assert_eq!((&attempt["request"]["method"], &attempt["response"]["status"]), (&json!("POST"), &json!(0)), "{attempt}");
    assert_eq!(attempt["error"]["code"], "cancelled");
    assert_eq!(last_event(&tenant, &running).await, json!(["run-ended", "cancelled"]));
    gate.open();

    // Waiting: it ends at once.
    let polling = json!({"steps": [{"url": upstream.url("/open"), "method": "GET",
        "continue_if": {"response_notation": "s", "value": "done"}, "polling": {"interval": 3600, "amount": 2}}]});
    tenant.flow("p", polling).await;
    let waiting = tenant.run("p", json!(1)).await.expect(202).json()["run"].as_str().unwrap().to_owned();
    let _ = post(&tenant, &format!("/v1/runs/{waiting}/cancel")).await.expect(200);
    let record = tenant.record_of(&waiting).await;
    assert_eq!((&record["status"], record["steps"].as_array().unwrap().len()), (&json!("cancelled"), 1));
    let step = &record["steps"][0];
    assert_eq!((&step["status"], &step["code"], step["waits"][0]["ended_at"].is_string()), (&json!("failed"), &json!("cancelled"), true));
    assert_eq!(last_event(&tenant, &waiting).await, json!(["run-ended", "cancelled"]));

    // Somebody who waits for it hears of it.
    let started = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.run_to_end("p", json!(1)).await }
    });
    let find = async || tenant.client.get("/v1/runs?status=waiting").await.expect(200).json()["items"][0]["id"].as_str().map(str::to_owned);
    let mut id = find().await;
    while id.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        id = find().await;
    }
    let _ = post(&tenant, &format!("/v1/runs/{}/cancel", id.unwrap())).await.expect(200);
    assert_eq!(problem(&started.await.unwrap().expect(409)).0, "cancelled");

    for (path, status, code) in [
        (format!("/v1/runs/{running}/cancel"), 409, "run-ended"),
        ("/v1/runs/0190aaaa-0000-7000-8000-000000000000/cancel".to_owned(), 404, "not-found"),
        ("/v1/runs/none/cancel".to_owned(), 404, "not-found"),
    ] {
        assert_eq!(problem(&post(&tenant, &path).await.expect(status)).0, code, "{path}");
    }
    let (other, _) = crate::support::tenant().await;
    assert_eq!(problem(&post(&other, &format!("/v1/runs/{running}/cancel")).await.expect(404)).0, "not-found");
}

async fn a_run_is_made_again_with_its_input_and_its_version() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500)).on("/x", ok());
    tenant.flow("f", one_step(&upstream, Value::Null)).await;
    let failed = tenant.run_about("f", json!({"id": "p-1", "values": {"a": 1}}), json!({"n": 1.50})).await.expect(502);
    let first = tenant.record(&failed).await;
    // A newer version is not what the run was made with.
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/other"), "method": "GET"}]})).await;
    let accepted = post(&tenant, &format!("/v1/runs/{}/retry", first["id"].as_str().unwrap())).await.expect(202);
    let second = ended(&tenant, accepted.json()["run"].as_str().unwrap()).await;
    assert_eq!((&second["status"], &second["retry_of"], &second["subject"]), (&json!("succeeded"), &first["id"], &json!("p-1")));
    assert_eq!(second["flow_version"], first["flow_version"]);
    let requests = upstream.requests();
    assert_eq!((requests.len(), &requests[0].body), (2, &requests[1].body));

    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    let call = tenant.call("c/x", json!({})).await.expect(200);
    let refused = post(&tenant, &format!("/v1/runs/{}/retry", call.header("x-run-id").unwrap())).await.expect(409);
    assert_eq!(problem(&refused).0, "conflict");
}

async fn a_run_that_was_too_large_to_be_recorded_is_made_again() {
    let (tenant, upstream) = tenant().await;
    tenant.js("look", "export function preHook() {}\nexport function postRequest() {}").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "look"}], "post-request": [{"script": "look"}]}), json!({})).await;
    // Either is less than what is kept of a run, and both are more.
    upstream.on("/x", Answer::json(json!("y".repeat(5 << 20))));
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let answer = tenant.run("f", json!({"x": "x".repeat(5 << 20)})).await.expect(200);
    let first = tenant.record(&answer).await["id"].as_str().unwrap().to_owned();
    let accepted = post(&tenant, &format!("/v1/runs/{first}/retry")).await.expect(202);
    let second = ended(&tenant, accepted.json()["run"].as_str().unwrap()).await;
    assert_eq!((&second["status"], &second["retry_of"]), (&json!("succeeded"), &json!(first)));
    let requests = upstream.requests();
    assert!(requests.len() == 2 && requests[0].body == requests[1].body, "the same was sent twice");
    for run in [&json!(first), &second["id"]] {
        let refused = tenant.client.post(&format!("/v1/runs/{}/replay", run.as_str().unwrap()), &json!({})).await.expect(409);
        let (code, detail) = problem(&refused);
        assert!(code == "conflict" && detail.contains("too large to be recorded"), "{code}: {detail}");
    }
}

async fn a_history_tells_everything_in_order() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(503)).on("/x", ok());
    tenant.js("look", "export function preRequest() {} export function postRequest() {}").await;
    let mut flow = one_step(&upstream, Value::Null);
    flow["steps"][0]["retry"] = json!({"attempts": 1, "delay_s": 1});
    flow["steps"][0]["hooks"] = json!({"pre-request": [{"script": "look"}], "post-request": [{"script": "look"}]});
    tenant.flow("f", flow).await;
    let attempt = ["hook-called", "request-started", "request-ended", "hook-called"];
    let mut expected = vec!["run-started"];
    expected.extend(attempt);
    expected.extend(["waiting", "resumed"]);
    expected.extend(attempt);
    expected.extend(["step-ended", "run-ended"]);

    let run = tenant.start("f", json!(1)).await;
    // Live, from the beginning to the end.
    let live =
        tenant.client.send("GET", &format!("/v1/runs/{run}/events"), &[("accept", "text/event-stream")], "".into()).await.expect(200);
    assert_eq!(live.header("content-type"), Some("text/event-stream"));
    let text = live.text();
    let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds, expected);
    let ids: Vec<u32> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert_eq!(ids, (1..=13).collect::<Vec<_>>());
    let last = [("accept", "text/event-stream"), ("last-event-id", "11")];
    let told = tenant.client.send("GET", &format!("/v1/runs/{run}/events"), &last, "".into()).await;
    assert_eq!(told.expect(200).text().matches("id: ").count(), 2);

    // As a list, in pages.
    let page = async |query: &str| tenant.client.get(&format!("/v1/runs/{run}/events{query}")).await.expect(200).json();
    let (first, all) = (page("?limit=5").await, page("").await);
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next_cursor"]), (5, &json!("5")));
    let rest = page("?limit=200&cursor=5").await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (8, &Value::Null));
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| item["kind"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    let times: Vec<jiff::Timestamp> = items.iter().map(|item| item["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!((&items[1]["step"], &items[1]["attempt"], &items[1]["script"]), (&json!("Ask"), &json!(1), &json!("look")));

    // A run that was answered in one go has one too.
    let answer = tenant.run("f", json!(2)).await.expect(200);
    let id = answer.header("x-run-id").unwrap().to_owned();
    let one = tenant.client.get(&format!("/v1/runs/{id}/events")).await.expect(200).json();
    let kinds: Vec<_> = one["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["run-started", "hook-called", "request-started", "request-ended", "hook-called", "step-ended", "run-ended"]);
    let _ = tenant.client.get("/v1/runs/0190aaaa-0000-7000-8000-000000000000/events").await.expect(404);
}

async fn a_history_shows_a_request_before_it_is_answered() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    tenant.flow("f", one_step(&upstream, Value::Null)).await;
    // A run that nobody waits for is written down before its request leaves.
    let run = tenant.start("f", json!({"n": 1})).await;
    upstream.received(1).await;
    let events = tenant.client.get(&format!("/v1/runs/{run}/events")).await.expect(200).json();
    let items = events["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| item["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["run-started", "request-started"]);
    assert_eq!((&items[1]["step"], &items[1]["attempt"], &items[1]["url"]), (&json!("Ask"), &json!(1), &json!(upstream.url("/x"))));
    let attempt = &tenant.record_of(&run).await["steps"][0]["attempts"][0];
    assert_eq!((&attempt["request"]["method"], &attempt["response"]), (&json!("POST"), &Value::Null), "{attempt}");
    gate.open();
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], &record["steps"][0]["attempts"][0]["response"]["status"]), (&json!("succeeded"), &json!(200)));
}

async fn f133_every_status_of_a_run_can_be_reached_and_asked_for() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/held", ok().after(&gate));
    upstream.on("/x", ok());
    upstream.on("/bad", Answer::status(500));
    tenant.js("throws", "export default function () { throw new Error('no'); }").await;
    let url = |path: &str| json!({"url": upstream.url(path), "method": "GET", "status_code": [200]});
    let condition = json!({"response_notation": "ok", "value": "never"});
    let with = |mut step: Value, key: &str, value: Value| {
        step[key] = value;
        step
    };
    for (name, steps) in [
        ("succeeds", json!([url("/x")])),
        ("fails", json!([url("/bad")])),
        ("partly", json!([{"script": "throws", "on_error": {"policy": "ignore"}}, url("/x")])),
        ("blocks", json!([with(url("/x"), "continue_if", condition.clone())])),
        ("waits", json!([with(with(url("/x"), "continue_if", condition), "polling", json!({"interval": 3600, "amount": 2}))])),
        ("runs", json!([url("/held")])),
    ] {
        tenant.flow(name, json!({ "steps": steps })).await;
    }
    tenant.flow("queues", json!({"retry": {"attempts": 1, "delay_s": 3600}, "steps": [url("/bad")]})).await;
    let mut expected = Vec::new();
    for (flow, status) in [("succeeds", "succeeded"), ("fails", "failed"), ("partly", "partial"), ("blocks", "blocked")] {
        let answer = tenant.run(flow, Value::Null).await;
        expected.push((status, tenant.record(&answer).await["id"].clone()));
    }
    let queued = tenant.run("queues", Value::Null).await.json()["retry_run"].clone();
    expected.push(("queued", queued));
    let waiting = tenant.run("waits", Value::Null).await.expect(202).json()["run"].clone();
    expected.push(("waiting", waiting));
    let cancelled = tenant.run("waits", Value::Null).await.expect(202).json()["run"].clone();
    let _ = post(&tenant, &format!("/v1/runs/{}/cancel", cancelled.as_str().unwrap())).await.expect(200);
    expected.push(("cancelled", cancelled));
    let held = tenant.start("runs", Value::Null).await;
    upstream.received(1).await;
    while tenant.record_of(&held).await["status"] != "running" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    expected.push(("running", json!(held)));
    for (status, id) in expected {
        let list = tenant.client.get(&format!("/v1/runs?status={status}")).await.expect(200).json();
        let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect();
        assert!(ids.contains(&id), "{status}: {ids:?} lacks {id}");
        assert!(list["items"].as_array().unwrap().iter().all(|run| run["status"] == status));
        assert_eq!(tenant.record_of(id.as_str().unwrap()).await["status"], status);
    }
    gate.open();
    assert_eq!(ended(&tenant, &held).await["status"], "succeeded");
}
