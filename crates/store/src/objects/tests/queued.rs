//! Inputs and checkpoints of runs that wait lie beside the database where they are large, for as long as their rows name them.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use snaphook_model::{RunRecord, RunStatus, TenantName};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Gate, Link, S3};
use sqlx::Row as _;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Stored, keys, opened, place};
use crate::conformance::{at, claim, claim_of, ending, name, queued, recording, run, run_id, with_tenant};
use crate::{
    Cancelled, ClaimedRun, Lease, Objects, PostgresOptions, PostgresStore, QueuedRun, RunStore as _, SavedRun, Store, StoreError,
    TenantStore as _, WaitStore as _, Wake,
};

/// How many inputs, checkpoints and recordings there are.
fn counts(s3: &S3) -> [usize; 3] {
    ["inputs", "checkpoints", "recordings"].map(|kind| keys(s3, kind).len())
}

async fn due(store: &dyn Store, now: i64) -> Vec<ClaimedRun> {
    claim(store, at(now), 10).await
}

/// Writes down that a run is at `checkpoint`.
async fn save(
    store: &dyn Store,
    tenant: &TenantName,
    lease: Option<&Lease>,
    run: &QueuedRun,
    (checkpoint, wake): (&'static str, Wake<'_>),
) -> Result<Option<Lease>, StoreError> {
    let (checkpoint, recording) = (Bytes::from_static(checkpoint.as_bytes()), recording(checkpoint));
    let saved = SavedRun {
        run,
        checkpoint: &checkpoint,
        recording: Some(&recording),
        events: &[],
        wake,
        expects: None,
        heard: None,
        token: Uuid::now_v7(),
    };
    Ok(store.save_run(tenant, lease, saved).await?.lease)
}

#[tokio::test]
async fn objects_go_when_their_run_moves_on_or_ends() {
    let stored = Stored::in_storage(0).await;
    let (store, s3) = (&stored.store, &stored.s3);
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(10), Some(&recording("queued")), 100_u32.into()).await.unwrap();
    assert_eq!(counts(s3), [1, 0, 1]);
    assert!(keys(s3, "inputs")[0].starts_with("p/q/acme/inputs/"), "{:?}", s3.keys());
    let first = due(store, 10).await.remove(0);
    assert_eq!((&first.run.input, &first.run.writes, first.checkpoint), (&queued(10).input, &queued(10).writes, None));

    let lease = save(store, &acme, Some(&first.lease), &first.run, ("one", Wake::Held)).await.unwrap();
    assert_eq!(counts(s3), [1, 1, 1], "what was recorded so far takes the place of what was before");
    assert_eq!(save(store, &acme, lease.as_ref(), &first.run, ("two", Wake::At(at(20)))).await.unwrap(), None);
    assert_eq!(counts(s3), [1, 1, 1]);
    assert_eq!(s3.get(&keys(s3, "checkpoints")[0]).unwrap(), "two");
    assert_eq!(store.recording(&acme, run_id(10)).await.unwrap(), Some(recording("two")));
    let mut connection = stored.connection().await;
    let row = sqlx::query("SELECT LENGTH(input) + LENGTH(checkpoint), writes FROM run_queue").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 0, "no byte of either is in the database");
    let writes = row.get::<String, _>(1);
    assert!(serde_json::from_str::<serde_json::Value>(&writes).is_err(), "no other release takes it for a run with nothing: {writes}");

    // Who has lost the lease leaves nothing, and takes nothing away.
    let before = s3.keys();
    let late = save(store, &acme, Some(&first.lease), &first.run, ("late", Wake::Held)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    let ended = run(10, Some("orders"), RunStatus::Failed);
    let late = store.end_run(&acme, Some(&first.lease), ending(&ended, Some(&recording("late")), &[], Some(&queued(30)))).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    assert_eq!(s3.keys(), before);

    let again = due(store, 20).await.remove(0);
    assert_eq!((again.run.input, again.run.writes, again.checkpoint.as_deref()), (queued(10).input, queued(10).writes, Some(&b"two"[..])));
    store.end_run(&acme, Some(&again.lease), ending(&ended, Some(&recording("end")), &[], Some(&queued(30)))).await.unwrap();
    assert_eq!(counts(s3), [1, 0, 1], "the input is that of the next run");
    assert_eq!(store.recording(&acme, run_id(10)).await.unwrap(), Some(recording("end")));
    let next = due(store, 30).await.remove(0);
    assert_eq!(next.run.input, queued(30).input);
    store.end_run(&acme, Some(&next.lease), ending(&run(30, None, RunStatus::Succeeded), None, &[], None)).await.unwrap();
    assert_eq!(counts(s3), [0, 0, 1]);
}

#[tokio::test]
async fn what_was_recorded_of_a_run_stays_where_its_end_adds_nothing() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    stored.store.queue_run(&acme, &queued(1), Some(&recording("queued")), 100_u32.into()).await.unwrap();
    let claimed = due(&stored.store, 1).await.remove(0);
    stored.store.end_run(&acme, Some(&claimed.lease), ending(&run(1, None, RunStatus::Failed), None, &[], None)).await.unwrap();
    assert_eq!(counts(&stored.s3), [0, 0, 1]);
    assert_eq!(stored.store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("queued")));
}

#[tokio::test]
async fn objects_go_with_runs_that_nobody_holds() {
    let stored = Stored::in_storage(0).await;
    let (store, s3) = (&stored.store, &stored.s3);
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    let waiting = |number| QueuedRun { record: run(number, Some("orders"), RunStatus::Waiting), ..queued(number) };
    for number in [1, 2] {
        store.queue_run(&acme, &queued(number), None, 100_u32.into()).await.unwrap();
        save(store, &acme, None, &waiting(number + 2), ("here", Wake::At(at(1000)))).await.unwrap();
    }
    store.queue_run(&other, &queued(5), None, 100_u32.into()).await.unwrap();
    assert_eq!(counts(s3), [5, 2, 2]);
    let end = |record: RunRecord| (RunRecord { status: RunStatus::Cancelled, ..record }, Vec::new());
    for number in [1, 3] {
        assert_eq!(store.cancel_run(&acme, run_id(number), &end).await.unwrap(), Cancelled::Done);
    }
    assert_eq!(counts(s3), [3, 1, 2]);
    // One that had ended before its node died, though nobody took it out of the queue.
    assert_eq!(claim_of(store, &[(&acme, 9)], at(2)).await.len(), 1);
    store.record_run(&acme, &run(2, Some("orders"), RunStatus::Succeeded), None).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.requeue_claimed().await.unwrap(), 0);
    assert_eq!(counts(s3), [2, 1, 2]);
    // Refused ones leave nothing.
    for (tenant, most) in [(&acme, 0_u32), (&crate::conformance::tenant("nobody"), 100)] {
        store.queue_run(tenant, &queued(7), Some(&recording("refused")), most.into()).await.unwrap_err();
    }
    store.queue_run(&other, &queued(5), None, 100_u32.into()).await.unwrap_err();
    assert_eq!(counts(s3), [2, 1, 2]);
    store.delete_tenant(&acme).await.unwrap();
    assert_eq!(counts(s3), [1, 0, 0]);
    assert_eq!(due(store, 9).await.remove(0).run.input, queued(5).input, "another's stay");
}

/// What is left by a node that is killed between an object and its row.
#[tokio::test]
async fn a_row_is_written_after_its_objects() {
    let stored = Stored::in_storage(0).await;
    let (store, s3) = (&stored.store, &stored.s3);
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    save(store, &acme, None, &queued(3), ("here", Wake::At(at(1000)))).await.unwrap();
    let (before, used, gate) = (s3.puts(), s3.keys(), Gate::closed());
    s3.answer_puts_after(&gate);
    let run = queued(2);
    let mut queueing = store.queue_run(&acme, &run, None, 100_u32.into());
    tokio::select! {
        queued = &mut queueing => panic!("nobody has acknowledged the object: {queued:?}"),
        () = s3.have_been_put(before + 1) => {}
    }
    drop(queueing);
    gate.open();
    assert_eq!(store.run(&acme, run_id(2)).await.unwrap(), None);
    assert_eq!(counts(s3), [3, 1, 1]);
    let two_days = Duration::from_secs(2 * 24 * 3600);
    s3.keys().iter().for_each(|key| s3.age(key, two_days));
    let a_day_ago = Timestamp::now().checked_sub(SignedDuration::from_hours(24)).unwrap();
    assert_eq!(store.sweep_objects(a_day_ago).await.unwrap(), 1);
    assert_eq!(s3.keys(), used);
    assert_eq!(due(store, 1000).await.len(), 2, "what waits has all that it needs");
}

#[tokio::test]
async fn rows_of_an_earlier_release_still_run() {
    let stored = Stored::in_storage(0).await;
    let (store, s3) = (&stored.store, &stored.s3);
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    save(store, &acme, None, &queued(2), ("here", Wake::At(at(9)))).await.unwrap();
    let mut connection = stored.connection().await;
    let earlier = "UPDATE run_queue SET input = '\"earlier\"', input_object = NULL, checkpoint_object = NULL, writes = NULL, \
         checkpoint = CASE WHEN checkpoint IS NULL THEN NULL ELSE CAST('there' AS BLOB) END";
    sqlx::query(earlier).execute(&mut connection).await.unwrap();
    let claimed = due(store, 9).await;
    let shown: Vec<_> = claimed.iter().map(|run| (&run.run.input.bytes[..], run.checkpoint.as_deref())).collect();
    assert_eq!(shown, [(&b"\"earlier\""[..], None), (b"\"earlier\"", Some(&b"there"[..]))]);
    // What takes the place of a checkpoint lies beside the database; the input stays where it is.
    let before = counts(s3);
    save(store, &acme, Some(&claimed[0].lease), &claimed[0].run, ("anew", Wake::At(at(9)))).await.unwrap();
    assert_eq!(counts(s3), [before[0], before[1] + 1, before[2] + 1]);
    let again = due(store, 9).await.remove(0);
    assert_eq!((&again.run.input.bytes[..], again.checkpoint.as_deref()), (&b"\"earlier\""[..], Some(&b"anew"[..])));
}

#[tokio::test]
async fn a_run_whose_object_is_missing_is_put_aside_and_can_be_cancelled() {
    let stored = Stored::in_storage(0).await;
    let (store, s3) = (&stored.store, &stored.s3);
    let acme = with_tenant(store, "acme").await;
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    store.queue_run(&acme, &queued(2), None, 100_u32.into()).await.unwrap();
    let (key, at_first) = (keys(s3, "inputs").remove(0), keys(s3, "inputs").len());
    let bytes = s3.get(&key).unwrap();
    s3.remove(&key);
    assert_eq!((due(store, 2).await.len(), at_first), (1, 2), "the other one runs");
    assert!(due(store, 3000).await.is_empty());
    s3.put(&key, bytes);
    let again = due(store, 3700).await.remove(0);
    store.end_run(&acme, Some(&again.lease), ending(&run(1, None, RunStatus::Succeeded), None, &[], None)).await.unwrap();
    store.queue_run(&acme, &queued(3), None, 100_u32.into()).await.unwrap();
    keys(s3, "inputs").iter().for_each(|key| s3.remove(key));
    let end = |record: RunRecord| (RunRecord { status: RunStatus::Cancelled, ..record }, Vec::new());
    assert_eq!(store.cancel_run(&acme, run_id(3), &end).await.unwrap(), Cancelled::Done);
}

async fn node(url: &str, objects: Objects) -> PostgresStore {
    let options = PostgresOptions { max_connections: 4, objects: Some(objects.with_large_bytes(1000)), ..PostgresOptions::default() };
    PostgresStore::open(url, &options).await.unwrap()
}

#[tokio::test]
async fn a_node_that_cannot_reach_the_storage_leaves_the_run_to_another() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let link = Link::to(s3.address());
    let here = node(&url, Objects::at(&s3.url("p"), s3.settings(link.address())).unwrap()).await;
    let there = node(&url, place(&s3, "p")).await;
    let acme = with_tenant(&here, "acme").await;
    let large = QueuedRun { input: snaphook_model::Payload::json(format!("\"{}\"", "x".repeat(2000))), ..queued(1) };
    here.queue_run(&acme, &large, None, 100_u32.into()).await.unwrap();
    here.queue_run(&acme, &queued(2), None, 100_u32.into()).await.unwrap();
    assert_eq!(counts(&s3), [1, 0, 0]);
    link.take_down();
    let claimed = due(&here, 2).await;
    assert_eq!(claimed.iter().map(|run| run.run.record.id).collect::<Vec<_>>(), [run_id(2)], "what needs no object runs");
    assert!(due(&there, 11).await.is_empty());
    assert_eq!(due(&there, 32).await.remove(0).run.input, large.input);
    // What is accepted meanwhile is kept in its row.
    let another = QueuedRun { record: run(20, Some("orders"), RunStatus::Queued), ..large.clone() };
    here.queue_run(&acme, &another, Some(&recording("text")), 100_u32.into()).await.unwrap();
    assert_eq!(counts(&s3), [1, 0, 0]);
    assert_eq!(due(&here, 20).await.remove(0).run.input, large.input);
    assert_eq!(there.run(&acme, run_id(20)).await.unwrap().unwrap().flow, Some(name("orders")));
}

/// Runs of large inputs wait for a storage that hangs; those who claim do not, nor do the other runs.
#[tokio::test]
async fn a_storage_that_hangs_holds_up_only_what_needs_it() {
    let (directory, s3) = (TempDir::new().unwrap(), S3::start());
    let store = opened(&directory, place(&s3, "p").with_large_bytes(1000)).await;
    let acme = with_tenant(&store, "acme").await;
    let large = |number| QueuedRun { input: snaphook_model::Payload::json(format!("\"{}\"", "x".repeat(2000))), ..queued(number) };
    for number in 1..=9 {
        store.queue_run(&acme, &large(number), None, 100_u32.into()).await.unwrap();
    }
    store.queue_run(&acme, &queued(10), None, 100_u32.into()).await.unwrap();
    let (before, gate) = (s3.gets(), Gate::closed());
    s3.answer_gets_after(&gate);
    let mut claims = store.claim_due_runs(at(10), 10).await.unwrap();
    assert_eq!(claims.len(), 10, "a claim reads no object");
    let small = store.claimed_run(claims.pop().unwrap()).await.unwrap();
    assert_eq!(small.run.record.id, run_id(10));
    let mut reading = pin!(join_all(claims.into_iter().map(|claim| store.claimed_run(claim))));
    tokio::select! {
        _ = &mut reading => panic!("nobody has answered"),
        () = s3.have_been_asked_for(before + 4) => {}
    }
    let more = tokio::time::timeout(Duration::from_millis(200), s3.have_been_asked_for(before + 5));
    tokio::select! {
        _ = &mut reading => panic!("nobody has answered"),
        more = more => assert!(more.is_err(), "a few at a time, so that each of them is answered in time"),
    }
    gate.open();
    for run in reading.await {
        assert_eq!(run.unwrap().run.input, large(0).input);
    }
}
