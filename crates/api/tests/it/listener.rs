//! The listener: protocols, slow clients, and the way down.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use snaphook_testkit::{Answer, Gate, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::TestNode;

struct Listening {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn listen(node: &TestNode) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let api = node.api.clone();
    let served = tokio::spawn(async move {
        snaphook_api::serve(listener, api, async {
            let _ = stopped.await;
        })
        .await
    });
    Listening { address, stop, served }
}

#[tokio::test]
async fn both_protocols_are_spoken() {
    let node = TestNode::start().await;
    let listening = listen(&node).await;
    for http2 in [false, true] {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        for _ in 0..3 {
            let request = Request::get(format!("http://{}/healthz", listening.address)).body(Full::default()).unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!((response.status().as_u16(), response.version() == http::Version::HTTP_2), (200, http2));
            assert!(response.headers().contains_key("x-request-id"));
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"status\":\"ok\"}");
        }
    }
    listening.stop.send(()).unwrap();
    listening.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_sends_nothing_or_half_a_head_is_put_out() {
    let node = TestNode::with(|config| config.head_timeout = Duration::from_millis(50)).await;
    let listening = listen(&node).await;
    for sent in ["", "P", "GET /healthz HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(listening.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{sent:?}: the connection stays open");
    }
}

#[tokio::test]
async fn an_idle_connection_is_put_out_and_a_busy_one_is_not() {
    let node = TestNode::with(|config| config.head_timeout = Duration::from_millis(100)).await;
    let (acme, upstream, gate) = (node.tenant("acme").await, Upstream::start().await, Gate::closed());
    upstream.on("/send", Answer::json(json!("done")).after(&gate));
    let document = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send"}}});
    acme.put("/v1/connectors/crm", document).await.expect(201);
    let listening = listen(&node).await;
    let stream = TcpStream::connect(listening.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut connection = tokio::spawn(connection);
    let call = Request::post("http://x/v1/call/crm/send").header("authorization", format!("Bearer {}", acme.token));
    let answer = tokio::spawn(sender.send_request(call.body(Full::new(Bytes::from_static(b"{}"))).unwrap()));
    upstream.received(1).await;
    // Several times what an idle connection has.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut connection).await.is_err(), "a call under way is cut off");
    gate.open();
    assert_eq!(answer.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes(), "\"done\"");
    let closed = tokio::time::timeout(Duration::from_secs(5), &mut connection).await;
    assert!(closed.is_ok(), "an idle connection of HTTP/2 stays open, although its peer answers every ping");
    assert!(sender.is_closed());
}

/// Whether somebody else is answered on a node that has one connection for all.
async fn another_is_answered(listening: &Listening) {
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    read.expect("a connection that takes nothing is kept").unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
}

/// The beginning of a connection of HTTP/2 with as much room for answers as there can be, and so many requests.
fn http2_requests(count: u32) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let window = 0x7fff_0000_u32.to_be_bytes();
    let settings = frame(4, 0, 0, &[&[0, 4], window.as_slice()].concat());
    // GET, http, this path, this authority: the first two by their places in HPACK's table, the others by name and as text.
    let head = [b"\x82\x86\x04\x0d/openapi.json".as_slice(), b"\x01\x01x"].concat();
    let requests = (0..count).flat_map(|index| frame(1, 5, 2 * index + 1, &head));
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, frame(8, 0, 0, &window)].concat();
    begin.into_iter().chain(requests).collect()
}

#[tokio::test]
async fn who_does_not_read_the_answers_is_put_out() {
    for http2 in [false, true] {
        let node = TestNode::with(|config| {
            config.max_connections = 1;
            config.write_timeout = Duration::from_millis(200);
        })
        .await;
        let listening = listen(&node).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(listening.address).await.unwrap();
        // Several times what the kernel keeps of an answer that nobody reads.
        let asked = if http2 { http2_requests(250) } else { b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500) };
        stream.write_all(&asked).await.unwrap();
        another_is_answered(&listening).await;
    }
}

#[tokio::test]
async fn who_leaves_no_room_for_an_answer_is_put_out() {
    let node = TestNode::with(|config| {
        config.max_connections = 1;
        config.head_timeout = Duration::from_millis(100);
    })
    .await;
    let listening = listen(&node).await;
    let stream = TcpStream::connect(listening.address).await.unwrap();
    let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = client.initial_stream_window_size(0).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/openapi.json").body(Full::<Bytes>::default()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    another_is_answered(&listening).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let node = TestNode::start().await;
    let acme = node.tenant_with("acme", json!({"limits": {"request_body_bytes": 100}})).await;
    let listening = listen(&node).await;
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    let head = format!(
        "POST /v1/call/a/b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n",
        acme.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"limit\":100"), "{answer}");
}

#[tokio::test]
async fn who_sends_a_body_a_byte_at_a_time_is_put_out() {
    let node = TestNode::with(|config| {
        config.max_connections = 1;
        config.body_timeout = Duration::from_millis(200);
    })
    .await;
    let acme = node.tenant("acme").await;
    let listening = listen(&node).await;
    let stream = TcpStream::connect(listening.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head = format!("PUT /v1/subjects/p HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n", acme.token);
    writing.write_all(head.as_bytes()).await.unwrap();
    // Each byte soon after the one before, so that only the whole time can be what ends it.
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while writing.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut answer = Vec::new();
    // Closed without taking the rest, which may reach us as a reset after the answer.
    let _ = tokio::time::timeout(Duration::from_secs(20), reading.read_to_end(&mut answer)).await.expect("the connection is closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("the body did not arrive"), "{answer}");
    tokio::time::timeout(Duration::from_secs(20), dripping).await.expect("it cannot go on").unwrap();
    another_is_answered(&listening).await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let node = TestNode::with(|config| config.max_connections = 1).await;
    let listening = listen(&node).await;
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut first = TcpStream::connect(listening.address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut piece = [0; 16];
    first.read_exact(&mut piece).await.unwrap();
    let mut second = TcpStream::connect(listening.address).await.unwrap();
    second.write_all(ask.as_bytes()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await.is_err(), "the second is served beside the first");
    drop(first);
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), second.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
}

/// A connection from one of loopback's addresses: each is a peer of its own.
async fn connect_from(peer: &str, listening: &Listening) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{peer}:0").parse().unwrap()).unwrap();
    socket.connect(listening.address).await.unwrap()
}

/// Asks for the node's health, and reads until the answer is over; its head in lower case.
async fn ask_and_keep(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await.expect("an answer");
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

/// Whether a connection ends without another word from here. How, is the kernel's matter: unread bytes make it a reset.
async fn ends(stream: &mut TcpStream) {
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await;
    assert!(ended.expect("the connection stays open").is_err());
}

#[tokio::test]
async fn connections_are_not_kept_when_few_are_left() {
    let node = TestNode::with(|config| config.max_connections = 16).await;
    let listening = listen(&node).await;
    // Half of them is this peer's, and three quarters of that it may keep.
    let mut kept = Vec::new();
    for number in 1..=6 {
        let mut stream = connect_from("127.0.0.1", &listening).await;
        assert!(!ask_and_keep(&mut stream).await.contains("connection: close"), "connection {number}");
        kept.push(stream);
    }
    let mut seventh = connect_from("127.0.0.1", &listening).await;
    assert!(ask_and_keep(&mut seventh).await.contains("connection: close"));
    ends(&mut seventh).await;
    // The same over HTTP/2, where no header can say so.
    let stream = connect_from("127.0.0.1", &listening).await;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(Request::get("http://x/healthz").body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{\"status\":\"ok\"}");
    let ended = tokio::time::timeout(Duration::from_secs(10), connection).await;
    assert!(ended.is_ok(), "a connection of HTTP/2 is kept");
    // Nobody else is asked to go, and those that were kept are answered.
    let mut other = connect_from("127.0.0.2", &listening).await;
    assert!(!ask_and_keep(&mut other).await.contains("connection: close"));
    for stream in &mut kept {
        assert!(ask_and_keep(stream).await.contains("200 ok"));
    }
}

#[tokio::test]
async fn one_peer_does_not_have_all_connections() {
    let node = TestNode::with(|config| config.max_connections = 16).await;
    let listening = listen(&node).await;
    // More than there are, and none of them says anything.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect_from("127.0.0.1", &listening).await);
    }
    for beyond in &mut silent[8..] {
        ends(beyond).await;
    }
    let mut other = connect_from("127.0.0.2", &listening).await;
    assert!(ask_and_keep(&mut other).await.contains("200 ok"));
    // The first eight are still there: one of them is answered.
    assert!(ask_and_keep(&mut silent[0]).await.contains("200 ok"));
    silent.clear();
    // What was its part is free again, as soon as the node has noticed.
    let answered = async {
        loop {
            let mut again = connect_from("127.0.0.1", &listening).await;
            if again.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() && again.read_u8().await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("its part is not given back");
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_under_way() {
    let node = TestNode::start().await;
    let (acme, upstream, gate) = (node.tenant("acme").await, Upstream::start().await, Gate::closed());
    upstream.on("/send", Answer::json(json!("done")).after(&gate));
    let document = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send"}}});
    acme.put("/v1/connectors/crm", document).await.expect(201);
    let listening = listen(&node).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request =
        Request::post(format!("http://{}/v1/call/crm/send", listening.address)).header("authorization", format!("Bearer {}", acme.token));
    let answer = tokio::spawn(client.request(request.body(Full::from("{}")).unwrap()));
    upstream.received(1).await;
    listening.stop.send(()).unwrap();
    // No new connection, and the probe turns balancers away, while the call goes on.
    while TcpStream::connect(listening.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    node.send("GET", "/readyz", &[], "").await.expect(503);
    assert!(!listening.served.is_finished());
    gate.open();
    assert_eq!(answer.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes(), "\"done\"");
    listening.served.await.unwrap().unwrap();
}
