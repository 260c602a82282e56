//! What a node tells of itself: metrics, who may read them, and that their number does not grow with what tenants do.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use snaphook_telemetry::{Kind, METRICS};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeOptions, NodeProcess, Response};

use crate::support::{ended, endpoint, node, ok, problem};

/// All series of a scrape with their values.
async fn scrape(client: &Client) -> BTreeMap<String, f64> {
    let answer = client.get("/metrics").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("`{line}` is no series"));
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("`{line}` has no number")))
    });
    series.collect()
}

/// A node of our own: what is counted is of this test alone. Its spans go to the upstream.
fn own(collector: &Upstream) -> NodeProcess {
    let mut options = NodeOptions::default().with("--otlp-endpoint", &collector.url(""));
    options.environment.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "50".to_owned()));
    NodeProcess::start_with(node(), options)
}

const CALL: &str = "route=\"/v1/call/{connector}/{endpoint}\"";

#[tokio::test]
async fn every_metric_is_scraped_and_counts_what_was_done() {
    let upstream = Upstream::start().await;
    upstream.on("/v1/traces", Answer::bytes(Vec::new())).on("/x", ok());
    let own = own(&upstream);
    let operator = own.operator();
    let tenant = own.tenant().await;
    tenant.js("s", "export function preHook(call) { if (call.arguments.bad) throw new Error('bad'); }").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let before = scrape(&operator).await;
    for _ in 0..3 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
    }
    let _ = tenant.call("api/x", json!({"bad": true})).await.expect(422);
    let _ = tenant.client.get("/no/such/path").await.expect(404);
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let run = tenant.start("f", json!({})).await;
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    let slow = own.tenant_with(json!({"quota": {"rate_per_s": 1}})).await;
    let puts = (0..8).map(|_| slow.client.send("PUT", "/v1/secrets/A", &[], "x".into()));
    let at_once = futures_util::future::join_all(puts).await;
    assert!(at_once.iter().any(|answer| problem_code(answer) == "quota-rate"));
    // Records are written soon after the answer, and spans are brought a moment later.
    let _ = tenant.client.get("/v1/runs").await.expect(200);
    upstream_has_spans(&upstream).await;
    let after = scrape(&operator).await;

    let grew = |series: &str| after.get(series).copied().unwrap_or_default() - before.get(series).copied().unwrap_or_default();
    let wanted = [
        (format!("snaphook_http_requests_total{{method=\"POST\",{CALL},status=\"2xx\"}}"), 3.0),
        (format!("snaphook_http_requests_total{{method=\"POST\",{CALL},status=\"4xx\"}}"), 1.0),
        (format!("snaphook_http_request_duration_seconds_count{{{CALL}}}"), 4.0),
        ("snaphook_http_requests_total{method=\"GET\",route=\"none\",status=\"4xx\"}".to_owned(), 1.0),
        ("snaphook_runs_total{blame=\"nobody\",kind=\"call\",status=\"succeeded\"}".to_owned(), 3.0),
        ("snaphook_runs_total{blame=\"guest\",kind=\"call\",status=\"failed\"}".to_owned(), 1.0),
        ("snaphook_runs_total{blame=\"nobody\",kind=\"flow\",status=\"succeeded\"}".to_owned(), 1.0),
        ("snaphook_run_duration_seconds_count{kind=\"flow\"}".to_owned(), 1.0),
        ("snaphook_invocation_duration_seconds_count{hook=\"pre-hook\",outcome=\"decision\"}".to_owned(), 4.0),
        ("snaphook_invocation_duration_seconds_count{hook=\"pre-hook\",outcome=\"guest\"}".to_owned(), 1.0),
        ("snaphook_invocation_faults_total{code=\"script-threw\",hook=\"pre-hook\"}".to_owned(), 1.0),
        ("snaphook_invocation_fuel_count{hook=\"pre-hook\"}".to_owned(), 5.0),
        ("snaphook_egress_requests_total{outcome=\"2xx\"}".to_owned(), 4.0),
        ("snaphook_egress_request_duration_seconds_count".to_owned(), 4.0),
    ];
    for (series, count) in wanted {
        assert!((grew(&series) - count).abs() < 0.5, "{series} grew by {}, not {count}", grew(&series));
    }
    assert!(grew("snaphook_refusals_total{code=\"quota-rate\"}") > 0.5);
    assert!(grew("snaphook_store_batch_records_sum{what=\"records\"}") > 3.5, "the calls, at least");
    assert!(grew("snaphook_store_batch_records_sum{what=\"runs\"}") > 0.5, "the run that was queued");
    assert!(after["snaphook_sandbox_places"] > 7.5 && after["process_resident_memory_bytes"] > 1e6 && after["process_open_fds"] > 3.0);
    assert!(after["process_start_time_seconds"] > 1.7e9 && after["process_threads"] > 1.0);
    for row in METRICS {
        let series = if row.kind == Kind::Histogram { format!("{}_count", row.name) } else { row.name.to_owned() };
        let there = after.keys().any(|key| key.split('{').next() == Some(&series));
        assert!(there, "{} was not scraped", row.name);
    }
}

fn problem_code(answer: &Response) -> String {
    if answer.status < 400 { String::new() } else { problem(answer).0 }
}

/// Waits until spans have been brought, and a request after them, so that the first ones are counted.
async fn upstream_has_spans(upstream: &Upstream) {
    let mut heard = 1;
    while upstream.requests().iter().filter(|request| request.path == "/v1/traces").count() < 2 {
        heard = upstream.received(heard).await.len() + 1;
    }
}

#[tokio::test]
async fn the_number_of_series_does_not_grow_with_tenants_scripts_and_paths() {
    let upstream = Upstream::start().await;
    upstream.on("/v1/traces", Answer::bytes(Vec::new())).on("/x", ok());
    let own = NodeProcess::start_like(node());
    let operator = own.operator();
    let some = async |from: usize, to: usize| {
        let tenant = own.tenant().await;
        for number in from..to.min(from + 10) {
            tenant.js(&format!("script-{number}"), "export function preHook() {}").await;
            let hooks = json!({"pre-hook": [{"script": format!("script-{number}")}]});
            let connector = json!({"base_url": upstream.url(""), "endpoints": {format!("e-{number}"): {"method": "POST", "path": "/x", "hooks": hooks}}});
            tenant.connector(&format!("connector-{number}"), connector).await;
            let _ = tenant.call(&format!("connector-{number}/e-{number}"), json!({})).await.expect(200);
        }
        let each = |number: usize| {
            let (operator, client) = (operator.clone(), tenant.client.clone());
            async move {
                let _ = operator.put(&format!("/v1/tenants/other-{number}"), &json!({})).await.expect(201);
                let _ = client.get(&format!("/v1/scripts/none-{number}")).await.expect(404);
                let _ = client.get(&format!("/no-{number}/such/path")).await.expect(404);
                let _ = client.get(&format!("/v1/runs/0199f0a0-0000-7000-8000-{number:012}")).await.expect(404);
                let _ = client.send(&format!("METHOD-{number}"), "/v1/scripts", &[], "".into()).await.expect(405);
                let _ = client.post(&format!("/t/other-{number}/flow"), &json!({})).await.expect(404);
            }
        };
        stream::iter(from..to).for_each_concurrent(8, each).await;
        let _ = tenant.client.get("/v1/runs").await.expect(200);
        let scraped = scrape(&operator).await;
        assert!(!scraped.keys().any(|series| series.contains(&tenant.name)));
        scraped.into_keys().collect::<BTreeSet<_>>()
    };
    // A scrape is counted when it has been answered, and so seen by the next one.
    scrape(&operator).await;
    let few = some(0, 2).await;
    let many = some(2, 1_002).await;
    let new: Vec<_> = many.difference(&few).collect();
    assert!(new.is_empty(), "new series: {new:?}");
    for outside in ["other-", "script-", "connector-", "none-", "no-", "METHOD", "0199f0a0"] {
        let found = many.iter().find(|series| series.contains(&format!("\"{outside}")) || series.contains(&format!("/{outside}")));
        assert_eq!(found.map(String::as_str).filter(|series| !series.contains("script-threw")), None);
    }
}

#[tokio::test]
async fn metrics_are_for_the_operator_and_for_who_is_on_the_machine() {
    let tenant = node().tenant().await;
    let asks = async |client: &Client, headers: &[(&str, &str)]| {
        let answer = client.send("GET", "/metrics", headers, "".into()).await;
        (answer.status, problem_code(&answer))
    };
    let (operator, nobody) = (node().operator(), node().anonymous());
    let granted = (200, String::new());
    assert_eq!(asks(&operator, &[]).await, granted);
    assert_eq!(asks(&nobody, &[]).await, granted);
    // What a proxy of the machine hands on comes from elsewhere, and so does a browser that was led here by another name.
    let elsewhere = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1"), ("via", "1.1 proxy"), ("host", "hooks.example.com")];
    for header in elsewhere {
        assert_eq!(asks(&nobody, &[header]).await, (401, "unauthorized".to_owned()), "{header:?}");
        assert_eq!(asks(&operator, &[header]).await, granted, "{header:?}");
    }
    assert_eq!(asks(&tenant.client, &[]).await, (403, "scope-missing".to_owned()));
    assert_eq!(asks(&Client::new(node().url(), Some("snap_nobody")), &[]).await, (401, "unauthorized".to_owned()));
}
