//! Connectors, flows and what they bind.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use snaphook_model::{Code, Fault, RunStatus};

use super::{all, at, claim, deploy, document, ending, failure, name, pin, queued, tenant, with_tenant};
use crate::{Change, ClaimedRun, Cursor, DeletedVersion, DocumentKind, NewDocument, PageRequest, Store, StoreError};

pub(crate) async fn connectors_are_put_and_read(store: &dyn Store) {
    let (acme, crm) = (with_tenant(store, "acme").await, name("crm"));
    assert_eq!(store.connector(&acme, &crm).await.unwrap(), None);
    let (first, second) = (json!({"z": 1, "a": {"ü": [null, 1.5]}}), json!({"a": 2}));
    assert_eq!(store.put_connector(&acme, &crm, document(&first, &[])).await.unwrap(), Change::Created);
    let stored = store.connector(&acme, &crm).await.unwrap().unwrap();
    assert_eq!((stored.name, stored.updated_at), (crm.clone(), at(2)));
    assert_eq!(stored.document.to_string(), first.to_string(), "keys keep their order");
    let later = NewDocument { now: at(5), ..document(&second, &[]) };
    assert_eq!(store.put_connector(&acme, &crm, later).await.unwrap(), Change::Changed);
    let stored = store.connector(&acme, &crm).await.unwrap().unwrap();
    assert_eq!((stored.document, stored.updated_at), (second, at(5)));
    assert!(store.delete_connector(&acme, &crm).await.unwrap());
    assert!(!store.delete_connector(&acme, &crm).await.unwrap());
    assert_eq!(store.connector(&acme, &crm).await.unwrap(), None);
}

pub(crate) async fn connectors_are_listed_in_pages(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for connector in ["c", "a", "d", "b"] {
        store.put_connector(&acme, &name(connector), document(&json!({"of": connector}), &[])).await.unwrap();
    }
    let first = store.connectors(&acme, &PageRequest::first(2)).await.unwrap();
    // A row that comes before the cursor or goes away at it moves nothing.
    store.put_connector(&acme, &name("aa"), document(&json!({}), &[])).await.unwrap();
    store.delete_connector(&acme, &name("b")).await.unwrap();
    let second = store.connectors(&acme, &PageRequest { limit: 2, after: first.next }).await.unwrap();
    let names = first.items.iter().chain(&second.items).map(|c| c.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names, second.next), (vec!["a", "b", "c", "d"], None));
}

pub(crate) async fn flows_keep_their_versions(store: &dyn Store) {
    let (acme, orders) = (with_tenant(store, "acme").await, name("orders"));
    let (one, two) = (json!({"n": 1}), json!({"n": 2}));
    let put = store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    assert_eq!((put.change, put.version), (Change::Created, 1));
    let again = store.put_flow(&acme, &orders, NewDocument { now: at(9), ..document(&one, &[]) }).await.unwrap();
    assert_eq!((again.change, again.version, again.updated_at), (Change::Unchanged, 1, at(2)));
    let put = store.put_flow(&acme, &orders, document(&two, &[])).await.unwrap();
    assert_eq!((put.change, put.version), (Change::Changed, 2));
    let back = store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    assert_eq!((back.change, back.version), (Change::Changed, 3));
    assert_eq!(store.flow(&acme, &orders).await.unwrap().unwrap().version, 3);
    let second = store.flow_version(&acme, &orders, 2).await.unwrap().unwrap();
    assert_eq!((second.name, second.version, second.document), (orders.clone(), 2, two));
    assert_eq!(store.flow_version(&acme, &orders, 4).await.unwrap(), None);
}

pub(crate) async fn flows_keep_counting(store: &dyn Store) {
    let (acme, orders) = (with_tenant(store, "acme").await, name("orders"));
    let one = json!({"n": 1});
    store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    assert!(store.delete_flow(&acme, &orders).await.unwrap());
    assert!(!store.delete_flow(&acme, &orders).await.unwrap());
    assert_eq!(store.flow(&acme, &orders).await.unwrap(), None);
    assert_eq!(store.flow_version(&acme, &orders, 1).await.unwrap(), None);
    assert_eq!(store.flows(&acme, &PageRequest::first(5)).await.unwrap().items, []);
    let put = store.put_flow(&acme, &orders, document(&one, &[])).await.unwrap();
    assert_eq!((put.change, put.version), (Change::Created, 2));
}

pub(crate) async fn flows_are_listed_in_pages(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for (flow, n) in [("c", 1), ("a", 1), ("b", 1), ("a", 2), ("c", 2)] {
        store.put_flow(&acme, &name(flow), document(&json!({"n": n}), &[])).await.unwrap();
    }
    let flows = all(2, async |page| store.flows(&acme, page).await.unwrap()).await;
    let shown: Vec<_> = flows.iter().map(|f| (f.name.as_str(), f.version)).collect();
    assert_eq!(shown, [("a", 2), ("b", 1), ("c", 2)]);
}

pub(crate) async fn flows_are_numbered_under_concurrency(store: &dyn Store) {
    let (acme, orders) = (with_tenant(store, "acme").await, name("orders"));
    let puts = (0..30).map(|n| {
        let (acme, orders) = (&acme, &orders);
        async move { store.put_flow(acme, orders, document(&json!({ "n": n }), &[])).await.unwrap().version }
    });
    let versions: BTreeSet<u32> = join_all(puts).await.into_iter().collect();
    assert_eq!(versions, (1..=30).collect());
}

pub(crate) async fn bind_versions_that_exist(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    let other = with_tenant(store, "other").await;
    deploy(store, &acme, "sign", "one").await;
    deploy(store, &other, "check", "one").await;
    let empty = json!({});
    for (script, version) in [("sign", 2), ("none", 1), ("check", 1)] {
        let pins = [pin("hooks.pre-hook[0]", "sign", 1), pin("hooks.pre-hook[1]", script, version)];
        let error = store.put_connector(&acme, &name("crm"), document(&empty, &pins)).await.unwrap_err();
        assert!(matches!(error, StoreError::UnknownVersion { .. }), "{error}");
        let fault = Fault::from(error);
        assert_eq!((fault.code, fault.path.as_deref()), (Code::Conflict, Some("hooks.pre-hook[1]")));
        failure(store.put_flow(&acme, &name("orders"), document(&empty, &pins))).await;
    }
    assert_eq!(store.connector(&acme, &name("crm")).await.unwrap(), None, "a document that is refused is not stored");
    assert_eq!(store.flow(&acme, &name("orders")).await.unwrap(), None);
    let pins = [pin("hooks.pre-hook[0]", "sign", 1)];
    assert_eq!(store.put_flow(&acme, &name("orders"), document(&empty, &pins)).await.unwrap().version, 1, "a refusal takes no number");
}

pub(crate) async fn bound_versions_stay(store: &dyn Store) {
    let (acme, sign) = (with_tenant(store, "acme").await, name("sign"));
    deploy(store, &acme, "sign", "one").await;
    let (document_of, place) = (json!({}), "endpoints.send.hooks.pre-hook[0]");
    let pins = [pin(place, "sign", 1), pin("hooks.post-hook[0]", "sign", 1)];
    store.put_connector(&acme, &name("crm"), document(&document_of, &pins)).await.unwrap();
    let flow_pins = [pin("steps[0]", "sign", 1)];
    store.put_flow(&acme, &name("orders"), document(&document_of, &flow_pins)).await.unwrap();

    let expected = ["connector crm, endpoints.send.hooks.pre-hook[0]", "connector crm, hooks.post-hook[0]", "flow orders, steps[0]"];
    let bound = DeletedVersion::Bound(expected.map(str::to_owned).to_vec());
    assert_eq!(store.delete_version(&acme, &sign, 1).await.unwrap(), bound);
    assert!(store.component(&acme, &sign, 1).await.unwrap().is_some());

    store.put_connector(&acme, &name("crm"), document(&document_of, &[])).await.unwrap();
    let DeletedVersion::Bound(places) = store.delete_version(&acme, &sign, 1).await.unwrap() else { panic!("the flow binds it still") };
    assert_eq!(places, ["flow orders, steps[0]"]);
    store.delete_flow(&acme, &name("orders")).await.unwrap();
    assert_eq!(store.delete_version(&acme, &sign, 1).await.unwrap(), DeletedVersion::Deleted);
}

/// Runs keep the version they began with: those that are queued hold what it binds, until they have ended.
pub(crate) async fn queued_runs_hold_what_their_version_binds(store: &dyn Store) {
    let (acme, orders) = (with_tenant(store, "acme").await, name("orders"));
    deploy(store, &acme, "sign", "one").await;
    store.put_flow(&acme, &orders, document(&json!({"n": 1}), &[pin("steps[0]", "sign", 1)])).await.unwrap();
    store.put_flow(&acme, &orders, document(&json!({"n": 2}), &[])).await.unwrap();
    // The queued run is of version 1, as `queued` has it; another flow's, and another tenant's, hold nothing here.
    store.queue_run(&acme, &queued(1), None, 100_u32.into()).await.unwrap();
    let bound = DeletedVersion::Bound(vec!["queued runs of flow orders, version 1, steps[0]".to_owned()]);
    assert_eq!(store.delete_version(&acme, &name("sign"), 1).await.unwrap(), bound);
    let ClaimedRun { lease, run, .. } = claim(store, at(1), 1).await.remove(0);
    let mut claimed = run.record;
    assert_eq!(store.delete_version(&acme, &name("sign"), 1).await.unwrap(), bound, "nor under way");

    claimed.status = RunStatus::Failed;
    store.end_run(&acme, Some(&lease), ending(&claimed, None, &[], Some(&queued(2)))).await.unwrap();
    assert_eq!(store.delete_version(&acme, &name("sign"), 1).await.unwrap(), bound, "the run that repeats it needs it too");
    let ClaimedRun { lease, run, .. } = claim(store, at(2), 1).await.remove(0);
    let mut claimed = run.record;
    claimed.status = RunStatus::Succeeded;
    store.end_run(&acme, Some(&lease), ending(&claimed, None, &[], None)).await.unwrap();
    let mut other = queued(3);
    other.record.flow_version = Some(2);
    store.queue_run(&acme, &other, None, 100_u32.into()).await.unwrap();
    assert_eq!(store.delete_version(&acme, &name("sign"), 1).await.unwrap(), DeletedVersion::Deleted);
}

/// An earlier version of a flow may still be read, but it holds no script version.
pub(crate) async fn bindings_of_a_script_are_listed(store: &dyn Store) {
    let (acme, other) = (with_tenant(store, "acme").await, with_tenant(store, "other").await);
    for tenant in [&acme, &other] {
        deploy(store, tenant, "sign", "1").await;
        deploy(store, tenant, "sign", "2").await;
        deploy(store, tenant, "price", "1").await;
    }
    let (text, price) = (json!({}), [pin("steps[0]", "price", 1)]);
    let places = [pin("endpoints.a.hooks.pre-hook[0]", "sign", 1), pin("endpoints.b.hooks.pre-hook[0]", "sign", 2)];
    store.put_connector(&acme, &name("crm"), document(&text, &places)).await.unwrap();
    store.put_connector(&other, &name("theirs"), document(&text, &places)).await.unwrap();
    store.put_flow(&acme, &name("before"), document(&text, &[pin("steps[0]", "sign", 1)])).await.unwrap();
    store.put_flow(&acme, &name("before"), document(&json!({"steps": []}), &price)).await.unwrap();
    store.put_flow(&acme, &name("orders"), document(&text, &[pin("trigger", "sign", 1), price[0].clone()])).await.unwrap();
    let bindings = all(1, async |page| store.bindings(&acme, &name("sign"), page).await.unwrap()).await;
    let shown: Vec<_> = bindings.iter().map(|bound| (bound.kind, bound.document.as_str(), bound.place.as_str(), bound.version)).collect();
    let expected = [
        (DocumentKind::Connector, "crm", "endpoints.a.hooks.pre-hook[0]", 1),
        (DocumentKind::Connector, "crm", "endpoints.b.hooks.pre-hook[0]", 2),
        (DocumentKind::Flow, "orders", "trigger", 1),
    ];
    assert_eq!(shown, expected);
    assert_eq!(store.bindings(&acme, &name("none"), &PageRequest::first(5)).await.unwrap().items, []);
    let page = PageRequest { limit: 5, after: Some(Cursor("crm".to_owned())) };
    assert!(matches!(store.bindings(&acme, &name("sign"), &page).await, Err(StoreError::Cursor)));
}

pub(crate) async fn only_the_latest_flow_version_binds(store: &dyn Store) {
    let (acme, orders) = (with_tenant(store, "acme").await, name("orders"));
    deploy(store, &acme, "sign", "one").await;
    store.put_flow(&acme, &orders, document(&json!({"n": 1}), &[pin("steps[0]", "sign", 1)])).await.unwrap();
    store.put_flow(&acme, &orders, document(&json!({"n": 2}), &[])).await.unwrap();
    assert_eq!(store.delete_version(&acme, &name("sign"), 1).await.unwrap(), DeletedVersion::Deleted);
    assert!(store.flow_version(&acme, &orders, 1).await.unwrap().is_some());
}

pub(crate) async fn need_their_tenant(store: &dyn Store) {
    let (nobody, empty) = (tenant("nobody"), json!({}));
    assert_eq!(failure(store.put_connector(&nobody, &name("crm"), document(&empty, &[]))).await, "tenant `nobody` does not exist");
    assert_eq!(failure(store.put_flow(&nobody, &name("orders"), document(&empty, &[]))).await, "tenant `nobody` does not exist");
}
