//! What only a store with objects can be tested for, on a folder and on a storage that breaks when a test says so.

mod claimed;
mod gone;
mod outage;
mod queued;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use bytes::Bytes;
use snaphook_model::{Blame, Code, RunStatus};
use snaphook_testkit::S3;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::Objects;
use crate::conformance::{deploy, name, recording, run, run_id, upload, with_tenant};
use crate::{NewVersion, RunStore as _, ScriptStore as _, SqliteStore, Store, StoredComponent};

/// The whole suite with everything that may be an object in one.
mod on_a_folder {
    crate::conformance::conformance!(super::super::on_folder);
}

mod on_s3 {
    crate::conformance::conformance!(super::super::on_storage);
}

async fn on_folder() -> (Arc<dyn Store>, TempDir) {
    let directory = TempDir::new().unwrap();
    let objects = Objects::folder(&directory.path().join("beside")).unwrap().with_large_bytes(0);
    (Arc::new(opened(&directory, objects).await), directory)
}

async fn on_storage() -> (Arc<dyn Store>, (TempDir, S3)) {
    let (store, directory, s3) = Stored::in_storage(0).await.parts();
    (Arc::new(store), (directory, s3))
}

async fn opened(directory: &TempDir, objects: Objects) -> SqliteStore {
    let store = SqliteStore::open_with(&directory.path().join("data"), Some(objects)).await.unwrap();
    store.claim_objects().await.unwrap();
    store
}

/// A store on SQLite whose objects lie in a storage.
struct Stored {
    store: SqliteStore,
    directory: TempDir,
    s3: S3,
}

impl Stored {
    /// Payloads of so many bytes are large.
    async fn in_storage(large_bytes: usize) -> Self {
        let (directory, s3) = (TempDir::new().unwrap(), S3::start());
        let store = opened(&directory, place(&s3, "p").with_large_bytes(large_bytes)).await;
        Self { store, directory, s3 }
    }

    fn parts(self) -> (SqliteStore, TempDir, S3) {
        (self.store, self.directory, self.s3)
    }

    /// Keys of rows' objects of a kind, without the prefix.
    fn keys(&self, kind: &str) -> Vec<String> {
        keys(&self.s3, kind)
    }

    async fn connection(&self) -> SqliteConnection {
        let file = self.directory.path().join("data/snaphook.db");
        SqliteConnectOptions::new().filename(file).connect().await.unwrap()
    }
}

fn place(s3: &S3, prefix: &str) -> Objects {
    Objects::at(&s3.url(prefix), s3.settings(s3.address())).unwrap()
}

fn keys(s3: &S3, kind: &str) -> Vec<String> {
    s3.keys().into_iter().filter(|key| key.contains(&format!("/{kind}/"))).collect()
}

/// An upload whose source is as large as payloads have to be.
fn large_upload(text: &str) -> NewVersion {
    let mut new = upload("sign", text);
    new.source = Bytes::from(text.repeat(super::LARGE_BYTES));
    new
}

#[tokio::test]
async fn components_and_what_is_large_lie_beside_the_database() {
    let stored = Stored::in_storage(super::LARGE_BYTES).await;
    let acme = with_tenant(&stored.store, "acme").await;
    deploy(&stored.store, &acme, "small", "one").await;
    assert_eq!((stored.keys("components").len(), stored.keys("sources").len()), (1, 0));
    let large = large_upload("two");
    stored.store.add_version(&acme, large.clone()).await.unwrap();
    assert_eq!((stored.keys("components").len(), stored.keys("sources").len()), (2, 1));
    assert_eq!(stored.store.source(&acme, &name("sign"), 1).await.unwrap(), Some(large.source));
    assert_eq!(stored.store.component(&acme, &name("sign"), 1).await.unwrap(), Some(large.component));

    // Text that does not repeat, so that packing it leaves it large.
    let bodies = vec![Bytes::from_iter((0..40_000_u64).flat_map(|number| blake3::hash(&number.to_le_bytes()).as_bytes()[..4].to_vec()))];
    let whole = crate::Recording::Whole { head: Bytes::from_static(b"head"), bodies };
    stored.store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(whole.clone())).await.unwrap();
    stored.store.record_run(&acme, &run(2, None, RunStatus::Succeeded), Some(recording("small"))).await.unwrap();
    assert_eq!(stored.store.recording(&acme, run_id(1)).await.unwrap(), Some(whole));
    assert_eq!(stored.store.recording(&acme, run_id(2)).await.unwrap(), Some(recording("small")));
    assert_eq!(stored.keys("recordings").len(), 1);
    let mut connection = stored.connection().await;
    let in_rows: i64 = sqlx::query_scalar("SELECT SUM(LENGTH(component)) FROM script_bytes").fetch_one(&mut connection).await.unwrap();
    assert_eq!(in_rows, 0, "no byte of a component is in the database");
}

#[tokio::test]
async fn rows_of_an_earlier_release_still_read() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    deploy(&stored.store, &acme, "sign", "one").await;
    stored.store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
    stored.store.flush().await.unwrap();
    let mut connection = stored.connection().await;
    let packed = stored.s3.get(&stored.keys("recordings")[0]).unwrap().to_vec();
    let component = "UPDATE script_bytes SET source = 'earlier', source_object = NULL, component = x'0061', component_object = NULL";
    sqlx::query(component).execute(&mut connection).await.unwrap();
    let row = "UPDATE run_recordings SET recording = $1, object = NULL";
    sqlx::query(row).bind(packed).execute(&mut connection).await.unwrap();
    let component = stored.store.component(&acme, &name("sign"), 1).await.unwrap().unwrap();
    assert_eq!(component.bytes, Bytes::from_static(b"\0a"));
    assert_eq!(stored.store.source(&acme, &name("sign"), 1).await.unwrap().unwrap(), "earlier");
    assert_eq!(stored.store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("text")));
    // What takes their place lies beside the database.
    let anew = StoredComponent { bytes: Bytes::from_static(b"anew"), interpreter: None };
    assert!(stored.store.replace_component(&acme, &name("sign"), 1, anew.clone()).await.unwrap());
    assert_eq!(stored.store.component(&acme, &name("sign"), 1).await.unwrap(), Some(anew));
    assert!(stored.keys("components").iter().any(|key| stored.s3.get(key).unwrap() == "anew"));
}

#[tokio::test]
async fn what_is_altered_or_missing_is_refused() {
    let stored = Stored::in_storage(0).await;
    let acme = with_tenant(&stored.store, "acme").await;
    deploy(&stored.store, &acme, "sign", "one").await;
    stored.store.record_run(&acme, &run(1, None, RunStatus::Succeeded), Some(recording("text"))).await.unwrap();
    stored.store.flush().await.unwrap();
    let kept = ["components", "sources", "recordings"].map(|kind| stored.keys(kind).remove(0));
    let refused = async |expected: &str| {
        let errors = [
            stored.store.component(&acme, &name("sign"), 1).await.unwrap_err(),
            stored.store.source(&acme, &name("sign"), 1).await.unwrap_err(),
            stored.store.recording(&acme, run_id(1)).await.unwrap_err(),
        ];
        for (error, key) in errors.iter().zip(&kept) {
            assert_eq!((error.code(), error.blame(), error.may_pass()), (Code::ObjectDamaged, Blame::Platform, false), "{error}");
            let key = key.strip_prefix("p/").unwrap();
            assert!(error.to_string().contains(key) && error.to_string().contains(expected), "{error}");
        }
    };
    let bytes = kept.each_ref().map(|key| stored.s3.get(key).unwrap());
    for (key, bytes) in kept.iter().zip(&bytes) {
        let mut altered = bytes.to_vec();
        altered[0] ^= 1;
        stored.s3.put(key, altered);
    }
    refused("is not what was written").await;
    for (key, bytes) in kept.iter().zip(&bytes) {
        stored.s3.put(key, [bytes.as_ref(), b"more"].concat());
    }
    refused("is not what was written").await;
    for key in &kept {
        stored.s3.remove(key);
    }
    refused("is missing").await;
    // Who puts them back has them again; a version can be deleted without.
    for (key, bytes) in kept.iter().zip(bytes).skip(1) {
        stored.s3.put(key, bytes);
    }
    assert_eq!(stored.store.source(&acme, &name("sign"), 1).await.unwrap().unwrap(), "one");
    assert_eq!(stored.store.recording(&acme, run_id(1)).await.unwrap(), Some(recording("text")));
    let mark = stored.store.component_mark(&acme, &name("sign"), 1).await.unwrap().unwrap();
    assert_eq!(mark.hash, blake3::hash(b"wasm of one").to_string(), "known without the component");
    stored.store.delete_version(&acme, &name("sign"), 1).await.unwrap();
}

#[test]
fn a_folder_is_for_its_owner_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("made/here");
    let url = format!("file://{}", path.display());
    let objects = Objects::at(&url, []).unwrap();
    assert_eq!((objects.exposure(), objects.place()), (None, format!("the folder {}", path.display()).as_str()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(Objects::at(&url, []).unwrap().exposure().unwrap().contains("mode 750"), "one that was there is left as it is");
}

#[test]
fn what_names_no_place_is_refused() {
    for url in ["", "objects", "/a/folder", "http://host/bucket", "s3://", "s3:///prefix", "file://host/folder", "s3://key:secret@bucket/p"]
    {
        let error = Objects::at(url, []).unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix") && !error.contains("secret"), "{url}: {error}");
    }
}
