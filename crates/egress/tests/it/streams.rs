//! Bodies that do not go through memory: files read as they are sent, answers that go into a sink.

use std::path::Path;

use bytes::Bytes;
use snaphook_egress::{Piece, Sink, SinkFuture, Streams, Upload};
use snaphook_model::{Code, Fault, HttpRequest, HttpResponse};
use snaphook_testkit::{Answer, Gate, Upstream, pattern};

use crate::support::{Sender, get, request};

/// Collects what comes in, from statuses below a bound, and refuses more than it may hold.
struct Collecting {
    below: u16,
    room: usize,
    chunks: Vec<Bytes>,
}

impl Collecting {
    fn new(below: u16, room: usize) -> Self {
        Self { below, room, chunks: Vec::new() }
    }
}

impl Sink for Collecting {
    fn wants(&mut self, status: u16) -> bool {
        status < self.below
    }

    fn write(&mut self, chunk: Bytes) -> SinkFuture<'_> {
        Box::pin(async move {
            self.chunks.push(chunk);
            let held: usize = self.chunks.iter().map(Bytes::len).sum();
            if held > self.room { Err(Fault::new(Code::TooLarge, "the sink is full")) } else { Ok(()) }
        })
    }
}

async fn fetch(sender: &Sender, url: &str, sink: &mut Collecting) -> Result<HttpResponse, Fault> {
    sender.send_streaming(get(url), Streams { upload: None, sink: Some(sink) }).await
}

async fn send(sender: &Sender, request: HttpRequest, pieces: Vec<Piece>) -> Result<HttpResponse, Fault> {
    sender.send_streaming(request, Streams { upload: Some(Upload::new(pieces)), sink: None }).await
}

fn file(path: &Path, bytes: u64) -> Piece {
    Piece::File { path: path.into(), bytes }
}

#[tokio::test]
async fn pieces_arrive_as_one_body_with_its_length() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::status(200));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    let content: Vec<u8> = pattern(300_000).flatten().collect();
    std::fs::write(&path, &content).unwrap();
    let sender = Sender::new().on_loopback();
    let text = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
    let pieces = vec![text("before,"), file(&path, 300_000), text(""), file(&path, 5), text(",after")];
    let mut post = request("POST", &upstream.url("/"));
    post.body = Bytes::from_static(b"is not sent");
    let _ = send(&sender, post, pieces).await.unwrap();
    let sent = upstream.last();
    assert_eq!((sent.header("content-length"), sent.header("transfer-encoding")), (Some("300018"), None));
    assert!(sent.body == [b"before,", content.as_slice(), &content[..5], b",after"].concat());

    // A body without a byte is one all the same.
    let _ = send(&sender, request("POST", &upstream.url("/")), Vec::new()).await.unwrap();
    assert_eq!(upstream.last().body.len(), 0);
}

#[tokio::test]
async fn a_redirect_on_the_same_origin_takes_the_pieces_along() {
    let upstream = Upstream::start().await;
    upstream.on("/a", Answer::redirect("/b").with_status(307)).on("/b", Answer::text("there"));
    let sender = Sender::new().on_loopback();
    let body = vec![Piece::Bytes(Bytes::from_static(b"body"))];
    assert_eq!(send(&sender, get(&upstream.url("/a")), body).await.unwrap().body, "there");
    assert_eq!(upstream.requests().iter().map(|request| request.text()).collect::<Vec<_>>(), ["body", "body"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_our_fault() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::status(200));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short");
    std::fs::write(&path, "short").unwrap();
    let sender = Sender::new().on_loopback();
    for piece in [file(&path, 6), file(&directory.path().join("none"), 1)] {
        let fault = send(&sender, request("POST", &upstream.url("/")), vec![piece]).await.unwrap_err();
        assert_eq!(fault.code, Code::Internal, "{fault}");
        assert!(!fault.detail.contains("short"), "{fault}");
    }
}

#[tokio::test]
async fn a_sink_gets_the_unpacked_body_of_the_statuses_it_wants() {
    let upstream = Upstream::start().await;
    upstream.on("/large", Answer::large(1_000_000)).on("/packed", Answer::gzip("unpacked"));
    upstream.on("/missing", Answer::text("why").with_status(404));
    upstream.on("/moved", Answer::redirect("/packed"));
    let sender = Sender::new().on_loopback();
    let mut sink = Collecting::new(300, 1 << 20);
    let response = fetch(&sender, &upstream.url("/large"), &mut sink).await.unwrap();
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert!(sink.chunks.concat() == pattern(1_000_000).flatten().collect::<Vec<u8>>());
    for path in ["/packed", "/moved"] {
        let mut sink = Collecting::new(300, 1 << 20);
        let _ = fetch(&sender, &upstream.url(path), &mut sink).await.unwrap();
        assert_eq!(sink.chunks.concat(), b"unpacked");
    }
    let mut sink = Collecting::new(300, 1 << 20);
    let response = fetch(&sender, &upstream.url("/missing"), &mut sink).await.unwrap();
    assert_eq!((response.body.as_ref(), sink.chunks.len()), (b"why".as_slice(), 0));
}

#[tokio::test]
async fn what_goes_into_a_sink_is_bounded_and_can_be_refused() {
    let upstream = Upstream::start().await;
    upstream.on("/bomb", Answer::gzip_bomb(64 << 20)).on("/declared", Answer::large(5001)).on("/fits", Answer::large(5000));
    let sender = Sender { max_response_bytes: 5000, ..Sender::new().on_loopback() };
    for path in ["/bomb", "/declared"] {
        let mut sink = Collecting::new(300, usize::MAX);
        let fault = fetch(&sender, &upstream.url(path), &mut sink).await.unwrap_err();
        assert_eq!((fault.code, fault.limit), (Code::ResponseSize, Some(5000)));
        assert!(sink.chunks.concat().len() <= 5000);
    }
    let fault = fetch(&sender, &upstream.url("/fits"), &mut Collecting::new(300, 100)).await.unwrap_err();
    assert_eq!(fault.code, Code::TooLarge);
}

#[tokio::test]
async fn the_deadline_holds_while_a_sink_is_filled() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::bytes("begun").body_waits(&Gate::closed()));
    let sender = Sender { timeout: std::time::Duration::from_millis(300), ..Sender::new().on_loopback() };
    let mut sink = Collecting::new(300, 1 << 20);
    let fault = fetch(&sender, &upstream.url("/"), &mut sink).await.unwrap_err();
    assert_eq!((fault.code, sink.chunks.concat()), (Code::Timeout, b"begun".to_vec()));
}
