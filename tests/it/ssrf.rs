//! Requests to where nobody may go are refused before a byte is sent.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Response;

use crate::support::{node, problem};

/// Special addresses in the forms that get past careless checks.
const REFUSED: [&str; 34] = [
    "http://127.0.0.1",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0x7f.0.0.1",
    "http://017700000001",
    "http://0",
    "http://0.0.0.0",
    "http://localhost",
    "http://LOCALHOST.",
    "http://[::1]",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[0:0:0:0:0:ffff:0a00:0001]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::7f00:1]",
    "http://[2002:7f00:1::]",
    "http://169.254.169.254",
    "http://169.254.170.2",
    "http://[fd00:ec2::254]",
    "http://[fe80::1]",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://172.31.255.255",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://192.0.2.1",
    "http://198.18.0.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://[fc00::1]",
    "http://[ff02::1]",
];

#[tokio::test]
async fn special_addresses_are_refused_in_every_form() {
    let tenant = node().tenant_with(json!({})).await;
    for url in REFUSED {
        tenant.connector("api", json!({"base_url": url, "endpoints": {"x": {"method": "GET", "path": "/latest/meta-data"}}})).await;
        let answer = tenant.call("api/x", json!({})).await;
        if url.ends_with("LOCALHOST.") && problem(&answer).0 == "dns" {
            // Not every system's resolver knows the name with a dot; then there is no address to refuse.
            continue;
        }
        assert_eq!((answer.status, problem(&answer).0.as_str()), (403, "egress-refused"), "{url}: {}", answer.text());
        assert!(problem(&answer).1.contains("allow_private"), "{url}: the refusal says how to change it: {}", answer.text());
        // A url step takes the same way.
        tenant.flow("f", json!({"steps": [{"url": url}]})).await;
        let answer = tenant.run("f", json!({})).await;
        assert_eq!(problem(&answer).0, "egress-refused", "{url}");
    }
}

#[tokio::test]
async fn nothing_reaches_a_loopback_upstream_that_is_not_allowed() {
    let tenant = node().tenant_with(json!({})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({})));
    let port = upstream.address().port();
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"] {
        tenant
            .connector("api", json!({"base_url": format!("http://{host}:{port}"), "endpoints": {"x": {"method": "GET", "path": "/x"}}}))
            .await;
        let _ = tenant.call("api/x", json!({})).await.expect(403);
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (0, 0));
}

#[tokio::test]
async fn a_hook_cannot_send_a_request_elsewhere() {
    let tenant = node().tenant_with(json!({"egress": {"allow_private": ["127.0.0.1/32"]}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({})));
    for url in [
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:pw@127.0.0.1/",
    ] {
        tenant.js("s", &format!("export function preRequest(request) {{ request.url = '{url}'; }}")).await;
        let hooks = json!({"pre-request": [{"script": "s"}]});
        crate::support::endpoint(&tenant, &upstream, hooks, json!({})).await;
        let answer = tenant.call("api/x", json!({})).await;
        assert!(matches!(problem(&answer).0.as_str(), "egress-refused" | "url" | "script-contract"), "{url}: {}", answer.text());
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn every_redirect_is_checked_anew() {
    // 127.0.0.1 is allowed and redirects to where it is not.
    let tenant = node().tenant_with(json!({"egress": {"allow_private": ["127.0.0.1/32"]}})).await;
    let upstream = Upstream::start().await;
    let hidden = Upstream::start_at("127.0.0.2:0").await;
    hidden.on("/secret", Answer::text("secret"));
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "GET", "path": "/x"}}})).await;
    let targets = [
        hidden.url("/secret"),
        "http://169.254.169.254/".to_owned(),
        "http://[::1]/".to_owned(),
        "http://0x7f000002/".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ];
    for target in targets {
        upstream.on_request("/x", move |_| Answer::redirect(&target));
        let answer = tenant.call("api/x", json!({})).await;
        assert_eq!(problem(&answer).0, "egress-refused", "{}", answer.text());
    }
    assert_eq!((hidden.requests().len(), hidden.connections()), (0, 0));
}

/// A tenant's document with these rules, that may `fetch` and reach upstreams on loopback.
fn egress(rules: &Value) -> Value {
    let mut egress = json!({"allow_private": ["127.0.0.0/8"]});
    egress.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    json!({"egress": egress, "grants": {"fetch": true}})
}

/// That a rule refused, and says how it is changed.
fn refused(answer: &Response, rule: &str) {
    let (code, detail) = problem(answer);
    assert_eq!((answer.status, code.as_str()), (403, "egress-refused"), "{}", answer.text());
    assert!(detail.contains(&format!("`egress.{rule}`")) && detail.contains("the operator can add it there"), "{detail}");
}

/// Calls, steps with a URL, redirects, a token's address and a script's `fetch` take the same way.
#[tokio::test]
async fn schemes_and_methods_hold_for_every_way_out() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({})));
    let endpoints = json!({"read": {"method": "GET", "path": "/x"}, "write": {"method": "POST", "path": "/x"}});

    let tenant = node().tenant_with(egress(&json!({"schemes": ["https"]}))).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    refused(&tenant.call("api/read", json!({})).await, "schemes");
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x")}]})).await;
    refused(&tenant.run("f", json!({})).await, "schemes");
    assert_eq!(upstream.connections(), 0);

    let tenant = node().tenant_with(egress(&json!({"schemes": ["http"], "methods": ["GET"]}))).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let _ = tenant.call("api/read", json!({})).await.expect(200);
    refused(&tenant.call("api/write", json!({})).await, "methods");
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "DELETE"}]})).await;
    refused(&tenant.run("f", json!({})).await, "methods");
    tenant.js("s", "export default async () => { await fetch('api:/x', { method: 'PUT', body: 'x' }); };").await;
    tenant.flow("s", json!({"steps": [{"script": "s"}]})).await;
    let thrown = tenant.run("s", json!({})).await;
    assert!(thrown.status != 200 && thrown.text().contains("`egress.methods` holds GET and not `PUT`"), "{}", thrown.text());
    upstream.on_request("/from", |_| Answer::redirect("https://127.0.0.1:1/x"));
    tenant.flow("r", json!({"steps": [{"url": upstream.url("/from"), "method": "GET"}]})).await;
    refused(&tenant.run("r", json!({})).await, "schemes");
    // A token is fetched with POST.
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "c", "client_secret": "s3cret"});
    let connection = json!({"kind": "oauth2-client-credentials", "fields": fields});
    let _ = tenant.client.put("/v1/connections/crm", &connection).await.expect(201);
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": endpoints})).await;
    let answer = tenant.call("api/read", json!({})).await;
    assert!(answer.status != 200 && answer.text().contains("`egress.methods` holds GET and not `POST`"), "{}", answer.text());
    let sent = upstream.requests();
    assert!(sent.iter().all(|request| request.method == "GET" && !request.path.starts_with("/token")), "{sent:?}");

    let wrong = json!({"egress": {"methods": ["GET", "FETCH"]}});
    let answer = node().operator().put(&format!("/v1/tenants/{}", tenant.name), &wrong).await.expect(400).json();
    assert_eq!(answer["path"], "egress.methods[1]", "{answer}");
    let shown = node().operator().get(&format!("/v1/tenants/{}", tenant.name)).await.expect(200).json();
    assert_eq!((&shown["egress"]["schemes"], &shown["egress"]["methods"]), (&json!(["http"]), &json!(["GET"])));
}

/// One upstream at a port that is in the list, another at one that is not: the same ways out.
#[tokio::test]
async fn ports_hold_for_every_way_out() {
    let (upstream, closed) = (Upstream::start().await, Upstream::start().await);
    let port = upstream.address().port();
    let tenant = node().tenant_with(egress(&json!({"ports": [443, port]}))).await;
    let endpoints = json!({"read": {"method": "GET", "path": "/x"}});
    upstream.on("/x", Answer::json(json!({}))).on("/from", Answer::redirect(closed.url("/x")));
    closed.on("/x", Answer::json(json!({})));

    tenant.connector("open", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    let _ = tenant.call("open/read", json!({})).await.expect(200);
    tenant.connector("closed", json!({"base_url": closed.url(""), "endpoints": endpoints})).await;
    refused(&tenant.call("closed/read", json!({})).await, "ports");
    tenant.flow("f", json!({"steps": [{"url": closed.url("/x")}]})).await;
    refused(&tenant.run("f", json!({})).await, "ports");
    tenant.flow("r", json!({"steps": [{"url": upstream.url("/from"), "method": "GET"}]})).await;
    refused(&tenant.run("r", json!({})).await, "ports");
    tenant.js("s", "export default async () => { await fetch('closed:/x'); };").await;
    tenant.flow("s", json!({"steps": [{"script": "s"}]})).await;
    let thrown = tenant.run("s", json!({})).await;
    let said = format!("`egress.ports` holds 443, {port} and not `{}`", closed.address().port());
    assert!(thrown.status != 200 && thrown.text().contains(&said), "{}", thrown.text());
    let fields = json!({"token_url": closed.url("/token"), "client_id": "c", "client_secret": "s3cret"});
    let connection = json!({"kind": "oauth2-client-credentials", "fields": fields});
    let _ = tenant.client.put("/v1/connections/crm", &connection).await.expect(201);
    tenant.connector("open", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": endpoints})).await;
    let answer = tenant.call("open/read", json!({})).await;
    assert!(answer.status != 200 && answer.text().contains(&said), "{}", answer.text());
    assert_eq!((closed.requests().len(), closed.connections()), (0, 0));

    let path = format!("/v1/tenants/{}", tenant.name);
    for (ports, at) in [(json!([443, 0]), "egress.ports[1]"), (json!([65_536]), "egress.ports[0]")] {
        let answer = node().operator().put(&path, &json!({"egress": {"ports": ports}})).await.expect(400).json();
        assert_eq!(answer["path"], at, "{answer}");
    }
    let shown = node().operator().get(&path).await.expect(200).json();
    assert_eq!(shown["egress"]["ports"], json!([443, port]));
}
