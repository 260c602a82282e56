//! Every operation of the served description: without a token, with one that nobody has, with the wrong kind of token, with every scope but the one
//! that is needed, with that one alone, and as another tenant. And every route of the sources: whether it is described.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use snaphook_tests::{Client, OPERATOR, Tenant};

use crate::support::{hooked, node, ok, problem};

/// One operation of the description.
struct Operation {
    method: String,
    path: String,
    /// None: for everybody. `operator`, a scope, or [`ANY`].
    needs: Option<String>,
}

/// Operations without a token of ours; a new one needs a reason here.
const OPEN: [&str; 12] = [
    // What a node is and what its answers mean.
    "GET /errors/{code}",
    "GET /healthz",
    "GET /openapi.json",
    "GET /readyz",
    // Pages that know nothing until somebody signs in with a token.
    "GET /",
    "GET /dashboard/{file}",
    // A browser comes back with a state that nobody can guess.
    "GET /oauth/callback",
    // A trigger asks for what its flow says; `triggers.rs` and `signatures.rs` have that.
    "GET /t/{tenant}/{flow}",
    "POST /t/{tenant}/{flow}",
    "PUT /t/{tenant}/{flow}",
    "PATCH /t/{tenant}/{flow}",
    "DELETE /t/{tenant}/{flow}",
];

/// How many those are; the number may only fall.
const MOST_OPEN: usize = 12;

/// What an operation needs that every token may ask, the operator's too.
const ANY: &str = "any token";

/// Who asks from the node's own machine needs no token for these, and whoever shows one needs the right one; `telemetry.rs` has who that is.
const OWN_MACHINE: [&str; 1] = ["GET /metrics"];

/// Operations that answer another tenant something else than 404: they make, list or look at what is the caller's own.
const OWN: [&str; 21] = [
    "GET /v1/audit",
    "GET /v1/connections",
    "GET /v1/connectors",
    "GET /v1/flows",
    "GET /v1/me",
    "GET /v1/overview",
    "GET /v1/runs",
    "GET /v1/scripts",
    "GET /v1/secrets",
    "GET /v1/subjects",
    "GET /v1/tokens",
    "GET /v1/usage",
    // It is about the text that comes with it.
    "POST /v1/scripts/{script}/check",
    "POST /v1/tokens",
    "PUT /v1/connections/{connection}",
    "PUT /v1/connectors/{connector}",
    "PUT /v1/flows/{flow}",
    "PUT /v1/scripts/{script}",
    "PUT /v1/secrets/{secret}",
    "PUT /v1/subjects/{subject}",
    // It is named by a header; `callbacks.rs` has those of other tenants.
    "POST /v1/callbacks",
];

const SCOPES: [&str; 5] = ["deploy", "invoke", "read", "callback", "admin"];

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

async fn operations() -> Vec<Operation> {
    let document = node().anonymous().get("/openapi.json").await.expect(200).json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let kinds = operation["security"].as_array().map(Vec::as_slice).unwrap_or_default();
            let any = kinds == [json!({"token": []}), json!({"operator": []})];
            let needs = kinds.first().and_then(Value::as_object).map(|security| match security.get("token") {
                Some(_) if any => ANY.to_owned(),
                Some(scopes) => scopes[0].as_str().unwrap_or_else(|| panic!("{method} {path} names no scope")).to_owned(),
                None => security.keys().next().unwrap_or_else(|| panic!("{method} {path} names no kind of token")).clone(),
            });
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), needs });
        }
    }
    operations
}

/// What a path's placeholders stand for.
fn filled(path: &str, names: &[(&str, &str)]) -> String {
    let path = names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    assert!(!path.contains('{'), "{path}: say here what its placeholder stands for");
    path
}

/// Names of things that nobody has.
fn of_nobody(path: &str, tenant: &Tenant) -> String {
    let run = "0199f0a0-0000-7000-8000-000000000000";
    let others = ["id", "script", "connector", "endpoint", "flow", "secret", "connection", "subject"].map(|name| (name, "none"));
    filled(path, &[&[("tenant", tenant.name.as_str()), ("version", "1"), ("run", run)], &others[..]].concat())
}

async fn send(operation: &Operation, path: &str, token: Option<&str>) -> snaphook_tests::Response {
    let client = Client::new(node().url(), token);
    client.send(&operation.method, path, &[("content-type", "application/json")], bytes::Bytes::new()).await
}

async fn token(tenant: &Tenant, scopes: &[&str]) -> String {
    let made = tenant.client.post("/v1/tokens", &json!({"name": "few", "scopes": scopes})).await.expect(201);
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_operation_declares_who_may_use_it() {
    let operations = operations().await;
    let open: BTreeSet<String> = operations.iter().filter(|operation| operation.needs.is_none()).map(Operation::name).collect();
    assert_eq!(open, OPEN.map(str::to_owned).into(), "what is open to everybody stands in a list");
    assert!(OPEN.len() <= MOST_OPEN, "the list may only shrink");
    for operation in operations {
        let known = |needs: &str| needs == "operator" || needs == ANY || SCOPES.contains(&needs);
        assert!(operation.needs.as_deref().is_none_or(known), "{} needs {:?}", operation.name(), operation.needs);
    }
}

/// Read off the sources, since a router does not tell what it holds.
#[tokio::test]
async fn every_route_is_described() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src/routes/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    for unread in [".nest(", ".route_service(", ".nest_service("] {
        assert!(!source.contains(unread), "this test does not read `{unread}`");
    }
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let (path, methods) = route.split_once(',').unwrap();
        let path = match path.trim() {
            "connections::CALLBACK" => "/oauth/callback",
            // A description has no placeholder for the rest of a path.
            "\"/dashboard/{*file}\"" => "/dashboard/{file}",
            quoted => quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_else(|| panic!("`{quoted}` is no path")),
        };
        let mut found = 0;
        for method in ["get", "put", "post", "delete", "patch", "head", "options", "any"] {
            let called = |before: &str| methods.contains(&format!("{before}{method}("));
            if !called(" ") && !called(".") && !called("routing::") {
                continue;
            }
            found += 1;
            match (path, method) {
                // One trigger is at an address and at all that is below it, whatever the method; the description has those that it is asked with.
                ("/t/{*address}", "any") => {
                    routes.extend(["GET", "POST", "PUT", "PATCH", "DELETE"].map(|method| format!("{method} /t/{{tenant}}/{{flow}}")));
                }
                _ => drop(routes.insert(format!("{} {path}", method.to_uppercase()))),
            }
        }
        assert!(found > 0, "`{path}` has a method that this test does not know");
    }
    let described: BTreeSet<String> = operations().await.iter().map(Operation::name).collect();
    assert_eq!(routes, described, "routes on the left, what `openapi.rs` lists on the right");
}

#[tokio::test]
async fn every_operation_asks_for_its_token_and_scope() {
    let tenant = node().tenant().await;
    let admin = tenant.client.token.clone().unwrap();
    let mut for_any = 0;
    for operation in operations().await {
        let Some(needs) = &operation.needs else { continue };
        let (path, name) = (of_nobody(&operation.path, &tenant), operation.name());
        let nobodies = if OWN_MACHINE.contains(&name.as_str()) { &[Some("snap_nobody")][..] } else { &[None, Some("snap_nobody")] };
        for nobody in nobodies.iter().copied() {
            let refused = send(&operation, &path, nobody).await;
            assert_eq!((refused.status, problem(&refused).0.as_str()), (401, "unauthorized"), "{name}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{name}");
        }
        if needs == ANY {
            for_any += 1;
            for scope in SCOPES {
                let _ = send(&operation, &path, Some(&token(&tenant, &[scope]).await)).await.expect(200);
            }
            let _ = send(&operation, &path, Some(OPERATOR)).await.expect(200);
            continue;
        }
        let wrong = if needs == "operator" { admin.as_str() } else { OPERATOR };
        let refused = send(&operation, &path, Some(wrong)).await;
        assert_eq!((refused.status, problem(&refused).0.as_str()), (403, "scope-missing"), "{name}");
        if needs == "operator" {
            continue;
        }
        let others: Vec<_> = SCOPES.into_iter().filter(|scope| scope != needs && *scope != "admin").collect();
        let refused = send(&operation, &path, Some(&token(&tenant, &others).await)).await;
        assert_eq!((refused.status, problem(&refused).0.as_str()), (403, "scope-missing"), "{name}");
        assert!(problem(&refused).1.contains(&format!("`{needs}`")), "{name}: {}", refused.text());
        // The one scope is enough, and so is `admin`.
        for enough in [token(&tenant, &[needs]).await, admin.clone()] {
            let answer = send(&operation, &path, Some(&enough)).await;
            assert!(!matches!(answer.status, 401 | 403 | 405 | 500..), "{name}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(for_any, 1, "one operation is for every token: whose it is");
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let (a, upstream) = hooked("pre-hook", "export function preHook() {}").await;
    upstream.on("/x", ok());
    a.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let _ = a.client.send("PUT", "/v1/secrets/KEY", &[], "whsec_text".into()).await.expect(201);
    let fields =
        json!({"authorize_url": "https://t.example/a", "token_url": "https://t.example/t", "client_id": "c", "client_secret": "s"});
    let connection = json!({"kind": "oauth2-authorization-code", "fields": fields});
    let _ = a.client.put("/v1/connections/link", &connection).await.expect(201);
    let _ = a.client.put("/v1/subjects/p-1", &json!({"values": {"name": "Ada"}})).await.expect(201);
    let run = a.run("f", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let made = a.client.post("/v1/tokens", &json!({"name": "t", "scopes": ["read"]})).await.expect(201).json();
    let names = [
        ("id", made["id"].as_str().unwrap()),
        ("script", "s"),
        ("version", "1"),
        ("connector", "api"),
        ("endpoint", "x"),
        ("flow", "f"),
        ("secret", "KEY"),
        ("connection", "link"),
        ("subject", "p-1"),
        ("run", run.as_str()),
    ];
    let b = node().tenant().await;
    let mut tried = 0;
    for operation in operations().await {
        let name = operation.name();
        if operation.needs.as_deref().is_none_or(|needs| needs == "operator") || OWN.contains(&name.as_str()) {
            continue;
        }
        let body = if operation.path.ends_with("/test") { json!({"hook": "pre-hook"}).to_string() } else { String::new() };
        let path = filled(&operation.path, &names);
        let theirs = b.client.send(&operation.method, &path, &[("content-type", "application/json")], body.into()).await;
        assert_eq!((theirs.status, problem(&theirs).0.as_str()), (404, "not-found"), "{name}: {}", theirs.text());
        tried += 1;
    }
    assert!(tried > 20, "{tried} operations were tried");
    for own in OWN.iter().filter_map(|own| own.strip_prefix("GET ")) {
        let listed = b.client.get(own).await.expect(200).text();
        for theirs in [a.name.as_str(), made["id"].as_str().unwrap(), run.as_str(), "KEY", "link", "p-1"] {
            assert!(!listed.contains(&format!("\"{theirs}\"")), "{own}: {listed}");
        }
    }
    // All of it is still there.
    let _ = a.client.get(&format!("/v1/runs/{run}")).await.expect(200);
    let _ = a.call("api/x", json!({})).await.expect(200);
    let still = ["/v1/flows/f", "/v1/connectors/api", "/v1/scripts/s/versions/1", "/v1/connections/link", "/v1/subjects/p-1"];
    for path in still {
        let _ = a.client.get(path).await.expect(200);
    }
}
