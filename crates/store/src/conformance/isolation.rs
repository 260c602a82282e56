//! Tenant B sees nothing of A, and what B does changes nothing of A's, for every method that takes a tenant.

use serde_json::json;
use snaphook_model::{RunStatus, TenantName};

use super::subjects::{id, values};
use super::{at, claim, deploy, document, ending, name, pin, queued, recording, run, run_id, token, upload, with_tenant};
use crate::{DeletedVersion, KeptDocuments, PageRequest, RunFilter, Store, TokenHash};

/// Everything that a tenant can have, each once, under the names that the tests below ask for.
async fn furnished(store: &dyn Store) -> (TenantName, TenantName) {
    let (a, b) = (with_tenant(store, "a").await, with_tenant(store, "b").await);
    store.add_token(&a, &token("t"), TokenHash([1; 32])).await.unwrap();
    deploy(store, &a, "sign", "of a").await;
    let pins = [pin("hooks.pre-hook[0]", "sign", 1)];
    store.put_connector(&a, &name("crm"), document(&json!({"of": "a"}), &pins)).await.unwrap();
    store.put_flow(&a, &name("orders"), document(&json!({"of": "a"}), &pins)).await.unwrap();
    store.record_run(&a, &run(1, Some("orders"), RunStatus::Succeeded), Some(recording("of a"))).await.unwrap();
    store.queue_run(&a, &queued(2), None, 100_u32.into()).await.unwrap();
    store.put_subject(&a, &id("ada"), &values(&[("of", "\"a\"")]), at(1)).await.unwrap();
    (a, b)
}

pub(crate) async fn subjects_of_another_are_invisible(store: &dyn Store) {
    let (a, b) = furnished(store).await;
    let (ada, page) = (id("ada"), PageRequest::first(10));
    assert_eq!(store.subject(&b, &ada).await.unwrap(), None);
    assert_eq!(store.subjects(&b, &page).await.unwrap().items, []);
    assert!(!store.delete_subject(&b, &ada).await.unwrap());
    store.add_subject_values(&b, None, &ada, &values(&[("of", "\"b\"")]), at(2)).await.unwrap();
    assert_eq!(store.subject(&a, &ada).await.unwrap().unwrap().values, values(&[("of", "\"a\"")]));
    assert_eq!(store.subject(&b, &ada).await.unwrap().unwrap().values, values(&[("of", "\"b\"")]));
    assert!(store.delete_subject(&b, &ada).await.unwrap());
    assert!(store.subject(&a, &ada).await.unwrap().is_some());
}

pub(crate) async fn definitions_of_another_are_invisible(store: &dyn Store) {
    let (_, b) = furnished(store).await;
    let (sign, crm, orders, page) = (name("sign"), name("crm"), name("orders"), PageRequest::first(10));
    assert_eq!(store.tokens(&b, &page).await.unwrap().items, []);
    assert_eq!(store.latest_version(&b, &sign).await.unwrap(), None);
    assert_eq!(store.version(&b, &sign, 1).await.unwrap(), None);
    assert_eq!(store.scripts(&b, &page).await.unwrap().items, []);
    assert_eq!(store.versions(&b, &sign, &page).await.unwrap().items, []);
    assert_eq!(store.source(&b, &sign, 1).await.unwrap(), None);
    assert_eq!(store.component(&b, &sign, 1).await.unwrap(), None);
    assert_eq!(store.component_hashes_of(&b, &page).await.unwrap().items, Vec::<String>::new());
    assert_eq!(store.connector(&b, &crm).await.unwrap(), None);
    assert_eq!(store.connectors(&b, &page).await.unwrap().items, []);
    assert_eq!(store.flow(&b, &orders).await.unwrap(), None);
    assert_eq!(store.flow_version(&b, &orders, 1).await.unwrap(), None);
    assert_eq!(store.flows(&b, &page).await.unwrap().items, []);
    assert_eq!(store.kept_documents(&b).await.unwrap(), KeptDocuments::default());
}

pub(crate) async fn runs_of_another_are_invisible(store: &dyn Store) {
    let (a, b) = furnished(store).await;
    for number in [1, 2] {
        assert_eq!(store.run(&b, run_id(number)).await.unwrap(), None);
        assert_eq!(store.recording(&b, run_id(number)).await.unwrap(), None);
        assert!(store.run(&a, run_id(number)).await.unwrap().is_some());
    }
    let filters = [
        RunFilter::default(),
        RunFilter { flow: Some(name("orders")), ..RunFilter::default() },
        RunFilter { status: Some(RunStatus::Queued), ..RunFilter::default() },
        RunFilter { call: Some("crm/send".to_owned()), ..RunFilter::default() },
    ];
    for filter in filters {
        assert_eq!(store.runs(&b, &filter, &PageRequest::first(10)).await.unwrap().items, []);
    }
}

pub(crate) async fn writes_of_another_change_nothing(store: &dyn Store) {
    let (a, b) = furnished(store).await;
    let (sign, crm, orders) = (name("sign"), name("crm"), name("orders"));
    // What B can try with A's names, before having any of them and after.
    assert!(!store.delete_token(&b, "t").await.unwrap());
    assert_eq!(store.delete_version(&b, &sign, 1).await.unwrap(), DeletedVersion::Unknown);
    assert!(!store.replace_component(&b, &sign, 1, upload("sign", "of b").component).await.unwrap());
    assert!(!store.delete_connector(&b, &crm).await.unwrap());
    assert!(!store.delete_flow(&b, &orders).await.unwrap());
    deploy(store, &b, "sign", "of b").await;
    store.put_connector(&b, &crm, document(&json!({"of": "b"}), &[])).await.unwrap();
    store.put_flow(&b, &orders, document(&json!({"of": "b"}), &[])).await.unwrap();
    store.record_run(&b, &run(1, None, RunStatus::Failed), Some(recording("of b"))).await.unwrap();
    store.end_run(&b, None, ending(&run(2, None, RunStatus::Failed), None, &[], None)).await.unwrap();
    assert!(store.delete_connector(&b, &crm).await.unwrap());
    assert!(store.delete_flow(&b, &orders).await.unwrap());
    assert_eq!(store.delete_version(&b, &sign, 1).await.unwrap(), DeletedVersion::Deleted, "A's bindings do not hold B's version");
    store.flush().await.unwrap();
    assert!(store.delete_tenant(&b).await.unwrap());

    assert_eq!(store.find_token(TokenHash([1; 32])).await.unwrap(), Some((a.clone(), token("t"))));
    assert_eq!(store.source(&a, &sign, 1).await.unwrap().unwrap(), "of a");
    assert_eq!(store.component(&a, &sign, 1).await.unwrap(), Some(upload("sign", "of a").component));
    assert_eq!(store.connector(&a, &crm).await.unwrap().unwrap().document, json!({"of": "a"}));
    assert_eq!(store.flow(&a, &orders).await.unwrap().unwrap().document, json!({"of": "a"}));
    assert!(matches!(store.delete_version(&a, &sign, 1).await.unwrap(), DeletedVersion::Bound(_)));
    assert_eq!(store.run(&a, run_id(1)).await.unwrap(), Some(run(1, Some("orders"), RunStatus::Succeeded)));
    assert_eq!(store.recording(&a, run_id(1)).await.unwrap(), Some(recording("of a")));
    assert_eq!(claim(store, at(9), 5).await.len(), 1, "A's queued run is still there");
}
