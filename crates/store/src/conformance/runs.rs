//! Records of runs.

use snaphook_model::RunStatus::{Failed, Running, Succeeded};
use snaphook_model::{RunRecord, TenantName};

use super::{all, at, invocation, name, run, run_id, step, tenant, with_tenant};
use crate::{Cursor, PageRequest, RunFilter, Store, StoreError};

async fn record(store: &dyn Store, tenant: &TenantName, runs: &[RunRecord]) {
    for run in runs {
        store.record_run(tenant, run, None).await.unwrap();
    }
}

async fn listed(store: &dyn Store, tenant: &TenantName, filter: &RunFilter) -> Vec<u64> {
    let runs = all(2, async |page| store.runs(tenant, filter, page).await.unwrap()).await;
    runs.iter().map(|run| (0..100).find(|number| run_id(*number) == run.id).unwrap()).collect()
}

pub(crate) async fn are_read_at_once(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..20 {
        let mut written = run(number, Some("orders"), Failed);
        written.message = Some("with \u{0} and \"quotes\" and ü".to_owned());
        store.record_run(&acme, &written, None).await.unwrap();
        assert_eq!(store.run_status(&acme, written.id).await.unwrap(), Some(Failed));
        assert_eq!(store.run(&acme, written.id).await.unwrap(), Some(written));
    }
    assert_eq!(store.run(&acme, run_id(99)).await.unwrap(), None);
    assert_eq!(store.run_status(&acme, run_id(99)).await.unwrap(), None);
}

pub(crate) async fn are_listed_newest_first(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    record(store, &acme, &[3, 1, 4, 0, 2].map(|number| run(number, None, Succeeded))).await;
    assert_eq!(listed(store, &acme, &RunFilter::default()).await, [4, 3, 2, 1, 0]);
}

pub(crate) async fn are_filtered(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let runs = [(0, None, Succeeded), (1, Some("a"), Succeeded), (2, Some("a"), Failed), (3, Some("b"), Failed), (4, None, Failed)];
    record(store, &acme, &runs.map(|(number, flow, status)| run(number, flow, status))).await;
    let by = |flow: Option<&str>, status, since: Option<i64>| RunFilter {
        flow: flow.map(name),
        status,
        since: since.map(at),
        ..RunFilter::default()
    };
    for (filter, expected) in [
        (by(Some("a"), None, None), vec![2, 1]),
        (by(None, Some(Failed), None), vec![4, 3, 2]),
        (by(None, Some(Succeeded), None), vec![1, 0]),
        (by(None, Some(Running), None), vec![]),
        (by(Some("a"), Some(Succeeded), None), vec![1]),
        (by(Some("b"), Some(Failed), None), vec![3]),
        (by(None, None, Some(3)), vec![4, 3]),
        (by(Some("a"), Some(Failed), Some(3)), vec![]),
        (by(Some("none"), None, None), vec![]),
    ] {
        assert_eq!(listed(store, &acme, &filter).await, expected, "{filter:?}");
    }
}

pub(crate) async fn of_one_endpoint_are_found(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..12 {
        let mut made = run(number, (number % 3 == 0).then_some("orders"), if number == 5 { Failed } else { Succeeded });
        if number % 3 == 1 {
            made.call = Some("crm/send_2".to_owned());
            // What a caller sent does not make it another endpoint's.
            made.message = Some(r#"{"call":"crm/send"}"#.to_owned());
        }
        store.record_run(&acme, &made, None).await.unwrap();
    }
    let of = |call: &str, status| RunFilter { call: Some(call.to_owned()), status, ..RunFilter::default() };
    assert_eq!(listed(store, &acme, &of("crm/send", None)).await, [11, 8, 5, 2]);
    assert_eq!(listed(store, &acme, &of("crm/send_2", None)).await, [10, 7, 4, 1]);
    assert_eq!(listed(store, &acme, &of("crm/send", Some(Failed))).await, [5]);
    assert_eq!(listed(store, &acme, &of("crm/sen%", None)).await, [0; 0]);
    assert_eq!(listed(store, &acme, &of("orders", None)).await, [0; 0]);
}

pub(crate) async fn that_invoked_a_script_are_found(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..9 {
        let mut made = run(number, (number % 3 == 0).then_some("orders"), Succeeded);
        // At a hook of the call, at one of a request, and nowhere but in what a caller sent.
        made.steps = match number {
            1 | 4 => vec![step(&[invocation("sign")], &[])],
            3 => vec![step(&[], &[]), step(&[invocation("price")], &[invocation("sign")])],
            _ => vec![step(&[invocation("price")], &[])],
        };
        made.message = Some(r#"{"script":"sign"}"#.to_owned());
        made.trigger = (number == 6).then(|| invocation("sign"));
        store.record_run(&acme, &made, None).await.unwrap();
    }
    let of = |script: &str| RunFilter { script: Some(name(script)), ..RunFilter::default() };
    assert_eq!(listed(store, &acme, &of("sign")).await, [6, 4, 3, 1]);
    assert_eq!(listed(store, &acme, &RunFilter { flow: Some(name("orders")), ..of("sign") }).await, [6, 3]);
    assert_eq!(listed(store, &acme, &RunFilter { call: Some("crm/send".to_owned()), ..of("sign") }).await, [4, 1]);
    assert_eq!(listed(store, &acme, &of("sig")).await, [0; 0]);
}

/// A list that looks at many rows to find one gives pages without it, and still comes to its end.
pub(crate) async fn of_one_endpoint_are_found_among_many(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..6_000 {
        let mut made = run(number, None, Succeeded);
        made.call = Some(if number == 3 { "crm/rare" } else { "crm/usual" }.to_owned());
        store.record_run(&acme, &made, None).await.unwrap();
    }
    let filter = RunFilter { call: Some("crm/rare".to_owned()), ..RunFilter::default() };
    let first = store.runs(&acme, &filter, &PageRequest::first(5)).await.unwrap();
    assert!(first.items.is_empty() && first.next.is_some(), "a page has its bound");
    assert_eq!(listed(store, &acme, &filter).await, [3]);
}

/// A list that hardly anything fits looks at so many runs for a page and no more; one that begins later than all runs looks at none.
pub(crate) async fn are_looked_at_in_bounds(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..6_000 {
        store.record_run(&acme, &run(number, Some("orders"), if number == 3 { Failed } else { Succeeded }), None).await.unwrap();
    }
    let by = |flow: Option<&str>, status, since: Option<i64>| RunFilter {
        flow: flow.map(name),
        status,
        since: since.map(at),
        ..RunFilter::default()
    };
    for (filter, expected) in [
        (by(Some("orders"), Some(Failed), None), vec![3]),
        (by(Some("orders"), Some(Running), None), vec![]),
        (by(Some("orders"), None, Some(100_000)), vec![]),
        (by(None, None, Some(100_000)), vec![]),
    ] {
        let first = store.runs(&acme, &filter, &PageRequest::first(5)).await.unwrap();
        assert!(first.items.is_empty() && first.next.is_some(), "a page has its bound: {filter:?}");
        assert_eq!(listed(store, &acme, &filter).await, expected, "{filter:?}");
    }
    let years = 1000 * 365 * 86_400;
    let never = store.runs(&acme, &by(None, None, Some(years)), &PageRequest::first(5)).await.unwrap();
    assert_eq!((never.items.len(), never.next), (0, None), "no run of all was asked for so late");
}

pub(crate) async fn that_waited_are_found_by_their_start(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let asked = at(17_986_918);
    let mut waited = run(1, None, Succeeded);
    waited.started_at = asked + jiff::SignedDuration::from_hours(24 * 30);
    record(store, &acme, &[waited.clone(), run(2, None, Succeeded)]).await;
    let since = Some(waited.started_at);
    assert_eq!(listed(store, &acme, &RunFilter { since, ..RunFilter::default() }).await, [1]);
    let since = Some(waited.started_at + jiff::SignedDuration::from_millis(1));
    assert_eq!(listed(store, &acme, &RunFilter { since, ..RunFilter::default() }).await, [0; 0]);
}

pub(crate) async fn pages_hold_while_runs_arrive(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    record(store, &acme, &[1, 2, 3, 4].map(|number| run(number, None, Succeeded))).await;
    let filter = RunFilter::default();
    let first = store.runs(&acme, &filter, &PageRequest::first(2)).await.unwrap();
    record(store, &acme, &[5, 6].map(|number| run(number, None, Succeeded))).await;
    let second = store.runs(&acme, &filter, &PageRequest { limit: 5, after: first.next }).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|run| run.id).collect();
    assert_eq!(ids, [4, 3, 2, 1].map(run_id));
}

pub(crate) async fn may_be_written_twice(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let (first, mut second) = (run(1, Some("orders"), Running), run(1, Some("orders"), Succeeded));
    second.message = Some("the later one stands".to_owned());
    // Both in one batch, then again one by one.
    record(store, &acme, &[first.clone(), run(2, None, Succeeded), second.clone()]).await;
    assert_eq!(store.run(&acme, second.id).await.unwrap(), Some(second.clone()));
    record(store, &acme, std::slice::from_ref(&first)).await;
    assert_eq!(store.run(&acme, first.id).await.unwrap(), Some(first));
    record(store, &acme, std::slice::from_ref(&second)).await;
    assert_eq!(store.runs(&acme, &RunFilter::default(), &PageRequest::first(5)).await.unwrap().items.len(), 2);
}

pub(crate) async fn without_a_tenant_are_left_out(store: &dyn Store) {
    let (acme, nobody) = (with_tenant(store, "acme").await, tenant("nobody"));
    record(store, &nobody, &[run(1, None, Succeeded)]).await;
    record(store, &acme, &[run(2, None, Succeeded)]).await;
    assert!(store.run(&acme, run_id(2)).await.unwrap().is_some(), "the rest of the batch is written");
    assert_eq!(store.run(&nobody, run_id(1)).await.unwrap(), None);
}

/// A page is bounded in bytes, and the list goes on after it.
pub(crate) async fn large_pages_are_cut(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 0..8 {
        let mut large = run(number, None, Succeeded);
        large.message = Some("x".repeat(3 << 20));
        store.record_run(&acme, &large, None).await.unwrap();
    }
    let filter = RunFilter::default();
    let first = store.runs(&acme, &filter, &PageRequest::first(8)).await.unwrap();
    assert!((1..8).contains(&first.items.len()), "{} items", first.items.len());
    assert_eq!(listed(store, &acme, &filter).await, [7, 6, 5, 4, 3, 2, 1, 0]);
}

pub(crate) async fn refuse_foreign_cursors(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let page = PageRequest { limit: 5, after: Some(Cursor("' OR 1=1".to_owned())) };
    assert!(matches!(store.runs(&acme, &RunFilter::default(), &page).await, Err(StoreError::Cursor)));
    assert!(matches!(store.versions(&acme, &name("a"), &page).await, Err(StoreError::Cursor)));
    assert!(matches!(store.stale_components("a", &page).await, Err(StoreError::Cursor)));
    assert_eq!(store.scripts(&acme, &page).await.unwrap().items, []);
}
