//! What comes back: whole, unpacked, bounded, and without what was about the connection.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use snaphook_egress::EgressConfig;
use snaphook_model::{Code, HttpResponse};
use snaphook_testkit::{Answer, Upstream};

use crate::support::{Sender, request};

/// The answer to a GET.
async fn answer(answer: Answer) -> HttpResponse {
    let upstream = Upstream::start().await;
    upstream.on("/", answer);
    Sender::new().on_loopback().get(&upstream.url("/")).await.expect("an answer")
}

#[tokio::test]
async fn every_status_is_an_answer() {
    for status in [200, 204, 206, 299, 304, 400, 404, 418, 500, 503, 599, 999] {
        assert_eq!(answer(Answer::status(status)).await.status, status);
    }
}

#[tokio::test]
async fn headers_in_order_without_those_of_the_connection() {
    let raw = "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-Utf8: na\u{ef}ve\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n\
               Keep-Alive: timeout=5\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let mut response = answer(Answer::raw(raw)).await;
    response.headers.remove("date");
    let pairs: Vec<_> = response.headers.iter().collect();
    assert_eq!(pairs, [("x-a", "1"), ("x-a", "2"), ("x-utf8", "naïve")]);
    assert_eq!(response.body, "ok");
    let latin1 = answer(Answer::raw(b"HTTP/1.1 200 OK\r\nx-a: na\xefve\r\ncontent-length: 0\r\n\r\n".as_slice())).await;
    assert_eq!(latin1.headers.get("x-a"), Some("naïve"));
}

#[tokio::test]
async fn bodies_are_unpacked_and_their_packing_is_not_mentioned() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(b"hello").unwrap();
    // `hello` as brotli writes it without compression.
    let brotli = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
    for packed in [
        Answer::gzip("hello"),
        Answer::bytes(zlib.finish().unwrap()).header("content-encoding", "deflate"),
        Answer::bytes(brotli.to_vec()).header("content-encoding", "br"),
    ] {
        let response = answer(packed).await;
        assert_eq!(response.body, "hello");
        assert_eq!((response.headers.get("content-encoding"), response.headers.get("content-length")), (None, None));
    }
    // What is not asked for is not unpacked, and stays declared.
    let other = answer(Answer::bytes("hello").header("content-encoding", "zstd")).await;
    assert_eq!((other.body.as_ref(), other.headers.get("content-encoding")), (b"hello".as_slice(), Some("zstd")));
}

#[tokio::test]
async fn answers_without_a_body_need_none_whatever_they_declare() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::gzip("hello")).on("/304", Answer::status(304).header("content-encoding", "gzip"));
    let sender = Sender::new().on_loopback();
    let head = sender.send(request("HEAD", &upstream.url("/"))).await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(sender.get(&upstream.url("/304")).await.unwrap().status, 304);
    upstream.on("/empty", Answer::bytes("").header("content-encoding", "gzip"));
    assert_eq!(sender.get(&upstream.url("/empty")).await.unwrap().body.len(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_unpack() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::bytes("this is no gzip").header("content-encoding", "gzip"));
    let fault = Sender::new().on_loopback().refusal(&upstream.url("/"), Code::ResponseHeader).await;
    assert!(fault.detail.contains("content-encoding"), "{fault}");
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let upstream = Upstream::start().await;
    upstream.on("/fits", Answer::bytes(vec![b'x'; 5000]));
    upstream.on("/pieces", Answer::bytes(vec![b'x'; 2500]).body(vec![b'y'; 2500]));
    upstream.on("/declared", Answer::bytes(vec![b'x'; 5001]));
    upstream.on("/undeclared", Answer::bytes(vec![b'x'; 2500]).body(vec![b'x'; 2501]));
    upstream.on("/bomb", Answer::gzip_bomb(64 << 20)).on("/endless", Answer::endless(vec![b'x'; 700]));
    let sender = Sender { max_response_bytes: 5000, ..Sender::new().on_loopback() };
    assert_eq!(sender.get(&upstream.url("/fits")).await.unwrap().body.len(), 5000);
    let pieces = sender.get(&upstream.url("/pieces")).await.unwrap().body;
    assert_eq!((pieces[0], pieces[2499], pieces[2500], pieces[4999]), (b'x', b'x', b'y', b'y'));

    let declared = sender.refusal(&upstream.url("/declared"), Code::ResponseSize).await;
    assert_eq!((declared.limit, declared.used), (Some(5000), Some(5001)));
    for path in ["/undeclared", "/bomb", "/endless"] {
        let fault = sender.refusal(&upstream.url(path), Code::ResponseSize).await;
        assert_eq!(fault.limit, Some(5000));
        // Noticed at once, not after a megabyte.
        assert!(fault.used.is_some_and(|used| (5001..200_000).contains(&used)), "{path}: {fault:?}");
    }
}

#[tokio::test]
async fn a_declared_size_is_refused_before_the_body_is_read() {
    let upstream = Upstream::start().await;
    // Nothing follows the head; only its declaration can be what ends this.
    upstream.on("/", Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 4611686018427387904\r\n\r\n"));
    let fault = Sender::new().on_loopback().refusal(&upstream.url("/"), Code::ResponseSize).await;
    assert_eq!(fault.used, Some(1 << 62));
}

#[tokio::test]
async fn bodies_that_are_held_have_a_bound_for_the_node_and_for_each_tenant() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text(&"x".repeat(100 << 10)));
    let acme = Sender::with(EgressConfig { response_memory_bytes: 384 << 10, ..EgressConfig::default() }).on_loopback();
    let other = acme.of_tenant("other");
    let url = upstream.url("/");

    let held = acme.get(&url).await.expect("within the tenant's half");
    let fault = acme.refusal(&url, Code::Overloaded).await;
    assert_eq!(fault.limit, Some(192 << 10), "{fault}");
    let others = other.get(&url).await.expect("another tenant has half of the rest");
    let third = acme.of_tenant("third");
    assert_eq!(third.refusal(&url, Code::Overloaded).await.limit, Some(92 << 10), "and a third half of what is left then");

    // A part of a body keeps the whole of it, and nothing else does.
    let part = held.body.slice(..10);
    drop(held);
    acme.refusal(&url, Code::Overloaded).await;
    drop((part, others));
    for sender in [&acme, &other, &third] {
        assert_eq!(sender.get(&url).await.expect("everything was given back").body.len(), 100 << 10);
    }
    let mut copies = acme.egress.room(&acme.tenant);
    copies.grow_to(180 << 10).expect("room for copies comes out of the same");
    acme.refusal(&url, Code::Overloaded).await;
}
