//! What runs leave behind goes when it has had its time.

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::Timestamp;
use snaphook_model::{
    Attempt, BodyText, CorrelationId, RequestRecord, Retention, RunRecord, RunStatus, SealedSecret, StepRecord, StepStatus, TenantName,
};
use uuid::Uuid;

use super::{all, at, claim, ending, queued, recording, run, run_id, with_tenant};
use crate::{CalledBack, KeptCallback, Keyed, KeyedRequest, RunFilter, SavedRun, Store, Sweep, Swept, Wake};

/// When the run with this number was made.
fn made(number: u64) -> Timestamp {
    Timestamp::from_millisecond(0x0190_0000_0000 + i64::try_from(number).unwrap()).unwrap()
}

/// Nothing has had its time.
fn nothing() -> Sweep {
    Sweep { now: at(0), payloads_before: made(0), logs_before: made(0), keys_before: at(0), audit_before: at(0) }
}

fn with_body(number: u64, retention: Option<Retention>) -> RunRecord {
    that_sent(Bytes::from_static(b"a secret recipe"), number, retention)
}

/// A run of one step, whose request had this body.
pub(super) fn that_sent(body: Bytes, number: u64, retention: Option<Retention>) -> RunRecord {
    let body = BodyText(body);
    let request = RequestRecord { method: "POST".to_owned(), url: "https://a.example/".to_owned(), headers: serde_json::Map::new(), body };
    let attempt = Attempt { started_at: at(1), duration_ms: 1, hooks: Vec::new(), request: Some(request), response: None, error: None };
    let step = StepRecord {
        name: "first".to_owned(),
        status: StepStatus::Succeeded,
        code: None,
        message: None,
        hooks: Vec::new(),
        attempts: vec![attempt],
        waits: Vec::new(),
    };
    RunRecord { steps: vec![step], retention, ..run(number, None, RunStatus::Succeeded) }
}

async fn sweep(store: &dyn Store, tenant: &TenantName, sweep: Sweep) -> Swept {
    let mut total = Swept::default();
    for _ in 0..100 {
        let Swept { payloads, runs, audit, more } = store.sweep(tenant, sweep).await.unwrap();
        (total.payloads, total.runs, total.audit) = (total.payloads + payloads, total.runs + runs, total.audit + audit);
        if !more {
            return total;
        }
    }
    panic!("a sweep has an end");
}

/// Numbers of the runs that are there, and of those whose payloads are.
async fn left(store: &dyn Store, tenant: &TenantName, numbers: std::ops::RangeInclusive<u64>) -> (Vec<u64>, Vec<u64>) {
    let (mut runs, mut payloads) = (Vec::new(), Vec::new());
    for number in numbers {
        let record = store.run(tenant, run_id(number)).await.unwrap();
        let has_body = record.as_ref().is_some_and(|record| serde_json::to_string(record).unwrap().contains("recipe"));
        assert_eq!(has_body, record.as_ref().is_some_and(|record| !record.payloads_removed), "run {number}");
        assert_eq!(has_body, store.recording(tenant, run_id(number)).await.unwrap().is_some(), "run {number}");
        runs.extend(record.map(|_| number));
        payloads.extend(has_body.then_some(number));
    }
    (runs, payloads)
}

pub(crate) async fn usual_runs_go_in_the_order_of_their_ids(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    for number in 1..=80 {
        store.record_run(&acme, &with_body(number, None), Some(recording("text"))).await.unwrap();
    }
    store.record_run(&other, &with_body(1, None), Some(recording("text"))).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(sweep(store, &acme, nothing()).await, Swept::default());
    let due = Sweep { payloads_before: made(71), ..nothing() };
    assert_eq!(sweep(store, &acme, due).await, Swept { payloads: 70, ..Swept::default() });
    assert_eq!(sweep(store, &acme, due).await, Swept::default(), "each goes once");
    assert_eq!(left(store, &acme, 1..=80).await, ((1..=80).collect(), (71..=80).collect()));
    let record = store.run(&acme, run_id(3)).await.unwrap().unwrap();
    let request = record.steps[0].attempts[0].request.as_ref().unwrap();
    assert_eq!((request.body.0.as_ref(), request.url.as_str()), (&b"[removed, 15 bytes]"[..], "https://a.example/"));
    let due = Sweep { payloads_before: made(75), logs_before: made(41), ..nothing() };
    assert_eq!(sweep(store, &acme, due).await, Swept { payloads: 4, runs: 40, ..Swept::default() });
    assert_eq!(left(store, &acme, 1..=80).await, ((41..=80).collect(), (75..=80).collect()));
    assert_eq!(left(store, &other, 1..=1).await, (vec![1], vec![1]), "another tenant's stay");
}

pub(crate) async fn runs_that_say_so_go_at_their_own_time(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    // All ended at 1000 s.
    for (number, logs_s) in [(1, 300), (2, 500)] {
        let record = with_body(number, Some(Retention { logs_s, payloads_s: 100 }));
        store.record_run(&acme, &record, Some(recording("text"))).await.unwrap();
    }
    let record = with_body(3, Some(Retention { logs_s: 200, payloads_s: 900 }));
    store.end_run(&acme, None, ending(&record, Some(&recording("text")), &[], None)).await.unwrap();
    store.flush().await.unwrap();
    // Their ids are old enough for the usual times, which are not theirs.
    let due = |now| Sweep { now: at(now), payloads_before: made(100), logs_before: made(100), ..nothing() };
    for (now, runs, payloads) in [
        (1099, vec![1, 2, 3], vec![1, 2, 3]),
        (1100, vec![1, 2, 3], vec![3]),
        (1200, vec![1, 2], vec![]),
        (1300, vec![2], vec![]),
        (1500, vec![], vec![]),
    ] {
        sweep(store, &acme, due(now)).await;
        assert_eq!(left(store, &acme, 1..=3).await, (runs, payloads), "at {now}");
    }
}

pub(crate) async fn runs_that_have_not_ended_stay(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let retention = Some(Retention { logs_s: 60, payloads_s: 30 });
    let mut waiting = queued(1);
    waiting.record = RunRecord { retention, flow: None, ..with_body(1, None) };
    (waiting.record.status, waiting.record.ended_at) = (RunStatus::Waiting, None);
    let correlation = CorrelationId("c".repeat(22));
    let (checkpoint, recorded) = (Bytes::from_static(b"here"), recording("text"));
    let saved = SavedRun {
        run: &waiting,
        checkpoint: &checkpoint,
        recording: Some(&recorded),
        events: &[],
        wake: Wake::Callback(&correlation, at(5000)),
        expects: Some(&correlation),
        heard: None,
        token: Uuid::now_v7(),
    };
    store.save_run(&acme, None, saved).await.unwrap();
    store.queue_run(&acme, &queued(2), None, 10_u32.into()).await.unwrap();
    let due = |now| Sweep { now: at(now), payloads_before: made(100), logs_before: made(100), ..nothing() };
    assert_eq!(sweep(store, &acme, due(9000)).await, Swept::default());
    let callback = KeptCallback::Sealed(SealedSecret(Bytes::from_static(b"sealed")));
    assert_eq!(store.call_back(&acme, &correlation, &callback, at(900)).await.unwrap(), CalledBack::Taken(run_id(1)));
    let claimed = claim(store, at(900), 2).await;
    let claimed = claimed.into_iter().find(|claimed| claimed.run.record.id == run_id(1)).unwrap();
    let ended = RunRecord { retention, ..with_body(1, None) };
    store.end_run(&acme, Some(&claimed.lease), ending(&ended, Some(&recorded), &[], None)).await.unwrap();
    assert_eq!(store.sealed_callbacks(&acme, "").await.unwrap().len(), 1, "it was never heard");
    assert_eq!(sweep(store, &acme, due(1030)).await, Swept { payloads: 1, ..Swept::default() });
    assert_eq!(store.sealed_callbacks(&acme, "").await.unwrap(), []);
    assert_eq!(
        store.call_back(&acme, &correlation, &callback, at(1031)).await.unwrap(),
        CalledBack::Used,
        "a callback's id stays with its run"
    );
    assert_eq!(sweep(store, &acme, due(1060)).await, Swept { runs: 1, ..Swept::default() });
    assert_eq!(store.call_back(&acme, &correlation, &callback, at(1061)).await.unwrap(), CalledBack::Unknown);
    assert!(store.run(&acme, run_id(2)).await.unwrap().is_some(), "the queued one waits for its time");
}

pub(crate) async fn several_sweeps_at_once_do_no_harm(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for number in 1..=120_u64 {
        let retention = number.is_multiple_of(2).then_some(Retention { logs_s: 100, payloads_s: 50 });
        store.record_run(&acme, &with_body(number, retention), Some(recording("text"))).await.unwrap();
    }
    store.flush().await.unwrap();
    let due = Sweep { now: at(1060), payloads_before: made(90), ..nothing() };
    join_all((0..4).map(|_| sweep(store, &acme, due))).await;
    // Whoever found another at it left the rest to it.
    sweep(store, &acme, due).await;
    assert_eq!(left(store, &acme, 1..=120).await.1, (91..=119).step_by(2).collect::<Vec<_>>());
    let due = Sweep { now: at(1100), logs_before: made(100), ..due };
    join_all((0..4).map(|_| sweep(store, &acme, due))).await;
    sweep(store, &acme, due).await;
    let filter = RunFilter::default();
    let listed = all(50, async |page| store.runs(&acme, &filter, page).await.unwrap()).await;
    let expected: Vec<_> = (101..=119).rev().filter(|number| number % 2 == 1).map(run_id).collect();
    assert_eq!(listed.iter().map(|run| run.id).collect::<Vec<_>>(), expected);
}

pub(crate) async fn forgets_keys(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let request = KeyedRequest { path: "/v1/call/crm/send", key: "k", body: &[1; 32], run: run_id(1) };
    assert_eq!(store.begin_keyed(&acme, request, at(100), at(0)).await.unwrap(), Keyed::First);
    sweep(store, &acme, Sweep { keys_before: at(100), ..nothing() }).await;
    assert!(matches!(store.begin_keyed(&acme, request, at(110), at(0)).await.unwrap(), Keyed::Before { .. }));
    sweep(store, &acme, Sweep { keys_before: at(101), ..nothing() }).await;
    assert_eq!(store.begin_keyed(&acme, request, at(120), at(0)).await.unwrap(), Keyed::First);
}
