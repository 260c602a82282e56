//! Who changed what, and when: every change leaves a record that its tenant can read, and what changes nothing leaves none.

use serde_json::{Value, json};
use snaphook_testkit::Gate;
use snaphook_tests::Tenant;

use crate::connections::tokens;
use crate::support::{ended, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    every_change_is_in_the_tenants_audit,
    a_tokens_last_use_is_shown,
}

/// Operations that write and are no changes of what a tenant has: their record is the run's, or they leave nothing.
const RUNS: [&str; 11] = [
    "POST /v1/call/{connector}/{endpoint}",
    "POST /v1/callbacks",
    "POST /v1/flows/{flow}/runs",
    "POST /v1/runs/{run}/replay",
    "POST /v1/scripts/{script}/check",
    "POST /v1/scripts/{script}/versions/{version}/test",
    "POST /t/{tenant}/{flow}",
    "PUT /t/{tenant}/{flow}",
    "PATCH /t/{tenant}/{flow}",
    "DELETE /t/{tenant}/{flow}",
    // The record goes with the tenant; the node's log says it.
    "DELETE /v1/tenants/{tenant}",
];

/// All records, oldest first.
async fn audit(tenant: &Tenant) -> Vec<Value> {
    let mut records = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = tenant.client.get(&format!("/v1/audit?limit=7{cursor}")).await.expect(200).json();
        records.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    records.reverse();
    records
}

/// Does something and gives the records that it left, each as `action name` or `action name@version`.
async fn left(tenant: &Tenant, method: &str, path: &str, body: Value, status: u16) -> Vec<String> {
    let before = audit(tenant).await.len();
    let client = if path.starts_with("/v1/tenants/") { node().operator() } else { tenant.client.clone() };
    let text = if let Value::String(text) = &body { text.clone() } else { body.to_string() };
    let content_type = if path.starts_with("/v1/scripts/") { "application/javascript" } else { "application/json" };
    let answer = client.send(method, path, &[("content-type", content_type)], text.into()).await.expect(status);
    let records = audit(tenant).await.split_off(before);
    for record in &records {
        assert_eq!(record["request_id"].as_str(), answer.header("x-request-id"), "{record}");
        assert_eq!(record["by"]["kind"], if path.starts_with("/v1/tenants/") { "operator" } else { "token" }, "{record}");
        let at: jiff::Timestamp = record["at"].as_str().unwrap().parse().unwrap();
        assert!(at.duration_until(jiff::Timestamp::now()).as_secs() < 60, "{record}");
    }
    records.iter().map(shown).collect()
}

fn shown(record: &Value) -> String {
    let (action, name) = (record["action"].as_str().unwrap(), record["name"].as_str().unwrap());
    record["version"].as_u64().map_or_else(|| format!("{action} {name}"), |version| format!("{action} {name}@{version}"))
}

async fn every_change_is_in_the_tenants_audit() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let fields = json!({"authorize_url": upstream.url("/agree"), "token_url": upstream.url("/token"), "client_id": "c", "client_secret": "s3cret-text"});
    let connection = json!({"kind": "oauth2-authorization-code", "fields": fields});
    let script = "export function preHook() {}";
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}});
    let flow = json!({"steps": [{"call": "api/x"}]});
    let document = json!({"egress": {"allow_private": ["127.0.0.0/8"]}});
    let here = format!("/v1/tenants/{}", tenant.name);
    let put_tenant = format!("tenant.put {}", tenant.name);
    let changes: [(&str, &str, Value, u16, &[&str]); 20] = [
        ("PUT", &here, document, 200, &[&put_tenant]),
        ("PUT", "/v1/scripts/s", json!(script), 201, &["script.deploy s@1"]),
        ("PUT", "/v1/scripts/s", json!(script), 200, &[]),
        ("PUT", "/v1/connectors/api", connector, 201, &["connector.put api"]),
        ("PUT", "/v1/flows/f", flow.clone(), 201, &["flow.put f@1"]),
        ("PUT", "/v1/flows/f", flow, 200, &[]),
        ("PUT", "/v1/flows/f", json!({"steps": [{"call": "none/x"}]}), 400, &[]),
        ("PUT", "/v1/connections/crm", connection, 201, &["connection.put crm"]),
        ("PUT", "/v1/secrets/KEY", json!("s3cret-text"), 201, &["secret.put KEY"]),
        ("PUT", "/v1/subjects/p-1", json!({"values": {"a": 1}}), 201, &["subject.put p-1"]),
        ("POST", "/v1/connections/crm/authorize", json!(""), 200, &["connection.authorize crm"]),
        ("POST", "/v1/flows/f/runs", json!({}), 200, &[]),
        ("DELETE", "/v1/connections/crm", json!(""), 204, &["connection.delete crm"]),
        ("DELETE", "/v1/connections/crm", json!(""), 404, &[]),
        ("DELETE", "/v1/secrets/KEY", json!(""), 204, &["secret.delete KEY"]),
        ("DELETE", "/v1/subjects/p-1", json!(""), 204, &["subject.delete p-1"]),
        ("DELETE", "/v1/flows/f", json!(""), 204, &["flow.delete f"]),
        ("DELETE", "/v1/connectors/api", json!(""), 204, &["connector.delete api"]),
        ("DELETE", "/v1/scripts/s/versions/1", json!(""), 204, &["script.delete s@1"]),
        ("DELETE", "/v1/scripts/s/versions/1", json!(""), 404, &[]),
    ];
    for (method, path, body, status, expected) in changes {
        assert_eq!(left(&tenant, method, path, body, status).await, expected, "{method} {path}");
    }
    // Who reads the record is shown no secret.
    assert!(!json!(audit(&tenant).await).to_string().contains("s3cret-text"));
    // Another tenant has a record of its own.
    let other = node().tenant().await;
    assert_eq!(audit(&other).await.iter().map(shown).collect::<Vec<_>>()[..1], [format!("tenant.put {}", other.name)]);
}

#[tokio::test]
async fn tokens_runs_and_authorizations_are_in_the_audit() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x")}]})).await;
    let made = tenant.client.post("/v1/tokens", &json!({"name": "ci", "scopes": ["invoke"]})).await.expect(201).json();
    let (id, ci) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let run = tenant.run("f", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    // It is noted with the token that asked, by its name.
    let ci = snaphook_tests::Client::new(node().url(), Some(ci));
    let again = ci.post(&format!("/v1/runs/{run}/retry"), &json!({})).await.expect(202).json();
    let again = again["run"].as_str().unwrap().to_owned();
    ended(&tenant, &again).await;
    // A run that waits is cancelled in the store, one that runs in its process.
    tenant.flow("w", json!({"steps": [{"url": upstream.url("/x"), "async": {"timeout_s": 600}}]})).await;
    let waiting = tenant.client.post("/v1/flows/w/runs", &json!({})).await.expect(202).json()["run"].as_str().unwrap().to_owned();
    let _ = ci.post(&format!("/v1/runs/{waiting}/cancel"), &json!({})).await.expect(200);
    assert_eq!(problem(&ci.post(&format!("/v1/runs/{waiting}/cancel"), &json!({})).await.expect(409)).0, "run-ended");
    let gate = Gate::closed();
    upstream.on("/held", ok().after(&gate));
    let before = upstream.requests().len();
    tenant.flow("h", json!({"steps": [{"url": upstream.url("/held")}]})).await;
    let begun = tenant.client.send("POST", "/v1/flows/h/runs", &[("prefer", "respond-async")], "{}".into()).await.expect(202).json();
    upstream.received(before + 1).await;
    let held = begun["run"].as_str().unwrap();
    let _ = ci.post(&format!("/v1/runs/{held}/cancel"), &json!({})).await.expect(200);
    gate.open();
    let _ = tenant.client.delete(&format!("/v1/tokens/{id}")).await.expect(204);
    let records = audit(&tenant).await;
    let of = |action: &str| records.iter().filter(|record| record["action"] == action).cloned().collect::<Vec<_>>();
    assert_eq!(of("token.create").len(), 2, "the operator's and the tenant's");
    assert_eq!((of("token.create")[0]["by"]["kind"].as_str(), of("token.create")[1]["name"].as_str()), (Some("operator"), Some(id)));
    assert_eq!(
        (&of("run.retry")[0]["name"], &of("run.retry")[0]["by"]),
        (&json!(again), &json!({"kind": "token", "id": id, "name": "ci"}))
    );
    let cancelled = of("run.cancel");
    assert_eq!(cancelled.iter().map(|record| record["name"].as_str().unwrap()).collect::<Vec<_>>(), [waiting.as_str(), held]);
    assert_eq!(of("token.delete")[0]["name"], id);
}

#[tokio::test]
async fn an_authorization_is_noted_when_it_is_begun_and_when_it_is_done() {
    let (tenant, upstream) = tenant().await;
    tokens(&upstream, |_| json!({}));
    let fields =
        json!({"authorize_url": upstream.url("/agree"), "token_url": upstream.url("/token"), "client_id": "c", "client_secret": "s"});
    let _ = tenant.client.put("/v1/connections/crm", &json!({"kind": "oauth2-authorization-code", "fields": fields})).await.expect(201);
    let url = tenant.client.post("/v1/connections/crm/authorize", &json!({})).await.expect(200).json()["url"].as_str().unwrap().to_owned();
    let url = url::Url::parse(&url).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let done = node().anonymous().get(&format!("/oauth/callback?code=c&state={state}")).await.expect(200);
    let records = audit(&tenant).await;
    let last = &records[records.len() - 2..];
    assert_eq!(last.iter().map(shown).collect::<Vec<_>>(), ["connection.authorize crm", "connection.authorized crm"]);
    assert_eq!((last[0]["by"]["kind"].as_str(), &last[1]["by"]), (Some("token"), &json!({"kind": "browser"})));
    assert_eq!(last[1]["request_id"].as_str(), done.header("x-request-id"));
}

#[tokio::test]
async fn the_list_is_filtered_and_asks_for_admin() {
    let tenant = node().tenant().await;
    for name in ["A", "B"] {
        let _ = tenant.client.send("PUT", &format!("/v1/secrets/{name}"), &[], "text".into()).await.expect(201);
    }
    let between = audit(&tenant).await[3]["at"].as_str().unwrap().to_owned();
    let get = async |query: &str| tenant.client.get(&format!("/v1/audit?{query}")).await;
    let names = async |query: &str| {
        let listed = get(query).await.expect(200).json();
        listed["items"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(names("action=secret.put").await, ["secret.put B", "secret.put A"]);
    assert_eq!(names("action=secret.put&limit=1").await, ["secret.put B"]);
    assert_eq!(names(&format!("since={between}")).await, ["secret.put B"]);
    assert_eq!(names("since=2199-01-01T00:00:00Z").await, [""; 0]);
    for (query, path) in
        [("action=flow.paint", "action"), ("since=yesterday", "since"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("who=me", "who")]
    {
        let refused = get(query).await.expect(400).json();
        assert_eq!(refused["path"].as_str().unwrap_or_default(), path, "{refused}");
    }
    let body = json!({"name": "few", "scopes": ["deploy", "invoke", "read", "callback"]});
    let few = tenant.client.post("/v1/tokens", &body).await.expect(201).json()["token"].as_str().unwrap().to_owned();
    let few = snaphook_tests::Client::new(node().url(), Some(&few));
    assert_eq!(problem(&few.get("/v1/audit").await.expect(403)).0, "scope-missing");
    assert_eq!(node().operator().get("/v1/audit").await.status, 403, "the operator reads nothing inside a tenant");
}

#[tokio::test]
async fn records_go_when_they_have_had_their_time() {
    let document = json!({"retention": {"audit_s": 1}});
    let tenant = node().tenant_with(document).await;
    let kept = node().tenant().await;
    // A node looks every few seconds.
    for _ in 0..600 {
        if audit(&tenant).await.is_empty() {
            assert_eq!(audit(&kept).await.len(), 2, "others are kept for a year");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the records stay: {:?}", audit(&tenant).await);
}

/// A new route that writes must be decided about: it is noted, or stands above.
#[tokio::test]
async fn every_operation_that_writes_is_noted_or_stands_in_a_list() {
    let document = node().anonymous().get("/openapi.json").await.expect(200).json();
    let mut writing = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "get") {
            writing.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let noted = [
        "PUT /v1/tenants/{tenant}",
        "POST /v1/tenants/{tenant}/tokens",
        "POST /v1/tokens",
        "DELETE /v1/tokens/{id}",
        "PUT /v1/scripts/{script}",
        "DELETE /v1/scripts/{script}/versions/{version}",
        "PUT /v1/connectors/{connector}",
        "DELETE /v1/connectors/{connector}",
        "PUT /v1/flows/{flow}",
        "DELETE /v1/flows/{flow}",
        "PUT /v1/connections/{connection}",
        "DELETE /v1/connections/{connection}",
        "POST /v1/connections/{connection}/authorize",
        "PUT /v1/secrets/{secret}",
        "DELETE /v1/secrets/{secret}",
        "PUT /v1/subjects/{subject}",
        "DELETE /v1/subjects/{subject}",
        "POST /v1/runs/{run}/cancel",
        "POST /v1/runs/{run}/retry",
    ];
    writing.retain(|operation| !noted.contains(&operation.as_str()) && !RUNS.contains(&operation.as_str()));
    assert!(writing.is_empty(), "these change something and leave no record: {writing:?}");
}

async fn a_tokens_last_use_is_shown() {
    let tenant = node().tenant().await;
    let body = json!({"name": "second", "scopes": ["read"]});
    let made = tenant.client.post("/v1/tokens", &body).await.expect(201).json();
    assert_eq!(made["last_used_at"], Value::Null);
    let used = async |name: &str| {
        let listed = tenant.client.get("/v1/tokens").await.expect(200).json();
        let token = listed["items"].as_array().unwrap().iter().find(|token| token["name"] == name).cloned().unwrap();
        token["last_used_at"].as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap())
    };
    assert_eq!(used("second").await, None);
    let before = jiff::Timestamp::now().as_second() / 60 * 60;
    let second = snaphook_tests::Client::new(node().url(), made["token"].as_str());
    // Refused for its scope, it was used all the same.
    let _ = second.get("/v1/tokens").await.expect(403);
    let at = used("second").await.expect("it was used");
    assert!(at.as_second() % 60 == 0 && (before..before + 120).contains(&at.as_second()), "{at}");
    assert!(used("test").await.is_some());
}
