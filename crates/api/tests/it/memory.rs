//! Memory for bodies: who takes much of it, and who has shown nothing yet, leave enough to the others.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::task::JoinHandle;

use crate::support::{TestNode, TestTenant};

const ROOM: u64 = 4 << 20;

/// An eighth of the room, as JSON.
fn large() -> Value {
    json!("x".repeat((ROOM / 8) as usize - 100))
}

async fn node() -> TestNode {
    TestNode::with(|config| config.body_memory_bytes = ROOM).await
}

/// An endpoint `crm/send` whose answer waits for the gate, and one `crm/now`; a flow `open` that everybody may begin and `signed`.
async fn set_up(tenant: &TestTenant<'_>, upstream: &Upstream, gate: &Gate) {
    upstream.on("/send", Answer::json(json!("done")).after(gate)).on("/now", Answer::json(json!("done")));
    let endpoints = json!({"send": {"method": "POST", "path": "/send"}, "now": {"method": "POST", "path": "/now"}});
    tenant.put("/v1/connectors/crm", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await.expect(201);
    let steps = json!([{"name": "only", "call": "crm/now"}]);
    tenant.put("/v1/flows/open", json!({"trigger": {"auth": "none"}, "steps": steps})).await.expect(201);
    let headers = [("authorization", format!("Bearer {}", tenant.token)), ("content-type", "text/plain".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    tenant.node.send("PUT", "/v1/secrets/HOOK", &headers, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await.expect(201);
    let signature = json!({"signature": {"secret": "HOOK"}});
    tenant.put("/v1/flows/signed", json!({"trigger": {"auth": signature}, "steps": steps})).await.expect(201);
}

/// Posts a body of which most comes at once and the rest never.
fn half_a_body(node: &TestNode, path: &str) -> JoinHandle<u16> {
    let piece = Bytes::from(vec![b'x'; (ROOM / 8) as usize - 100]);
    let pieces = stream::iter([Ok::<_, Infallible>(Frame::data(piece))]).chain(stream::pending());
    let request = Request::post(path).body(StreamBody::new(pieces)).unwrap();
    let api = node.api.clone();
    tokio::spawn(async move { api.answer(request).await.status().as_u16() })
}

#[tokio::test]
async fn a_tenant_that_fills_its_part_leaves_the_others_theirs() {
    let node = node().await;
    let (acme, other) = (node.tenant("acme").await, node.tenant("other").await);
    let (upstream, gate) = (Upstream::start().await, Gate::closed());
    set_up(&acme, &upstream, &gate).await;
    set_up(&other, &upstream, &gate).await;
    let body = large();
    let held = stream::iter(0..8).map(|_| acme.send("POST", "/v1/call/crm/send", body.clone())).buffer_unordered(8).collect::<Vec<_>>();
    let others = async {
        upstream.received(4).await;
        let answer = other.send("POST", "/v1/call/crm/now", body.clone()).await;
        acme.send("POST", "/v1/call/crm/now", json!({"small": true})).await.expect(200);
        gate.open();
        answer.expect(200);
    };
    let (held, ()) = tokio::join!(held, others);
    let refused: Vec<_> = held.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 4, "half of the room is one tenant's");
    for answer in refused {
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"], &problem["limit"]), (503, &json!("overloaded"), &json!(ROOM / 2)), "{problem}");
    }
    // Given back with the answers.
    acme.send("POST", "/v1/call/crm/now", body).await.expect(200);
}

#[tokio::test]
async fn who_has_shown_nothing_takes_a_small_part() {
    let node = node().await;
    let (upstream, gate) = (Upstream::start().await, Gate::closed());
    let tenants = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for name in tenants {
        set_up(&node.tenant(name).await, &upstream, &gate).await;
    }
    let arriving: Vec<_> =
        tenants.iter().flat_map(|tenant| ["open", "signed"].map(|flow| half_a_body(&node, &format!("/t/{tenant}/{flow}")))).collect();
    while arriving.iter().filter(|one| one.is_finished()).count() < arriving.len() - 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let token = node.token("a", &["admin"]).await;
    for _ in 0..2 {
        node.json("POST", "/v1/call/crm/now", &token, large()).await.expect(200);
    }
    // What is small is taken from anybody, and of what one left the next has a part.
    for bytes in [16 << 10, 100 << 10] {
        let request = Request::post("/t/i/open").body(http_body_util::Full::new(Bytes::from(vec![b'1'; bytes]))).unwrap();
        let answer = node.api.answer(request).await;
        let status = answer.status();
        assert_eq!(status, 200, "{:?}", answer.into_body().collect().await.unwrap().to_bytes());
    }
    assert_eq!(arriving.iter().filter(|one| one.is_finished()).count(), arriving.len() - 1);
    arriving.iter().for_each(JoinHandle::abort);
}
