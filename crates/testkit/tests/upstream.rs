//! The upstream does what it says, seen through a bare socket.

use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a GET and reads until the connection ends.
async fn get(upstream: &Upstream, path: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(upstream.address()).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn answers_come_in_sequence_and_the_last_is_repeated() {
    let upstream = Upstream::start().await;
    upstream.on("/a", Answer::text("one")).on("/a", Answer::status(503));
    assert!(get(&upstream, "/a?q=1").await.unwrap().ends_with("one"));
    assert!(get(&upstream, "/a").await.unwrap().starts_with("HTTP/1.1 503"));
    assert!(get(&upstream, "/a").await.unwrap().starts_with("HTTP/1.1 503"));
    assert!(get(&upstream, "/b").await.unwrap().starts_with("HTTP/1.1 404"));
    let paths: Vec<_> = upstream.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/a?q=1", "/a", "/a", "/b"]);
    assert_eq!(upstream.connections(), 4);
}

#[tokio::test]
async fn a_gate_holds_an_answer_after_its_request_was_recorded() {
    let upstream = Upstream::start().await;
    let gate = Gate::closed();
    upstream.on("/held", Answer::text("released").after(&gate));
    let (answer, ()) = tokio::join!(get(&upstream, "/held"), async {
        assert_eq!(upstream.received(1).await[0].header("host"), Some("test"));
        gate.open();
    });
    assert!(answer.unwrap().ends_with("released"));
}

#[tokio::test]
async fn a_closure_sees_the_request() {
    let upstream = Upstream::start().await;
    upstream.on_request("/echo", |request| Answer::text(&request.method));
    assert!(get(&upstream, "/echo").await.unwrap().ends_with("GET"));
}

#[tokio::test]
async fn raw_answers_resets_and_broken_bodies() {
    let upstream = Upstream::start().await;
    upstream.on("/raw", Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"));
    upstream.on("/reset", Answer::reset()).on("/close", Answer::close());
    upstream.on("/cut", Answer::text("begun").body_breaks());
    assert!(get(&upstream, "/raw").await.unwrap().ends_with("short"));
    assert_eq!(get(&upstream, "/reset").await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(get(&upstream, "/close").await.unwrap(), "");
    let cut = get(&upstream, "/cut").await.unwrap();
    assert!(cut.contains("begun") && !cut.ends_with("0\r\n\r\n"), "{cut}");
}
