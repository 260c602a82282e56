//! Subjects and the values kept for them.

use futures_util::future::join_all;
use snaphook_model::{Code, Fault, RunStatus, SubjectId, SubjectValues};
use uuid::Uuid;

use super::{all, at, claim, ending, queued, run, tenant, with_tenant};
use crate::{Change, Lease, Store, StoreError};

pub(crate) fn id(text: &str) -> SubjectId {
    SubjectId::new(text).unwrap()
}

pub(crate) fn values(pairs: &[(&str, &str)]) -> SubjectValues {
    SubjectValues(pairs.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect())
}

pub(crate) async fn are_put_and_read(store: &dyn Store) {
    let (acme, ada) = (with_tenant(store, "acme").await, id("ada@example.com"));
    assert_eq!(store.subject(&acme, &ada).await.unwrap(), None);
    let (first, second) = (values(&[("ü", "12345678901234567890.50"), ("a", r#"{"b": [ null ]}"#)]), values(&[("b", "2")]));
    assert_eq!(store.put_subject(&acme, &ada, &first, at(2)).await.unwrap(), Change::Created);
    let stored = store.subject(&acme, &ada).await.unwrap().unwrap();
    assert_eq!((stored.id, stored.values, stored.updated_at), (ada.clone(), first, at(2)));
    assert_eq!(store.put_subject(&acme, &ada, &second, at(5)).await.unwrap(), Change::Changed);
    let stored = store.subject(&acme, &ada).await.unwrap().unwrap();
    assert_eq!((stored.values, stored.updated_at), (second, at(5)));
    assert!(store.delete_subject(&acme, &ada).await.unwrap());
    assert!(!store.delete_subject(&acme, &ada).await.unwrap());
    assert_eq!(store.subject(&acme, &ada).await.unwrap(), None);
}

pub(crate) async fn keep_what_runs_store(store: &dyn Store) {
    let (acme, ada) = (with_tenant(store, "acme").await, id("ada"));
    store.add_subject_values(&acme, None, &ada, &values(&[("a", "1"), ("b", "1")]), at(2)).await.unwrap();
    store.add_subject_values(&acme, None, &ada, &values(&[("b", "2"), ("c", "3")]), at(3)).await.unwrap();
    let stored = store.subject(&acme, &ada).await.unwrap().unwrap();
    assert_eq!((stored.values, stored.updated_at), (values(&[("a", "1"), ("b", "2"), ("c", "3")]), at(3)));
    assert_eq!(store.subject(&acme, &id("bob")).await.unwrap(), None, "another subject has nothing of it");
}

pub(crate) async fn keep_nothing_of_a_run_that_is_held_by_another(store: &dyn Store) {
    let (acme, ada) = (with_tenant(store, "acme").await, id("ada"));
    store.queue_run(&acme, &queued(1), None, 10_u32.into()).await.unwrap();
    let lease = claim(store, at(5), 1).await.remove(0).lease;
    store.add_subject_values(&acme, Some(&lease), &ada, &values(&[("a", "1")]), at(6)).await.unwrap();
    let is_refused = async |lease: &Lease| {
        let refused = store.add_subject_values(&acme, Some(lease), &ada, &values(&[("a", "2"), ("b", "2")]), at(7)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    };
    is_refused(&Lease { token: Uuid::now_v7(), ..lease.clone() }).await;
    store.end_run(&acme, Some(&lease), ending(&run(1, Some("orders"), RunStatus::Succeeded), None, &[], None)).await.unwrap();
    is_refused(&lease).await;
    let stored = store.subject(&acme, &ada).await.unwrap().unwrap();
    assert_eq!((stored.values, stored.updated_at), (values(&[("a", "1")]), at(6)));
}

pub(crate) async fn are_merged_under_concurrency(store: &dyn Store) {
    let (acme, ada) = (with_tenant(store, "acme").await, id("ada"));
    let adds = (0..30).map(|n| {
        let (acme, ada) = (&acme, &ada);
        async move { store.add_subject_values(acme, None, ada, &values(&[(&format!("n{n}"), "1")]), at(n)).await.unwrap() }
    });
    join_all(adds).await;
    assert_eq!(store.subject(&acme, &ada).await.unwrap().unwrap().values.0.len(), 30);
}

pub(crate) async fn have_a_limit(store: &dyn Store) {
    let (acme, ada) = (with_tenant(store, "acme").await, id("ada"));
    let half = format!("\"{}\"", "x".repeat(SubjectValues::MOST_BYTES / 2));
    store.put_subject(&acme, &ada, &values(&[("a", &half)]), at(1)).await.unwrap();
    let error = store.add_subject_values(&acme, None, &ada, &values(&[("b", &half)]), at(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::SubjectSize { .. }), "{error}");
    let fault = Fault::from(error);
    assert_eq!((fault.code, fault.limit), (Code::TooLarge, Some(SubjectValues::MOST_BYTES as u64)));
    let stored = store.subject(&acme, &ada).await.unwrap().unwrap();
    assert_eq!((stored.values.0.len(), stored.updated_at), (1, at(1)), "the old values stand");
}

pub(crate) async fn are_listed_in_pages(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for subject in ["c", "a", "d", "b"] {
        store.put_subject(&acme, &id(subject), &values(&[("n", "1")]), at(1)).await.unwrap();
    }
    let subjects = all(3, async |page| store.subjects(&acme, page).await.unwrap()).await;
    let shown: Vec<_> = subjects.iter().map(|subject| subject.id.as_str()).collect();
    assert_eq!(shown, ["a", "b", "c", "d"]);
}

pub(crate) async fn need_and_go_with_their_tenant(store: &dyn Store) {
    let (nobody, ada) = (tenant("nobody"), id("ada"));
    let error = store.put_subject(&nobody, &ada, &values(&[]), at(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownTenant(_)), "{error}");
    let acme = with_tenant(store, "acme").await;
    store.put_subject(&acme, &ada, &values(&[("n", "1")]), at(1)).await.unwrap();
    assert!(store.delete_tenant(&acme).await.unwrap());
    let acme = with_tenant(store, "acme").await;
    assert_eq!(store.subject(&acme, &ada).await.unwrap(), None);
}
