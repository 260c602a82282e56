//! The storage goes away, or a node does, at the worst moment.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use snaphook_model::{Code, RunStatus};
use snaphook_testkit::{Gate, Link};
use tempfile::TempDir;

use super::{Stored, opened};
use crate::conformance::{at, claim, deploy, ending, name, queued, recording, run, run_id, tenant, upload, with_tenant};
use crate::objects::{ObjectKey, ObjectKind, Objects, Trial};
use crate::{AddedVersion, RunStore as _, ScriptStore as _, Store as _, StoreError};

#[tokio::test]
async fn without_the_storage_uploads_are_refused_and_recordings_are_kept() {
    let (directory, s3) = (TempDir::new().unwrap(), snaphook_testkit::S3::start());
    let link = Link::to(s3.address());
    let objects = Objects::at(&s3.url("p"), s3.settings(link.address())).unwrap().with_large_bytes(0);
    let store = opened(&directory, objects).await;
    let acme = with_tenant(&store, "acme").await;
    deploy(&store, &acme, "sign", "one").await;
    link.take_down();
    for error in [
        store.add_version(&acme, upload("sign", "two")).await.unwrap_err(),
        store.component(&acme, &name("sign"), 1).await.unwrap_err(),
        store.source(&acme, &name("sign"), 1).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ObjectsUnavailable(_)), "{error:?}");
        assert_eq!((error.code(), error.may_pass()), (Code::StoreUnavailable, true));
    }
    assert_eq!(store.latest_version(&acme, &name("sign")).await.unwrap().unwrap().version, 1, "what was refused is not there");
    store.ping().await.unwrap();

    // Runs have ended, and nobody can be told that they have not: what replays them goes into the database.
    store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(recording("first"))).await.unwrap();
    store.queue_run(&acme, &queued(2), None, 100_u32.into()).await.unwrap();
    let lease = claim(&store, at(5), 1).await.remove(0).lease;
    let begun = Instant::now();
    let ended = run(2, Some("orders"), RunStatus::Succeeded);
    store.end_run(&acme, Some(&lease), ending(&ended, Some(&recording("second")), &[], None)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Both have found their place before there is another one.
    store.flush().await.unwrap();
    link.mend();
    assert_eq!(store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("first")));
    assert_eq!(store.recording(&acme, run_id(2)).await.unwrap(), Some(recording("second")));
    assert_eq!(super::keys(&s3, "recordings"), Vec::<String>::new());
    // Without a restart.
    deploy(&store, &acme, "sign", "two").await;
    assert_eq!(store.component(&acme, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");
}

/// A folder that is not mounted any more has a path all the same.
#[tokio::test]
async fn a_folder_that_is_not_there_any_more_is_no_empty_one() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("shared");
    let store = opened(&directory, Objects::folder(&folder).unwrap()).await;
    let acme = with_tenant(&store, "acme").await;
    deploy(&store, &acme, "sign", "one").await;
    let aside = directory.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::create_dir(&folder).unwrap();
    for error in
        [store.add_version(&acme, upload("sign", "two")).await.unwrap_err(), store.component(&acme, &name("sign"), 1).await.unwrap_err()]
    {
        assert!(matches!(error, StoreError::ObjectsUnavailable(_)), "{error:?}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing is written in its place");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    assert_eq!(store.component(&acme, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");
    deploy(&store, &acme, "sign", "two").await;
}

#[tokio::test]
async fn a_row_is_written_after_its_object() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    let (before, gate) = (stored.s3.puts(), Gate::closed());
    stored.s3.answer_puts_after(&gate);
    let mut adding = stored.store.add_version(&acme, upload("sign", "one"));
    tokio::select! {
        added = &mut adding => panic!("nobody has acknowledged the objects: {added:?}"),
        () = stored.s3.have_been_put(before + 2) => {}
    }
    assert_eq!(stored.store.latest_version(&acme, &name("sign")).await.unwrap(), None);
    // Whoever asked goes away, as at a kill: an object is left, and no row.
    drop(adding);
    gate.open();
    assert_eq!(stored.store.latest_version(&acme, &name("sign")).await.unwrap(), None);
    assert_eq!(stored.keys("components").len(), 1);
    let added = stored.store.add_version(&acme, upload("sign", "one")).await.unwrap();
    assert!(matches!(added, AddedVersion::Created(version) if version.version == 1));
}

#[tokio::test]
async fn who_writes_does_not_wait_for_anothers_object() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    let (before, gate) = (stored.s3.puts(), Gate::closed());
    stored.s3.answer_puts_after(&gate);
    let mut adding = stored.store.add_version(&acme, upload("sign", "one"));
    assert!((&mut adding).now_or_never().is_none());
    stored.store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
    tokio::select! {
        added = &mut adding => panic!("nobody has acknowledged the objects: {added:?}"),
        () = stored.s3.have_been_put(before + 3) => {}
    }
    // Both are on their way, and the right to write is free.
    with_tenant(&stored.store, "other").await;
    stored.store.queue_run(&acme, &queued(2), Some(&recording("queued")), 100_u32.into()).await.unwrap();
    gate.open();
    adding.await.unwrap();
    assert_eq!(stored.store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("text")));
    assert_eq!(stored.store.recording(&acme, run_id(2)).await.unwrap(), Some(recording("queued")));
}

/// What cannot be removed now is left, and does not keep anybody from finding that the storage is back.
#[tokio::test]
async fn a_storage_that_is_back_is_used_again_while_much_is_to_be_removed() {
    let s3 = snaphook_testkit::S3::start();
    let link = Link::to(s3.address());
    let objects = Objects::at(&s3.url("p"), s3.settings(link.address())).unwrap().with_large_bytes(0);
    let bytes = Bytes::from_static(b"some bytes");
    let key = ObjectKey::new(&tenant("acme"), ObjectKind::Input, &bytes);
    objects.put(&key, bytes.clone()).await.unwrap();
    link.take_down();
    objects.get_claimed(&key).await.unwrap_err();
    link.mend();
    let begun = Instant::now();
    while objects.get_claimed(&key).await.is_err() {
        objects.remove(&["p/acme/inputs/nothing".to_owned()]).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "it has been back for long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn one_tries_whether_the_storage_is_back() {
    let s3 = snaphook_testkit::S3::start();
    let objects = super::place(&s3, "p");
    let patience = Duration::from_secs(9);
    Trial::of(&objects, patience).unwrap().answered(false);
    assert!(Trial::of(&objects, patience).is_none(), "it did not answer a moment ago");
    for _ in 0..2 {
        *objects.away_until() = Some(Instant::now());
        let first = Trial::of(&objects, patience);
        assert!(first.is_some(), "one may try it");
        assert!(Trial::of(&objects, patience).is_none(), "the others wait for what becomes of that");
        drop(first);
        assert!(Trial::of(&objects, patience).is_some_and(|next| next.is_first), "who gives up leaves it to the next one");
    }
    let (one, other) = (Trial::of(&objects, patience), Trial::of(&objects, patience));
    assert!(other.is_none());
    one.unwrap().answered(true);
    assert!(Trial::of(&objects, patience).is_some_and(|trial| !trial.is_first));
}
