//! A change and its record are one: none without the other.

use std::collections::BTreeMap;

use serde_json::json;
use snaphook_model::{AuditAction, Author, ConnectionDraft, RunStatus, TenantDocument, TenantName, Who};

use super::secrets::{sealed, secret};
use super::{all, at, deploy, document, name, pin, queued, run_id, subjects, tenant, token, upload, with_tenant};
use crate::{AuditFilter, Authorization, Change, FetchedToken, PageRequest, Store, StoreError, Sweep, TokenHash};

fn author(seconds: i64) -> Author {
    let who = Who::Token { id: "t-1".to_owned(), name: "ci".to_owned() };
    Author { who, at: at(seconds), request_id: format!("request-{seconds}") }
}

/// Actions with what they were done to, oldest first.
async fn noted(store: &dyn Store, tenant: &TenantName) -> Vec<String> {
    let listed = all(3, async |page| store.audit(tenant, &AuditFilter::default(), page).await.unwrap()).await;
    let shown = |record: &snaphook_model::AuditRecord| match record.version {
        Some(version) => format!("{} {}@{version}", record.action, record.name),
        None => format!("{} {}", record.action, record.name),
    };
    listed.iter().rev().map(shown).collect()
}

pub(crate) async fn every_change_leaves_a_record(store: &dyn Store) {
    let acme = tenant("acme");
    let operator = Author { who: Who::Operator, ..author(1) };
    store.by(&operator).put_tenant(&acme, &TenantDocument::default(), at(1)).await.unwrap();
    store.by(&author(2)).add_token(&acme, &token("a"), TokenHash([1; 32])).await.unwrap();
    store.by(&author(3)).add_version(&acme, upload("sign", "one")).await.unwrap();
    let pins = [pin("hooks.pre-hook[0]", "sign", 1)];
    store.by(&author(4)).put_connector(&acme, &name("crm"), document(&json!({"a": 1}), &pins)).await.unwrap();
    store.by(&author(5)).put_flow(&acme, &name("orders"), document(&json!({"a": 1}), &[])).await.unwrap();
    store.by(&author(6)).put_flow(&acme, &name("orders"), document(&json!({"a": 2}), &[])).await.unwrap();
    store.by(&author(7)).put_secret(&acme, &secret("KEY"), &sealed("x"), at(7)).await.unwrap();
    let subject = subjects::id("ada");
    store.by(&author(8)).put_subject(&acme, &subject, &subjects::values(&[("a", "1")]), at(8)).await.unwrap();
    let connection = ConnectionDraft::parse(json!({"kind": "bearer", "fields": {"token": "t"}})).unwrap().connection;
    let (link, texts) = (name("link"), BTreeMap::new());
    store.by(&author(9)).put_connection(&acme, &link, (&connection, &texts), (None, None), at(9)).await.unwrap();
    let authorization = Authorization { tenant: acme.clone(), connection: link.clone(), verifier: sealed("v") };
    store.by(&author(10)).begin_authorization("state", &authorization, (at(10), at(20))).await.unwrap();
    let revision = store.connection(&acme, &link).await.unwrap().unwrap().revision;
    let status = snaphook_model::ConnectionStatus::Ok;
    let fetched = FetchedToken { token: Some(sealed("token")), expires_at: None, status, status_detail: None };
    let browser = Author { who: Who::Browser, ..author(11) };
    assert!(store.by(&browser).end_fetching(&acme, &link, revision, &fetched).await.unwrap());
    store.by(&author(12)).queue_run(&acme, &queued(1), None, 10_u32.into()).await.unwrap();
    let end = |record| (snaphook_model::RunRecord { status: RunStatus::Cancelled, ..record }, Vec::new());
    store.by(&author(13)).cancel_run(&acme, run_id(1), &end).await.unwrap();
    store.by(&author(14)).delete_connection(&acme, &link).await.unwrap();
    store.by(&author(15)).delete_subject(&acme, &subject).await.unwrap();
    store.by(&author(16)).delete_secret(&acme, &secret("KEY")).await.unwrap();
    store.by(&author(17)).delete_flow(&acme, &name("orders")).await.unwrap();
    store.by(&author(18)).delete_connector(&acme, &name("crm")).await.unwrap();
    store.by(&author(19)).delete_version(&acme, &name("sign"), 1).await.unwrap();
    store.by(&author(20)).delete_token(&acme, "a").await.unwrap();
    store.note(&acme, &author(21), AuditAction::RunCancel, "another").await.unwrap();
    let run = run_id(1);
    let expected = [
        "tenant.put acme".to_owned(),
        "token.create a".to_owned(),
        "script.deploy sign@1".to_owned(),
        "connector.put crm".to_owned(),
        "flow.put orders@1".to_owned(),
        "flow.put orders@2".to_owned(),
        "secret.put KEY".to_owned(),
        "subject.put ada".to_owned(),
        "connection.put link".to_owned(),
        "connection.authorize link".to_owned(),
        "connection.authorized link".to_owned(),
        format!("run.retry {run}"),
        format!("run.cancel {run}"),
        "connection.delete link".to_owned(),
        "subject.delete ada".to_owned(),
        "secret.delete KEY".to_owned(),
        "flow.delete orders".to_owned(),
        "connector.delete crm".to_owned(),
        "script.delete sign@1".to_owned(),
        "token.delete a".to_owned(),
        "run.cancel another".to_owned(),
    ];
    assert_eq!(noted(store, &acme).await, expected);
    for action in AuditAction::ALL {
        let filter = AuditFilter { action: Some(*action), since: None };
        let of_action = store.audit(&acme, &filter, &PageRequest::first(10)).await.unwrap().items;
        assert!(!of_action.is_empty() && of_action.iter().all(|record| record.action == *action), "{action} is noted");
    }
    let records = all(50, async |page| store.audit(&acme, &AuditFilter::default(), page).await.unwrap()).await;
    let (last, first) = (&records[0], &records[20]);
    assert_eq!((last.at, last.request_id.as_str(), &last.by), (at(21), "request-21", &author(21).who));
    assert_eq!((first.at, &first.by), (at(1), &Who::Operator));
}

pub(crate) async fn what_changes_nothing_leaves_none(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    deploy(store, &acme, "sign", "one").await;
    let (orders, body) = (name("orders"), json!({"a": 1}));
    store.put_flow(&acme, &orders, document(&body, &[])).await.unwrap();
    // What the node does by itself is nobody's.
    assert_eq!(noted(store, &acme).await, Vec::<String>::new());
    let author = author(1);
    assert_eq!(store.by(&author).put_flow(&acme, &orders, document(&body, &[])).await.unwrap().change, Change::Unchanged);
    store.by(&author).add_version(&acme, upload("sign", "one")).await.unwrap();
    assert!(!store.by(&author).delete_flow(&acme, &name("none")).await.unwrap());
    assert!(!store.by(&author).delete_connector(&acme, &name("none")).await.unwrap());
    assert!(!store.by(&author).delete_connection(&acme, &name("none")).await.unwrap());
    assert!(!store.by(&author).delete_secret(&acme, &secret("NONE")).await.unwrap());
    assert!(!store.by(&author).delete_subject(&acme, &subjects::id("none")).await.unwrap());
    assert!(!store.by(&author).delete_token(&acme, "none").await.unwrap());
    store.by(&author).delete_version(&acme, &name("sign"), 7).await.unwrap();
    let end = |record| (record, Vec::new());
    store.by(&author).cancel_run(&acme, run_id(9), &end).await.unwrap();
    // A change that fails takes its record along.
    let pins = [pin("hooks.pre-hook[0]", "sign", 9)];
    let refused = store.by(&author).put_flow(&acme, &orders, document(&json!({"a": 2}), &pins)).await;
    assert!(matches!(refused, Err(StoreError::UnknownVersion { .. })));
    store.by(&author).queue_run(&acme, &queued(1), None, 0_u32.into()).await.unwrap_err();
    assert_eq!(noted(store, &acme).await, Vec::<String>::new());
    let nobody = tenant("nobody");
    assert!(store.by(&author).put_secret(&nobody, &secret("KEY"), &sealed("x"), at(1)).await.is_err());
    assert!(store.note(&nobody, &author, AuditAction::RunCancel, "x").await.is_err());
}

pub(crate) async fn is_listed_newest_first(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for second in 1..=7 {
        let action = if second % 2 == 0 { AuditAction::RunCancel } else { AuditAction::RunRetry };
        store.note(&acme, &author(second), action, &second.to_string()).await.unwrap();
    }
    let names = async |filter: AuditFilter| {
        let listed = all(2, async |page| store.audit(&acme, &filter, page).await.unwrap()).await;
        listed.into_iter().map(|record| record.name).collect::<Vec<_>>()
    };
    assert_eq!(names(AuditFilter::default()).await, ["7", "6", "5", "4", "3", "2", "1"]);
    assert_eq!(names(AuditFilter { since: Some(at(5)), action: None }).await, ["7", "6", "5"]);
    assert_eq!(names(AuditFilter { since: Some(at(3)), action: Some(AuditAction::RunCancel) }).await, ["6", "4"]);
    let foreign = PageRequest { limit: 2, after: Some(crate::Cursor("7; DROP".to_owned())) };
    assert!(matches!(store.audit(&acme, &AuditFilter::default(), &foreign).await, Err(StoreError::Cursor)));
}

pub(crate) async fn goes_when_it_has_had_its_time(store: &dyn Store) {
    let acme = with_tenant(store, "acme").await;
    for second in 1..=5 {
        store.note(&acme, &author(second), AuditAction::RunCancel, &second.to_string()).await.unwrap();
    }
    let old = at(-10_000_000);
    let due = Sweep { now: old, payloads_before: old, logs_before: old, keys_before: old, audit_before: at(3) };
    assert_eq!(store.sweep(&acme, due).await.unwrap().audit, 2);
    assert_eq!(store.sweep(&acme, due).await.unwrap().audit, 0);
    assert_eq!(noted(store, &acme).await, ["run.cancel 3", "run.cancel 4", "run.cancel 5"]);
}

pub(crate) async fn belongs_to_its_tenant(store: &dyn Store) {
    let (a, b) = (with_tenant(store, "a").await, with_tenant(store, "b").await);
    store.by(&author(1)).put_secret(&a, &secret("KEY"), &sealed("x"), at(1)).await.unwrap();
    assert_eq!(noted(store, &b).await, Vec::<String>::new());
    let old = at(-10_000_000);
    let due = Sweep { now: old, payloads_before: old, logs_before: old, keys_before: old, audit_before: at(100) };
    assert_eq!(store.sweep(&b, due).await.unwrap().audit, 0);
    assert_eq!(noted(store, &a).await, ["secret.put KEY"]);
    // A tenant of the same name that is made later finds nothing.
    assert!(store.delete_tenant(&a).await.unwrap());
    with_tenant(store, "a").await;
    assert_eq!(noted(store, &a).await, Vec::<String>::new());
}
