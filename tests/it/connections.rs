//! Connections: what goes out with a request, what scripts see of it, tokens fetched, renewed and agreed to, and where no secret ever is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Recorded, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{files_below, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    f119_every_kind_goes_out_in_its_own_way,
    f120_a_token_is_fetched_with_the_clients_own_credentials,
    f121_a_token_is_agreed_to_in_a_browser_and_renewed_before_use,
    f122_a_token_that_is_refused_stops_the_run_before_any_request,
    f124_what_a_renewal_leaves_out_stays,
}

/// Stores a connection, and a connector `api` that uses it, with these hooks at its endpoint `x`.
pub(crate) async fn connected(tenant: &Tenant, upstream: &Upstream, connection: Value, hooks: Value) {
    let _ = put(tenant, connection).await.expect(201);
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "hooks": hooks}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": endpoints})).await;
    upstream.on("/x", ok());
}

pub(crate) async fn put(tenant: &Tenant, connection: Value) -> Response {
    tenant.client.put("/v1/connections/crm", &connection).await
}

pub(crate) async fn shown(tenant: &Tenant) -> Value {
    tenant.client.get("/v1/connections/crm").await.expect(200).json()
}

/// A token's address on the upstream: gives `token-1`, `token-2` … with what `more` adds to each answer. Counts them.
pub(crate) fn tokens(upstream: &Upstream, more: impl Fn(usize) -> Value + Send + Sync + 'static) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    upstream.on_request("/token", move |_| {
        let number = counting.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answer = json!({"access_token": format!("token-number-{number}"), "token_type": "bearer", "expires_in": 3600});
        answer.as_object_mut().unwrap().extend(more(number).as_object().unwrap().clone());
        Answer::json(answer)
    });
    count
}

pub(crate) fn requests(upstream: &Upstream, path: &str) -> Vec<Recorded> {
    upstream.requests().into_iter().filter(|request| request.path.split('?').next() == Some(path)).collect()
}

/// The fields of a form that was sent.
fn form(request: &Recorded) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

fn field(request: &Recorded, name: &str) -> Option<String> {
    form(request).into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

async fn f119_every_kind_goes_out_in_its_own_way() {
    let basic = format!("Basic {}", STANDARD.encode("ada:p4ssw0rd"));
    let cases = [
        (
            json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}, "place": {"header": "x-api-key"}}),
            vec![("x-api-key", "k3y-text")],
            "",
        ),
        (
            json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}, "place": {"header": "authorization", "prefix": "Key "}}),
            vec![("authorization", "Key k3y-text")],
            "",
        ),
        (json!({"kind": "api-key", "fields": {"api_key": "k3y/&text"}, "place": {"query": "key"}}), vec![], "?key=k3y%2F%26text"),
        (json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}}), vec![], ""),
        (
            json!({"kind": "api-key-secret", "fields": {"api_key": "k3y-text", "api_secret": "s3cret-text"}, "place": {"header": "x-key", "secret_header": "x-secret"}}),
            vec![("x-key", "k3y-text"), ("x-secret", "s3cret-text")],
            "",
        ),
        (json!({"kind": "basic", "fields": {"username": "ada", "password": "p4ssw0rd"}}), vec![("authorization", basic.as_str())], ""),
        (json!({"kind": "bearer", "fields": {"token": "t0ken-text"}}), vec![("authorization", "Bearer t0ken-text")], ""),
        (json!({"kind": "private-key", "fields": {"username": "ada", "private_key": "-----BEGIN"}}), vec![], ""),
    ];
    for (connection, headers, query) in cases {
        let (tenant, upstream) = tenant().await;
        let seeing = "export function preRequest(request, context) { request.headers.set('x-seen', JSON.stringify(context.connection)); }";
        tenant.js("see", seeing).await;
        connected(&tenant, &upstream, connection.clone(), json!({"pre-request": [{"script": "see"}]})).await;
        let answer = tenant.call("api/x", json!({})).await.expect(200);
        let request = upstream.last();
        for (name, value) in &headers {
            assert_eq!(request.header(name), Some(*value), "{connection}");
        }
        if headers.is_empty() {
            assert!(request.header("authorization").is_none() && request.header("x-api-key").is_none(), "{request:?}");
        }
        assert_eq!(request.path, format!("/x{query}"), "{connection}");
        // The script saw every field, and placeholders for those that are secret. It put them where they may go, so texts arrived.
        let seen: Value = serde_json::from_str(request.header("x-seen").unwrap()).unwrap();
        for (name, value) in connection["fields"].as_object().unwrap() {
            match name.as_str() {
                // It is for signatures, and leaves for nowhere.
                "private_key" => assert!(seen[name].as_str().unwrap().starts_with("sealed:"), "{seen}"),
                _ => assert_eq!(seen[name], *value, "{connection}"),
            }
        }
        assert_eq!(seen["name"], "crm");
        let record = tenant.record(&answer).await.to_string();
        for secret in ["k3y-text", "k3y/&text", "k3y%2F%26text", "s3cret-text", "p4ssw0rd", "t0ken-text", "BEGIN"] {
            assert!(!record.contains(secret), "{record}");
        }
    }
}

#[tokio::test]
async fn f021_a_connections_fields_are_variables_of_a_brought_script() {
    let (tenant, upstream) = tenant().await;
    let source = "function handle(data) { data.headers['x-key'] = data.variables.app_key; data.headers['x-user'] = data.variables.user; return data; }";
    tenant.brought("s", "patchworks", source).await;
    let connection = json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}});
    connected(&tenant, &upstream, connection, json!({"pre-request": [{"script": "s", "parms": {"user": "ada"}}]})).await;
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!((upstream.last().header("x-key"), upstream.last().header("x-user")), (Some("k3y-text"), Some("ada")));
    let record = tenant.record(&answer).await;
    assert_eq!(record["steps"][0]["attempts"][0]["request"]["headers"]["x-key"], "[crm.api_key]", "{record:#}");
}

#[tokio::test]
async fn f053_secret_fields_are_written_and_never_read() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let secret = "hunter2-and-more";
    {
        let node = snaphook_tests::NodeProcess::start_in(crate::support::binary(), &data);
        let tenant = node.tenant().await;
        let made = put(&tenant, json!({"kind": "basic", "fields": {"username": "ada", "password": secret}})).await.expect(201).json();
        assert_eq!(made["fields"], json!({"username": "ada", "password": {"set": true}}));
        assert_eq!(shown(&tenant).await["fields"], made["fields"]);
        assert!(!tenant.client.get("/v1/connections").await.expect(200).text().contains(secret));
        // What is shown may be sent back: the value stays.
        let kept =
            put(&tenant, json!({"kind": "basic", "fields": {"username": "eve", "password": {"set": true}}})).await.expect(200).json();
        assert_eq!(kept["fields"], json!({"username": "eve", "password": {"set": true}}));
        let upstream = Upstream::start().await;
        upstream.on("/x", ok());
        tenant
            .connector(
                "api",
                json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": {"x": {"method": "GET", "path": "/x"}}}),
            )
            .await;
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().header("authorization"), Some(format!("Basic {}", STANDARD.encode(format!("eve:{secret}"))).as_str()));
        // A field that is left out is gone.
        let gone = put(&tenant, json!({"kind": "basic", "fields": {"username": "eve"}})).await.expect(200).json();
        assert_eq!(gone["fields"], json!({"username": "eve"}));
        let refused = put(&tenant, json!({"kind": "basic", "fields": {"username": "eve", "password": {"set": true}}})).await.expect(400);
        assert_eq!(refused.json()["path"], "fields.password");
        let _ = tenant.client.delete("/v1/connections/crm").await.expect(204);
        let _ = tenant.client.get("/v1/connections/crm").await.expect(404);
        let failed = tenant.call("api/x", json!({})).await.expect(502);
        assert_eq!(problem(&failed).0, "connection-broken");
    }
    for entry in files_below(&data) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", entry.display());
    }
}

#[tokio::test]
async fn f055_an_upstream_that_repeats_a_secret_is_masked_everywhere() {
    let (tenant, upstream) = tenant().await;
    let secret = "t0k3n9/+ü \"x\"";
    let source =
        "export function postRequest(response, context) { context.log.info('body ' + response.text()); return { body: response.text() }; }";
    tenant.js("log", source).await;
    let connection = json!({"kind": "basic", "fields": {"username": "ada", "password": secret}});
    connected(&tenant, &upstream, connection, json!({"post-request": [{"script": "log"}]})).await;
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let forms = [
        secret.to_owned(),
        percent.clone(),
        percent.replace('+', "%20"),
        STANDARD.encode(secret),
        STANDARD.encode(format!("ada:{secret}")),
        json!(secret).to_string().trim_matches('"').to_owned(),
    ];
    let echo =
        Answer::json(json!({"expires_in": 3600, "forms": forms.join(" ; "), "nested": {"oauth": secret}})).header("x-echo", &percent);
    upstream.on_request("/x", move |_| echo.clone());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert!(upstream.last().header("authorization").unwrap().contains(&STANDARD.encode(format!("ada:{secret}"))));
    let record = tenant.record(&answer).await.to_string();
    for (place, text) in [("answer", answer.text()), ("record", record.clone())] {
        for form in &forms {
            assert!(!text.contains(form.as_str()) && !text.contains(json!(form).to_string().trim_matches('"')), "{place}: {form}: {text}");
        }
    }
    assert!(record.contains("[crm.password]") && record.contains("3600"), "{record}");
}

async fn f120_a_token_is_fetched_with_the_clients_own_credentials() {
    let (tenant, upstream) = tenant().await;
    let count = tokens(&upstream, |_| json!({}));
    tenant.brought("s", "prismatic", "module.exports = async ({ configVars }) => ({ data: configVars.crm });").await;
    let fields = json!({"token_url": upstream.url("/token"), "scopes": "a b", "client_id": "client", "client_secret": "cl1ent-s3cret", "headers": {"x-extra": "1"}});
    connected(&tenant, &upstream, json!({"kind": "oauth2-client-credentials", "fields": fields}), json!({})).await;
    for _ in 0..3 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().header("authorization"), Some("Bearer token-number-1"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "one token serves many calls");
    let asked = &requests(&upstream, "/token")[0];
    assert_eq!((field(asked, "grant_type").as_deref(), field(asked, "scope").as_deref()), (Some("client_credentials"), Some("a b")));
    assert_eq!(asked.header("x-extra"), Some("1"));
    assert_eq!(asked.header("authorization"), Some(format!("Basic {}", STANDARD.encode("client:cl1ent-s3cret")).as_str()));
    // A script sees that there is a token, and neither its text nor the client's secret.
    tenant.flow("f", json!({"steps": [{"script": "s", "connection": "crm"}]})).await;
    let seen = tenant.run("f", json!({})).await.expect(200).json();
    assert!(seen["token"]["access_token"].as_str().unwrap().starts_with("sealed:"), "{seen}");
    assert!(seen["fields"]["client_secret"].is_null() && !seen.to_string().contains("token-number-1"), "{seen}");
}

#[tokio::test]
async fn many_calls_at_once_fetch_one_token() {
    let (tenant, upstream) = tenant().await;
    let count = tokens(&upstream, |_| json!({}));
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "client", "client_secret": "cl1ent-s3cret"});
    connected(&tenant, &upstream, json!({"kind": "oauth2-client-credentials", "fields": fields}), json!({})).await;
    let calls = (0..30).map(|_| tenant.call("api/x", json!({})));
    for answer in futures_util::future::join_all(calls).await {
        let _ = answer.expect(200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_calls_at_once_hear_of_one_refusal() {
    let (tenant, upstream) = tenant().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    upstream.on_request("/token", move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        Answer::json(json!({"error": "invalid_client"})).with_status(401)
    });
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "client", "client_secret": "cl1ent-s3cret"});
    connected(&tenant, &upstream, json!({"kind": "oauth2-client-credentials", "fields": fields}), json!({})).await;
    let refused = async || {
        let calls = (0..30).map(|_| tenant.call("api/x", json!({})));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(problem(&answer.expect(502)).0, "token-refused");
        }
        count.load(Ordering::SeqCst)
    };
    let first = refused().await;
    assert!(first < 30, "30 calls at once asked {first} times");
    assert!(refused().await > first, "later calls try again");
    assert_eq!(requests(&upstream, "/x").len(), 0);
}

/// A connection that is agreed to in a browser; its authorization address and its token address are the upstream's.
pub(crate) fn agreed(upstream: &Upstream) -> Value {
    let fields = json!({"authorize_url": upstream.url("/authorize"), "token_url": upstream.url("/token"), "scopes": "read write", "client_id": "client",
        "client_secret": "cl1ent-s3cret"});
    json!({"kind": "oauth2-authorization-code", "fields": fields})
}

/// What the address that a browser is to open says.
pub(crate) async fn authorize(tenant: &Tenant) -> Vec<(String, String)> {
    let url = tenant.client.post("/v1/connections/crm/authorize", &json!({})).await.expect(200).json()["url"].as_str().unwrap().to_owned();
    url::Url::parse(&url).unwrap().query_pairs().into_owned().collect()
}

pub(crate) fn of(pairs: &[(String, String)], name: &str) -> String {
    pairs.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("{name} in {pairs:?}")).1.clone()
}

pub(crate) async fn come_back(state: &str, code: &str) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).append_pair("code", code).finish();
    node().anonymous().get(&format!("/oauth/callback?{query}")).await
}

async fn f121_a_token_is_agreed_to_in_a_browser_and_renewed_before_use() {
    let (tenant, upstream) = tenant().await;
    // The first token is over at once.
    let count =
        tokens(&upstream, |number| json!({"refresh_token": format!("refresh-{number}"), "expires_in": if number == 1 { 1 } else { 3600 }}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    assert_eq!(shown(&tenant).await["status"], "unauthorized");
    let before = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(problem(&before).0, "connection-broken");
    assert_eq!(requests(&upstream, "/x").len(), 0);

    let asked = authorize(&tenant).await;
    assert_eq!(
        (of(&asked, "response_type"), of(&asked, "client_id"), of(&asked, "scope")),
        ("code".into(), "client".into(), "read write".into())
    );
    assert!(of(&asked, "redirect_uri").ends_with("/oauth/callback") && of(&asked, "code_challenge_method") == "S256", "{asked:?}");
    let wrong = come_back("a-state-of-nobody", "code-1").await.expect(400);
    assert_eq!(problem(&wrong).0, "oauth-state");
    let page = come_back(&of(&asked, "state"), "code-1").await.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html") && page.text().contains("crm"), "{}", page.text());
    assert_eq!(problem(&come_back(&of(&asked, "state"), "code-1").await.expect(400)).0, "oauth-state", "once");
    let exchanged = &requests(&upstream, "/token")[0];
    assert_eq!(
        (field(exchanged, "grant_type").as_deref(), field(exchanged, "code").as_deref()),
        (Some("authorization_code"), Some("code-1"))
    );
    assert_eq!(field(exchanged, "redirect_uri"), Some(of(&asked, "redirect_uri")));
    assert!(field(exchanged, "code_verifier").is_some_and(|verifier| verifier.len() >= 43));
    assert_eq!(shown(&tenant).await["status"], "ok");

    // One renewal, then the call.
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer token-number-2"));
    let renewed = &requests(&upstream, "/token")[1];
    assert_eq!(
        (field(renewed, "grant_type").as_deref(), field(renewed, "refresh_token").as_deref()),
        (Some("refresh_token"), Some("refresh-1"))
    );
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

async fn f122_a_token_that_is_refused_stops_the_run_before_any_request() {
    let (tenant, upstream) = tenant().await;
    tokens(&upstream, |_| json!({"refresh_token": "refresh-1", "expires_in": 1}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code-1").await.expect(200);
    let refusal = json!({"error": "invalid_grant", "error_description": "the grant was revoked"});
    upstream.on_request("/token", move |_| Answer::json(refusal.clone()).with_status(400));
    let failed = tenant.run("f", json!({})).await.expect(502);
    let (code, detail) = problem(&failed);
    assert!(code == "token-refused" && detail.contains("invalid_grant") && detail.contains("the grant was revoked"), "{code}: {detail}");
    assert_eq!(requests(&upstream, "/x").len(), 0);
    let connection = shown(&tenant).await;
    assert_eq!(connection["status"], "broken");
    assert!(connection["status_detail"].as_str().unwrap().contains("the grant was revoked"), "{connection}");
    // It stays so without asking again and again, until somebody authorizes it.
    let asked_so_far = requests(&upstream, "/token").len();
    assert_eq!(problem(&tenant.run("f", json!({})).await.expect(502)).0, "connection-broken");
    assert_eq!(requests(&upstream, "/token").len(), asked_so_far);
    tokens(&upstream, |_| json!({}));
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code-2").await.expect(200);
    let _ = tenant.run("f", json!({})).await.expect(200);
}

#[tokio::test]
async fn f123_a_second_authorization_replaces_the_token_at_the_same_address() {
    let (tenant, upstream) = tenant().await;
    tokens(&upstream, |_| json!({}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let mut addresses = Vec::new();
    for number in 1..=2 {
        let asked = authorize(&tenant).await;
        addresses.push(of(&asked, "redirect_uri"));
        let _ = come_back(&of(&asked, "state"), "code").await.expect(200);
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer token-number-{number}").as_str()));
    }
    assert_eq!(addresses[0], addresses[1]);
    // Who says no in the browser changes nothing of a token that is there.
    let asked = authorize(&tenant).await;
    let said = format!("/oauth/callback?state={}&error=access_denied&error_description=not+today", of(&asked, "state"));
    let refused = node().anonymous().get(&said).await.expect(502);
    assert!(problem(&refused).1.contains("access_denied: not today"), "{}", refused.text());
    let _ = tenant.call("api/x", json!({})).await.expect(200);
}

async fn f124_what_a_renewal_leaves_out_stays() {
    let (tenant, upstream) = tenant().await;
    // Only the first answer has a refresh token, and none lasts.
    tokens(
        &upstream,
        |number| if number == 1 { json!({"refresh_token": "the-only-one", "expires_in": 1}) } else { json!({"expires_in": 1}) },
    );
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code").await.expect(200);
    for number in 2..=4 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer token-number-{number}").as_str()));
        assert_eq!(field(&requests(&upstream, "/token")[number - 1], "refresh_token").as_deref(), Some("the-only-one"));
    }
}

/// A connection whose script asks for a new authentication whenever the upstream answers 401.
async fn renewing(tenant: &Tenant, upstream: &Upstream) -> Arc<AtomicUsize> {
    let count = tokens(upstream, |_| json!({}));
    let source = "function handle(data) { if (data.response.status === 401) data.response_code = 4; return data; }";
    tenant.brought("s", "patchworks", source).await;
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "client", "client_secret": "cl1ent-s3cret"});
    connected(tenant, upstream, json!({"kind": "oauth2-client-credentials", "fields": fields}), json!({"post-request": [{"script": "s"}]}))
        .await;
    count
}

#[tokio::test]
async fn f068_a_new_authentication_and_then_the_request_again() {
    let (tenant, upstream) = tenant().await;
    let count = renewing(&tenant, &upstream).await;
    upstream.on_request("/x", |request| match request.header("authorization") {
        Some("Bearer token-number-1") => Answer::json(json!({"error": "expired"})).with_status(401),
        _ => ok(),
    });
    let answer = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    assert_eq!(count.load(Ordering::SeqCst), 2, "one new token");
    let sent = requests(&upstream, "/x");
    assert_eq!(
        sent.iter().map(|request| request.header("authorization").unwrap()).collect::<Vec<_>>(),
        ["Bearer token-number-1", "Bearer token-number-2"]
    );
    assert_eq!(sent[1].json(), json!({"a": 1}));
    let attempts = tenant.record(&answer).await["steps"][0]["attempts"].as_array().unwrap().len();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn f069_an_authentication_is_renewed_once() {
    let (tenant, upstream) = tenant().await;
    let count = renewing(&tenant, &upstream).await;
    upstream.on_request("/x", |_| Answer::json(json!({"error": "expired"})).with_status(401));
    let answer = tenant.call("api/x", json!({})).await.expect(422);
    assert_eq!(problem(&answer).0, "reauthenticate-failed");
    assert_eq!((count.load(Ordering::SeqCst), requests(&upstream, "/x").len()), (2, 2));
}

#[tokio::test]
async fn what_is_wrong_in_a_connection_is_said_without_its_secrets() {
    let tenant = node().tenant().await;
    for (document, path) in [
        (json!({"kind": "bearer", "fields": {"token": ["hunter2"]}}), "fields.token"),
        (json!({"kind": "bearer", "fields": {"tokens": "hunter2"}}), "fields.tokens"),
        (json!({"kind": "oauth2-client-credentials", "fields": {"client_id": "c", "client_secret": "hunter2"}}), "fields.token_url"),
        (json!({"kind": "magic", "fields": {"token": "hunter2"}}), "kind"),
    ] {
        let refused = put(&tenant, document.clone()).await.expect(400);
        assert_eq!(refused.json()["path"], path, "{}", refused.text());
        assert!(!refused.text().contains("hunter2"), "{}", refused.text());
    }
    let plain = put(&tenant, json!({"kind": "bearer", "fields": {"token": "t"}})).await.expect(201);
    assert_eq!(plain.json()["status"], "ok");
    let refused = tenant.client.post("/v1/connections/crm/authorize", &json!({})).await.expect(400);
    assert!(problem(&refused).1.contains("oauth2-authorization-code"));
    // Nobody else's connection is there for another tenant.
    let other = node().tenant().await;
    let _ = other.client.get("/v1/connections/crm").await.expect(404);
    let _ = other.client.delete("/v1/connections/crm").await.expect(404);
}
