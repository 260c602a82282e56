//! Connections: kept and shared where that is safe, never across policies, and never more than allowed.

use std::sync::Arc;
use std::time::Duration;

use snaphook_egress::{Egress, EgressConfig};
use snaphook_model::Code;
use snaphook_testkit::{Answer, Gate, Upstream};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Names, Sender};

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok")).on("/moved", Answer::redirect("/"));
    let sender = Sender::new().on_loopback();
    for path in ["/", "/", "/moved"] {
        assert_eq!(sender.get(&upstream.url(path)).await.unwrap().body, "ok");
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (4, 1));
}

#[tokio::test]
async fn a_tenant_with_ever_new_hosts_keeps_few_of_their_connections() {
    let (mut upstreams, hosts) = (Vec::new(), 8);
    for _ in 0..hosts {
        let upstream = Upstream::start().await;
        upstream.on("/", Answer::text("ok"));
        upstreams.push(upstream);
    }
    let config = EgressConfig { max_kept_connections: 4, max_kept_connections_per_tenant: 3, ..EgressConfig::default() };
    let acme = Sender::with(config).on_loopback();
    let (other, third) = (acme.of_tenant("other"), acme.of_tenant("third"));
    let connections = async |sender: &Sender, upstream: &Upstream| {
        let before = upstream.connections();
        for _ in 0..3 {
            assert_eq!(sender.get(&upstream.url("/")).await.unwrap().body, "ok");
        }
        upstream.connections() - before
    };
    let mut made = Vec::new();
    for upstream in &upstreams {
        made.push(connections(&acme, upstream).await);
    }
    assert_eq!(made, [1, 1, 1, 3, 3, 3, 3, 3]);
    let fresh = Upstream::start().await;
    fresh.on("/", Answer::text("ok"));
    assert_eq!(connections(&other, &fresh).await, 1, "another tenant still keeps its own");
    assert_eq!(connections(&third, Upstream::start().await.on("/", Answer::text("ok"))).await, 3, "the node has its bound");
    assert_eq!(connections(&acme, &upstreams[0]).await, 0, "what is kept is used");
}

#[tokio::test]
async fn connections_that_are_not_kept_are_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sender = Sender::with(EgressConfig { max_kept_connections_per_tenant: 0, ..EgressConfig::default() }).on_loopback();
    let served = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("the connection is kept").unwrap();
    };
    let (answer, ()) = tokio::join!(sender.get(&url), served);
    assert_eq!(answer.unwrap().body, "ok");
}

#[tokio::test]
async fn an_open_connection_is_no_way_around_another_tenants_policy() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let names = Names::default().with("inside.example", &["127.0.0.1"]);
    let allowed = Sender::with(names.config()).on_loopback();
    let refused = Sender::sharing(&allowed.egress);
    let elsewhere = Sender::sharing(&allowed.egress).allowing_private(&["10.0.0.0/8"]);
    for url in [upstream.url("/"), upstream.url_at("inside.example", "/")] {
        allowed.get(&url).await.unwrap();
        refused.refusal(&url, Code::EgressRefused).await;
        elsewhere.refusal(&url, Code::EgressRefused).await;
        allowed.get(&url).await.unwrap();
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (4, 2));
}

#[tokio::test]
async fn a_policy_that_shrinks_no_longer_has_what_it_opened() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let names = Names::default().with("inside.example", &["127.0.0.1"]);
    let mut sender = Sender::with(names.config()).on_loopback();
    let url = upstream.url_at("inside.example", "/");
    sender.get(&url).await.unwrap();
    sender.policy.allow_private.clear();
    sender.refusal(&url, Code::EgressRefused).await;
    let mut listed = Sender::sharing(&sender.egress).on_loopback().allowing(&["inside.example"]);
    listed.get(&url).await.unwrap();
    listed.policy.allow = Some(Vec::new());
    listed.refusal(&url, Code::EgressRefused).await;
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn requests_at_once_share_no_connection_whatever_the_upstream_speaks() {
    // It would speak HTTP/2, over which all would have one connection and the streams that it allows.
    let upstream = Upstream::start_tls(&["127.0.0.1"]).await;
    let gate = Gate::closed();
    upstream.on("/held", Answer::text("held").after(&gate)).on("/", Answer::text("ok"));
    let config = EgressConfig { extra_roots: upstream.certificate().into(), ..EgressConfig::default() };
    let acme = Sender::with(config).on_loopback();
    let other = acme.of_tenant("other");
    let (held, url) = (upstream.url("/held"), upstream.url("/"));
    let (one, two, ()) = tokio::join!(acme.get(&held), acme.get(&held), async {
        upstream.received(2).await;
        assert_eq!(other.get(&url).await.unwrap().body, "ok");
        gate.open();
    });
    assert_eq!((one.unwrap().body, two.unwrap().body), ("held".into(), "held".into()));
    assert!(upstream.requests().iter().all(|request| !request.http2));
    let mut connections: Vec<_> = upstream.requests().iter().map(|request| request.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    assert_eq!(connections.len(), 3);
}

#[tokio::test]
async fn requests_to_a_host_wait_for_each_other_but_not_for_ever() {
    let upstream = Upstream::start().await;
    let gate = Gate::closed();
    upstream.on("/held", Answer::text("held").after(&gate)).on("/", Answer::text("ok"));
    let egress = Arc::new(Egress::new(EgressConfig { max_requests_per_host: 1, ..EgressConfig::default() }).unwrap());
    let patient = Sender::sharing(&egress).on_loopback();
    let hasty = Sender { timeout: Duration::from_millis(200), ..Sender::sharing(&egress).on_loopback() };
    let held = upstream.url("/held");
    let (first, second, ()) = tokio::join!(patient.get(&held), patient.get(&held), async {
        upstream.received(1).await;
        let fault = hasty.refusal(&upstream.url("/"), Code::Overloaded).await;
        assert!(fault.detail.contains("1 requests of this tenant"), "{fault}");
        assert_eq!(upstream.requests().len(), 1);
        gate.open();
    });
    assert_eq!((first.unwrap().body, second.unwrap().body), ("held".into(), "held".into()));
    // The permit of a request that was given up came back.
    assert_eq!(hasty.get(&upstream.url("/")).await.unwrap().body, "ok");
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_permit_back() {
    let (upstream, never) = (Upstream::start().await, Gate::closed());
    upstream.on("/held", Answer::text("held").after(&never)).on("/", Answer::text("ok"));
    let sender = Sender::with(EgressConfig { max_requests_per_host: 1, max_requests: 1, ..EgressConfig::default() }).on_loopback();
    let held = upstream.url("/held");
    tokio::select! {
        _ = sender.get(&held) => panic!("the answer is held"),
        _ = upstream.received(1) => {}
    }
    assert_eq!(sender.get(&upstream.url("/")).await.unwrap().body, "ok");
}
