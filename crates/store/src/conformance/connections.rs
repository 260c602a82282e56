//! Connections, whose secret parts the store keeps as they are handed in.

use std::collections::BTreeMap;

use serde_json::json;
use snaphook_model::{Connection, ConnectionDraft, ConnectionStatus, SealedSecret};

use super::secrets::sealed;
use super::{all, at, name, tenant, with_tenant};
use crate::{Authorization, Change, FetchedToken, PageRequest, Store};

pub(crate) fn bearer() -> (Connection, BTreeMap<String, SealedSecret>) {
    let draft = ConnectionDraft::parse(json!({"kind": "bearer", "fields": {"token": "t"}, "hosts": ["a.example"]})).unwrap();
    (draft.connection, BTreeMap::from([("token".to_owned(), sealed("t"))]))
}

pub(crate) fn fetched(token: Option<&str>, status: ConnectionStatus) -> FetchedToken {
    FetchedToken { token: token.map(sealed), expires_at: Some(at(100)), status, status_detail: Some("why".to_owned()) }
}

pub(crate) async fn are_put_and_read(store: &dyn Store) {
    let (acme, crm) = (with_tenant(store, "acme").await, name("crm"));
    let (connection, texts) = bearer();
    let put =
        async |revision, status, now| store.put_connection(&acme, &crm, (&connection, &texts), (revision, status), at(now)).await.unwrap();
    let revision = async || store.connection(&acme, &crm).await.unwrap().map(|stored| stored.revision);
    assert_eq!(store.connection(&acme, &crm).await.unwrap(), None);
    assert_eq!(put(None, Some(ConnectionStatus::Unauthorized), 1).await, Some(Change::Created));
    // Who has seen another one, or none, replaces nothing.
    assert_eq!(
        (put(None, None, 1).await, put(Some(7), None, 1).await, put(Some(7), Some(ConnectionStatus::Ok), 1).await),
        (None, None, None)
    );
    let stored = store.connection(&acme, &crm).await.unwrap().unwrap();
    assert_eq!((&stored.connection, &stored.sealed, stored.status), (&connection, &texts, ConnectionStatus::Unauthorized));
    assert!(store.end_fetching(&acme, &crm, stored.revision, &fetched(Some("one"), ConnectionStatus::Ok)).await.unwrap());

    // The same credentials keep the token, others do not.
    assert_eq!(put(revision().await, None, 2).await, Some(Change::Changed));
    let stored = store.connection(&acme, &crm).await.unwrap().unwrap();
    assert_eq!((stored.token, stored.token_expires_at, stored.status), (Some(sealed("one")), Some(at(100)), ConnectionStatus::Ok));
    assert_eq!(stored.updated_at, at(2));
    assert_eq!(put(revision().await, Some(ConnectionStatus::Unauthorized), 3).await, Some(Change::Changed));
    let stored = store.connection(&acme, &crm).await.unwrap().unwrap();
    assert_eq!((stored.token, stored.token_expires_at, stored.status_detail), (None, None, None));
    assert!(store.delete_connection(&acme, &crm).await.unwrap());
    assert!(!store.delete_connection(&acme, &crm).await.unwrap());
    for other in ["c", "a", "b"] {
        store.put_connection(&acme, &name(other), (&connection, &texts), (None, None), at(1)).await.unwrap();
    }
    let listed = all(2, async |page| store.connections(&acme, page).await.unwrap()).await;
    assert_eq!(listed.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

pub(crate) async fn one_node_fetches_a_token(store: &dyn Store) {
    let (acme, crm) = (with_tenant(store, "acme").await, name("crm"));
    let (connection, texts) = bearer();
    store.put_connection(&acme, &crm, (&connection, &texts), (None, None), at(1)).await.unwrap();
    let revision = async || store.connection(&acme, &crm).await.unwrap().unwrap().revision;
    let first = revision().await;
    let begin = async |revision, now| store.begin_fetching(&acme, &crm, revision, (at(now), at(now + 10))).await.unwrap();
    assert!(begin(first, 10).await);
    assert!(!begin(first, 15).await, "another is at it");
    assert!(begin(first, 21).await, "which has died");
    assert!(store.end_fetching(&acme, &crm, first, &fetched(Some("one"), ConnectionStatus::Ok)).await.unwrap());
    assert!(!begin(first, 22).await, "it is another connection by now");
    assert!(!store.end_fetching(&acme, &crm, first, &fetched(Some("late"), ConnectionStatus::Ok)).await.unwrap());
    let second = revision().await;
    assert!(begin(second, 22).await);
    // A failure keeps what there is, and says why.
    assert!(store.end_fetching(&acme, &crm, second, &fetched(None, ConnectionStatus::Broken)).await.unwrap());
    let stored = store.connection(&acme, &crm).await.unwrap().unwrap();
    assert_eq!(
        (stored.token, stored.status, stored.status_detail.as_deref()),
        (Some(sealed("one")), ConnectionStatus::Broken, Some("why"))
    );
    assert!(begin(stored.revision, 23).await);
    let replaces = (Some(stored.revision), Some(ConnectionStatus::Ok));
    assert!(store.put_connection(&acme, &crm, (&connection, &texts), replaces, at(24)).await.unwrap().is_some());
    assert!(!store.end_fetching(&acme, &crm, stored.revision, &fetched(Some("of the old"), ConnectionStatus::Ok)).await.unwrap());
    assert_eq!(store.connection(&acme, &crm).await.unwrap().unwrap().token, None);
    // Nor is it stored with another one of the same name.
    let first = revision().await;
    assert!(begin(first, 40).await);
    assert!(store.delete_connection(&acme, &crm).await.unwrap());
    store.put_connection(&acme, &crm, (&connection, &texts), (None, None), at(41)).await.unwrap();
    assert!(!store.end_fetching(&acme, &crm, first, &fetched(Some("of another"), ConnectionStatus::Ok)).await.unwrap());
}

pub(crate) async fn authorizations_are_taken_once(store: &dyn Store) {
    let (acme, crm) = (with_tenant(store, "acme").await, name("crm"));
    let (connection, texts) = bearer();
    store.put_connection(&acme, &crm, (&connection, &texts), (None, None), at(1)).await.unwrap();
    let authorization = Authorization { tenant: acme.clone(), connection: crm.clone(), verifier: sealed("proof") };
    let begin = async |state, now| store.begin_authorization(state, &authorization, (at(now), at(now + 600))).await.unwrap();
    begin("one", 1).await;
    begin("two", 1).await;
    assert_eq!(store.take_authorization("three", at(2)).await.unwrap(), None);
    assert_eq!(store.take_authorization("one", at(2)).await.unwrap(), Some(authorization.clone()));
    assert_eq!(store.take_authorization("one", at(2)).await.unwrap(), None, "once");
    assert_eq!(store.take_authorization("two", at(601)).await.unwrap(), None, "it has expired");
    // Other credentials are to be agreed to anew, other hosts are not.
    begin("four", 700).await;
    let change = async |status, now| {
        let revision = store.connection(&acme, &crm).await.unwrap().unwrap().revision;
        store.put_connection(&acme, &crm, (&connection, &texts), (Some(revision), status), at(now)).await.unwrap()
    };
    assert!(change(None, 701).await.is_some());
    assert_eq!(store.take_authorization("four", at(702)).await.unwrap(), Some(authorization.clone()));
    begin("five", 703).await;
    assert!(change(Some(ConnectionStatus::Unauthorized), 704).await.is_some());
    assert_eq!(store.take_authorization("five", at(705)).await.unwrap(), None);
    begin("three", 1000).await;
    assert!(store.delete_connection(&acme, &crm).await.unwrap());
    assert_eq!(store.take_authorization("three", at(1001)).await.unwrap(), None, "it goes with its connection");
}

pub(crate) async fn belong_to_their_tenant(store: &dyn Store) {
    let (a, b, crm) = (with_tenant(store, "a").await, with_tenant(store, "b").await, name("crm"));
    let (connection, texts) = bearer();
    store.put_connection(&a, &crm, (&connection, &texts), (None, None), at(1)).await.unwrap();
    assert_eq!(store.connection(&b, &crm).await.unwrap(), None);
    assert_eq!(store.connections(&b, &PageRequest::first(5)).await.unwrap().items, []);
    assert!(!store.delete_connection(&b, &crm).await.unwrap());
    assert!(!store.begin_fetching(&b, &crm, 1, (at(1), at(2))).await.unwrap());
    assert!(store.delete_tenant(&a).await.unwrap());
    with_tenant(store, "a").await;
    assert_eq!(store.connection(&a, &crm).await.unwrap(), None);
    let refused = store.put_connection(&tenant("nobody"), &crm, (&connection, &texts), (None, None), at(1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "tenant `nobody` does not exist");
}

pub(crate) async fn are_sealed_anew(store: &dyn Store) {
    let (a, b, crm) = (with_tenant(store, "a").await, with_tenant(store, "b").await, name("crm"));
    let (connection, texts) = bearer();
    for tenant in [&a, &b] {
        store.put_connection(tenant, &crm, (&connection, &texts), (None, None), at(1)).await.unwrap();
    }
    let read = async |tenant| store.connection(tenant, &crm).await.unwrap().unwrap();
    let first = read(&a).await.revision;
    assert!(store.end_fetching(&a, &crm, first, &fetched(Some("token"), ConnectionStatus::Ok)).await.unwrap());
    let new = BTreeMap::from([("token".to_owned(), sealed("new"))]);
    let token = sealed("new token");
    assert!(!store.reseal_connection(&a, &crm, first, (&new, Some(&token))).await.unwrap(), "its token is another one");
    let before = read(&a).await;
    assert!(store.reseal_connection(&a, &crm, before.revision, (&new, Some(&token))).await.unwrap());
    assert_eq!(read(&a).await, crate::StoredConnection { sealed: new.clone(), token: Some(token), ..before });
    assert_eq!((read(&b).await.sealed, read(&b).await.token), (texts, None));
    let of_b = read(&b).await;
    assert!(store.reseal_connection(&b, &crm, of_b.revision, (&new, None)).await.unwrap());
    assert_eq!(read(&b).await.sealed, new);
}

pub(crate) async fn authorizations_are_sealed_anew(store: &dyn Store) {
    let (a, b, crm) = (with_tenant(store, "a").await, with_tenant(store, "b").await, name("crm"));
    let (connection, texts) = bearer();
    for tenant in [&a, &b] {
        store.put_connection(tenant, &crm, (&connection, &texts), (None, None), at(1)).await.unwrap();
        for state in ["1", "2"] {
            let authorization = Authorization { tenant: tenant.clone(), connection: crm.clone(), verifier: sealed("old") };
            store.begin_authorization(&format!("{tenant}{state}"), &authorization, (at(1), at(100))).await.unwrap();
        }
    }
    let states = |found: Vec<(String, Authorization)>| found.into_iter().map(|(state, _)| state).collect::<Vec<_>>();
    assert_eq!(states(store.authorizations(&a, "").await.unwrap()), ["a1", "a2"]);
    assert_eq!(states(store.authorizations(&a, "a1").await.unwrap()), ["a2"]);
    let (old, new) = (sealed("old"), sealed("new"));
    assert!(!store.reseal_authorization(&b, "a1", (&old, &new)).await.unwrap());
    assert!(store.reseal_authorization(&a, "a1", (&old, &new)).await.unwrap());
    assert!(!store.reseal_authorization(&a, "a1", (&old, &new)).await.unwrap());
    let taken = async |state| store.take_authorization(state, at(2)).await.unwrap().map(|taken| taken.verifier);
    assert_eq!((taken("a1").await, taken("a2").await, taken("b1").await), (Some(new), Some(old.clone()), Some(old)));
}
