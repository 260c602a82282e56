//! The listener with TLS: protocols, clients that do not get through the handshake, and a certificate that is replaced.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use snaphook_api::{Identity, IdentityError, Tls};
use snaphook_testkit::Certificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::TestNode;

fn identity(made: &Certificate) -> Identity {
    Identity::from_pem(made.certificate.as_bytes(), made.key.as_bytes()).unwrap()
}

/// Where a node listens under a certificate, for as long as the test runs.
async fn listen(tls: &Tls, most: usize, patience: Duration) -> SocketAddr {
    let node = TestNode::with(|config| {
        config.tls = Some(tls.clone());
        config.max_connections = most;
        config.handshake_timeout = patience;
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let api = node.api.clone();
        snaphook_api::serve(listener, api, std::future::pending()).await.unwrap();
        drop(node);
    });
    address
}

async fn healthy(made: &Certificate, address: SocketAddr, protocol: &str) -> (u16, Version) {
    let stream = made.connect(address, "localhost", &[protocol]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    let request = Request::get("https://localhost/healthz").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    let response = if protocol == "h2" {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (status, version) = (response.status().as_u16(), response.version());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"status\":\"ok\"}");
    (status, version)
}

#[tokio::test]
async fn both_protocols_are_spoken_as_alpn_agrees() {
    let made = Certificate::of(&["localhost"]);
    let address = listen(&Tls::new(identity(&made)), 16, Duration::from_secs(10)).await;
    assert_eq!(healthy(&made, address, "h2").await, (200, Version::HTTP_2));
    assert_eq!(healthy(&made, address, "http/1.1").await, (200, Version::HTTP_11));
    assert!(made.connect(address, "localhost", &["smtp"]).await.is_err(), "a protocol that is not ours was agreed to");
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_put_out() {
    let made = Certificate::of(&["localhost"]);
    let address = listen(&Tls::new(identity(&made)), 1, Duration::from_millis(100)).await;
    // Nothing; half of a record's head; a record that is announced and does not come.
    for sent in [b"".as_slice(), b"\x16\x03", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        // There is one connection for all, so this one is answered only when the other has been let go.
        let answered = tokio::time::timeout(Duration::from_secs(10), healthy(&made, address, "http/1.1")).await;
        assert_eq!(answered.expect("a handshake that does not end holds its connection").0, 200);
        drop(stream);
    }
}

#[tokio::test]
async fn http_without_tls_is_told_so() {
    let made = Certificate::of(&["localhost"]);
    let address = listen(&Tls::new(identity(&made)), 1, Duration::from_secs(10)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /v1/call/a/b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://") && answer.contains("x-request-id"), "{answer}");
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://localhost/healthz").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
    drop(sender);
    connection.await.unwrap().unwrap();
    assert_eq!(healthy(&made, address, "h2").await.0, 200);
}

#[tokio::test]
async fn another_certificate_is_shown_to_new_connections_and_the_open_ones_go_on() {
    let (first, second) = (Certificate::of(&["localhost"]), Certificate::of(&["localhost"]));
    let tls = Tls::new(identity(&first));
    let address = listen(&tls, 16, Duration::from_secs(10)).await;
    let stream = first.connect(address, "localhost", &["http/1.1"]).await.unwrap();
    let (mut open, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async || {
        let request = Request::get("/healthz").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
        let response = open.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        open.ready().await.unwrap();
        status
    };
    assert_eq!(ask().await, 200);
    tls.replace(identity(&second));
    assert_eq!(ask().await, 200);
    assert!(first.connect(address, "localhost", &[]).await.is_err(), "the earlier certificate is still shown");
    assert_eq!(healthy(&second, address, "http/1.1").await.0, 200);
}

#[test]
fn what_is_no_certificate_or_no_key_is_refused_with_a_reason() {
    let (one, other) = (Certificate::of(&["a.example"]), Certificate::of(&["b.example"]));
    let refused = |certificate: &str, key: &str| Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(refused(&one.certificate, &other.key), IdentityError::Mismatch));
    assert!(matches!(refused("", &one.key), IdentityError::Certificate(_)));
    assert!(matches!(refused(&one.key, &one.key), IdentityError::Certificate(_)));
    assert!(matches!(refused(&one.certificate, &one.certificate), IdentityError::Key(_)));
    let half = &one.certificate[..one.certificate.len() / 2];
    assert!(matches!(refused(half, &one.key), IdentityError::Certificate(_)));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused(nonsense, &one.key), IdentityError::Unusable(_)));
}
