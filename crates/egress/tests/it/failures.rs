//! Upstreams that fail: each way has its code, names the host, and repeats nothing that may be secret.

use std::time::Duration;

use snaphook_egress::EgressConfig;
use snaphook_model::{Code, Fault};
use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::net::TcpListener;

use crate::support::{Sender, request};

/// The fault of a GET that gets this answer, after making sure that it was sent once.
async fn fault_of(answer: Answer, code: Code) -> Fault {
    let upstream = Upstream::start().await;
    upstream.on("/path", answer);
    let fault = Sender::new().on_loopback().refusal(&upstream.url("/path?key=secret"), code).await;
    assert!(fault.detail.contains(&upstream.address().to_string()), "{fault}");
    assert!(!fault.detail.contains("secret") && !fault.detail.contains("/path"), "{fault}");
    assert_eq!(upstream.requests().len(), 1, "a request was repeated");
    fault
}

#[tokio::test]
async fn nobody_listens() {
    // Bound, so that the port is nobody else's, and closed again.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = Sender::new().on_loopback().refusal(&format!("http://{address}/"), Code::Connect).await;
    assert!(fault.detail.contains("refused the connection"), "{fault}");
}

#[tokio::test]
async fn closed_or_reset_before_an_answer() {
    fault_of(Answer::close(), Code::Reset).await;
    fault_of(Answer::reset(), Code::Reset).await;
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\nx-a"), Code::Reset).await;
}

#[tokio::test]
async fn closed_or_reset_within_the_body() {
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"), Code::Reset).await;
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").then_reset(), Code::Reset).await;
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n"), Code::Reset).await;
    fault_of(Answer::text("begun").body_breaks(), Code::Reset).await;
}

#[tokio::test]
async fn packed_and_cut_short_is_a_reset_too() {
    let upstream = Upstream::start().await;
    upstream
        .on("/", Answer::raw(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 90\r\n\r\n\x1f\x8b\x08\0\0\0\0\0".as_slice()));
    Sender::new().on_loopback().refusal(&upstream.url("/"), Code::Reset).await;
}

#[tokio::test]
async fn a_post_is_never_repeated() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("one")).on("/", Answer::reset());
    let sender = Sender::new().on_loopback();
    sender.get(&upstream.url("/")).await.unwrap();
    // Over the kept connection, where clients are tempted to try again.
    assert_eq!(sender.send(request("POST", &upstream.url("/"))).await.unwrap_err().code, Code::Reset);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn what_is_not_http() {
    fault_of(Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"), Code::ResponseHeader).await;
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), Code::ResponseHeader).await;
    fault_of(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok"), Code::ResponseHeader).await;
    fault_of(Answer::raw("HTTP/1.1 99 ?\r\n\r\n"), Code::ResponseHeader).await;
}

#[tokio::test]
async fn headers_too_large_or_too_many() {
    let large = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(1000));
    for answer in [large, many] {
        let fault = fault_of(Answer::raw(answer), Code::ResponseHeader).await;
        assert!(fault.detail.contains("too large or too many"), "{fault}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time() {
    let never = Gate::closed();
    for (place, answer) in [
        ("before the head", Answer::text("late").after(&never)),
        ("within the head", Answer::raw("HTTP/1.1 200 OK\r\nx-a").then_wait(&never)),
        ("within the body", Answer::text("begun").body_waits(&never).body("late")),
    ] {
        let upstream = Upstream::start().await;
        upstream.on("/", answer);
        let sender = Sender { timeout: Duration::from_millis(300), ..Sender::new().on_loopback() };
        let fault = sender.refusal(&upstream.url("/"), Code::Timeout).await;
        assert!(fault.detail.contains("within 300ms"), "{place}: {fault}");
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn all_redirects_share_one_deadline() {
    let (upstream, never) = (Upstream::start().await, Gate::closed());
    upstream.on("/a", Answer::redirect("/b")).on("/b", Answer::text("late").after(&never));
    let sender = Sender { timeout: Duration::from_millis(300), ..Sender::new().on_loopback() };
    sender.refusal(&upstream.url("/a"), Code::Timeout).await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_connections() {
    // A listener whose queue is full drops what else knocks, as a firewall does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(filler)) = tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await {
        queue.push(filler);
    }
    let config = EgressConfig { connect_timeout: Duration::from_millis(200), ..EgressConfig::default() };
    let fault = Sender::with(config).on_loopback().refusal(&format!("http://{address}/"), Code::Connect).await;
    assert!(fault.detail.contains("in time"), "{fault}");
}

#[tokio::test]
async fn tls_that_cannot_be_trusted_or_is_none() {
    let tls = Upstream::start_tls(&["127.0.0.1"]).await;
    tls.on("/", Answer::text("ok"));
    let unknown = Sender::new().on_loopback().refusal(&tls.url("/?key=secret"), Code::Tls).await;
    assert!(unknown.detail.contains(&tls.address().to_string()) && !unknown.detail.contains("secret"), "{unknown}");

    let config = || EgressConfig { extra_roots: tls.certificate().into(), ..EgressConfig::default() };
    let trusting = Sender::with(config()).on_loopback();
    assert_eq!(trusting.get(&tls.url("/")).await.unwrap().body, "ok");
    // The certificate is for another name.
    trusting.refusal(&tls.url_at("localhost", "/"), Code::Tls).await;

    let plain = Upstream::start().await;
    let url = format!("https://{}/", plain.address());
    trusting.refusal(&url, Code::Tls).await;
    // Nor does plain HTTP to a port that speaks TLS give an answer.
    trusting.refusal(&format!("http://{}/", tls.address()), Code::ResponseHeader).await;
}

#[tokio::test]
async fn roots_that_are_none_are_refused_at_start() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(snaphook_egress::Egress::new(EgressConfig { extra_roots: broken.into(), ..EgressConfig::default() }).is_err());
}
