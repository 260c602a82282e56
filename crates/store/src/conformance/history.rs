//! What runs leave goes before its time where it is more than may be kept: the oldest first.

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::Timestamp;
use snaphook_model::{Retention, RunRecord, RunStatus, TenantName};

use super::retention::that_sent;
use super::{at, queued, recording, run, run_id, with_tenant};
use crate::{Excess, HistoryLook, Relief, Relieved, RunPart, Store, Sweep};

/// When the run with this number was made.
fn made(number: u64) -> Timestamp {
    Timestamp::from_millisecond(0x0190_0000_0000 + i64::try_from(number).unwrap()).unwrap()
}

/// Runs that end at 1000 s; the last of those that say how long they are kept goes at 5000 s.
fn with_body(number: u64, own: bool) -> RunRecord {
    let retention = own.then_some(Retention { logs_s: 4000, payloads_s: 3000 });
    that_sent(Bytes::from(b"a secret recipe ".repeat(20)), number, retention)
}

/// A tenant with so many runs that differ in little but their numbers; every third says itself how long it is kept.
async fn filled(store: &dyn Store, name: &str, runs: u64) -> TenantName {
    let tenant = with_tenant(store, name).await;
    for number in 1..=runs {
        store.record_run(&tenant, &with_body(number, number.is_multiple_of(3)), Some(recording("text"))).await.unwrap();
    }
    store.flush().await.unwrap();
    tenant
}

/// Looks at a time, from which on all runs are settled that began before the one with this number.
async fn look(store: &dyn Store, tenant: &TenantName, (seconds, settled): (i64, u64), most: u64) -> Option<Excess> {
    store.look_at_history(tenant, HistoryLook { now: at(seconds), settled_before: made(settled), most }).await.unwrap()
}

/// Removes so many bytes, a step after the other.
async fn relieve(store: &dyn Store, tenant: &TenantName, relief: Relief) -> Relieved {
    let mut total = Relieved::default();
    for _ in 0..100 {
        let bytes = relief.bytes.saturating_sub(total.bytes);
        let step = store.relieve(tenant, Relief { bytes, after: total.last, ..relief }).await.unwrap();
        let (runs, bytes) = (total.runs + step.runs, total.bytes + step.bytes);
        total = Relieved { runs, bytes, last: step.last.or(total.last), more: step.more };
        if !step.more || bytes >= relief.bytes {
            return total;
        }
    }
    panic!("removing has an end");
}

/// All that may go, of runs that began before the one with this number or say so themselves.
fn all(part: RunPart, number: u64) -> Relief {
    Relief { part, after: None, until: None, usual_before: made(number), bytes: u64::MAX, now: at(0) }
}

/// Numbers of the runs that are there, and of those whose payloads are.
async fn left(store: &dyn Store, tenant: &TenantName, numbers: std::ops::RangeInclusive<u64>) -> (Vec<u64>, Vec<u64>) {
    let (mut runs, mut payloads) = (Vec::new(), Vec::new());
    for number in numbers {
        let record = store.run(tenant, run_id(number)).await.unwrap();
        let has_body = record.as_ref().is_some_and(|record| serde_json::to_string(record).unwrap().contains("recipe"));
        assert_eq!(has_body, store.recording(tenant, run_id(number)).await.unwrap().is_some(), "run {number}");
        runs.extend(record.map(|_| number));
        payloads.extend(has_body.then_some(number));
    }
    (runs, payloads)
}

pub(crate) async fn is_counted_in_time(store: &dyn Store) {
    let (acme, other) = (filled(store, "acme", 30).await, filled(store, "other", 3).await);
    assert_eq!((look(store, &acme, (0, 21), u64::MAX).await, look(store, &other, (0, 21), u64::MAX).await), (None, None));
    let (bytes, of_three) = (store.history_bytes(&acme).await.unwrap(), store.history_bytes(&other).await.unwrap());
    // Records differ by some digits, and by what says how long they are kept.
    assert!(bytes > of_three * 9 && bytes < of_three * 11 && of_three > 3 * 500, "{bytes} and {of_three}");
    for number in 31..=40 {
        store.record_run(&acme, &with_body(number, false), Some(recording("text"))).await.unwrap();
    }
    store.flush().await.unwrap();
    assert_eq!(look(store, &acme, (5, 31), 1).await, None, "it is not time again");
    assert_eq!(look(store, &acme, (3600, 31), u64::MAX).await, None);
    let more = store.history_bytes(&acme).await.unwrap();
    assert!(more > bytes + of_three * 3 && more < bytes + of_three * 4, "what has come was added: {more} after {bytes}");
    assert_eq!(look(store, &acme, (7200, 41), more).await, None);
    assert_eq!(store.history_bytes(&acme).await.unwrap(), more, "nothing was counted twice");
    // Less may be kept now.
    let excess = look(store, &acme, (10_800, 41), more - 1).await.unwrap();
    assert_eq!(excess.kept, more);
    // What went by its time is found out when all is counted.
    let due = Sweep { now: at(0), payloads_before: made(21), logs_before: made(21), keys_before: at(0), audit_before: at(0) };
    while store.sweep(&acme, due).await.unwrap().more {}
    assert_eq!(look(store, &acme, (14_400, 41), more - 1).await, None);
    assert!(store.history_bytes(&acme).await.unwrap() < more);
    assert_eq!(store.history_bytes(&super::tenant("nobody")).await.unwrap(), 0);
}

pub(crate) async fn payloads_of_the_oldest_go_first(store: &dyn Store) {
    let (acme, other) = (filled(store, "acme", 80).await, filled(store, "other", 2).await);
    let excess = look(store, &acme, (0, 100), 1).await.unwrap();
    let of_one = excess.kept / 80;
    let some = Relief { bytes: of_one * 5, ..all(RunPart::Payloads, 100) };
    let gone = relieve(store, &acme, some).await;
    assert!(gone.bytes >= some.bytes && gone.bytes < some.bytes + of_one && (6..40).contains(&gone.runs), "{gone:?} of {of_one}");
    assert_eq!(left(store, &acme, 1..=80).await, ((1..=80).collect(), (gone.runs + 1..=80).collect()), "those too that say how long");
    assert_eq!(store.history_bytes(&acme).await.unwrap(), excess.kept - gone.bytes);
    // What takes longer than a step, and of runs that may not all be there yet, none but those that say so themselves.
    assert_eq!(relieve(store, &acme, Relief { until: Some(run_id(60)), ..all(RunPart::Payloads, 70) }).await.runs, 60 - gone.runs);
    assert_eq!(left(store, &acme, 1..=80).await.1, (61..=80).collect::<Vec<_>>());
    relieve(store, &acme, all(RunPart::Payloads, 70)).await;
    let recent: Vec<_> = (70..=80).filter(|number| number % 3 != 0).collect();
    assert_eq!(left(store, &acme, 1..=80).await, ((1..=80).collect(), recent.clone()));
    assert_eq!(relieve(store, &acme, all(RunPart::Payloads, 70)).await.runs, 0, "each goes once");
    let record = store.run(&acme, run_id(3)).await.unwrap().unwrap();
    assert_eq!(record.steps[0].attempts[0].request.as_ref().unwrap().body.0.as_ref(), b"[removed, 320 bytes]");
    // The usual times go on behind it.
    let due = Sweep { now: at(0), payloads_before: made(75), logs_before: made(1), keys_before: at(0), audit_before: at(0) };
    while store.sweep(&acme, due).await.unwrap().more {}
    assert_eq!(left(store, &acme, 1..=80).await.1, recent.into_iter().filter(|number| *number >= 75).collect::<Vec<_>>());
    assert_eq!(left(store, &other, 1..=2).await, (vec![1, 2], vec![1, 2]), "another tenant's stay");
}

pub(crate) async fn oldest_runs_go_in_the_order_of_their_ids(store: &dyn Store) {
    let (acme, other) = (filled(store, "acme", 80).await, filled(store, "other", 2).await);
    let excess = look(store, &acme, (0, 100), 1).await.unwrap();
    let some = Relief { bytes: excess.kept / 8, ..all(RunPart::Whole, 100) };
    let gone = relieve(store, &acme, some).await;
    assert!(gone.bytes >= some.bytes && (9..12).contains(&gone.runs), "{gone:?} of {}", excess.kept);
    let kept: Vec<_> = (gone.runs + 1..=80).collect();
    assert_eq!(left(store, &acme, 1..=80).await, (kept.clone(), kept));
    assert_eq!(store.history_bytes(&acme).await.unwrap(), excess.kept - gone.bytes);
    assert_eq!(look(store, &acme, (100_000, 100), excess.kept - gone.bytes).await, None, "a new count says the same");
    assert_eq!(store.history_bytes(&acme).await.unwrap(), excess.kept - gone.bytes);
    relieve(store, &acme, all(RunPart::Whole, 41)).await;
    let kept: Vec<_> = (41..=80).filter(|number| number % 3 != 0).collect();
    assert_eq!(left(store, &acme, 1..=80).await, (kept.clone(), kept), "the others that began later may not all be there yet");
    let rest = store.history_bytes(&acme).await.unwrap();
    assert_eq!(look(store, &acme, (200_000, 100), rest).await, None);
    assert_eq!(store.history_bytes(&acme).await.unwrap(), rest);
    assert_eq!(left(store, &other, 1..=2).await, (vec![1, 2], vec![1, 2]), "another tenant's stay");
}

pub(crate) async fn runs_that_have_not_ended_stay(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), Some(&recording("text")), 10_u32.into()).await.unwrap();
    store.record_run(&acme, &run(2, None, RunStatus::Running), None).await.unwrap();
    store.record_run(&acme, &with_body(3, false), Some(recording("text"))).await.unwrap();
    store.flush().await.unwrap();
    let excess = look(store, &acme, (0, 100), 1).await.unwrap();
    assert_eq!(excess.middle, run_id(3), "the others are not counted");
    relieve(store, &acme, all(RunPart::Payloads, 100)).await;
    assert_eq!(relieve(store, &acme, all(RunPart::Whole, 100)).await.runs, 1);
    assert!(store.run(&acme, run_id(1)).await.unwrap().is_some() && store.run(&acme, run_id(2)).await.unwrap().is_some());
    assert!(store.recording(&acme, run_id(1)).await.unwrap().is_some());
    assert_eq!(store.run(&acme, run_id(3)).await.unwrap(), None);
    assert_eq!(look(store, &acme, (3600, 100), 0).await, None, "nothing is left of what is counted");
}

pub(crate) async fn is_relieved_by_several_at_once(store: &dyn Store) {
    let acme = filled(store, "acme", 60).await;
    let looks = join_all((0..4).map(|_| look(store, &acme, (0, 100), 1))).await;
    assert_eq!(looks.iter().flatten().count(), 1, "one of them counts");
    join_all((0..3).map(|_| relieve(store, &acme, all(RunPart::Payloads, 31)))).await;
    let kept: Vec<_> = (31..=60).filter(|number| number % 3 != 0).collect();
    assert_eq!(left(store, &acme, 1..=60).await, ((1..=60).collect(), kept.clone()));
    join_all((0..3).map(|_| relieve(store, &acme, all(RunPart::Whole, 31)))).await;
    assert_eq!(left(store, &acme, 1..=60).await, (kept.clone(), kept));
}
