//! Tenants, tokens and the node's own values.

use serde_json::json;
use snaphook_model::{Code, RunStatus, TenantDocument};

use super::{all, at, claim, deploy, document, failure, name, pin, queued, run, tenant, token, with_tenant};
use crate::{Change, PageRequest, RunFilter, Store, StoreError, TokenHash};

pub(crate) async fn are_put_and_read(store: &dyn Store) {
    let acme = tenant("acme");
    assert_eq!(store.tenant(&acme).await.unwrap(), None);
    let first = TenantDocument::default();
    assert_eq!(store.put_tenant(&acme, &first, at(1)).await.unwrap(), Change::Created);
    let second: TenantDocument =
        serde_json::from_value(json!({"limits": {"fuel": 5_000_000}, "egress": {"allow": ["api.example.com"]}})).unwrap();
    assert_eq!(store.put_tenant(&acme, &second, at(2)).await.unwrap(), Change::Changed);
    let stored = store.tenant(&acme).await.unwrap().unwrap();
    assert_eq!((stored.document, stored.created_at, stored.updated_at), (second, at(1), at(2)));
    assert!(store.delete_tenant(&acme).await.unwrap());
    assert!(!store.delete_tenant(&acme).await.unwrap());
    assert_eq!(store.tenant(&acme).await.unwrap(), None);
}

pub(crate) async fn are_listed_in_pages(store: &dyn Store) {
    for number in [3, 1, 4, 0, 2] {
        with_tenant(store, &format!("t{number}")).await;
    }
    let names = all(2, async |page| store.tenants(page).await.unwrap()).await;
    assert_eq!(names.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["t0", "t1", "t2", "t3", "t4"]);
    let whole = store.tenants(&PageRequest::first(5)).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (5, None));
    let none = store.tenants(&PageRequest::first(0)).await.unwrap();
    assert_eq!(none.items.len(), 1, "a limit below the range is moved into it");
}

/// A tenant of the same name that is made later finds nothing.
pub(crate) async fn take_everything_along(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    store.add_token(&acme, &token("a"), TokenHash([1; 32])).await.unwrap();
    deploy(store, &acme, "sign", "one").await;
    let pins = [pin("hooks.pre-hook[0]", "sign", 1)];
    store.put_connector(&acme, &name("crm"), document(&json!({"a": 1}), &pins)).await.unwrap();
    store.put_flow(&acme, &name("orders"), document(&json!({"a": 1}), &pins)).await.unwrap();
    for number in 0..1200 {
        store.record_run(&acme, &run(number, None, RunStatus::Succeeded), None).await.unwrap();
    }
    store.queue_run(&acme, &queued(2000), None, 100_u32.into()).await.unwrap();
    store.flush().await.unwrap();
    store.record_run(&acme, &run(2001, None, RunStatus::Succeeded), None).await.unwrap();

    assert!(store.delete_tenant(&acme).await.unwrap());
    with_tenant(store, "acme").await;
    let page = PageRequest::first(10);
    assert_eq!(store.find_token(TokenHash([1; 32])).await.unwrap(), None);
    assert_eq!(store.tokens(&acme, &page).await.unwrap().items, []);
    assert_eq!(store.scripts(&acme, &page).await.unwrap().items, []);
    assert_eq!(store.source(&acme, &name("sign"), 1).await.unwrap(), None);
    assert_eq!(store.component(&acme, &name("sign"), 1).await.unwrap(), None);
    assert_eq!(store.connectors(&acme, &page).await.unwrap().items, []);
    assert_eq!(store.flow_version(&acme, &name("orders"), 1).await.unwrap(), None);
    assert_eq!(store.runs(&acme, &RunFilter::default(), &page).await.unwrap().items, []);
    assert_eq!(claim(store, at(9999), 10).await, []);
    assert_eq!(deploy(store, &acme, "sign", "one").await.version, 1);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn have_tokens(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    store.add_token(&acme, &token("a"), TokenHash([1; 32])).await.unwrap();
    store.add_token(&acme, &token("b"), TokenHash([2; 32])).await.unwrap();
    store.add_token(&other, &token("a"), TokenHash([3; 32])).await.unwrap();
    assert_eq!(store.find_token(TokenHash([2; 32])).await.unwrap(), Some((acme.clone(), token("b"))));
    assert_eq!(store.find_token(TokenHash([3; 32])).await.unwrap(), Some((other.clone(), token("a"))));
    assert_eq!(store.find_token(TokenHash([4; 32])).await.unwrap(), None);
    assert_eq!(all(1, async |page| store.tokens(&acme, page).await.unwrap()).await, [token("a"), token("b")]);
    assert!(store.delete_token(&acme, "a").await.unwrap());
    assert!(!store.delete_token(&acme, "a").await.unwrap());
    assert_eq!(store.find_token(TokenHash([1; 32])).await.unwrap(), None);
    assert!(store.find_token(TokenHash([3; 32])).await.unwrap().is_some());
}

pub(crate) async fn note_when_tokens_are_used(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    store.add_token(&acme, &token("a"), TokenHash([1; 32])).await.unwrap();
    store.add_token(&acme, &token("b"), TokenHash([2; 32])).await.unwrap();
    store.add_token(&other, &token("a"), TokenHash([3; 32])).await.unwrap();
    let used = async |tenant| {
        let tokens = all(1, async |page| store.tokens(tenant, page).await.unwrap()).await;
        tokens.into_iter().map(|token| token.last_used_at).collect::<Vec<_>>()
    };
    assert_eq!(used(&acme).await, [None, None]);
    let uses =
        [(acme.clone(), "b".to_owned(), at(60)), (acme.clone(), "gone".to_owned(), at(60)), (tenant("nobody"), "a".to_owned(), at(60))];
    store.use_tokens(&uses).await.unwrap();
    assert_eq!(used(&acme).await, [None, Some(at(60))]);
    let uses = [(acme.clone(), "b".to_owned(), at(0)), (acme.clone(), "a".to_owned(), at(120))];
    store.use_tokens(&uses).await.unwrap();
    assert_eq!(used(&acme).await, [Some(at(120)), Some(at(60))], "the latest one stands");
    assert_eq!(used(&other).await, [None]);
}

pub(crate) async fn refuse_tokens_that_are_taken(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    store.add_token(&acme, &token("a"), TokenHash([1; 32])).await.unwrap();
    for (tenant, id, hash) in [(&acme, "a", 2), (&acme, "b", 1), (&other, "c", 1)] {
        let error = store.add_token(tenant, &token(id), TokenHash([hash; 32])).await.unwrap_err();
        assert!(matches!(error, StoreError::Exists(_)), "{error}");
        assert_eq!(error.code(), Code::Conflict);
    }
    assert_eq!(store.find_token(TokenHash([1; 32])).await.unwrap(), Some((acme, token("a"))));
}

pub(crate) async fn need_to_exist(store: &dyn Store) {
    let nobody = tenant("nobody");
    assert_eq!(failure(store.add_token(&nobody, &token("a"), TokenHash([1; 32]))).await, "tenant `nobody` does not exist");
    assert_eq!(store.tokens(&nobody, &PageRequest::first(5)).await.unwrap().items, []);
    assert!(!store.delete_token(&nobody, "a").await.unwrap());
}

pub(crate) async fn meta_values_are_kept(store: &dyn Store) {
    assert_eq!(store.meta("operator-token").await.unwrap(), None);
    store.set_meta("operator-token", "one").await.unwrap();
    store.set_meta("operator-token", "two").await.unwrap();
    assert_eq!(store.meta("operator-token").await.unwrap().as_deref(), Some("two"));
    assert_eq!(store.meta_or("operator-token", "three").await.unwrap(), "two");
    let (one, other) = tokio::join!(store.meta_or("key", "one"), store.meta_or("key", "other"));
    assert_eq!(one.unwrap(), other.unwrap(), "who comes second takes what the first one set");
    store.remove_meta("key").await.unwrap();
    store.remove_meta("key").await.unwrap();
    assert_eq!(store.meta("key").await.unwrap(), None);
    store.ping().await.unwrap();
}
