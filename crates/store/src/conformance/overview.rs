//! Overviews of runs.

use std::collections::HashMap;

use jiff::Timestamp;
use snaphook_model::RunStatus::{Blocked, Failed, Queued, Running, Succeeded};
use snaphook_model::{RunStatus, TenantName};

use super::{name, queued, run, run_id, with_tenant};
use crate::{OverviewBucket, OverviewRequest, RunsOf, Store};

/// When the run was asked for that was made as the `number`-th.
fn asked(number: u64) -> Timestamp {
    let (seconds, nanos) = run_id(number).0.get_timestamp().unwrap().to_unix();
    Timestamp::new(seconds.try_into().unwrap(), nanos.try_into().unwrap()).unwrap()
}

async fn overview(store: &dyn Store, tenant: &TenantName, of: Option<RunsOf>, edges: &[u64]) -> Vec<OverviewBucket> {
    let edges = edges.iter().map(|number| asked(*number)).collect();
    store.overview(tenant, &OverviewRequest { edges, of, wall_ms: 10_000 }).await.unwrap()
}

fn runs(bucket: &OverviewBucket) -> Vec<(RunStatus, u64)> {
    RunStatus::ALL.into_iter().filter_map(|status| Some((status, *bucket.runs.get(&status)?))).collect()
}

pub(crate) async fn count_runs_by_time_and_outcome(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    let made = [
        (1, None, Succeeded),
        (5, Some("a"), Succeeded),
        (9, Some("a"), Failed),
        (10, None, Failed),
        (11, Some("b"), Blocked),
        (29, Some("a"), Running),
        (30, None, Succeeded),
    ];
    for (number, flow, status) in made {
        store.record_run(&acme, &run(number, flow, status), None).await.unwrap();
    }
    store.record_run(&other, &run(2, Some("a"), Failed), None).await.unwrap();
    store.queue_run(&acme, &queued(28), None, 10_u32.into()).await.unwrap();
    let edges = [0, 10, 20, 30];
    let all = overview(store, &acme, None, &edges).await;
    let counted: Vec<_> = all.iter().map(runs).collect();
    let expected = [vec![(Succeeded, 2), (Failed, 1)], vec![(Failed, 1), (Blocked, 1)], vec![(Queued, 1), (Running, 1)]];
    assert_eq!(counted, expected);
    for bucket in &all {
        assert!(!bucket.sampled && (bucket.weight - 1.0).abs() < 1e-9, "all of them were looked at: {bucket:?}");
    }
    let of: Vec<_> = all[0].costs.iter().map(|cost| (cost.id, cost.of.as_str(), cost.status)).collect();
    assert_eq!(of, [(run_id(9), "a", Failed), (run_id(5), "a", Succeeded), (run_id(1), "crm/send", Succeeded)]);
    for (of, expected) in [
        (RunsOf::Flow(name("a")), [vec![(Succeeded, 1), (Failed, 1)], vec![], vec![(Running, 1)]]),
        (RunsOf::Call("crm/send".to_owned()), [vec![(Succeeded, 1)], vec![(Failed, 1)], vec![]]),
        (RunsOf::Flow(name("none")), [vec![], vec![], vec![]]),
        (RunsOf::Call("crm/none".to_owned()), [vec![], vec![], vec![]]),
    ] {
        let some = overview(store, &acme, Some(of.clone()), &edges).await;
        assert_eq!(some.iter().map(runs).collect::<Vec<_>>(), expected, "{of:?}");
        let costs: u64 = some.iter().map(|bucket| bucket.costs.len() as u64).sum();
        assert_eq!(costs, some.iter().flat_map(|bucket| bucket.runs.values()).sum::<u64>(), "{of:?}");
    }
    assert_eq!(overview(store, &other, None, &edges).await.iter().map(runs).collect::<Vec<_>>(), [vec![(Failed, 1)], vec![], vec![]]);
}

/// Of many runs some are looked at, and stand for the others; how many there are, and how they ended, is counted.
pub(crate) async fn look_at_some_of_many(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..7_000 {
        let status = if number % 10 == 0 { Failed } else { Succeeded };
        store.record_run(&acme, &run(number, Some("orders"), status), None).await.unwrap();
    }
    for of in [None, Some(RunsOf::Flow(name("orders")))] {
        let buckets = overview(store, &acme, of.clone(), &[0, 6_000, 7_000, 8_000]).await;
        let expected =
            [(HashMap::from([(Succeeded, 5_400), (Failed, 600)]), true), (HashMap::from([(Succeeded, 900), (Failed, 100)]), false)];
        let counted: Vec<_> = buckets.iter().take(2).map(|bucket| (bucket.runs.clone(), bucket.sampled)).collect();
        assert_eq!(counted, expected, "{of:?}");
        assert_eq!(buckets[0].costs[0].id, run_id(5_999), "the newest are looked at: {of:?}");
        assert!((buckets[0].weight - 3.0).abs() < 1e-9, "two thousand stand for six thousand: {} {of:?}", buckets[0].weight);
        assert_eq!((buckets[0].costs.len(), buckets[1].costs.len()), (2_000, 1_000), "{of:?}");
        assert_eq!(buckets[2], OverviewBucket::default(), "{of:?}");
    }
}

/// Many runs in a part of one bucket are counted all the same: other buckets leave them enough of what may be counted.
pub(crate) async fn count_a_burst(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..5_000 {
        store.record_run(&acme, &run(number, None, Succeeded), None).await.unwrap();
    }
    let edges: Vec<u64> = (0..=120).map(|edge| edge * 10_000).collect();
    let buckets = overview(store, &acme, None, &edges).await;
    assert_eq!(runs(&buckets[0]), [(Succeeded, 5_000)]);
    assert!(buckets[1..].iter().all(|bucket| bucket.runs.is_empty()));
}

/// Long records are not read beyond a number of bytes, whatever the number of runs.
pub(crate) async fn read_a_bounded_number_of_bytes(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..3 {
        let mut large = run(number, None, Succeeded);
        large.message = Some("x".repeat(6 << 20));
        store.record_run(&acme, &large, None).await.unwrap();
    }
    let buckets = overview(store, &acme, None, &[0, 10]).await;
    assert_eq!((runs(&buckets[0]), buckets[0].costs.len(), buckets[0].sampled), (vec![(Succeeded, 3)], 2, true));
    assert!((buckets[0].weight - 1.5).abs() < 1e-9, "{}", buckets[0].weight);
}

/// A record that is longer than all that is read of its bucket hides none of the runs beside it.
pub(crate) async fn are_not_hidden_by_one_long_record(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in [10, 11, 20, 30, 40] {
        store.record_run(&acme, &run(number, None, Succeeded), None).await.unwrap();
    }
    let mut large = run(12, None, Failed);
    large.message = Some("x".repeat(6 << 20));
    store.record_run(&acme, &large, None).await.unwrap();
    let buckets = overview(store, &acme, None, &[10, 20, 30, 40, 50]).await;
    assert_eq!(runs(&buckets[0]), [(Succeeded, 2), (Failed, 1)]);
    let read: Vec<_> = buckets[0].costs.iter().map(|cost| cost.id).collect();
    assert_eq!((read, buckets[0].sampled), (vec![run_id(11), run_id(10)], true));
    assert!((buckets[0].weight - 1.5).abs() < 1e-9, "two stand for three: {}", buckets[0].weight);
    assert!(buckets[1..].iter().all(|bucket| bucket.costs.len() == 1 && !bucket.sampled));
}

/// What is said of a run that has a summary beside its record is what the record says: also where the record was written without one.
pub(crate) async fn say_the_same_with_and_without_a_summary(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let mut near = super::invocation("price");
    near.usage.fuel = near.usage.fuel_limit;
    near.usage.wall_us = 9_000_000;
    let quiet = super::invocation("sign");
    // Too many scripts for a summary that is kept.
    let many: Vec<_> = (0..500).map(|number| super::invocation(&format!("script-{number}"))).collect();
    for (number, hooks) in [(1, vec![near, quiet]), (2, many)] {
        let mut made = run(number, None, Succeeded);
        made.steps = vec![super::step(&hooks, &hooks)];
        store.record_run(&acme, &made, None).await.unwrap();
    }
    let buckets = overview(store, &acme, None, &[0, 10]).await;
    let [many, few] = &buckets[0].costs[..] else { panic!("{buckets:?}") };
    assert_eq!((few.of.as_str(), few.hooks_us, few.requests_us), ("crm/send", 4 * 71, 12_000 - 2 * 71));
    assert_eq!((many.of.as_str(), many.hooks_us, many.near.len()), ("crm/send", 1000 * 71, 0));
    let near: Vec<_> = few.near.iter().map(|near| (near.script.as_str(), near.limit, near.used, near.allowed)).collect();
    assert_eq!(near, [("price", "fuel", 1_000_000_000, 1_000_000_000), ("price", "wall_ms", 9000, 10_000)]);
    for (script, runs) in [("price", 1), ("sign", 1), ("script-499", 1), ("script-500", 0)] {
        let filter = crate::RunFilter { script: Some(name(script)), ..crate::RunFilter::default() };
        let page = store.runs(&acme, &filter, &crate::PageRequest::first(10)).await.unwrap();
        assert_eq!(page.items.len(), runs, "{script}");
    }
}
