//! The conformance suite on SQLite, and what only a file can be tested for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use snaphook_model::{Code, RunStatus};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::conformance::{
    at, claim, conformance, deploy, document, many_runs, name, pin, queued, recording, run, run_id, tenant, with_tenant,
};
use crate::on_sql::OnSql as _;
use crate::{ConnectionStore as _, DocumentStore as _, OpenError, RunStore as _, ScriptStore as _, SqliteStore, Store, StoreError};

async fn fresh() -> (Arc<dyn Store>, TempDir) {
    let directory = TempDir::new().unwrap();
    (Arc::new(SqliteStore::open(directory.path()).await.unwrap()), directory)
}

conformance!(super::fresh);

#[tokio::test]
async fn a_hundred_thousand_runs_are_listed_and_summed_up_in_time() {
    let (store, _keep) = fresh().await;
    let acme = many_runs::are_written(&*store, "SQLite").await;
    many_runs::are_listed_and_summed_up_in_time(&*store, &acme, "SQLite").await;
    store.close().await.unwrap();
}

/// The files as a process that is killed now would leave them.
fn as_left_by_a_kill(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_all(directory, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_all(&entry, &to);
        } else {
            fs::copy(&entry, &to).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    for number in 1..=20_u32 {
        let version = deploy(&store, &acme, "sign", &format!("text {number}")).await;
        assert_eq!(version.version, number);
        store.record_run(&acme, &run(number.into(), None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
        if number % 5 != 0 {
            continue;
        }
        let left = as_left_by_a_kill(directory.path());
        let reopened = SqliteStore::open(left.path()).await.unwrap();
        assert_eq!(reopened.latest_version(&acme, &name("sign")).await.unwrap(), Some(version));
        assert_eq!(reopened.source(&acme, &name("sign"), number).await.unwrap().unwrap(), format!("text {number}"));
        assert_eq!(reopened.check().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_closed_store_has_written_everything_and_takes_no_more() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    join_all((0..1000).map(async |number| store.record_run(&acme, &run(number, None, RunStatus::Succeeded), None).await.unwrap())).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.record_run(&acme, &run(1, None, RunStatus::Failed), None).await, Err(StoreError::Closed)));
    assert!(matches!(store.run(&acme, run_id(1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.delete_flow(&acme, &name("orders")).await, Err(StoreError::Closed)));
    assert_eq!(store.ping().await.unwrap_err().code(), Code::StoreUnavailable);
    drop(store);
    assert!(!directory.path().join("snaphook.db-wal").exists(), "everything is in the file");

    let store = SqliteStore::open(directory.path()).await.unwrap();
    for number in [0, 500, 999] {
        assert!(store.run(&acme, run_id(number)).await.unwrap().is_some(), "{number}");
    }
}

/// A store that was dropped a moment ago, opened again. A process that another test starts just then holds the lock until it runs its program.
async fn reopened(directory: &Path) -> SqliteStore {
    for _ in 0..100 {
        match SqliteStore::open(directory).await {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the directory stays in use");
}

#[tokio::test]
async fn a_dropped_store_still_writes_what_is_queued() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    store.record_run(&acme, &run(1, None, RunStatus::Succeeded), None).await.unwrap();
    let emptying = store.parts.emptying().await.unwrap();
    drop(store);
    emptying.await.unwrap();
    let store = reopened(directory.path()).await;
    assert!(store.run(&acme, run_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_state_that_nobody_was_given_takes_no_turn_among_the_writers() {
    let directory = TempDir::new().unwrap();
    let store = reopened(directory.path()).await;
    let writing = store.database().write().await.unwrap();
    let taken = tokio::time::timeout(Duration::from_secs(20), store.take_authorization("made up", at(1))).await;
    assert_eq!(taken.expect("it waits for nobody").unwrap(), None);
    drop(writing);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_belongs_to_one_node() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    assert!(matches!(SqliteStore::open(directory.path()).await, Err(OpenError::InUse(_))));
    drop(store);
    SqliteStore::open(directory.path()).await.unwrap();
}

#[tokio::test]
async fn files_are_for_the_owner_alone() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("new").join("data");
    let store = SqliteStore::open(&data).await.unwrap();
    with_tenant(&store, "acme").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["snaphook.db", "snaphook.db-wal", "snaphook.db-shm", "snaphook.lock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert_eq!(SqliteStore::inspect(&data).await.unwrap(), Vec::<String>::new(), "also while a node runs on it");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(data.join("snaphook.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let findings = SqliteStore::inspect(&data).await.unwrap();
    assert!(findings.len() == 2 && findings[0].contains("mode 777") && findings[1].contains("mode 644"), "{findings:?}");
    drop(store);
    SqliteStore::open(&data).await.unwrap();
    assert_eq!(mode(&data.join("snaphook.db")), 0o600, "opening takes the file back");
}

#[tokio::test]
async fn damage_is_found() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    for number in 0..50 {
        deploy(&store, &acme, &format!("s{number}"), "text").await;
    }
    store.close().await.unwrap();
    let file = directory.path().join("snaphook.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    let found = SqliteStore::inspect(directory.path()).await;
    assert!(found.is_err() || found.is_ok_and(|findings| !findings.is_empty()));
    assert!(matches!(SqliteStore::inspect(&directory.path().join("none")).await, Err(OpenError::File { .. })));
}

#[tokio::test]
async fn an_older_database_is_brought_up_to_date_and_a_newer_one_refused() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("snaphook.db");
    let other_release = SqliteConnectOptions::new().filename(&file);
    // The oldest form is a file without any table.
    fs::write(&file, b"").unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    store.close().await.unwrap();
    drop(store);
    let store = SqliteStore::open(directory.path()).await.unwrap();
    assert!(crate::TenantStore::tenant(&store, &acme).await.unwrap().is_some());
    store.close().await.unwrap();
    drop(store);

    let mut connection = other_release.connect().await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let error = SqliteStore::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 9999, .. }), "{error}");
}

/// A caller who goes away in the middle of a transaction leaves nothing behind, and the next one is not held up.
#[tokio::test]
async fn abandoned_writes_leave_nothing() {
    let (store, _directory) = fresh().await;
    let acme = with_tenant(&*store, "acme").await;
    deploy(&*store, &acme, "sign", "one").await;
    let (empty, pins) = (json!({}), [pin("hooks.pre-hook[0]", "sign", 1)]);
    let (crm, orders) = (name("crm"), name("orders"));
    for polls in 1..40 {
        let mut put = store.put_connector(&acme, &crm, document(&empty, &pins));
        for _ in 0..polls {
            let _ = futures_util::poll!(&mut put);
            tokio::time::sleep(std::time::Duration::from_micros(50)).await;
            if store.connector(&acme, &crm).await.unwrap().is_some() {
                break;
            }
        }
        drop(put);
        store.put_flow(&acme, &orders, document(&json!({ "n": polls }), &pins)).await.unwrap();
        store.delete_connector(&acme, &crm).await.unwrap();
    }
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.flow(&acme, &orders).await.unwrap().unwrap().version, 39);
    assert_eq!(store.flow(&tenant("other"), &orders).await.unwrap(), None);
}

#[tokio::test]
async fn hashes_that_an_earlier_release_did_not_store_are_added() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    for number in 0..40 {
        deploy(&store, &acme, "sign", &format!("text {number}")).await;
    }
    store.close().await.unwrap();
    drop(store);
    let mut connection = SqliteConnectOptions::new().filename(directory.path().join("snaphook.db")).connect().await.unwrap();
    sqlx::query("DELETE FROM component_hashes").execute(&mut connection).await.unwrap();
    drop(connection);
    let store = SqliteStore::open(directory.path()).await.unwrap();
    for number in 0..40 {
        let hash = blake3::hash(format!("wasm of text {number}").as_bytes()).to_string();
        assert!(store.component_is_used(&hash).await.unwrap(), "{number}");
    }
}

#[tokio::test]
async fn a_queued_run_that_cannot_be_read_holds_up_no_other() {
    let (store, directory) = fresh().await;
    let (acme, other) = (with_tenant(&*store, "acme").await, with_tenant(&*store, "other").await);
    for (tenant, number) in [(&acme, 1), (&acme, 2), (&other, 3)] {
        store.queue_run(tenant, &queued(number), None, 100_u32.into()).await.unwrap();
    }
    let mut connection = SqliteConnectOptions::new().filename(directory.path().join("snaphook.db")).connect().await.unwrap();
    let (damage, repair) =
        ("UPDATE runs SET record = '?' || record WHERE id = $1", "UPDATE runs SET record = substr(record, 2) WHERE id = $1");
    sqlx::query(damage).bind(run_id(1).to_string()).execute(&mut connection).await.unwrap();
    let claimed = async |now| {
        let claimed = claim(&*store, at(now), 2).await;
        claimed.into_iter().map(|claimed| claimed.run.record.id).collect::<Vec<_>>()
    };
    assert_eq!(claimed(5).await, [run_id(2)]);
    assert_eq!(claimed(5).await, [run_id(3)]);
    assert_eq!(claimed(5).await, []);
    sqlx::query(repair).bind(run_id(1).to_string()).execute(&mut connection).await.unwrap();
    assert_eq!(claimed(3_000).await, []);
    assert_eq!(claimed(3_610).await, [run_id(1)]);
}
