//! State of flows and tenants.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;
use snaphook_model::{Code, Fault, RunState, RunStatus, StateChanges, TenantName};

use super::{document, ending, name, run, run_id, tenant, with_tenant};
use crate::{EndedRun, Store, StoreError};

fn changes(pairs: &[(&str, Option<&str>)]) -> StateChanges {
    StateChanges(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect())
}

fn written(of_flow: &[(&str, Option<&str>)], of_tenant: &[(&str, Option<&str>)], limit: u64) -> RunState {
    RunState { flow: Some(name("orders")), of_flow: changes(of_flow), of_tenant: changes(of_tenant), limit }
}

async fn write(store: &dyn Store, tenant: &TenantName, number: u64, state: &RunState) -> Result<(), StoreError> {
    let record = run(number, Some("orders"), RunStatus::Succeeded);
    store.end_run(tenant, None, EndedRun { state: Some(state), ..ending(&record, None, &[], None) }).await
}

async fn flow(store: &dyn Store, tenant: &TenantName, flow: &str) -> Vec<(String, String)> {
    store.state(tenant, Some(&name(flow))).await.unwrap().into_iter().collect()
}

async fn of_tenant(store: &dyn Store, tenant: &TenantName) -> BTreeMap<String, String> {
    store.state(tenant, None).await.unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A tenant with the flow whose runs write.
async fn with_flow(store: &dyn Store, text: &str) -> TenantName {
    let tenant = with_tenant(store, text).await;
    store.put_flow(&tenant, &name("orders"), document(&json!({"steps": []}), &[])).await.unwrap();
    tenant
}

pub(crate) async fn outlives_runs_and_is_merged_by_key(store: &dyn Store) {
    let (acme, other) = (with_flow(store, "acme").await, with_flow(store, "other").await);
    assert_eq!(flow(store, &acme, "orders").await, []);
    let state = written(&[("cursor", Some("41")), ("ü", Some(r#"{"b": [ null ]}"#))], &[("cursor", Some("1"))], 1000);
    write(store, &acme, 1, &state).await.unwrap();
    write(store, &acme, 2, &written(&[("cursor", Some("42")), ("gone", None)], &[("more", Some("2"))], 1000)).await.unwrap();
    assert_eq!(flow(store, &acme, "orders").await, pairs(&[("cursor", "42"), ("ü", r#"{"b": [ null ]}"#)]));
    assert_eq!(of_tenant(store, &acme).await.into_iter().collect::<Vec<_>>(), pairs(&[("cursor", "1"), ("more", "2")]));
    write(store, &acme, 3, &written(&[("cursor", None)], &[], 1000)).await.unwrap();
    assert_eq!(flow(store, &acme, "orders").await, pairs(&[("ü", r#"{"b": [ null ]}"#)]));
    assert_eq!(flow(store, &acme, "others").await, []);
    assert_eq!((flow(store, &other, "orders").await, of_tenant(store, &other).await), (vec![], BTreeMap::new()));
}

pub(crate) async fn has_a_limit_that_runs_share(store: &dyn Store) {
    let acme = with_flow(store, "acme").await;
    // Four entries of 100 bytes fit, whatever else the runs do at the same time.
    let value = format!("\"{}\"", "x".repeat(33));
    let runs = (0..12_u64).map(|number| {
        let (acme, value, key) = (&acme, value.as_str(), format!("k{}", number % 10));
        async move {
            let of_flow = [(key.as_str(), Some(value))];
            let (of_flow, of_tenant): (&[_], &[_]) = if number % 2 == 0 { (&of_flow, &[]) } else { (&[], &of_flow) };
            write(store, acme, 1 + number, &written(of_flow, of_tenant, 404)).await
        }
    });
    let results = join_all(runs).await;
    let kept = flow(store, &acme, "orders").await.len() + of_tenant(store, &acme).await.len();
    assert_eq!(kept, 4);
    let refused = results.into_iter().filter_map(Result::err).next().expect("not all fit");
    assert!(matches!(refused, StoreError::StateSize { limit: 404, used: 505 }), "{refused}");
    let fault = Fault::from(refused);
    assert_eq!((fault.code, fault.limit, fault.used), (Code::StateSize, Some(404), Some(505)));
    // A smaller value in the place of a larger one is taken by a state that is larger than its limit became.
    let key = flow(store, &acme, "orders").await.into_iter().map(|(key, _)| (key, true));
    let (key, in_flow) = key.chain(of_tenant(store, &acme).await.into_keys().map(|key| (key, false))).next().unwrap();
    let smaller = [(key.as_str(), Some("1"))];
    let state = if in_flow { written(&smaller, &[], 10) } else { written(&[], &smaller, 10) };
    write(store, &acme, 30, &state).await.unwrap();
}

pub(crate) async fn goes_with_its_flow(store: &dyn Store) {
    let acme = with_flow(store, "acme").await;
    let value = format!("\"{}\"", "x".repeat(100));
    let state = written(&[("a", Some(&value))], &[("t", Some("1"))], 300);
    write(store, &acme, 1, &state).await.unwrap();
    assert!(store.delete_flow(&acme, &name("orders")).await.unwrap());
    assert_eq!(flow(store, &acme, "orders").await, []);
    // A run that ends after its flow leaves nothing of the flow's, and its room is there again.
    write(store, &acme, 2, &written(&[("late", Some("1"))], &[("u", Some(&value))], 300)).await.unwrap();
    assert_eq!(flow(store, &acme, "orders").await, []);
    assert_eq!(of_tenant(store, &acme).await.into_keys().collect::<Vec<_>>(), ["t", "u"]);
}

pub(crate) async fn goes_with_its_tenant(store: &dyn Store) {
    let acme = with_flow(store, "acme").await;
    write(store, &acme, 1, &written(&[("a", Some("1"))], &[("b", Some("1"))], 140)).await.unwrap();
    assert!(store.delete_tenant(&acme).await.unwrap());
    assert!(matches!(write(store, &acme, 2, &written(&[], &[("a", Some("1"))], 140)).await, Err(StoreError::UnknownTenant(_))));
    with_flow(store, "acme").await;
    assert_eq!((flow(store, &acme, "orders").await, of_tenant(store, &acme).await), (vec![], BTreeMap::new()));
    write(store, &acme, 3, &written(&[("a", Some("1"))], &[("b", Some("1"))], 140)).await.unwrap();
    assert!(store.state(&tenant("nobody"), None).await.unwrap().is_empty());
}

pub(crate) async fn is_written_with_its_run(store: &dyn Store) {
    let acme = with_flow(store, "acme").await;
    let refused = write(store, &acme, 1, &written(&[("a", Some("1"))], &[("b", Some("1"))], 100)).await;
    assert!(matches!(refused, Err(StoreError::StateSize { .. })));
    assert_eq!(store.run(&acme, run_id(1)).await.unwrap(), None, "neither is there without the other");
    assert_eq!((flow(store, &acme, "orders").await, of_tenant(store, &acme).await), (vec![], BTreeMap::new()));
    let many: Vec<(String, String)> = (0..450).map(|number| (format!("k{number:03}"), number.to_string())).collect();
    let borrowed: Vec<_> = many.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
    write(store, &acme, 2, &written(&borrowed, &[], 1 << 20)).await.unwrap();
    assert_eq!(flow(store, &acme, "orders").await, many);
    assert_eq!(store.run(&acme, run_id(2)).await.unwrap().map(|run| run.status), Some(RunStatus::Succeeded));
}
