//! Objects go with what they belong to, and those of nobody are found.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use snaphook_model::{Retention, RunRecord, RunStatus};
use sqlx::Row as _;
use tempfile::TempDir;

use super::{Stored, opened};
use crate::conformance::{at, deploy, ending, name, recording, run, run_id, upload, with_tenant};
use crate::objects::{ObjectKey, ObjectKind, Objects};
use crate::{
    AddedVersion, RetentionStore as _, RunStore as _, ScriptStore as _, Store as _, StoreError, StoredComponent, Sweep, TenantStore as _,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn a_day_ago() -> Timestamp {
    Timestamp::now().checked_sub(SignedDuration::from_hours(24)).unwrap()
}

#[tokio::test]
async fn versions_take_their_objects_along() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    for text in ["one", "two"] {
        deploy(&stored.store, &acme, "sign", text).await;
    }
    assert_eq!((stored.keys("components").len(), stored.keys("sources").len()), (2, 2));
    let anew = StoredComponent { bytes: "anew".into(), interpreter: None };
    assert!(stored.store.replace_component(&acme, &name("sign"), 1, anew.clone()).await.unwrap());
    let kept: BTreeSet<_> = stored.keys("components").iter().map(|key| stored.s3.get(key).unwrap()).collect();
    assert_eq!(kept, ["anew", "wasm of two"].map(Into::into).into(), "what was replaced is gone");
    assert!(!stored.store.replace_component(&acme, &name("sign"), 7, anew).await.unwrap());
    for version in [1, 2] {
        stored.store.delete_version(&acme, &name("sign"), version).await.unwrap();
    }
    assert_eq!(stored.s3.keys(), ["p/place"]);
}

#[tokio::test]
async fn uploads_that_are_not_stored_leave_nothing() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    let added = join_all((0..8).map(|_| stored.store.add_version(&acme, upload("sign", "same")))).await;
    assert_eq!(added.iter().filter(|added| matches!(added, Ok(AddedVersion::Created(_)))).count(), 1);
    assert_eq!((stored.keys("components").len(), stored.keys("sources").len()), (1, 1));
    let nobody = crate::conformance::tenant("nobody");
    let refused = stored.store.add_version(&nobody, upload("sign", "one")).await;
    assert!(matches!(refused, Err(StoreError::UnknownTenant(_))));
    assert_eq!((stored.keys("components").len(), stored.keys("sources").len()), (1, 1));
}

#[tokio::test]
async fn a_tenant_takes_its_objects_along() {
    let stored = Stored::in_storage(0).await;
    let (acme, other) = (with_tenant(&stored.store, "acme").await, with_tenant(&stored.store, "other").await);
    for tenant in [&acme, &other] {
        deploy(&stored.store, tenant, "sign", "one").await;
        join_all((0..700).map(async |number| {
            let whole = Some(recording("text"));
            stored.store.record_run(tenant, &run(number, None, RunStatus::Succeeded), whole).await.unwrap();
        }))
        .await;
    }
    stored.store.flush().await.unwrap();
    assert_eq!(stored.keys("recordings").len(), 1400);
    // One that is on its way while its tenant goes is not left either.
    stored.store.record_run(&acme, &run(701, None, RunStatus::Succeeded), Some(recording("late"))).await.unwrap();
    assert!(stored.store.delete_tenant(&acme).await.unwrap());
    stored.store.record_run(&acme, &run(702, None, RunStatus::Succeeded), Some(recording("later"))).await.unwrap();
    stored.store.flush().await.unwrap();
    assert_eq!(stored.s3.keys().iter().filter(|key| key.contains("/acme/")).count(), 0);
    assert_eq!(stored.keys("recordings").len(), 700, "another's stay");
    assert_eq!(stored.store.recording(&other, run_id(699)).await.unwrap(), Some(recording("text")));
    assert_eq!(stored.store.component(&other, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");
}

#[tokio::test]
async fn what_has_had_its_time_leaves_no_object() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    let own = Some(Retention { payloads_s: 10, logs_s: 20 });
    let made = |number: i64| Timestamp::from_millisecond(0x0190_0000_0000 + number).unwrap();
    for number in 1..=40 {
        // Half of them say themselves when they go: at 1010 and 1020.
        let retention = own.filter(|_| number > 20);
        let record = RunRecord { retention, ..run(number, None, RunStatus::Succeeded) };
        stored.store.record_run(&acme, &record, Some(recording("text"))).await.unwrap();
    }
    stored.store.flush().await.unwrap();
    let nothing = Sweep { now: at(0), payloads_before: made(0), logs_before: made(0), keys_before: at(0), audit_before: at(0) };
    let left = async |sweep: Sweep| {
        while stored.store.sweep(&acme, sweep).await.unwrap().more {}
        stored.keys("recordings").len()
    };
    assert_eq!(left(nothing).await, 40);
    assert_eq!(left(Sweep { payloads_before: made(6), ..nothing }).await, 35);
    assert_eq!(left(Sweep { payloads_before: made(6), logs_before: made(11), ..nothing }).await, 30, "the whole of some that had theirs");
    assert_eq!(left(Sweep { payloads_before: made(41), logs_before: made(41), ..nothing }).await, 20);
    // All that says so itself, as a whole at once.
    assert_eq!(left(Sweep { now: at(1019), ..nothing }).await, 0);
    let late = RunRecord { retention: own, ..run(50, None, RunStatus::Succeeded) };
    stored.store.end_run(&acme, None, ending(&late, Some(&recording("late")), &[], None)).await.unwrap();
    assert_eq!(stored.keys("recordings").len(), 1);
    assert_eq!(left(Sweep { now: at(1020), ..nothing }).await, 0);
    assert_eq!(stored.store.run(&acme, run_id(50)).await.unwrap(), None);
}

#[tokio::test]
async fn objects_of_nobody_are_found_when_they_are_old() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    deploy(&stored.store, &acme, "sign", "one").await;
    stored.store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
    stored.store.flush().await.unwrap();
    let used = stored.s3.keys();
    let orphan = |number: u32| format!("p/{}", ObjectKey::new(&acme, ObjectKind::Recording, &number.to_le_bytes()).as_str());
    // More than fit on one page of a list.
    let (old, new): (Vec<_>, Vec<_>) = ((0..150).map(orphan).collect(), (150..155).map(orphan).collect());
    for key in old.iter().chain(&new) {
        stored.s3.put(key, "1234");
    }
    for key in old.iter().chain(&used) {
        stored.s3.age(key, DAY * 2);
    }
    assert_eq!(stored.store.sweep_objects(a_day_ago()).await.unwrap(), 150);
    let left: BTreeSet<_> = stored.s3.keys().into_iter().collect();
    assert_eq!(left, used.into_iter().chain(new).collect());
    assert_eq!(stored.store.sweep_objects(a_day_ago()).await.unwrap(), 0);
}

#[tokio::test]
async fn files_that_were_not_written_to_their_end_are_found() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("objects");
    let store = opened(&directory, Objects::folder(&folder).unwrap()).await;
    let acme = with_tenant(&store, "acme").await;
    deploy(&store, &acme, "sign", "one").await;
    let file = |name: &str, age: Duration| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        path
    };
    let [old, gone] = ["t/acme/components/a-1-2#1", "t/gone/sources/b#12"].map(|name| file(name, DAY * 2));
    let [new, other] = [file("t/acme/components/c#1", DAY / 2), file("notes#1", DAY * 2)];
    assert_eq!(store.sweep_objects(a_day_ago()).await.unwrap(), 2);
    assert!(!old.exists() && !gone.exists() && new.exists() && other.exists());
    assert!(!folder.join("t/gone").exists(), "nor the folders around them");
    assert_eq!(store.component(&acme, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");
    store.delete_tenant(&acme).await.unwrap();
    let left: Vec<_> = fs::read_dir(folder.join("t/acme/components")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [new]);
}

/// Looking for owners goes by indexes, however many rows there are.
#[tokio::test]
async fn owners_are_looked_up_by_index() {
    let stored = Stored::in_storage(0).await;
    let mut connection = stored.connection().await;
    let statements = [
        crate::sql::objects::used(),
        crate::sql::objects::TAKE_QUEUED.to_owned(),
        crate::sql::objects::TAKE_RECORDINGS.to_owned(),
        crate::sql::retention::TAKE_USUAL.to_owned(),
        crate::sql::history::TAKE.to_owned(),
        crate::sql::history::COUNT.to_owned(),
        crate::sql::history::OLDEST.to_owned(),
    ];
    for statement in statements {
        let plan = format!("EXPLAIN QUERY PLAN {statement}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(plan));
        for _ in 0..crate::sql::objects::AT_ONCE {
            query = query.bind("");
        }
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
        assert!(
            !steps.is_empty() && !steps.iter().any(|step| step.starts_with("SCAN script") || step.starts_with("SCAN run")),
            "{steps:?}"
        );
    }
}
