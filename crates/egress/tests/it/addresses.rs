//! Addresses written in a URL: every special range, and every way to write one.

use snaphook_model::Code;
use snaphook_testkit::{Answer, Upstream};

use crate::support::{Sender, untouched};

/// First and last address of each range of IANA's special-purpose registries, and what the refusal calls it.
const SPECIAL: &[(&str, &str, &str)] = &[
    ("0.0.0.0", "0.0.0.0", "unspecified"),
    ("0.0.0.1", "0.255.255.255", "this network"),
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "carrier's NAT"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("169.254.0.0", "169.254.255.255", "link-local"),
    ("169.254.169.254", "169.254.169.254", "metadata"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "protocol assignments"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.88.99.0", "192.88.99.255", "6to4 relay"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("240.0.0.0", "255.255.255.254", "reserved"),
    ("255.255.255.255", "255.255.255.255", "broadcast"),
    ("168.63.129.16", "168.63.129.16", "platform"),
    ("[::]", "[::]", "unspecified"),
    ("[::1]", "[::1]", "loopback"),
    ("[::2]", "[::ffff:ffff]", "IPv4-compatible"),
    ("[64:ff9b:1::]", "[64:ff9b:1:ffff:ffff:ffff:ffff:ffff]", "NAT64"),
    ("[100::]", "[100::ffff:ffff:ffff:ffff]", "discard"),
    ("[2001::]", "[2001:0:ffff:ffff:ffff:ffff:ffff:ffff]", "Teredo"),
    ("[2001:1::]", "[2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff]", "protocol assignments"),
    ("[2001:2::]", "[2001:2:0:ffff:ffff:ffff:ffff:ffff]", "benchmarking"),
    ("[2001:db8::]", "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]", "documentation"),
    ("[2002::]", "[2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "6to4"),
    ("[3fff::]", "[3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff]", "documentation"),
    ("[5f00::]", "[5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "segment-routing"),
    ("[fc00::]", "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "unique local"),
    ("[fd00:ec2::254]", "[fd00:ec2::254]", "unique local"),
    ("[fe80::]", "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "link-local"),
    ("[fec0::]", "[feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "site-local"),
    ("[ff00::]", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "multicast"),
    ("[200::1]", "[1fff::1]", "global unicast"),
    ("[4000::1]", "[5eff::1]", "global unicast"),
];

#[tokio::test]
async fn every_special_range_is_refused_by_name() {
    let sender = Sender::new();
    for &(first, last, what) in SPECIAL {
        for address in [first, last] {
            for url in [format!("http://{address}/"), format!("https://{address}:8443/x")] {
                let fault = sender.refusal(&url, Code::EgressRefused).await;
                assert!(fault.detail.contains(what), "{url}: {fault}");
                assert!(fault.detail.contains("allow_private"), "{url}: {fault}");
            }
        }
    }
}

/// Every other way to write 127.0.0.1 that some parser somewhere accepts.
const LOOPBACK: &[&str] = &[
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0x7f.0x0.0x0.0x1",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
];

#[tokio::test]
async fn other_spellings_of_loopback_are_loopback() {
    let upstream = Upstream::start().await;
    let sender = Sender::new();
    for host in LOOPBACK {
        sender.refusal(&upstream.url_at(host, "/"), Code::EgressRefused).await;
    }
    untouched(&upstream);
}

#[tokio::test]
async fn what_is_behind_a_translated_address_decides() {
    let sender = Sender::new();
    for (address, what) in [("[64:ff9b::a9fe:a9fe]", "metadata"), ("[64:ff9b::10.0.0.1]", "private"), ("[::ffff:10.0.0.1]", "private")] {
        let fault = sender.refusal(&format!("http://{address}/latest/meta-data"), Code::EgressRefused).await;
        assert!(fault.detail.contains(what), "{fault}");
    }
}

#[tokio::test]
async fn hosts_that_are_no_hosts_are_no_urls() {
    let sender = Sender::new();
    for url in [
        "http://[fe80::1%25eth0]/",
        "http://[::1%lo]/",
        "http://1.2.3.4.5/",
        "http://0x100000000/",
        "http:///",
        "http://",
        "http://a b/",
        "nowhere",
        "",
    ] {
        sender.refusal(url, Code::Url).await;
    }
}

#[tokio::test]
async fn only_http_and_https_without_user_names() {
    let upstream = Upstream::start().await;
    let sender = Sender::new().on_loopback();
    for url in
        ["ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1:70/_x", "data:text/plain,x", "ws://example.com/", "unix:/run/x"]
    {
        sender.refusal(url, Code::Url).await;
    }
    for user in ["user@", "user:secret@", ":secret@", "example.com:80@"] {
        let fault = sender.refusal(&upstream.url_at(&format!("{user}127.0.0.1"), "/"), Code::Url).await;
        assert!(!fault.detail.contains("secret"), "{fault}");
    }
    untouched(&upstream);
}

#[tokio::test]
async fn a_policy_allows_the_network_it_names() {
    let (v4, v6) = (Upstream::start().await, Upstream::start_at("[::1]:0").await);
    v4.on("/", Answer::text("four"));
    v6.on("/", Answer::text("six"));
    let sender = Sender::new().allowing_private(&["127.0.0.0/8"]);
    assert_eq!(sender.get(&v4.url("/")).await.unwrap().body, "four");
    assert_eq!(sender.get(&v4.url_at("2130706433", "/")).await.unwrap().body, "four");
    assert_eq!(sender.get(&v4.url_at("[::ffff:127.0.0.1]", "/")).await.unwrap().body, "four");
    sender.refusal(&v6.url("/"), Code::EgressRefused).await;
    sender.refusal("http://10.0.0.1/", Code::EgressRefused).await;
    untouched(&v6);
    assert_eq!(Sender::new().allowing_private(&["::1/128"]).get(&v6.url("/")).await.unwrap().body, "six");
}

#[tokio::test]
async fn the_list_of_hosts_holds_for_host_and_port() {
    let upstream = Upstream::start().await;
    upstream.on("/", Answer::text("ok"));
    let port = upstream.address().port();
    let by_port = Sender::new().on_loopback().allowing(&[&format!("127.0.0.1:{port}"), "*.example.com"]);
    assert_eq!(by_port.get(&upstream.url("/")).await.unwrap().body, "ok");
    for url in [
        "http://127.0.0.1:1/",
        "http://127.0.0.2/",
        "http://example.com/",
        "http://example.com.evil.example/",
        "http://evilexample.com/",
        "http://[::1]/",
    ] {
        let fault = by_port.refusal(url, Code::EgressRefused).await;
        assert!(fault.detail.contains("`egress.allow` (2 in all)"), "{fault}");
    }
    // The list does not stand in for `allow_private`, which the refusal then names.
    let fault = Sender::new().allowing(&["127.0.0.1"]).refusal(&upstream.url("/"), Code::EgressRefused).await;
    assert!(fault.detail.contains("allow_private"), "{fault}");
}
