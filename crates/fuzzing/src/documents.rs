//! Documents: flows (lists of requests in the format of manifests among them), connectors, connections, tenants and subjects, as JSON and as YAML.

use serde_json::Value;
use serde_json::value::to_raw_value;
use snaphook_model::strict::{NotStrict, from_json, from_yaml};
use snaphook_model::{ConnectionDraft, Connector, Flow, SubjectValues, Tenant, TenantDocument, TenantName};

/// Reads bytes as each kind of document. What was taken is taken again as it is shown, and means the same.
pub fn documents(bytes: &[u8]) {
    for read in [from_json(bytes), from_yaml(bytes)] {
        match read {
            Ok(document) => each_kind(&document),
            Err(NotStrict { detail, line, column, .. }) => {
                assert!(!detail.is_empty() && line >= 1 && column >= 1, "{detail:?} {line}:{column}")
            }
        }
    }
}

fn each_kind(document: &Value) {
    if let Ok(mut flow) = Flow::parse(document.clone()) {
        let shown = serde_json::to_value(&flow).expect("a flow is a document");
        let again = Flow::parse(shown.clone()).unwrap_or_else(|invalid| panic!("{invalid:?}: {shown}"));
        assert_eq!(serde_json::to_value(&again).ok(), Some(shown));
        for (at, step) in flow.steps.iter().enumerate() {
            assert!(step.action().is_ok() && !step.name().is_empty(), "{}", flow.path_of(at));
        }
        assert!(flow.bindings_mut().all(|(path, ..)| !path.is_empty()));
    }
    if let Ok(mut connector) = Connector::parse(document.clone()) {
        let shown = serde_json::to_value(&connector).expect("a connector is a document");
        assert_eq!(Connector::parse(shown).as_ref(), Ok(&connector));
        assert!(connector.bindings_mut().all(|(path, ..)| !path.is_empty()));
    }
    if let Ok(connection) = ConnectionDraft::parse(document.clone()) {
        // Rules of hosts are looked at when the connection is saved.
        drop(connection.connection.host_rules());
    }
    if let Ok(tenant) = serde_json::from_value::<TenantDocument>(document.clone()) {
        drop(Tenant::new(TenantName::new("acme").expect("a name"), tenant));
    }
    if let Ok(values) = to_raw_value(document)
        && let Ok(values) = SubjectValues::read(&values)
    {
        assert!(values.bytes() <= SubjectValues::MOST_BYTES);
    }
}
