//! Connections when something goes wrong: at the token's address, on the way, or because somebody changes them meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};

use crate::connections::{agreed, authorize, come_back, connected, of, put, requests, shown, tokens};
use crate::support::{ended, ok, on_both_databases, problem, tenant};

on_both_databases! {
    a_busy_token_address_breaks_no_connection,
    a_refused_authorization_leaves_the_token_that_is_there,
    a_renewal_that_says_nothing_of_its_end_ends_as_the_token_before,
    an_authorization_is_over_when_the_credentials_change,
    a_cancelled_run_loses_no_token,
}

const SECRET: &str = "cl1ent/s3cret+ \"x\"";

/// A connection that fetches tokens at the upstream by itself.
fn own(upstream: &Upstream) -> Value {
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "client", "client_secret": SECRET});
    json!({"kind": "oauth2-client-credentials", "fields": fields})
}

#[tokio::test]
async fn what_a_token_address_repeats_is_not_shown() {
    let (tenant, upstream) = tenant().await;
    connected(&tenant, &upstream, own(&upstream), json!({})).await;
    upstream.on_request("/token", |request| {
        let basic = request.header("authorization").unwrap_or_default().to_owned();
        let said = format!("no client with {SECRET} or {basic} {}", "and so on ".repeat(200));
        Answer::json(json!({"error": "invalid_client", "error_description": said})).with_status(401)
    });
    let failed = tenant.call("api/x", json!({})).await.expect(502);
    let record = tenant.record(&failed).await.to_string();
    for text in [failed.text(), record, shown(&tenant).await.to_string()] {
        assert!(text.contains("invalid_client") && text.contains("[client_secret]") && text.len() < 4_000, "{text}");
        assert!(!text.contains("s3cret") && !text.contains(&STANDARD.encode(SECRET)[4..20]), "{text}");
    }
    // An answer that is no token may be one.
    upstream.on_request("/token", |_| Answer::json(json!("a-token-by-itself")));
    let failed = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(problem(&failed).0, "token-refused");
    assert!(!failed.text().contains("by-itself") && failed.text().contains("line 1"), "{}", failed.text());
}

#[tokio::test]
async fn a_redirect_takes_no_secret_elsewhere() {
    let (tenant, upstream) = tenant().await;
    let elsewhere = Upstream::start().await;
    elsewhere.on("/caught", ok());
    let ask = "export function preRequest(request, context) { request.url += '?next=' + context.connection.api_key; }";
    tenant.js("ask", ask).await;
    let _ = put(&tenant, json!({"kind": "api-key", "fields": {"api_key": "k3y/text"}})).await.expect(201);
    let endpoints = json!({"x": {"method": "GET", "path": "/x", "hooks": {"pre-request": [{"script": "ask"}]}}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": endpoints})).await;
    let caught = elsewhere.url("/caught");
    upstream.on_request("/x", move |request| {
        let next = request.path.split("next=").nth(1).unwrap_or_default();
        Answer::status(302).header("location", format!("{caught}?k={next}"))
    });
    let refused = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(problem(&refused).0, "redirects");
    assert_eq!(elsewhere.requests().len(), 0);
    // Without it, the same redirect is followed.
    tenant.js("ask", "export function preRequest(request) { request.url += '?next=1'; }").await;
    tenant
        .connector("api", json!({"base_url": upstream.url(""), "connection": "crm", "endpoints": {"x": {"method": "GET", "path": "/x"}}}))
        .await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(elsewhere.requests().len(), 1);
}

async fn a_busy_token_address_breaks_no_connection() {
    let (tenant, upstream) = tenant().await;
    tokens(&upstream, |_| json!({"refresh_token": "refresh-1", "expires_in": 1}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code-1").await.expect(200);
    let busy = [
        Answer::text("<h1>busy</h1>").with_status(503),
        Answer::status(429),
        Answer::json(json!({"error": "temporarily_unavailable"})).with_status(400),
    ];
    for answer in busy {
        upstream.on_request("/token", move |_| answer.clone());
        let failed = tenant.call("api/x", json!({})).await.expect(502);
        assert_eq!(problem(&failed).0, "status");
        assert_eq!(shown(&tenant).await["status"], "ok");
    }
    assert_eq!(requests(&upstream, "/x").len(), 0);
    tokens(&upstream, |_| json!({}));
    let _ = tenant.call("api/x", json!({})).await.expect(200);
}

async fn a_refused_authorization_leaves_the_token_that_is_there() {
    let (tenant, upstream) = tenant().await;
    // The first token is over at once, so that a call has to renew it.
    tokens(&upstream, |_| json!({"refresh_token": "refresh-1", "expires_in": 1}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code-1").await.expect(200);
    upstream.on_request("/token", |_| Answer::json(json!({"error": "invalid_grant"})).with_status(400));
    let asked = authorize(&tenant).await;
    let refused = come_back(&of(&asked, "state"), "code-of-nobody").await.expect(502);
    assert_eq!(problem(&refused).0, "token-refused");
    let connection = shown(&tenant).await;
    assert_eq!(connection["status"], "ok");
    assert!(connection["status_detail"].as_str().unwrap().contains("invalid_grant"), "{connection}");
    tokens(&upstream, |_| json!({}));
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let renewed = requests(&upstream, "/token").pop().unwrap();
    assert!(String::from_utf8_lossy(&renewed.body).contains("refresh_token=refresh-1"), "{renewed:?}");
}

async fn a_renewal_that_says_nothing_of_its_end_ends_as_the_token_before() {
    let (tenant, upstream) = tenant().await;
    // No token lasts, which only the first answer says.
    tokens(&upstream, |number| match number {
        1 => json!({"refresh_token": "refresh-1", "expires_in": 1}),
        _ => json!({"expires_in": null}),
    });
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let asked = authorize(&tenant).await;
    let _ = come_back(&of(&asked, "state"), "code").await.expect(200);
    for number in 2..=4 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer token-number-{number}").as_str()));
    }
}

async fn an_authorization_is_over_when_the_credentials_change() {
    let (tenant, upstream) = tenant().await;
    let count = tokens(&upstream, |_| json!({}));
    connected(&tenant, &upstream, agreed(&upstream), json!({})).await;
    let asked = authorize(&tenant).await;
    let mut other = agreed(&upstream);
    other["fields"]["client_id"] = "another".into();
    let _ = put(&tenant, other.clone()).await.expect(200);
    assert_eq!(problem(&come_back(&of(&asked, "state"), "code").await.expect(400)).0, "oauth-state");
    assert_eq!(count.load(Ordering::SeqCst), 0, "nobody was asked");
    // Other hosts are no other credentials.
    let asked = authorize(&tenant).await;
    other["fields"]["client_secret"] = json!({"set": true});
    other["hosts"] = json!(["api.example.com"]);
    let _ = put(&tenant, other).await.expect(200);
    let _ = come_back(&of(&asked, "state"), "code").await.expect(200);
}

async fn a_cancelled_run_loses_no_token() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    let (count, waiting) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let counting = Arc::clone(&count);
    upstream.on_request("/token", move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        Answer::json(json!({"access_token": "the-only-token", "token_type": "bearer", "expires_in": 3600})).after(&waiting)
    });
    connected(&tenant, &upstream, own(&upstream), json!({})).await;
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let run = tenant.start("f", json!({})).await;
    upstream.received(1).await;
    let _ = tenant.client.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.expect(200);
    assert_eq!(ended(&tenant, &run).await["status"], "cancelled");
    gate.open();
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer the-only-token"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
