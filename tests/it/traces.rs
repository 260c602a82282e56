//! Spans: where they hang, what they tell, and what upstreams are told of them. The collector is an upstream on loopback.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use snaphook_telemetry::SPANS;
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{NodeOptions, NodeProcess};

use crate::support::{ended, endpoint, node, ok};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A span as a test looks at it.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    trace: String,
    id: String,
    parent: String,
    told: BTreeMap<String, String>,
    nanos: u64,
}

impl Seen {
    fn of(span: Span) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let told = span.attributes.into_iter().map(|attribute| {
            let value = match attribute.value.and_then(|value| value.value) {
                Some(AnyValue::StringValue(text)) => text,
                Some(AnyValue::IntValue(number)) => number.to_string(),
                other => panic!("{other:?}"),
            };
            (attribute.key, value)
        });
        Self {
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            told: told.collect(),
            nanos: span.end_time_unix_nano - span.start_time_unix_nano,
        }
    }
}

/// A node that brings its spans to an upstream, and that upstream.
async fn traced(arguments: &[(&str, &str)]) -> (NodeProcess, Upstream) {
    let collector = Upstream::start().await;
    collector.on("/v1/traces", Answer::bytes(Vec::new()));
    let options = NodeOptions::default().with("--otlp-endpoint", &collector.url(""));
    let mut options = arguments.iter().fold(options, |options, (flag, value)| options.with(flag, value));
    options.environment.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "50".to_owned()));
    (NodeProcess::start_with(node(), options), collector)
}

fn received(collector: &Upstream) -> Vec<Seen> {
    let batches = collector.requests().into_iter().map(|request| ExportTraceServiceRequest::decode(request.body).expect("spans"));
    let spans = batches.flat_map(|batch| batch.resource_spans).flat_map(|of_resource| of_resource.scope_spans);
    spans.flat_map(|of_scope| of_scope.spans).map(Seen::of).collect()
}

/// All spans, as soon as there are those that a test waits for.
async fn spans(collector: &Upstream, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
    loop {
        let heard = collector.requests().len();
        let all = received(collector);
        if enough(&all) {
            return all;
        }
        collector.received(heard + 1).await;
    }
}

fn named<'a>(spans: &'a [Seen], trace: &str, name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|span| span.trace == trace && span.name == name).collect()
}

fn has(spans: &[Seen], trace: &str, name: &str) -> bool {
    !named(spans, trace, name).is_empty()
}

#[tokio::test]
async fn a_callers_trace_goes_on_through_hooks_and_requests_to_the_upstream() {
    let (own, collector) = traced(&[]).await;
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    upstream.on("/x", ok());
    tenant.js("s", "export function preRequest(request) { request.headers.set('x-mine', '1'); } export function postRequest() {}").await;
    endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "s"}], "post-request": [{"script": "s"}]}), json!({})).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("content-type", "application/json"), ("traceparent", &traceparent), ("tracestate", "a=1,b=2")];
    let answer = tenant.client.send("POST", "/v1/call/api/x", &headers, "{}".into()).await.expect(200);
    let run = answer.header("x-run-id").unwrap().to_owned();
    let all = spans(&collector, |all| has(all, TRACE, "api")).await;

    let one = |name: &str| match named(&all, TRACE, name)[..] {
        [span] => span.clone(),
        ref several => panic!("{name}: {several:?}"),
    };
    let (api, of_run, request) = (one("api"), one("run"), one("request"));
    assert_eq!((api.parent.as_str(), of_run.parent.as_str(), request.parent.as_str()), (PARENT, api.id.as_str(), of_run.id.as_str()));
    assert_eq!(api.told["http.route"], "/v1/call/{connector}/{endpoint}");
    assert_eq!(Some(api.told["snaphook.request_id"].as_str()), answer.header("x-request-id"));
    assert_eq!(
        (&*of_run.told["snaphook.run"], &*of_run.told["snaphook.call"], &*of_run.told["snaphook.status"]),
        (&*run, "api/x", "succeeded")
    );
    assert_eq!(request.told["http.response.status_code"], "200");
    let hooks = named(&all, TRACE, "hook");
    let at: Vec<_> =
        hooks.iter().map(|hook| (hook.parent.as_str(), &*hook.told["snaphook.hook"], &*hook.told["snaphook.decision"])).collect();
    assert_eq!(at, [(&*of_run.id, "pre-request", "send"), (&*of_run.id, "post-request", "none")]);
    assert!(hooks.iter().all(|hook| hook.told["snaphook.script"] == "s" && hook.told["snaphook.fuel"] != "0" && hook.nanos > 0));

    let sent = upstream.last();
    assert_eq!(sent.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", request.id)));
    assert_eq!((sent.header("tracestate"), sent.header("x-mine")), (Some("a=1,b=2"), Some("1")));
    // The record has what the script made, and a replay finds it so.
    let record = tenant.record_of(&run).await;
    assert!(record["steps"][0]["attempts"][0]["request"]["headers"].get("traceparent").is_none(), "{record}");
    assert_eq!(record["trace"]["tracestate"], "a=1,b=2");
    let replay = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).json();
    assert_eq!(replay["same"], true, "{replay}");
    for span in received(&collector) {
        let row = SPANS.iter().find(|row| row.name == span.name).unwrap_or_else(|| panic!("{} is in no table", span.name));
        assert!(span.told.keys().all(|name| row.attributes.iter().any(|known| known.name == name)), "{span:?}");
    }
}

#[tokio::test]
async fn what_a_script_or_a_caller_says_of_traces_holds() {
    let (own, collector) = traced(&[("--otlp-ratio", "0")]).await;
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    upstream.on("/x", ok());
    let source = "export function preRequest(request, context) { if (context.parms.own) request.headers.set('traceparent', 'mine'); }";
    tenant.js("s", source).await;
    let bound = async |own: bool| {
        endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "s", "parms": {"own": own}}]}), json!({})).await;
    };
    let call = async |traceparent: Option<&str>| {
        let headers = [("content-type", "application/json"), ("traceparent", traceparent.unwrap_or_default())];
        let some = if traceparent.is_some() { &headers[..] } else { &headers[..1] };
        let _ = tenant.client.send("POST", "/v1/call/api/x", some, "{}".into()).await.expect(200);
        upstream.last().header("traceparent").map(str::to_owned)
    };
    bound(false).await;
    // Not chosen, and told so to those behind us. What is no context counts as absent.
    for none in [None, Some("nonsense"), Some("00-0-0-01")] {
        let sent = call(none).await.expect("a context");
        assert!(sent.ends_with("-00") && !sent.contains(TRACE), "{sent}");
    }
    let sent = call(Some(&format!("00-{TRACE}-{PARENT}-00"))).await.expect("a context");
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00") && !sent.contains(PARENT), "{sent}");
    bound(true).await;
    let other = TRACE.replace('4', "5");
    assert_eq!(call(Some(&format!("00-{other}-{PARENT}-01"))).await.as_deref(), Some("mine"));
    // The caller of the last one records it, whatever the share of our own; what came before would be here by now.
    let all = spans(&collector, |all| has(all, &other, "api")).await;
    assert!(all.iter().all(|span| span.trace == other), "{all:?}");
}

#[tokio::test]
async fn a_run_that_waits_goes_on_in_its_trace_also_after_a_restart() {
    let (mut own, collector) = traced(&[]).await;
    let upstream = Upstream::start().await;
    upstream.on("/fetched", ok()).on("/asked", Answer::json(json!({"ok": true})));
    let document = json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = own.tenant_with(document).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {}})).await;
    tenant.js("s", "export default async () => (await fetch('api:/fetched')).json();").await;
    let asking = json!({"name": "Ask", "url": upstream.url("/asked"), "method": "POST", "async": {}});
    tenant.flow("f", json!({"steps": [asking, {"script": "s"}]})).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("content-type", "application/json"), ("traceparent", traceparent.as_str())];
    let begun = tenant.client.send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await.expect(202).json();
    assert_eq!(begun["status"], "waiting");
    let run = begun["run"].as_str().unwrap().to_owned();
    let correlation = upstream.last().header("x-link-correlation-id").unwrap().to_owned();
    let all = spans(&collector, |all| has(all, TRACE, "api") && has(all, TRACE, "request")).await;
    let api = named(&all, TRACE, "api")[0].id.clone();
    assert!(!has(&all, TRACE, "run"), "it has not ended");

    own.restart();
    let tenant = snaphook_tests::Tenant { client: snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref()), ..tenant };
    let called = tenant.call_back(&[("x-link-correlation-id", correlation.as_str()), ("x-link-status", "Ok")], "{}").await;
    assert_eq!(called.status, 200, "{}", called.text());
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    let all = spans(&collector, |all| has(all, TRACE, "run")).await;
    let of_run = named(&all, TRACE, "run")[0];
    assert_eq!((of_run.parent.as_str(), &*of_run.told["snaphook.flow"]), (api.as_str(), "f"));
    let wait = named(&all, TRACE, "wait")[0];
    assert_eq!((&wait.parent, &*wait.told["snaphook.reason"], &*wait.told["snaphook.step"]), (&of_run.id, "callback", "Ask"));
    assert!(wait.nanos > 0 && of_run.nanos >= wait.nanos);
    let hook = named(&all, TRACE, "hook")[0];
    let mut requests = named(&all, TRACE, "request");
    requests.sort_by_key(|request| !request.told.contains_key("snaphook.step"));
    // The step's below the run, the script's own below its hook, before and after the restart.
    assert_eq!([&requests[0].parent, &requests[1].parent, &hook.parent], [&of_run.id, &hook.id, &of_run.id]);
    assert_eq!(upstream.last().header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", requests[1].id)));
}

#[tokio::test]
async fn without_a_collector_nothing_is_added() {
    let (tenant, upstream) = crate::support::hooked("pre-request", "export function preRequest() {}").await;
    upstream.on("/x", ok());
    let headers = [("content-type", "application/json"), ("traceparent", &*format!("00-{TRACE}-{PARENT}-01"))];
    let answer = tenant.client.send("POST", "/v1/call/api/x", &headers, "{}".into()).await.expect(200);
    assert_eq!(upstream.last().header("traceparent"), None);
    assert!(tenant.record(&answer).await.get("trace").is_none());
}

#[tokio::test]
async fn spans_for_which_there_is_no_room_are_counted() {
    let collector = Upstream::start().await;
    collector.on("/v1/traces", Answer::bytes(Vec::new()));
    let mut options = NodeOptions::default().with("--otlp-endpoint", &collector.url(""));
    // Nothing goes out before the test is over, but what is brought when the room is full.
    for (name, value) in [("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")]
    {
        options.environment.push((name.to_owned(), value.to_owned()));
    }
    let own = NodeProcess::start_with(node(), options);
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    upstream.on_request("/x", |_| ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let counted = async |fate: &str| {
        let metrics = own.operator().get("/metrics").await.expect(200).text();
        let line = format!("snaphook_spans_total{{fate=\"{fate}\"}} ");
        metrics.lines().find_map(|metric| metric.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or_default()
    };
    while counted("dropped").await == 0 {
        let calls = (0..32).map(|_| tenant.call("api/x", json!({})));
        futures_util::future::join_all(calls).await.into_iter().for_each(|answer| drop(answer.expect(200)));
    }
    assert_eq!(counted("lost").await, 0, "the collector took what it was brought");
}
