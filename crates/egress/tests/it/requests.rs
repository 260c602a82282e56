//! What goes out: the request as it was given, and nothing that a guest could smuggle into it.

use snaphook_model::{Code, HttpRequest};
use snaphook_testkit::{Answer, Upstream};

use crate::support::{Sender, get, headers, request, untouched};

#[tokio::test]
async fn a_request_goes_out_as_it_was_given() {
    let upstream = Upstream::start().await;
    upstream.on("/events", Answer::status(201));
    let sender = Sender::new().on_loopback();
    let given = headers(&[("X-Tag", "one"), ("x-tag", "two"), ("content-type", "application/json"), ("x-name", "naïve")]);
    let sent = HttpRequest { headers: given, body: r#"{"a":1}"#.into(), ..request("POST", &upstream.url("/events?q=a%20b&q=c#part")) };
    assert_eq!(sender.send(sent).await.unwrap().status, 201);

    let received = upstream.last();
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/events?q=a%20b&q=c"));
    assert_eq!(received.json(), serde_json::json!({"a": 1}));
    let tags: Vec<_> = received.headers.iter().filter(|(name, _)| name == "x-tag").map(|(_, value)| value.as_str()).collect();
    assert_eq!(tags, ["one", "two"]);
    assert_eq!(received.header("host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(received.header("content-length"), Some("7"));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("x-name"), Some("naïve"));
    assert_eq!(received.header("user-agent"), Some(concat!("snaphook/", env!("CARGO_PKG_VERSION"))));
    for absent in ["referer", "cookie", "transfer-encoding", "connection"] {
        assert_eq!(received.header(absent), None);
    }
}

#[tokio::test]
async fn given_headers_win_over_added_ones() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::gzip("packed"));
    let given = headers(&[("user-agent", "me"), ("accept", "text/plain"), ("accept-encoding", "identity")]);
    let response = Sender::new().on_loopback().send(HttpRequest { headers: given, ..get(&upstream.url("/")) }).await.unwrap();
    // Unpacked all the same: a script must not have to know.
    assert_eq!(response.body, "packed");
    let received = upstream.last();
    assert_eq!(received.header("user-agent"), Some("me"));
    assert_eq!(received.header("accept"), Some("text/plain"));
    assert_eq!(received.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn every_method_of_the_format_and_no_other() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let sender = Sender::new().on_loopback();
    for method in snaphook_model::connector::METHODS {
        assert_eq!(sender.send(request(method, &upstream.url("/"))).await.unwrap().status, 200, "{method}");
        assert_eq!(upstream.last().method, method);
    }
    let count = upstream.requests().len();
    for method in ["CONNECT", "TRACE", "get", "", "G T", "GET /x HTTP/1.1\r\nhost: y\r\n\r\nGET"] {
        assert_eq!(sender.send(request(method, &upstream.url("/"))).await.unwrap_err().code, Code::ScriptContract, "{method}");
    }
    assert_eq!(upstream.requests().len(), count);
}

#[tokio::test]
async fn headers_cannot_frame_or_split_a_request() {
    let upstream = Upstream::start().await;
    let sender = Sender::new().on_loopback();
    for (name, value) in [
        ("host", "other"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("x-split", "a\r\nx-injected: b"),
        ("x-split", "a\nb"),
        ("x-nul", "a\0b"),
        ("x-split\r\nx-injected", "b"),
        ("x split", "b"),
        ("x:", "b"),
        ("", "b"),
    ] {
        let sent = HttpRequest { headers: headers(&[(name, value)]), ..get(&upstream.url("/")) };
        let fault = sender.send(sent).await.unwrap_err();
        assert_eq!(fault.code, Code::ScriptContract, "{name:?}");
        assert!(fault.detail.contains(&name.escape_debug().to_string()), "{fault}");
    }
    // Line breaks in a URL are removed or encoded by the parser; either way they stay inside the request's first line.
    untouched(&upstream);
    upstream.on("/ax-injected:%20b", Answer::text("ok"));
    assert_eq!(sender.get(&upstream.url("/a\r\nx-injected: b")).await.unwrap().body, "ok");
    assert_eq!(upstream.last().header("x-injected"), None);
}
