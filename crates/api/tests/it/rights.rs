//! Every operation of the description: without a token, with too few scopes, with the wrong kind of token, and as another tenant.

use serde_json::{Value, json};
use snaphook_model::Hook;

use crate::support::TestNode;

/// One operation of the description.
struct Operation {
    method: String,
    path: String,
    /// None: for everybody. `operator`, or a scope.
    needs: Option<String>,
}

/// Operations that answer another tenant something else than 404: they create or list what is the caller's own.
const OWN: [(&str, &str); 15] = [
    ("PUT", "/v1/secrets/{secret}"),
    ("GET", "/v1/secrets"),
    ("PUT", "/v1/scripts/{script}"),
    ("PUT", "/v1/connectors/{connector}"),
    ("PUT", "/v1/flows/{flow}"),
    ("PUT", "/v1/subjects/{subject}"),
    ("PUT", "/v1/connections/{connection}"),
    ("GET", "/v1/connections"),
    ("GET", "/v1/subjects"),
    ("GET", "/v1/scripts"),
    ("GET", "/v1/connectors"),
    ("GET", "/v1/flows"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
];

const SCOPES: [&str; 5] = ["deploy", "invoke", "read", "callback", "admin"];

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&snaphook_api::openapi_json()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().and_then(|list| list.first()).and_then(Value::as_object);
            let needs = security.map(|security| match security.get("token") {
                Some(scopes) => scopes[0].as_str().unwrap().to_owned(),
                None => "operator".to_owned(),
            });
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), needs });
        }
    }
    operations
}

/// The path with names that exist at tenant `acme`.
fn filled(path: &str, run: &str, token: &str) -> String {
    let names = [
        ("tenant", "acme"),
        ("id", token),
        ("script", "s"),
        ("version", "1"),
        ("connector", "crm"),
        ("endpoint", "send"),
        ("flow", "f"),
        ("secret", "KEY"),
        ("connection", "link"),
        ("subject", "p-1"),
    ];
    let path = names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    path.replace("{run}", run).replace("{code}", "invalid")
}

#[test]
fn the_description_is_whole() {
    let operations = operations();
    assert_eq!(operations.len(), 56);
    let open: Vec<_> = operations.iter().filter(|operation| operation.needs.is_none()).map(|operation| operation.path.as_str()).collect();
    // A trigger asks for what its flow says; `triggers.rs` has that. A browser comes back with a state that nobody can guess.
    let trigger = "/t/{tenant}/{flow}";
    assert_eq!(
        open,
        ["/errors/{code}", "/healthz", "/oauth/callback", "/openapi.json", "/readyz", trigger, trigger, trigger, trigger, trigger]
    );
}

#[tokio::test]
async fn every_operation_asks_for_its_token_and_scope() {
    let node = TestNode::start().await;
    let acme = node.tenant("acme").await;
    for Operation { method, path, needs } in operations() {
        let Some(needs) = needs else { continue };
        let address = filled(&path, "0199f0a0-0000-7000-8000-000000000000", "t");
        let shown = format!("{method} {path}");
        let without = node.send(&method, &address, &[], "").await;
        assert_eq!((without.status, without.json()["code"].as_str()), (401, Some("unauthorized")), "{shown}");
        assert_eq!(node.json(&method, &address, "snap_nobody", Value::Null).await.status, 401, "{shown}");
        let wrong = if needs == "operator" { acme.token.clone() } else { node.operator.clone() };
        let refused = node.json(&method, &address, &wrong, Value::Null).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("scope-missing")), "{shown}");
        if needs == "operator" {
            continue;
        }
        let others: Vec<_> = SCOPES.into_iter().filter(|scope| *scope != needs && *scope != "admin").collect();
        let few = node.token("acme", &others).await;
        let refused = node.json(&method, &address, &few, Value::Null).await.expect(403).json();
        assert_eq!(refused["code"], "scope-missing", "{shown}");
        assert!(refused["detail"].as_str().unwrap().contains(&format!("`{needs}`")), "{shown}: {refused}");
    }
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let node = TestNode::start().await;
    let (acme, other) = (node.tenant("acme").await, node.tenant("other").await);
    acme.seed_script("s", &[Hook::PreHook]).await;
    let upstream = snaphook_testkit::Upstream::start().await;
    upstream.on("/send", snaphook_testkit::Answer::json(json!({})));
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send"}}});
    acme.put("/v1/connectors/crm", connector).await.expect(201);
    acme.upload("/v1/secrets/KEY", "text/plain", "whsec_text").await.expect(201);
    let fields =
        json!({"authorize_url": "https://t.example/a", "token_url": "https://t.example/t", "client_id": "c", "client_secret": "s"});
    acme.put("/v1/connections/link", json!({"kind": "oauth2-authorization-code", "fields": fields})).await.expect(201);
    acme.put("/v1/flows/f", json!({"steps": [{"call": "crm/send"}]})).await.expect(201);
    acme.put("/v1/subjects/p-1", json!({"values": {"name": "Ada"}})).await.expect(201);
    let run = acme.send("POST", "/v1/call/crm/send", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let token = acme.send("POST", "/v1/tokens", json!({"name": "t", "scopes": ["read"]})).await.expect(201).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for Operation { method, path, needs } in operations() {
        if needs.is_none_or(|needs| needs == "operator") || OWN.contains(&(method.as_str(), path.as_str())) {
            continue;
        }
        // A callback is named by a header; `callbacks.rs` has those of other tenants.
        if path == "/v1/callbacks" {
            continue;
        }
        let body = match path.ends_with("/test") {
            true => json!({"hook": "pre-hook"}),
            false => Value::Null,
        };
        let theirs = other.send(&method, &filled(&path, &run, &token), body).await;
        assert_eq!((theirs.status, theirs.json()["code"].as_str()), (404, Some("not-found")), "{method} {path}");
    }
    for (method, path) in OWN.iter().filter(|(method, _)| *method == "GET") {
        let listed = other.send(method, path, Value::Null).await.expect(200).json();
        let names: Vec<_> = listed["items"].as_array().unwrap().iter().filter(|item| item["name"] != "test").collect();
        assert!(names.is_empty(), "{path}: {names:?}");
    }
    acme.get(&format!("/v1/runs/{run}")).await.expect(200);
}
