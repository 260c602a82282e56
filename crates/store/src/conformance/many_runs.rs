//! How long lists and overviews take beside a hundred thousand runs. Not among those that every store runs: it writes some hundred megabytes.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use snaphook_model::RunStatus::{Failed, Partial, Succeeded};
use snaphook_model::{RunRecord, TenantName};

use super::{invocation, name, run, run_id, step, with_tenant};
use crate::{OverviewRequest, PageRequest, RunFilter, RunsOf, Store};

const RUNS: u64 = 100_000;
/// They lie this far apart, so that they are those of an hour.
const APART_MS: u64 = 36;
/// Far more than any of it takes, on a machine that does much else at the same time; what it does take is printed.
const BOUND: Duration = Duration::from_secs(2);

/// A run as they are: a hook before and one after a request, each body a kilobyte.
fn usual_run() -> RunRecord {
    let headers = json!({"content-type": "application/json", "authorization": "[masked]", "accept": "*/*"});
    let request = json!({"method": "POST", "url": "https://api.example.com/v2/orders", "headers": headers, "body": "x".repeat(1024)});
    let response = json!({"status": 200, "headers": headers, "body": "y".repeat(1024)});
    let mut step = step(&[invocation("price")], &[invocation("sign")]);
    step.attempts[0].request = Some(serde_json::from_value(request).unwrap());
    step.attempts[0].response = Some(serde_json::from_value(response).unwrap());
    RunRecord { steps: vec![step], ..run(0, None, Succeeded) }
}

/// Half of them are direct calls, half of them runs of flows; a few failed.
async fn fill(store: &dyn Store, tenant: &TenantName) {
    let usual = usual_run();
    for number in 0..RUNS {
        let mut made = usual.clone();
        made.id = run_id(number * APART_MS);
        (made.flow, made.call) = match number % 4 {
            0 if number % 1000 == 0 => (Some(name("rare")), None),
            0 => (Some(name("orders")), None),
            2 => (Some(name("returns")), None),
            1 => (None, Some("shop/order".to_owned())),
            _ => (None, Some("crm/send".to_owned())),
        };
        made.status = match number % 20 {
            0 => Failed,
            7 if number % 3 == 0 => Partial,
            _ => Succeeded,
        };
        store.record_run(tenant, &made, None).await.unwrap();
    }
    store.flush().await.unwrap();
}

/// Does it three times and prints how long the first one and the quickest took.
async fn time<T>(on: &str, what: &str, mut asked: impl AsyncFnMut() -> T) -> T {
    let mut took = Vec::new();
    let mut answer = None;
    for _ in 0..3 {
        let begun = Instant::now();
        answer = Some(asked().await);
        took.push(begun.elapsed());
    }
    let (first, best) = (took[0], took.iter().min().unwrap());
    eprintln!("{on}, {RUNS} runs: {what}: first {:.1} ms, best {:.1} ms", first.as_secs_f64() * 1e3, best.as_secs_f64() * 1e3);
    assert!(*best < BOUND, "{what} took {best:?}");
    answer.unwrap()
}

fn asked_at(number: u64) -> Timestamp {
    let (seconds, nanos) = run_id(number * APART_MS).0.get_timestamp().unwrap().to_unix();
    Timestamp::new(seconds.try_into().unwrap(), nanos.try_into().unwrap()).unwrap()
}

pub(crate) async fn are_written(store: &dyn Store, on: &str) -> TenantName {
    let acme = with_tenant(store, "acme").await;
    let begun = Instant::now();
    fill(store, &acme).await;
    eprintln!("{on}: {RUNS} runs written in {:.1} s", begun.elapsed().as_secs_f64());
    acme
}

pub(crate) async fn are_listed_and_summed_up_in_time(store: &dyn Store, acme: &TenantName, on: &str) {
    lists(store, acme, on).await;
    overviews(store, acme, on).await;
}

async fn lists(store: &dyn Store, acme: &TenantName, on: &str) {
    let flow = |text| RunFilter { flow: Some(name(text)), ..RunFilter::default() };
    let status = |status| RunFilter { status: Some(status), ..RunFilter::default() };
    // All of them began at the same moment, whenever they were asked for.
    let since = |seconds| RunFilter { since: Some(super::at(seconds)), ..RunFilter::default() };
    let call = |text: &str| RunFilter { call: Some(text.to_owned()), ..RunFilter::default() };
    let script = |text| RunFilter { script: Some(name(text)), ..RunFilter::default() };
    for (what, filter) in [
        ("runs", RunFilter::default()),
        ("runs?flow=orders", flow("orders")),
        ("runs?flow=rare", flow("rare")),
        ("runs?flow=none", flow("none")),
        ("runs?status=failed", status(Failed)),
        ("runs?status=succeeded", status(Succeeded)),
        ("runs?flow=orders&status=failed", RunFilter { status: Some(Failed), ..flow("orders") }),
        ("runs?flow=orders&status=partial (none)", RunFilter { status: Some(Partial), ..flow("orders") }),
        ("runs?since=(all)", since(0)),
        ("runs?since=(none)", since(1_000)),
        ("runs?call=shop/order", call("shop/order")),
        ("runs?call=shop/none", call("shop/none")),
        ("runs?script=price", script("price")),
        ("runs?script=none", script("none")),
    ] {
        let list = async || store.runs(acme, &filter, &PageRequest::first(50)).await.unwrap();
        let page = time(on, what, list).await;
        let any = !what.ends_with("none)") && !what.ends_with("none");
        assert_eq!(page.items.len(), if any { 50 } else { 0 }, "{what}");
    }
}

async fn overviews(store: &dyn Store, acme: &TenantName, on: &str) {
    let edges = |count: u64| (0..=count).map(|edge| asked_at(RUNS * edge / count)).collect::<Vec<_>>();
    let call = Some(RunsOf::Call("shop/order".to_owned()));
    for (what, count, of, runs) in [
        ("overview", 60, None, RUNS..=RUNS),
        ("overview in 120 buckets", 120, None, RUNS..=RUNS),
        ("overview?flow=orders", 60, Some(RunsOf::Flow(name("orders"))), 24_800..=25_200),
        ("overview?flow=shop/order", 60, call, 24_000..=26_000),
        ("overview?flow=none", 60, Some(RunsOf::Flow(name("none"))), 0..=0),
    ] {
        let request = OverviewRequest { edges: edges(count), of, wall_ms: 10_000 };
        let buckets = time(on, what, async || store.overview(acme, &request).await.unwrap()).await;
        let counted: u64 = buckets.iter().flat_map(|bucket| bucket.runs.values()).sum();
        assert!(runs.contains(&counted), "{what}: {counted}");
        assert_eq!(buckets.iter().any(|bucket| bucket.sampled), counted > 0, "{what}");
    }
}
