use std::time::Duration;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use snaphook_egress::{Egress, EgressConfig, Outbound};
use snaphook_model::{EgressPolicy, HttpRequest, TenantName};
use snaphook_testkit::{Answer, Upstream};

fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        method: "POST".into(),
        url: url.into(),
        headers: [("content-type", "application/json"), ("accept", "application/json"), ("authorization", "Bearer abcdefghijkl")].into_iter().collect(),
        body: Bytes::from(vec![b'x'; 1024]),
    }
}

const N: u64 = 4000;

#[tokio::test]
async fn speed() {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let upstream = Upstream::start().await;
            upstream.on("/v2/events", Answer::json(serde_json::json!({"a": "b".repeat(600)})));
            tx.send(upstream.url("/v2/events?v=2")).unwrap();
            std::future::pending::<()>().await;
        })
    });
    let url = rx.recv().unwrap();
    let tenant = TenantName::new("acme").unwrap();
    let policy = EgressPolicy { allow: None, allow_private: vec!["127.0.0.0/8".parse().unwrap()] };
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http::<Full<Bytes>>();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let bare = reqwest::Client::builder().no_proxy().no_gzip().no_brotli().no_deflate().redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never()).build().unwrap();
    let template = request(&url);
    for round in 0..5 {
        let c = cpu();
        for _ in 0..N {
            let r = template.clone();
            let mut b = http::Request::builder().method(r.method.as_str()).uri(r.url.as_str());
            for (n, v) in r.headers.iter() { b = b.header(n, v); }
            let response = tokio::time::timeout(Duration::from_secs(5), async {
                let response = hyper.request(b.body(Full::new(r.body)).unwrap()).await.unwrap();
                response.into_body().collect().await.unwrap().to_bytes()
            }).await.unwrap();
            assert!(response.len() > 600);
        }
        let hyper_ns = (cpu() - c) / N;
        let mut of = [0; 2];
        for (i, client) in [&plain, &bare].into_iter().enumerate() {
            let c = cpu();
            for _ in 0..N {
                let r = template.clone();
                let mut q = reqwest::Request::new(r.method.parse().unwrap(), r.url.parse().unwrap());
                for (n, v) in r.headers.iter() { q.headers_mut().append(http::HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()); }
                *q.body_mut() = Some(r.body.into());
                let response = client.execute(q).await.unwrap().bytes().await.unwrap();
                assert!(response.len() > 600);
            }
            of[i] = (cpu() - c) / N;
        }
        let c = cpu();
        for _ in 0..N {
            let response = egress.send(Outbound { tenant: &tenant, request: template.clone(), policy: &policy, timeout: Duration::from_secs(30), max_response_bytes: 1 << 24, redirects: 5 }).await.unwrap();
            assert!(response.body.len() > 600);
        }
        let egress_ns = (cpu() - c) / N;
        println!("round {round}: hyper-util {hyper_ns} ns, reqwest {} ns, reqwest bare {} ns, egress {egress_ns} ns", of[0], of[1]);
    }
}
