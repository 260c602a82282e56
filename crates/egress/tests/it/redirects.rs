//! Redirects: followed for GET and HEAD, each hop checked like the first, credentials left behind at the border.

use snaphook_egress::EgressConfig;
use snaphook_model::{Code, HttpRequest};
use snaphook_testkit::{Answer, Upstream};

use crate::support::{Names, Sender, get, headers, request, untouched};

#[tokio::test]
async fn get_and_head_follow_and_others_do_not() {
    let upstream = Upstream::start().await;
    upstream.on("/from", Answer::redirect("../to?x=1#part")).on("/to", Answer::text("arrived"));
    let sender = Sender::new().on_loopback();
    assert_eq!(sender.get(&upstream.url("/from")).await.unwrap().body, "arrived");
    assert_eq!(upstream.last().path, "/to?x=1");
    assert_eq!(sender.send(request("HEAD", &upstream.url("/from"))).await.unwrap().status, 200);
    assert_eq!(upstream.last().method, "HEAD");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let response = sender.send(request(method, &upstream.url("/from"))).await.unwrap();
        assert_eq!((response.status, response.headers.get("location")), (302, Some("../to?x=1#part")), "{method}");
    }
}

#[tokio::test]
async fn every_status_that_redirects() {
    let upstream = Upstream::start().await;
    upstream.on("/to", Answer::text("arrived"));
    let sender = Sender::new().on_loopback();
    for status in [301, 302, 303, 307, 308] {
        let path = format!("/{status}");
        upstream.on(&path, Answer::redirect("/to").with_status(status));
        assert_eq!(sender.get(&upstream.url(&path)).await.unwrap().body, "arrived", "{status}");
    }
    for status in [300, 304, 305] {
        let path = format!("/{status}");
        upstream.on(&path, Answer::redirect("/to").with_status(status));
        assert_eq!(sender.get(&upstream.url(&path)).await.unwrap().status, status);
    }
    upstream.on("/nowhere", Answer::status(302));
    assert_eq!(sender.get(&upstream.url("/nowhere")).await.unwrap().status, 302);
}

#[tokio::test]
async fn the_number_of_hops_is_bounded() {
    let upstream = Upstream::start().await;
    upstream.on("/loop", Answer::redirect("/loop"));
    let sender = Sender { redirects: 3, ..Sender::new().on_loopback() };
    let fault = sender.refusal(&upstream.url("/loop"), Code::Redirects).await;
    assert_eq!((fault.limit, fault.used), (Some(3), Some(4)));
    assert_eq!(upstream.requests().len(), 4);
    let none = Sender { redirects: 0, ..sender };
    assert_eq!(none.get(&upstream.url("/loop")).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_hop_to_a_special_address_is_refused_before_it_is_made() {
    let (outside, inside) = (Upstream::start().await, Upstream::start_at("127.0.0.2:0").await);
    let names =
        Names::default().with("out.example", &["127.0.0.1"]).with("in.example", &["127.0.0.2"]).with("meta.example", &["169.254.169.254"]);
    // Stands for the public internet: what is allowed here is the outside alone.
    let sender = Sender::with(names.config()).allowing_private(&["127.0.0.1/32"]);
    let port = inside.address().port();
    for (n, to) in [
        inside.url("/"),
        inside.url_at("in.example", "/"),
        inside.url_at("[::ffff:127.0.0.2]", "/"),
        inside.url_at("0x7f000002", "/"),
        inside.url_at("2130706434", "/"),
        format!("//127.0.0.2:{port}/"),
        format!("https://127.0.0.2:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://meta.example/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://0/".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/{n}");
        outside.on(&path, Answer::redirect(to));
        sender.refusal(&outside.url_at("out.example", &path), Code::EgressRefused).await;
    }
    untouched(&inside);
}

#[tokio::test]
async fn a_hop_out_of_the_list_of_hosts_or_out_of_http_is_refused() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    upstream.on("/other", Answer::redirect(other.url("/"))).on("/file", Answer::redirect("file:///etc/passwd"));
    upstream.on("/user", Answer::redirect(upstream.url_at("user:pass@127.0.0.1", "/"))).on("/bad", Answer::redirect("http://[x"));
    let sender = Sender::new().on_loopback().allowing(&[&upstream.address().to_string()]);
    sender.refusal(&upstream.url("/other"), Code::EgressRefused).await;
    for path in ["/file", "/user", "/bad"] {
        sender.refusal(&upstream.url(path), Code::Url).await;
    }
    untouched(&other);
}

fn with_credentials(url: &str) -> HttpRequest {
    let headers = headers(&[
        ("authorization", "Bearer secret"),
        ("cookie", "session=secret"),
        ("x-api-key", "secret"),
        ("x-anything", "secret"),
        ("accept", "application/json"),
        ("user-agent", "me"),
    ]);
    HttpRequest { headers, body: "secret".into(), ..get(url) }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    first.on("/here", Answer::redirect("/there")).on("/there", Answer::redirect(second.url("/away")));
    second.on("/away", Answer::redirect(first.url("/back")));
    first.on("/back", Answer::text("done"));
    let sender = Sender::new().on_loopback();
    assert_eq!(sender.send(with_credentials(&first.url("/here"))).await.unwrap().body, "done");

    let of_first = first.requests();
    assert_eq!(of_first[1].path, "/there");
    assert_eq!((of_first[1].header("authorization"), of_first[1].header("x-api-key")), (Some("Bearer secret"), Some("secret")));
    assert_eq!(of_first[1].text(), "secret");
    // Another port is another origin, and the way back does not restore what was dropped.
    for stranger in [&second.requests()[0], &of_first[2]] {
        assert_eq!((stranger.header("accept"), stranger.header("user-agent")), (Some("application/json"), Some("me")));
        assert!(stranger.headers.iter().all(|(_, value)| !value.contains("secret")), "{stranger:?}");
        assert_eq!(stranger.text(), "");
    }
}

#[tokio::test]
async fn another_name_or_scheme_is_another_origin() {
    let (plain, tls) = (Upstream::start().await, Upstream::start_tls(&["a.example", "b.example"]).await);
    let names = Names::default().with("a.example", &["127.0.0.1"]).with("b.example", &["127.0.0.1"]);
    let config = EgressConfig { extra_roots: tls.certificate().into(), ..names.config() };
    let sender = Sender::with(config).on_loopback();
    plain.on("/up", Answer::redirect(tls.url_at("a.example", "/x")));
    plain.on("/name", Answer::redirect(plain.url_at("b.example", "/x"))).on("/x", Answer::text("plain"));
    tls.on("/x", Answer::text("tls")).on("/down", Answer::redirect(plain.url_at("a.example", "/x")));
    assert_eq!(sender.send(with_credentials(&plain.url_at("a.example", "/up"))).await.unwrap().body, "tls");
    assert_eq!(tls.last().header("authorization"), None);
    assert_eq!(sender.send(with_credentials(&plain.url_at("a.example", "/name"))).await.unwrap().body, "plain");
    assert_eq!(plain.last().header("authorization"), None);

    let before = plain.requests().len();
    let fault = sender.refusal(&tls.url_at("a.example", "/down?key=secret"), Code::Redirects).await;
    assert!(fault.detail.contains("from https to http") && !fault.detail.contains("secret"), "{fault}");
    assert_eq!(plain.requests().len(), before);
}
