//! Runs as a whole: how many ended how, how long they took, and which limits are nearly used up.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Tenant;

use crate::support::{endpoint, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    an_overview_counts_runs_by_time_and_outcome,
    an_overview_is_of_one_flow_or_endpoint,
    an_overview_tells_which_limits_are_nearly_used_up,
    an_overview_covers_the_time_that_is_asked_for,
}

async fn overview(tenant: &Tenant, query: &str) -> Value {
    tenant.client.get(&format!("/v1/overview{query}")).await.expect(200).json()
}

/// The sum of a number over all buckets.
fn sum(overview: &Value, key: &str) -> u64 {
    overview["buckets"].as_array().unwrap().iter().map(|bucket| bucket[key].as_u64().unwrap_or_else(|| panic!("{key} in {bucket}"))).sum()
}

/// What is said of a flow or an endpoint.
fn flow<'o>(overview: &'o Value, name: &str) -> &'o Value {
    overview["flows"].as_array().unwrap().iter().find(|flow| flow["flow"] == name).unwrap_or_else(|| panic!("{name} in {overview}"))
}

/// Three direct calls that succeed, a run of flow `f` that succeeds, one that fails, and one of `w` that waits.
async fn with_runs() -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function preHook(call) { call.arguments.seen = true; }").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    upstream.on_request("/x", |_| ok());
    upstream.on("/y", ok()).on("/y", Answer::status(500));
    let ask = json!({"url": upstream.url("/y"), "method": "POST", "status_code": [200]});
    tenant.flow("f", json!({"steps": [ask]})).await;
    tenant.flow("w", json!({"steps": [{"call": "api/x", "async": {"timeout_s": 600}}]})).await;
    for _ in 0..3 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
    }
    let _ = tenant.run("f", json!({})).await.expect(200);
    let _ = tenant.run("f", json!({})).await.expect(502);
    let _ = tenant.run("w", json!({})).await.expect(202);
    (tenant, upstream)
}

async fn an_overview_counts_runs_by_time_and_outcome() {
    let (tenant, _upstream) = with_runs().await;
    let all = overview(&tenant, "").await;
    let counted = ["succeeded", "failed", "partial", "cancelled", "blocked", "unfinished"].map(|key| sum(&all, key));
    assert_eq!((counted, &all["sampled"], &all["bucket_s"]), ([4, 1, 0, 0, 0, 1], &json!(false), &json!(60)), "{all}");
    let of = |name| (flow(&all, name)["runs"].as_u64(), flow(&all, name)["failed"].as_u64());
    assert_eq!((of("api/x"), of("f"), of("w")), ((Some(3), Some(0)), (Some(2), Some(1)), (Some(1), Some(0))));
    let calls = flow(&all, "api/x");
    let [p50, p99, hooks, requests] = ["p50_ms", "p99_ms", "hooks_ms", "requests_ms"].map(|key| calls[key].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && 0.0 < hooks && hooks < p99 && 0.0 <= requests && requests <= p99, "{calls}");
    assert_eq!((&flow(&all, "w")["p50_ms"], &all["limits"]), (&Value::Null, &json!([])), "it has not ended, and nothing was near a limit");

    let nothing = overview(&node().tenant().await, "").await;
    assert_eq!((sum(&nothing, "succeeded"), &nothing["flows"]), (0, &json!([])), "what others run is not seen");
}

async fn an_overview_is_of_one_flow_or_endpoint() {
    let (tenant, _upstream) = with_runs().await;
    for (name, expected) in [("f", [1, 1, 0]), ("api/x", [3, 0, 0]), ("w", [0, 0, 1]), ("none", [0; 3]), ("api/none", [0; 3])] {
        let some = overview(&tenant, &format!("?flow={name}")).await;
        assert_eq!(["succeeded", "failed", "unfinished"].map(|key| sum(&some, key)), expected, "{name}");
        let flows: Vec<_> = some["flows"].as_array().unwrap().iter().map(|flow| flow["flow"].clone()).collect();
        assert_eq!(flows, if expected == [0; 3] { vec![] } else { vec![json!(name)] });
    }
}

async fn an_overview_tells_which_limits_are_nearly_used_up() {
    let document = json!({"limits": {"fuel": 2_000_000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let (tenant, upstream) = (node().tenant_with(document).await, Upstream::start().await);
    upstream.on_request("/x", |_| ok());
    let source = "export function preHook(call) { for (let i = 0; i < call.arguments.times; i++) {} }";
    tenant.js("busy", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "busy"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({"times": 10})).await.expect(200);
    assert_eq!(overview(&tenant, "").await["limits"], json!([]));
    let stopped = tenant.call("api/x", json!({"times": 1_000_000_000})).await.expect(422);
    let limits = overview(&tenant, "").await["limits"].clone();
    let expected = json!([{"flow": "api/x", "script": "busy", "version": 1, "hook": "pre-hook", "limit": "fuel", "used": 2_000_000,
        "allowed": 2_000_000, "run": tenant.record(&stopped).await["id"]}]);
    assert_eq!(limits, expected);
}

async fn an_overview_covers_the_time_that_is_asked_for() {
    let (tenant, upstream) = tenant().await;
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    upstream.on_request("/x", |_| ok());
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let now = Timestamp::now();
    for (ago_s, width_s) in [(30, 1), (600, 10), (3600, 60), (24 * 3600, 900), (7 * 24 * 3600, 7200)] {
        let since = now - SignedDuration::from_secs(ago_s);
        let answer = overview(&tenant, &format!("?since={since}")).await;
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let buckets = answer["buckets"].as_array().unwrap();
        assert!(answer["bucket_s"] == width_s && buckets.len() <= 120, "{ago_s}: {} of {}", buckets.len(), answer["bucket_s"]);
        assert_eq!((&buckets[0]["at"], sum(&answer, "succeeded")), (&answer["since"], 1), "{ago_s}");
        let until = time(&answer["until"]);
        assert!(time(&answer["since"]) <= since && since < until, "{ago_s}");
        let width = SignedDuration::from_secs(width_s);
        assert!(buckets.windows(2).all(|pair| time(&pair[1]["at"]).duration_since(time(&pair[0]["at"])) == width), "{ago_s}: no gaps");
        assert!(until.duration_since(time(&buckets[buckets.len() - 1]["at"])) <= width, "{ago_s}: it goes on to the end");
    }
    let ago = |hours| (now - SignedDuration::from_hours(hours)).to_string();
    for (query, path, says) in [
        ("since=yesterday".to_owned(), "since", "RFC 3339"),
        (format!("since={}", ago(8 * 24)), "since", "more than 7 days ago"),
        (format!("since={}", ago(-1)), "since", "still to come"),
        ("flow=a%20b".to_owned(), "flow", "is not a name"),
        ("flow=api/".to_owned(), "flow", "connector/endpoint"),
        ("bucket=60".to_owned(), "bucket", "unknown field"),
    ] {
        let refused = tenant.client.get(&format!("/v1/overview?{query}")).await.expect(400);
        assert_eq!((problem(&refused).0.as_str(), refused.json()["path"].as_str()), ("invalid", Some(path)), "{}", refused.text());
        assert!(problem(&refused).1.contains(says), "{query}: {}", refused.text());
    }
}
