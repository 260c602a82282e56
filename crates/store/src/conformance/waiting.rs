//! Runs that are written down while they go on, callbacks, and cancelling.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{Callback, CorrelationId, EventKind, Payload, RunEvent, RunRecord, RunStatus, SealedSecret, TenantName};
use uuid::Uuid;

use super::{at, claim, ending, failure, queued, recording, run, run_id, with_tenant};
use crate::{
    CalledBack, Cancelled, ClaimedRun, EndedRun, KeptCallback, Lease, QueuedRun, RunCounts, Saved, SavedRun, Store, StoreError, Wake,
};

fn event(seq: u32, kind: EventKind) -> RunEvent {
    RunEvent { seq, at: at(i64::from(seq)), kind, step: None, attempt: None, detail: serde_json::Map::new() }
}

fn going_on(number: u64, status: RunStatus) -> QueuedRun {
    QueuedRun { record: run(number, Some("orders"), status), ..queued(number) }
}

/// Writes a run down.
async fn save(store: &dyn Store, tenant: &TenantName, lease: Option<&Lease>, run: &QueuedRun, wake: Wake<'_>) -> Saved {
    let checkpoint = Bytes::from_static(b"here");
    let saved =
        SavedRun { run, checkpoint: &checkpoint, recording: None, events: &[], wake, expects: None, heard: None, token: Uuid::now_v7() };
    store.save_run(tenant, lease, saved).await.unwrap()
}

async fn due(store: &dyn Store, now: i64) -> Vec<ClaimedRun> {
    claim(store, at(now), 10).await
}

pub(crate) async fn go_on_when_their_time_has_come(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let held = save(store, &acme, None, &going_on(1, RunStatus::Running), Wake::Held).await;
    let lease = held.lease.expect("whoever writes it down holds it");
    assert!(due(store, 10_000).await.is_empty());
    let parked = save(store, &acme, Some(&lease), &going_on(1, RunStatus::Waiting), Wake::At(at(50))).await;
    assert_eq!(parked, Saved { lease: None, cancelled: false });
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap().unwrap().status, RunStatus::Waiting);
    assert_eq!(store.next_due().await.unwrap(), Some(at(50)));
    store.queue_run(&acme, &queued(40), None, 100_u32.into()).await.unwrap();
    let counts = async |now| store.run_counts(at(now)).await.unwrap();
    assert_eq!(counts(39).await, RunCounts { queued: 1, waiting: 1, leased: 0, due: 0 });
    assert_eq!(counts(50).await, RunCounts { queued: 1, waiting: 1, leased: 0, due: 2 });
    let other = due(store, 40).await.remove(0);
    assert_eq!(counts(50).await, RunCounts { queued: 0, waiting: 1, leased: 1, due: 1 });
    let ended = run(40, Some("orders"), RunStatus::Succeeded);
    store.end_run(&acme, Some(&other.lease), ending(&ended, None, &[], None)).await.unwrap();
    assert!(due(store, 49).await.is_empty());
    let claimed = due(store, 50).await.remove(0);
    assert_eq!(claimed.checkpoint.as_deref(), Some(&b"here"[..]));
    // It began when it began.
    assert_eq!((claimed.run.record.status, claimed.run.record.started_at), (RunStatus::Running, at(1)));
    assert!(due(store, 51).await.is_empty());
    let late = SavedRun {
        run: &going_on(1, RunStatus::Running),
        checkpoint: &Bytes::new(),
        recording: None,
        events: &[],
        wake: Wake::Held,
        expects: None,
        heard: None,
        token: Uuid::now_v7(),
    };
    failure(store.save_run(&acme, Some(&lease), late)).await;
    let ended = run(1, Some("orders"), RunStatus::Succeeded);
    store.end_run(&acme, Some(&claimed.lease), ending(&ended, None, &[], None)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None);
}

/// As after a connection that broke when a save was committed: whoever saves does not know, and saves again.
pub(crate) async fn are_known_again_when_they_are_saved_twice(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let (running, checkpoint, token) = (going_on(1, RunStatus::Running), Bytes::from_static(b"here"), Uuid::now_v7());
    let recording = recording("text");
    let saved = SavedRun {
        run: &running,
        checkpoint: &checkpoint,
        recording: Some(&recording),
        events: &[event(1, EventKind::RunStarted)],
        wake: Wake::Held,
        expects: None,
        heard: None,
        token,
    };
    let first = store.save_run(&acme, None, saved).await.unwrap();
    assert_eq!(first.lease, Some(Lease { tenant: acme.clone(), run: run_id(1), token }));
    assert_eq!(store.save_run(&acme, None, saved).await.unwrap(), first);
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap().as_ref(), Some(&recording));
    let refused = store.save_run(&acme, None, SavedRun { token: Uuid::now_v7(), ..saved }).await;
    assert!(matches!(refused, Err(StoreError::Exists(_))), "{refused:?}");
    let end = |record: RunRecord| (record, Vec::new());
    assert_eq!(store.cancel_run(&acme, run_id(1), &end).await.unwrap(), Cancelled::Asked);
    assert_eq!(store.save_run(&acme, None, saved).await.unwrap(), Saved { cancelled: true, ..first.clone() });
    let ended = run(1, Some("orders"), RunStatus::Succeeded);
    store.end_run(&acme, first.lease.as_ref(), ending(&ended, None, &[], None)).await.unwrap();
    assert_eq!(store.run_events(&acme, run_id(1), 0, 10).await.unwrap().len(), 1);

    // One that waits is nobody's, and perhaps somebody else's by now.
    let waiting = going_on(2, RunStatus::Waiting);
    let parked = SavedRun { run: &waiting, wake: Wake::At(at(50)), ..saved };
    let is_parked = async || assert_eq!(store.save_run(&acme, None, parked).await.unwrap(), Saved { lease: None, cancelled: false });
    is_parked().await;
    is_parked().await;
    assert_eq!(due(store, 50).await.remove(0).checkpoint.as_ref(), Some(&checkpoint));
    is_parked().await;
    assert_eq!(store.run(&acme, run_id(2)).await.unwrap().unwrap().status, RunStatus::Running, "it goes on");
    assert!(due(store, 10_000).await.is_empty());
    // One that was accepted and has not begun is no try of this.
    store.queue_run(&acme, &queued(3), None, 10_u32.into()).await.unwrap();
    failure(store.save_run(&acme, None, SavedRun { run: &going_on(3, RunStatus::Waiting), ..parked })).await;
    assert_eq!(due(store, 50).await.remove(0).checkpoint, None);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

/// As many bytes as a payload may be large, which do not repeat.
fn large(seed: u64) -> Bytes {
    (0..40_000_u64).flat_map(|number| *blake3::hash(&(number ^ (seed << 32)).to_le_bytes()).as_bytes()).collect()
}

pub(crate) async fn keep_large_inputs_and_checkpoints(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let input = Payload { bytes: large(1), content_type: "application/octet-stream".to_owned() };
    let accepted = QueuedRun { input: input.clone(), ..queued(1) };
    store.queue_run(&acme, &accepted, None, 100_u32.into()).await.unwrap();
    let mut claimed = due(store, 1).await.remove(0);
    assert_eq!((&claimed.run.input, &claimed.checkpoint), (&input, &None));
    // Each takes the place of the one before, of whatever size that was.
    for (time, checkpoint) in [(10, large(2)), (20, large(3)), (30, Bytes::from_static(b"small")), (40, large(4))] {
        let run = going_on(1, RunStatus::Waiting);
        let saved = SavedRun {
            run: &run,
            checkpoint: &checkpoint,
            recording: None,
            events: &[],
            wake: Wake::At(at(time)),
            expects: None,
            heard: None,
            token: Uuid::now_v7(),
        };
        store.save_run(&acme, Some(&claimed.lease), saved).await.unwrap();
        claimed = due(store, time).await.remove(0);
        assert_eq!((&claimed.run.input, claimed.checkpoint.as_ref()), (&input, Some(&checkpoint)));
    }
    let next = QueuedRun { input: input.clone(), ..queued(50) };
    store.end_run(&acme, Some(&claimed.lease), ending(&run(1, Some("orders"), RunStatus::Failed), None, &[], Some(&next))).await.unwrap();
    assert_eq!(due(store, 50).await.remove(0).run.input, input);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn have_a_history(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let all = [EventKind::RunStarted, EventKind::Waiting, EventKind::Resumed, EventKind::RunEnded];
    let events: Vec<_> = (1..).zip(all).map(|(seq, kind)| event(seq, kind)).collect();
    let (run1, checkpoint) = (going_on(1, RunStatus::Running), Bytes::new());
    let saved = SavedRun {
        run: &run1,
        checkpoint: &checkpoint,
        recording: None,
        events: &events[..2],
        wake: Wake::Held,
        expects: None,
        heard: None,
        token: Uuid::now_v7(),
    };
    let lease = store.save_run(&acme, None, saved).await.unwrap().lease.unwrap();
    // What is told again has happened once.
    let again = SavedRun { events: &events[1..3], ..saved };
    store.save_run(&acme, Some(&lease), again).await.unwrap();
    store.end_run(&acme, Some(&lease), ending(&run(1, Some("orders"), RunStatus::Failed), None, &events[3..], None)).await.unwrap();
    assert_eq!(store.run_events(&acme, run_id(1), 0, 10).await.unwrap(), events);
    assert_eq!(store.run_events(&acme, run_id(1), 1, 2).await.unwrap(), events[1..3]);
    let other = with_tenant(store, "other").await;
    assert_eq!(store.run_events(&other, run_id(1), 0, 10).await.unwrap(), []);
}

fn sealed(text: &str) -> SealedSecret {
    SealedSecret(Bytes::copy_from_slice(text.as_bytes()))
}

fn callback(text: &str) -> KeptCallback {
    KeptCallback::Sealed(sealed(text))
}

/// As a release before keeps it.
fn plain(text: &str) -> KeptCallback {
    let body = Payload { bytes: Bytes::copy_from_slice(text.as_bytes()), content_type: "text/plain".to_owned() };
    KeptCallback::Plain(Callback { ok: true, body, document_status: None, error_code: Some("1".to_owned()), error_text: None })
}

/// A run that expects a callback, held.
async fn expecting(store: &dyn Store, acme: &TenantName, number: u64, id: &CorrelationId) -> Lease {
    let (run, checkpoint) = (going_on(number, RunStatus::Running), Bytes::new());
    let saved = SavedRun {
        run: &run,
        checkpoint: &checkpoint,
        recording: None,
        events: &[],
        wake: Wake::Held,
        expects: Some(id),
        heard: None,
        token: Uuid::now_v7(),
    };
    store.save_run(acme, None, saved).await.unwrap().lease.unwrap()
}

pub(crate) async fn are_called_back_once(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    let id = CorrelationId("one".to_owned());
    let call = async |tenant: &TenantName, text: &str| store.call_back(tenant, &id, &callback(text), at(20)).await.unwrap();
    assert_eq!(call(&acme, "early").await, CalledBack::Unknown);
    let lease = expecting(store, &acme, 1, &id).await;
    assert_eq!(call(&other, "foreign").await, CalledBack::Unknown);
    assert_eq!(store.callback(&acme, &id).await.unwrap(), None);
    save(store, &acme, Some(&lease), &going_on(1, RunStatus::Waiting), Wake::Callback(&id, at(1000))).await;
    assert!(due(store, 20).await.is_empty());
    assert_eq!(call(&acme, "first").await, CalledBack::Taken(run_id(1)));
    assert_eq!(call(&acme, "second").await, CalledBack::Used);
    assert_eq!(store.callback(&acme, &id).await.unwrap(), Some(callback("first")));
    assert_eq!(due(store, 20).await.len(), 1);
}

pub(crate) async fn hear_of_a_callback_that_came_before_they_waited(store: &dyn Store) {
    let (acme, id) = (with_tenant(store, "acme").await, CorrelationId("one".to_owned()));
    let lease = expecting(store, &acme, 1, &id).await;
    assert_eq!(store.call_back(&acme, &id, &plain("early"), at(5)).await.unwrap(), CalledBack::Taken(run_id(1)));
    assert_eq!(store.callback(&acme, &id).await.unwrap(), Some(plain("early")));
    assert!(due(store, 10_000).await.is_empty(), "it is held");
    save(store, &acme, Some(&lease), &going_on(1, RunStatus::Waiting), Wake::Callback(&id, Timestamp::MAX)).await;
    assert_eq!(due(store, 6).await.len(), 1);
}

pub(crate) async fn leave_no_callback_that_they_have_heard(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let checkpoint = Bytes::new();
    let moments = [(1_u64, callback("1"), "saved"), (2, plain("2"), "saved"), (3, callback("3"), "ended"), (4, callback("4"), "repeated")];
    for (number, came, moment) in moments {
        let id = CorrelationId(number.to_string());
        let lease = expecting(store, &acme, number, &id).await;
        let call = async || store.call_back(&acme, &id, &came, at(5)).await.unwrap();
        assert_eq!(call().await, CalledBack::Taken(run_id(number)));
        let (running, ended) = (going_on(number, RunStatus::Running), run(number, Some("orders"), RunStatus::Succeeded));
        let saved = SavedRun {
            run: &running,
            checkpoint: &checkpoint,
            recording: None,
            events: &[],
            wake: Wake::Held,
            expects: None,
            heard: Some(&id),
            token: Uuid::now_v7(),
        };
        // Whoever has lost the run has heard nothing.
        let lost = Lease { token: Uuid::now_v7(), ..lease.clone() };
        failure(store.save_run(&acme, Some(&lost), saved)).await;
        failure(store.end_run(&acme, Some(&lost), EndedRun { heard: Some(&id), ..ending(&ended, None, &[], None) })).await;
        assert_eq!(store.callback(&acme, &id).await.unwrap().as_ref(), Some(&came), "{moment}");
        if moment == "saved" {
            store.save_run(&acme, Some(&lease), saved).await.unwrap();
        } else {
            let next = (moment == "repeated").then(|| queued(50));
            let ended = EndedRun { heard: Some(&id), ..ending(&ended, None, &[], next.as_ref()) };
            store.end_run(&acme, Some(&lease), ended).await.unwrap();
        }
        assert_eq!(failure(store.callback(&acme, &id)).await, "a callback does not fit its stored form", "{moment}");
        assert_eq!(call().await, CalledBack::Used, "{moment}");
    }
    assert_eq!(store.sealed_callbacks(&acme, "").await.unwrap(), []);
}

pub(crate) async fn hear_nothing_after_their_end(store: &dyn Store) {
    let (acme, id) = (with_tenant(store, "acme").await, CorrelationId("one".to_owned()));
    let lease = expecting(store, &acme, 1, &id).await;
    store.end_run(&acme, Some(&lease), ending(&run(1, Some("orders"), RunStatus::Failed), None, &[], None)).await.unwrap();
    let call = async || store.call_back(&acme, &id, &callback("late"), at(5)).await.unwrap();
    assert_eq!(call().await, CalledBack::Taken(run_id(1)));
    assert_eq!(call().await, CalledBack::Used);
    assert_eq!(store.sealed_callbacks(&acme, "").await.unwrap(), [], "nobody would hear it");
}

pub(crate) async fn callbacks_are_sealed_anew(store: &dyn Store) {
    let (a, b) = (with_tenant(store, "a").await, with_tenant(store, "b").await);
    let ids = ["1", "2", "3", "4", "5", "6"].map(|id| CorrelationId(id.to_owned()));
    let call = async |tenant: &TenantName, id: &CorrelationId, sealed: &SealedSecret| {
        let called = store.call_back(tenant, id, &KeptCallback::Sealed(sealed.clone()), at(5)).await.unwrap();
        assert!(matches!(called, CalledBack::Taken(_)), "{called:?}");
    };
    // The third one does not come, and the last ones are large.
    let (old, new, large) = (sealed("old"), sealed("new"), SealedSecret(Bytes::from(vec![7_u8; 5 << 20])));
    for (number, (id, content)) in (1..).zip(ids.iter().zip([Some(&old), Some(&old), None, Some(&large), Some(&large), Some(&large)])) {
        expecting(store, &a, number, id).await;
        if let Some(content) = content {
            call(&a, id, content).await;
        }
    }
    expecting(store, &b, 1, &ids[0]).await;
    call(&b, &ids[0], &old).await;
    let found = async |tenant: &TenantName, after: &str| {
        let found = store.sealed_callbacks(tenant, after).await.unwrap();
        found.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(&a, "").await, ["1", "2", "4", "5"], "a page ends when it is full");
    assert_eq!((found(&a, "5").await, found(&a, "6").await), (vec!["6".to_owned()], Vec::new()));
    assert_eq!(found(&b, "").await, ["1"]);
    assert!(!store.reseal_callback(&b, &ids[1], (&old, &new)).await.unwrap());
    assert!(store.reseal_callback(&a, &ids[0], (&old, &new)).await.unwrap());
    assert!(!store.reseal_callback(&a, &ids[0], (&old, &new)).await.unwrap(), "somebody was first");
    for (tenant, id, content) in [(&a, &ids[0], new), (&a, &ids[1], old.clone()), (&b, &ids[0], old)] {
        assert_eq!(store.callback(tenant, id).await.unwrap(), Some(KeptCallback::Sealed(content)));
    }
}

pub(crate) async fn are_cancelled(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let ended = event(7, EventKind::RunEnded);
    let end = |record: RunRecord| (RunRecord { status: RunStatus::Cancelled, ended_at: Some(at(9)), ..record }, vec![ended.clone()]);
    let cancel = async |number: u64| store.cancel_run(&acme, run_id(number), &end).await.unwrap();
    assert_eq!(cancel(1).await, Cancelled::Unknown);
    store.record_run(&acme, &run(1, Some("orders"), RunStatus::Failed), None).await.unwrap();
    assert_eq!(cancel(1).await, Cancelled::Ended);
    store.queue_run(&acme, &queued(2), None, 10_u32.into()).await.unwrap();
    assert_eq!(cancel(2).await, Cancelled::Done);
    let record = store.run(&acme, run_id(2)).await.unwrap().unwrap();
    assert_eq!((record.status, record.ended_at), (RunStatus::Cancelled, Some(at(9))));
    assert_eq!(store.run_events(&acme, run_id(2), 0, 10).await.unwrap(), std::slice::from_ref(&ended));
    assert!(due(store, 10_000).await.is_empty());
    assert_eq!(cancel(2).await, Cancelled::Ended);
    let held = save(store, &acme, None, &going_on(3, RunStatus::Running), Wake::Held).await;
    assert_eq!(cancel(3).await, Cancelled::Asked);
    assert!(save(store, &acme, held.lease.as_ref(), &going_on(3, RunStatus::Running), Wake::Held).await.cancelled);
}
