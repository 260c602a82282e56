//! Every way in which an upstream fails, each with a code of its own.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{ok, problem, tenant};

async fn fails(tenant: &Tenant, url: &str, extra: Value) -> Response {
    let mut step = json!({"url": url});
    step.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    tenant.flow("f", json!({"steps": [step]})).await;
    tenant.run("f", json!({"port": "x:99999"})).await
}

#[tokio::test]
async fn f057_every_kind_of_failure_has_its_code() {
    let (tenant, upstream) = tenant().await;
    let gate = Gate::closed();
    upstream.on("/slow", ok().after(&gate));
    upstream.on("/round", Answer::redirect(upstream.url("/round")));
    upstream.on("/header", Answer::raw("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"));
    upstream.on("/text", Answer::text("no JSON"));
    upstream.on("/reset", Answer::reset());
    upstream.on("/status", Answer::status(503));
    let tls = Upstream::start_tls(&["127.0.0.1"]).await;
    let json = json!({"continue_if": {"response_notation": "a", "value": 1}});
    let none = json!({});
    let closed = {
        let gone = Upstream::start().await;
        gone.url("/")
    };
    let cases = [
        ("http://{{ payload.port }}/".to_owned(), none.clone(), "url", 502),
        (tls.url("/"), none.clone(), "tls", 502),
        (upstream.url("/slow"), json!({"timeout_s": 1}), "timeout", 504),
        (upstream.url("/round"), json!({"method": "GET"}), "redirects", 502),
        (upstream.url("/header"), none.clone(), "response-header", 502),
        (upstream.url("/text"), json, "response-json", 502),
        (upstream.url("/reset"), none.clone(), "reset", 502),
        (upstream.url("/status"), json!({"status_code": [200]}), "status", 502),
        (closed, none.clone(), "connect", 502),
        ("http://10.0.0.1/".to_owned(), none, "egress-refused", 403),
    ];
    for (url, extra, code, status) in cases {
        let answer = fails(&tenant, &url, extra).await;
        assert_eq!((problem(&answer).0.as_str(), answer.status), (code, status), "{url}: {}", answer.text());
        let record = tenant.record(&answer).await;
        assert_eq!((&record["code"], &record["steps"][0]["attempts"][0]["error"]["code"]), (&json!(code), &json!(code)), "{url}");
        let explained = tenant.client.get(&format!("/errors/{code}")).await.expect(200);
        assert!(explained.text().contains(code), "{code}");
    }
    gate.open();
}
