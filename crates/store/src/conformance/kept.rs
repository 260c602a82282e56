//! What a tenant keeps in documents, and its bounds.

use futures_util::future::join_all;
use serde_json::{Value, json};
use snaphook_model::{Author, Code, ConnectionStatus, TenantName, Who};

use super::connections::{bearer, fetched};
use super::secrets::{sealed, secret};
use super::subjects::{id, values};
use super::{at, document, failure, name, tenant, token, with_tenant};
use crate::{Change, KeptDocuments, Store, StoreError, TokenHash};

/// A tenant with a quota of its own. What it keeps is counted again when it is asked for next.
async fn with_quota(store: &dyn Store, quota: Value) -> TenantName {
    let acme = tenant("acme");
    let document = serde_json::from_value(json!({ "quota": quota })).unwrap();
    store.put_tenant(&acme, &document, at(0)).await.unwrap();
    acme
}

/// What is kept, counted anew since the tenant is written.
async fn counted(store: &dyn Store, tenant: &TenantName) -> (u64, u64) {
    let document = store.tenant(tenant).await.unwrap().unwrap().document;
    store.put_tenant(tenant, &document, at(0)).await.unwrap();
    let KeptDocuments { documents, bytes } = store.kept_documents(tenant).await.unwrap();
    (documents, bytes)
}

/// What is carried on, which is what there is where nobody writes at the same time.
async fn kept(store: &dyn Store, tenant: &TenantName) -> (u64, u64) {
    let KeptDocuments { documents, bytes } = store.kept_documents(tenant).await.unwrap();
    assert_eq!(counted(store, tenant).await, (documents, bytes));
    (documents, bytes)
}

fn bytes_of(value: &impl serde::Serialize) -> u64 {
    serde_json::to_string(value).unwrap().len() as u64
}

pub(crate) async fn is_counted(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    assert_eq!(kept(store, &acme).await, (0, 0));
    let (crm, orders, link) = (name("crm"), name("orders"), name("link"));
    store.put_connector(&acme, &crm, document(&json!({"ü": 1}), &[])).await.unwrap();
    assert_eq!(kept(store, &acme).await, (1, 8));
    for number in [1, 2, 2] {
        store.put_flow(&acme, &orders, document(&json!({ "n": number }), &[])).await.unwrap();
    }
    assert_eq!(kept(store, &acme).await, (3, 22), "each version is one, and the same again adds none");
    store.put_secret(&acme, &secret("KEY"), &sealed("two"), at(1)).await.unwrap();
    store.put_subject(&acme, &id("ada"), &values(&[("n", "1")]), at(1)).await.unwrap();
    store.add_subject_values(&acme, None, &id("ada"), &values(&[("m", "23")]), at(1)).await.unwrap();
    assert_eq!(kept(store, &acme).await, (5, 22 + 3 + 14));
    store.add_token(&acme, &token("t"), TokenHash([1; 32])).await.unwrap();
    let (connection, texts) = bearer();
    store.put_connection(&acme, &link, (&connection, &texts), (None, None), at(1)).await.unwrap();
    let connected = bytes_of(&connection) + r#"{"token":"dA=="}"#.len() as u64;
    let all = 39 + bytes_of(&token("t")) + connected;
    assert_eq!(kept(store, &acme).await, (7, all));
    // A token that was fetched is seen by the next count.
    let revision = store.connection(&acme, &link).await.unwrap().unwrap().revision;
    assert!(store.end_fetching(&acme, &link, revision, &fetched(Some("one"), ConnectionStatus::Ok)).await.unwrap());
    assert_eq!(counted(store, &acme).await, (7, all + "one".len() as u64 + "why".len() as u64));
    assert_eq!(store.kept_documents(&other).await.unwrap(), KeptDocuments::default());

    store.put_connector(&acme, &crm, document(&json!({}), &[])).await.unwrap();
    assert!(store.delete_flow(&acme, &orders).await.unwrap());
    assert!(store.delete_secret(&acme, &secret("KEY")).await.unwrap());
    assert!(!store.delete_secret(&acme, &secret("KEY")).await.unwrap());
    assert!(store.delete_subject(&acme, &id("ada")).await.unwrap());
    assert!(store.delete_token(&acme, "t").await.unwrap());
    assert_eq!(kept(store, &acme).await, (2, 2 + connected + 6));
    assert!(store.delete_connection(&acme, &link).await.unwrap());
    assert!(store.delete_connector(&acme, &crm).await.unwrap());
    assert_eq!(counted(store, &acme).await, (0, 0));
    assert!(store.delete_tenant(&acme).await.unwrap());
    assert_eq!(failure(store.kept_documents(&acme)).await, "tenant `acme` does not exist");
}

fn is_full(result: Result<(), StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::TooManyDocuments { limit: 3, used: 4 }) && error.code() == Code::QuotaStorage, "{error}");
}

pub(crate) async fn has_a_bound_by_number(store: &dyn Store) {
    let acme = with_quota(store, json!({"documents": 3})).await;
    let put = async |key: &str, text: &str| store.put_secret(&acme, &secret(key), &sealed(text), at(1)).await;
    let (orders, one, two) = (name("orders"), json!({"n": 1}), json!({"n": 2}));
    put("A", "a").await.unwrap();
    put("B", "b").await.unwrap();
    store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    let (connection, texts) = bearer();
    is_full(put("C", "c").await.map(drop));
    is_full(store.put_connector(&acme, &name("crm"), document(&one, &[])).await.map(drop));
    is_full(store.put_flow(&acme, &orders, document(&two, &[])).await.map(drop));
    is_full(store.put_connection(&acme, &name("link"), (&connection, &texts), (None, None), at(1)).await.map(drop));
    is_full(store.put_subject(&acme, &id("ada"), &values(&[]), at(1)).await.map(drop));
    is_full(store.add_subject_values(&acme, None, &id("ada"), &values(&[]), at(1)).await);
    is_full(store.add_token(&acme, &token("t"), TokenHash([1; 32])).await);
    assert_eq!(kept(store, &acme).await, (3, 9), "nothing of it was stored");
    assert_eq!(put("A", "more than before").await.unwrap(), Change::Changed);
    let same = store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    assert_eq!((same.change, same.version), (Change::Unchanged, 1));
    assert!(store.delete_secret(&acme, &secret("B")).await.unwrap());
    assert_eq!(put("C", "c").await.unwrap(), Change::Created, "what is deleted makes room");

    let operator = Author { who: Who::Operator, at: at(1), request_id: "request-1".to_owned() };
    store.by(&operator).add_token(&acme, &token("t"), TokenHash([1; 32])).await.unwrap();
    assert_eq!(kept(store, &acme).await.0, 4, "the operator may");
    assert_eq!(put("A", "a").await.unwrap(), Change::Changed);
    with_quota(store, json!({"documents": 5})).await;
    put("D", "d").await.unwrap();
    assert!(put("E", "e").await.is_err());
    let other = with_tenant(store, "other").await;
    store.put_secret(&other, &secret("A"), &sealed("a"), at(1)).await.unwrap();
}

pub(crate) async fn has_a_bound_in_bytes(store: &dyn Store) {
    let acme = with_quota(store, json!({"document_bytes": 100})).await;
    let put = async |key: &str, bytes: usize| store.put_secret(&acme, &secret(key), &sealed(&"x".repeat(bytes)), at(1)).await;
    let is_beyond = async |key: &str, bytes: usize, beyond: u64| {
        let error = put(key, bytes).await.unwrap_err();
        let is_size = matches!(error, StoreError::DocumentsSize { limit: 100, used } if used == beyond);
        assert!(is_size && error.code() == Code::QuotaStorage, "{error}");
    };
    put("A", 60).await.unwrap();
    is_beyond("B", 41, 101).await;
    put("B", 40).await.unwrap();
    is_beyond("A", 61, 101).await;
    is_beyond("C", 1, 101).await;
    assert_eq!(kept(store, &acme).await, (2, 100));
    put("A", 60).await.unwrap();
    put("A", 10).await.unwrap();
    let long = format!("\"{}\"", "x".repeat(50));
    store.add_subject_values(&acme, None, &id("ada"), &values(&[("n", "1")]), at(1)).await.unwrap();
    let refused = store.add_subject_values(&acme, None, &id("ada"), &values(&[("m", &long)]), at(2)).await.unwrap_err();
    assert!(matches!(refused, StoreError::DocumentsSize { limit: 100, .. }), "{refused}");
    assert_eq!(store.subject(&acme, &id("ada")).await.unwrap().unwrap().values, values(&[("n", "1")]), "the old values stand");
    assert_eq!(kept(store, &acme).await, (3, 57));
    // The operator may allow less than there is.
    with_quota(store, json!({"document_bytes": 20})).await;
    assert!(put("A", 11).await.is_err());
    put("A", 9).await.unwrap();
    assert!(store.delete_secret(&acme, &secret("B")).await.unwrap());
    put("A", 13).await.unwrap();
    assert!(put("A", 14).await.is_err());
    assert_eq!(kept(store, &acme).await, (2, 20));
}

pub(crate) async fn is_bounded_under_concurrency(store: &dyn Store) {
    let acme = with_quota(store, json!({"documents": 3})).await;
    let puts = (0..12).map(|number| {
        let acme = &acme;
        async move { store.put_secret(acme, &secret(&format!("KEY_{number}")), &sealed("x"), at(1)).await.is_ok() }
    });
    let put = join_all(puts).await.into_iter().filter(|put| *put).count() as u64;
    assert!((1..=3).contains(&put), "{put}");
    assert_eq!(counted(store, &acme).await, (put, put));
}
