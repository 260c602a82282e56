//! Where a connection's secrets go, and whose answers are looked through for them.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use snaphook_testkit::{Answer, Upstream};

use crate::connections::{connected, put, requests, tokens};
use crate::support::{node, ok, tenant};

#[tokio::test]
async fn a_secret_goes_to_its_own_hosts_only() {
    let (tenant, upstream) = tenant().await;
    let elsewhere = Upstream::start().await;
    elsewhere.on("/x", ok());
    let leak = "export function preRequest(request, context) {
        request.url = context.parms.url;
        request.headers.set('x-key', context.connection.api_key);
        request.body = { key: context.connection.api_key };
    }";
    tenant.js("leak", leak).await;
    let connection = json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}, "place": {"header": "x-api-key"}});
    connected(&tenant, &upstream, connection, json!({"pre-request": [{"script": "leak", "parms": {"url": elsewhere.url("/x")}}]})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let leaked = elsewhere.last();
    assert!(leaked.header("x-api-key").is_none() && leaked.header("x-key").unwrap().starts_with("sealed:"), "{leaked:?}");
    assert!(!leaked.text().contains("k3y-text"), "{}", leaked.text());
    // A host that the connection names is its own.
    let host = elsewhere.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let _ = put(&tenant, json!({"kind": "api-key", "fields": {"api_key": {"set": true}}, "hosts": [host]})).await.expect(200);
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!((elsewhere.last().header("x-key"), elsewhere.last().json()), (Some("k3y-text"), json!({"key": "k3y-text"})));
}

#[tokio::test]
async fn a_scripts_own_request_carries_its_connections_token_to_the_connections_hosts() {
    let (upstream, elsewhere) = (Upstream::start().await, Upstream::start().await);
    let host = |upstream: &Upstream| upstream.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let egress = json!({"allow_private": ["127.0.0.0/8"], "allow": [host(&upstream), host(&elsewhere)]});
    let tenant = node().tenant_with(json!({"grants": {"fetch": true}, "egress": egress})).await;
    let count = tokens(&upstream, |_| json!({}));
    upstream.on("/x", ok());
    elsewhere.on("/x", ok());
    let source = "export default async (payload, context) => {
        const authorization = 'Bearer ' + context.connection.access_token;
        const answer = await fetch(context.parms.url, { method: 'POST', headers: { authorization }, body: authorization });
        return { status: answer.status, authorization };
    };";
    tenant.js("s", source).await;
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "client", "client_secret": "cl1ent-s3cret"});
    let connection = json!({"kind": "oauth2-client-credentials", "fields": fields, "hosts": [host(&upstream)]});
    let _ = put(&tenant, connection).await.expect(201);
    for (number, upstream) in [&upstream, &elsewhere].into_iter().enumerate() {
        tenant.flow("f", json!({"steps": [{"script": "s", "connection": "crm", "parms": {"url": upstream.url("/x")}}]})).await;
        let answer = tenant.run("f", json!({})).await.expect(200);
        assert!(answer.json()["authorization"].as_str().unwrap().starts_with("Bearer sealed:"), "{}", answer.text());
        let sent = requests(upstream, "/x").pop().unwrap();
        let authorization = sent.header("authorization").unwrap().to_owned();
        if number == 0 {
            assert_eq!((authorization.as_str(), sent.text()), ("Bearer token-number-1", "Bearer token-number-1".to_owned()));
        } else {
            assert!(authorization.starts_with("Bearer sealed:") && !sent.text().contains("token-number"), "{sent:?}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_one_step_sent_is_masked_in_the_answers_to_later_ones() {
    let (tenant, upstream) = tenant().await;
    let connection = json!({"kind": "api-key", "fields": {"api_key": "k3y-text"}, "place": {"header": "x-api-key"}});
    connected(&tenant, &upstream, connection, json!({})).await;
    // One that knows the key from another place than its request.
    let other = Upstream::start().await;
    other.on("/gossip", Answer::json(json!({"said": "k3y-text", "encoded": STANDARD.encode("with k3y-text in it")})));
    let gossip = json!({"name": "gossip", "url": other.url("/gossip"), "method": "GET"});
    tenant.flow("f", json!({"steps": [{"call": "api/x"}, gossip]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(requests(&upstream, "/x")[0].header("x-api-key"), Some("k3y-text"));
    assert!(other.last().header("x-api-key").is_none());
    let record = tenant.record(&answer).await.to_string();
    for text in [answer.text(), record.clone()] {
        assert!(!text.contains("k3y-text") && !text.contains(&STANDARD.encode("with k3y-text in it")[8..16]), "{text}");
    }
    assert!(record.contains("[crm.api_key]"), "{record}");
    // A run of its own knows nothing of it.
    tenant.flow("g", json!({"steps": [gossip]})).await;
    assert!(tenant.run("g", json!({})).await.expect(200).text().contains("k3y-text"));
}
