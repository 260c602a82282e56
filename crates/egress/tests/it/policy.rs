//! Schemes, methods and ports of a tenant's policy: checked for every hop, before anything is connected to. Bounds on who hangs.

use std::time::Duration;

use snaphook_egress::EgressConfig;
use snaphook_model::Code;
use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Sender, get, request, untouched};

fn words(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|word| (*word).to_owned()).collect())
}

#[tokio::test]
async fn a_scheme_that_is_not_in_the_list_is_refused() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let mut sender = Sender::new().on_loopback();
    sender.policy.schemes = words(&["https"]);
    let fault = sender.refusal(&upstream.url("/"), Code::EgressRefused).await;
    for part in ["`egress.schemes` holds https and not `http`", "the operator can add it there"] {
        assert!(fault.detail.contains(part), "{fault}");
    }
    sender.policy.schemes = words(&[]);
    assert!(sender.refusal(&upstream.url("/"), Code::EgressRefused).await.detail.contains("holds nothing"));
    untouched(&upstream);
    sender.policy.schemes = words(&["http"]);
    assert_eq!(sender.get(&upstream.url("/")).await.unwrap().body, "ok");
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_scheme() {
    let (plain, tls) = (Upstream::start().await, Upstream::start_tls(&["127.0.0.1"]).await);
    tls.on("/", Answer::text("ok"));
    plain.on("/", Answer::redirect(tls.url("/")));
    let config = EgressConfig { extra_roots: tls.certificate().into(), ..EgressConfig::default() };
    let mut sender = Sender::with(config).on_loopback();
    assert_eq!(sender.get(&plain.url("/")).await.unwrap().body, "ok");
    let before = tls.connections();
    sender.policy.schemes = words(&["http"]);
    let fault = sender.refusal(&plain.url("/"), Code::EgressRefused).await;
    assert!(fault.detail.contains("`egress.schemes`"), "{fault}");
    assert_eq!(tls.connections(), before, "a connection was made");
}

#[tokio::test]
async fn a_method_that_is_not_in_the_list_is_refused() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let mut sender = Sender::new().on_loopback();
    sender.policy.methods = words(&["GET", "POST"]);
    for method in ["PUT", "PATCH", "DELETE", "HEAD"] {
        let fault = sender.send(request(method, &upstream.url("/"))).await.unwrap_err();
        assert_eq!(fault.code, Code::EgressRefused, "{fault}");
        assert!(fault.detail.contains(&format!("`egress.methods` holds GET, POST and not `{method}`")), "{fault}");
    }
    untouched(&upstream);
    for method in ["GET", "POST"] {
        assert_eq!(sender.send(request(method, &upstream.url("/"))).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_port_that_is_not_in_the_list_is_refused() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let port = upstream.address().port();
    let mut sender = Sender::new().on_loopback();
    sender.policy.ports = Some(vec![443, 8443]);
    let fault = sender.refusal(&upstream.url("/"), Code::EgressRefused).await;
    for part in [format!("`egress.ports` holds 443, 8443 and not `{port}`").as_str(), "the operator can add it there"] {
        assert!(fault.detail.contains(part), "{fault}");
    }
    // Without a port in it, the scheme has one.
    assert!(sender.refusal("http://plain.example/", Code::EgressRefused).await.detail.contains("and not `80`"));
    sender.policy.ports = Some(vec![80]);
    assert!(sender.refusal("https://plain.example/", Code::EgressRefused).await.detail.contains("and not `443`"));
    sender.policy.ports = Some(Vec::new());
    assert!(sender.refusal(&upstream.url("/"), Code::EgressRefused).await.detail.contains("holds nothing"));
    // A host that is allowed with its port is none beside the list.
    let mut sender = sender.allowing(&[&upstream.address().to_string()]);
    sender.policy.ports = Some(vec![443]);
    assert!(sender.refusal(&upstream.url("/"), Code::EgressRefused).await.detail.contains("`egress.ports`"));
    untouched(&upstream);
    sender.policy.ports = Some(vec![443, port]);
    assert_eq!(sender.get(&upstream.url("/")).await.unwrap().body, "ok");
    // Nor is a port that is in the list one of every host.
    let sender = sender.allowing(&["api.example.com"]);
    assert!(sender.refusal(&upstream.url("/"), Code::EgressRefused).await.detail.contains("`egress.allow`"));
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_port() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    first.on("/", Answer::redirect(second.url("/")));
    second.on("/", Answer::text("ok"));
    let (from, to) = (first.address().port(), second.address().port());
    let mut sender = Sender::new().on_loopback();
    sender.policy.ports = Some(vec![from]);
    let fault = sender.refusal(&first.url("/"), Code::EgressRefused).await;
    assert!(fault.detail.contains(&format!("`egress.ports` holds {from} and not `{to}`")), "{fault}");
    untouched(&second);
    sender.policy.ports = Some(vec![from, to]);
    assert_eq!(sender.get(&first.url("/")).await.unwrap().body, "ok");
}

#[tokio::test]
async fn a_peer_that_drips_its_answer_is_cut() {
    // Each byte comes soon after the one before, so that only the whole time can be what ends it: once in the head, once in the body.
    for head in ["HTTP/1.1 200 OK\r\nx-a: ", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dripping = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            // Until the other end is gone.
            while stream.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        });
        let sender = Sender { timeout: Duration::from_millis(300), ..Sender::new().on_loopback() };
        sender.refusal(&format!("http://{address}/"), Code::Timeout).await;
        tokio::time::timeout(Duration::from_secs(20), dripping).await.expect("the connection is closed").unwrap();
    }
}

#[tokio::test]
async fn one_tenant_has_so_many_connections_over_all_hosts() {
    let (one, two, gate) = (Upstream::start().await, Upstream::start().await, Gate::closed());
    one.on("/", Answer::text("late").after(&gate));
    two.on("/", Answer::text("ok"));
    let config = EgressConfig { max_requests_per_tenant: 1, ..EgressConfig::default() };
    let acme = Sender { timeout: Duration::from_millis(500), ..Sender::with(config).on_loopback() };
    let other = acme.of_tenant("other");
    let holding = Sender { timeout: Duration::from_secs(60), ..acme.of_tenant("acme") };
    let url = one.url("/");
    let (held, ()) = tokio::join!(holding.send(get(&url)), async {
        one.received(1).await;
        let fault = acme.refusal(&two.url("/"), Code::Overloaded).await;
        assert_eq!(fault.limit, Some(1), "{fault}");
        untouched(&two);
        assert_eq!(other.get(&two.url("/")).await.unwrap().body, "ok");
        gate.open();
    });
    assert_eq!(held.unwrap().body, "late");
    assert_eq!(acme.get(&two.url("/")).await.unwrap().body, "ok");
}
