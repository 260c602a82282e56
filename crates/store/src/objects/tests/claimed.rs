//! All nodes of a database look at the same place.

use std::fs;

use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Link, S3};
use tempfile::TempDir;

use super::{opened, place};
use crate::conformance::{deploy, name, with_tenant};
use crate::objects::Objects;
use crate::{ObjectsPlaceError, PostgresOptions, PostgresStore, ScriptStore as _, SqliteStore, Store, StoreError};

async fn refusal(store: &dyn Store) -> ObjectsPlaceError {
    match store.claim_objects().await.unwrap_err() {
        StoreError::OtherObjects(why) => why,
        other => panic!("{other:?}"),
    }
}

async fn node(url: &str, objects: Option<Objects>) -> PostgresStore {
    let options = PostgresOptions { max_connections: 4, objects, ..PostgresOptions::default() };
    PostgresStore::open(url, &options).await.unwrap()
}

#[tokio::test]
async fn nodes_agree_on_a_place_whatever_they_call_it() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    // Both are the first.
    let link = Link::to(s3.address());
    let by_another_name = || Objects::at(&s3.url("p"), s3.settings(link.address())).unwrap();
    let (one, two) = (node(&url, Some(place(&s3, "p"))).await, node(&url, Some(by_another_name())).await);
    let (first, second) = tokio::join!(one.claim_objects(), two.claim_objects());
    first.unwrap();
    second.unwrap();
    one.claim_objects().await.unwrap();
    let acme = with_tenant(&one, "acme").await;
    deploy(&one, &acme, "sign", "one").await;
    assert_eq!(two.component(&acme, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");

    let elsewhere = refusal(&node(&url, Some(place(&s3, "q"))).await).await;
    let ObjectsPlaceError::NotHere { place: here, before, .. } = &elsewhere else { panic!("{elsewhere:?}") };
    assert_eq!((here.as_str(), before.as_str()), (s3.url("q").as_str(), s3.url("p").as_str()));
    let nowhere = node(&url, None).await;
    assert_eq!(refusal(&nowhere).await, ObjectsPlaceError::NotGiven { place: s3.url("p") });
    // One that was there before the others were given a place says so instead of running nothing.
    let error = nowhere.component(&acme, &name("sign"), 1).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherObjects(ObjectsPlaceError::NotGivenAtStart)), "{error:?}");
    assert!(nowhere.component_mark(&acme, &name("sign"), 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_place_belongs_to_one_database() {
    let s3 = S3::start();
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    drop(opened(&directories[0], place(&s3, "p")).await);
    let other = SqliteStore::open_with(directories[1].path(), Some(place(&s3, "p"))).await.unwrap();
    assert_eq!(refusal(&other).await, ObjectsPlaceError::OfAnother { place: s3.url("p") });
    let found = place(&s3, "p").check([Some("another id"), None]).await;
    assert!(matches!(found, Err(StoreError::OtherObjects(ObjectsPlaceError::OfAnother { .. }))), "{found:?}");
    assert_eq!(place(&s3, "free").check([None, None]).await.unwrap(), None);
    place(&s3, "free").probe().await.unwrap();
    assert_eq!(s3.keys(), ["p/place"], "a probe leaves nothing");
}

#[tokio::test]
async fn objects_can_be_moved_with_their_names() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let store = SqliteStore::open(&data).await.unwrap();
    store.claim_objects().await.unwrap();
    let acme = with_tenant(&store, "acme").await;
    deploy(&store, &acme, "sign", "one").await;
    store.close().await.unwrap();
    drop(store);
    let values = SqliteStore::values(&data, Objects::META).await.unwrap();
    let known = values.each_ref().map(Option::as_deref);
    let folder = SqliteStore::objects_folder(&data);
    assert_eq!(Objects::folder(&folder).unwrap().check(known).await.unwrap(), Some(()));

    // The data directory may be moved as it is.
    let moved = directory.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    let store = SqliteStore::open(&moved).await.unwrap();
    store.claim_objects().await.unwrap();
    store.close().await.unwrap();
    drop(store);

    // Its objects elsewhere: all of them, or none.
    let s3 = S3::start();
    let elsewhere = SqliteStore::open_with(&moved, Some(place(&s3, "p"))).await.unwrap();
    assert!(matches!(refusal(&elsewhere).await, ObjectsPlaceError::NotHere { .. }));
    let from = SqliteStore::objects_folder(&moved);
    let mut left = vec![from.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(&from).unwrap().to_str().unwrap();
            s3.put(&format!("p/{name}"), fs::read(&path).unwrap());
        }
    }
    elsewhere.claim_objects().await.unwrap();
    assert_eq!(elsewhere.component(&acme, &name("sign"), 1).await.unwrap().unwrap().bytes, "wasm of one");
}
