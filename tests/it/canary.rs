//! Many secrets of many shapes, in every kind of connection and in templates, sent to an upstream that repeats all that it gets, by every kind of step and
//! hook, through every failure and again in replays. Then whatever the node has, keeps and says, its metrics and spans too, is searched for each of
//! them, in every form that a text may have on its way.

mod agreed;
mod failing;
mod kinds;
mod shapes;
mod steps;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Recorded, Upstream};
use snaphook_tests::{Client, NodeProcess, Response, Tenant};

use crate::signatures::logged;
use crate::support::{files_below, node};

pub(crate) use agreed::{Tokens, agree};
pub(crate) use kinds::connections;
pub(crate) use shapes::{Search, secrets};

/// Who has the secrets, who repeats them, and what the node has said so far.
struct Canary {
    tenant: Tenant,
    upstream: Upstream,
    said: Vec<String>,
    /// Where the node keeps its data.
    data: PathBuf,
}

impl Canary {
    /// An answer, and all that is said of its run.
    async fn hears(&mut self, answer: &Response) {
        self.said.push(format!("{:?} {}", answer.headers, answer.text()));
        let named = || serde_json::from_slice::<Value>(&answer.body).ok()?["run"].as_str().map(str::to_owned);
        let run = answer.header("x-run-id").map(str::to_owned).or_else(named).expect("a run");
        self.hears_of(&run).await;
    }

    /// All that is said of a run, and of its replay.
    async fn hears_of(&mut self, run: &str) {
        for path in ["", "/events"] {
            self.said.push(self.tenant.client.get(&format!("/v1/runs/{run}{path}")).await.expect(200).text());
        }
        let replay = self.tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await;
        // Of a run that ended before any script, nothing is recorded.
        assert!(matches!(replay.status, 200 | 409), "{}", replay.text());
        self.said.push(replay.text());
    }

    /// What is said of all of them.
    async fn hears_the_rest(&mut self) {
        for path in ["/v1/runs?limit=200", "/v1/audit?limit=200", "/v1/connections"] {
            self.said.push(self.tenant.client.get(path).await.expect(200).text());
        }
        let operator = Client::new(&self.tenant.client.url, Some(snaphook_tests::node::OPERATOR));
        self.said.push(operator.get("/metrics").await.expect(200).text());
    }

    /// Everything that went out.
    fn received(&self) -> String {
        self.upstream.requests().iter().map(|request| request.path.clone() + &request.text() + &format!("{:?}", request.headers)).collect()
    }
}

/// What a request holds, in several forms.
fn echo(request: &Recorded) -> Value {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let body = request.text();
    let forms = [STANDARD.encode(&body), URL_SAFE.encode(&body), body.clone(), request.path.clone()];
    json!({"forms": forms, "authorization": header("authorization"), "x-secret": header("x-secret")})
}

#[tokio::test]
async fn no_secret_is_found_where_none_should_be() {
    let mut own = NodeProcess::start_like(node());
    own.kill();
    let (data, log) = (own.data_dir().to_owned(), own.data_dir().parent().unwrap().join("log"));
    let mut secrets = secrets();
    // One of odd letters is for templates.
    secrets.swap(0, 1);
    let collector = Upstream::start().await;
    collector.on("/v1/traces", Answer::bytes(Vec::new()));
    let (said, received) = {
        let (child, url) = logged(&data, &log, &[("SNAPHOOK_OTLP_ENDPOINT", &collector.url("")), ("OTEL_BSP_SCHEDULE_DELAY", "50")]);
        let _ended = Ended(child);
        let mut canary = Canary { tenant: tenant_at(&url).await, upstream: Upstream::start().await, said: Vec::new(), data: data.clone() };
        canary.upstream.on_request("/echo", |request| Answer::json(echo(request)));
        let tokens = Tokens::at(&canary.upstream);
        let one: String = secrets[0].clone();
        let _ = canary.tenant.client.send("PUT", "/v1/secrets/ONE", &[("content-type", "text/plain")], one.into()).await.expect(201);
        Box::pin(kinds::walk(&mut canary, &secrets[1..])).await;
        Box::pin(steps::walk(&mut canary, &secrets[36..], &Search::new(&secrets))).await;
        Box::pin(failing::walk(&mut canary, &secrets[36..])).await;
        canary.hears_the_rest().await;
        let all = tokens.all(&canary.upstream);
        for kind in ["c0de+/= &c4n4ry-", "access-c4n4ry-", "refresh-c4n4ry-"] {
            assert!(all.iter().any(|token| token.contains(kind)), "no `{kind}` among {all:?}");
        }
        secrets.extend(all);
        // When its span is there, so are all before it.
        let last = canary.tenant.client.get("/v1/secrets").await.expect(200).header("x-request-id").expect("an id").to_owned();
        while !collector.requests().iter().any(|spans| spans.text().contains(&last)) {
            collector.received(collector.requests().len() + 1).await;
        }
        let received = canary.received();
        (canary.said, received)
    };
    let search = Search::new(&secrets);
    // They did go out.
    assert!(received.contains("c4n4ry") && search.is_in(&received), "{}", said[..4].concat());
    let replays = said.iter().filter(|text| text.contains("\"fuel_before\"")).count();
    assert!(replays > 100, "{replays} runs were replayed");
    for text in &said {
        search.assert_clean("what the node said", text.as_bytes());
    }
    let spans = collector.requests();
    assert!(spans.iter().any(|spans| spans.text().contains("nosy")), "hooks have spans");
    for spans in &spans {
        search.assert_clean("a span", &spans.body);
        search.assert_clean("what spans are brought with", format!("{:?}", spans.headers).as_bytes());
    }
    for file in files_below(data.parent().unwrap()) {
        search.assert_clean(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.len() > 10_000 && log.contains("TRACE"), "the node said all that it can say");
    assert!(log.contains("request{request_id="), "and of which request");
}

/// A process that ends with this.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn tenant_at(url: &str) -> Tenant {
    let operator = Client::new(url, Some(snaphook_tests::node::OPERATOR));
    let _ = operator
        .put("/v1/tenants/acme", &json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}}))
        .await
        .expect(201);
    let token = operator.post("/v1/tenants/acme/tokens", &json!({"name": "t", "scopes": ["admin"]})).await.expect(201).json();
    Tenant { name: "acme".to_owned(), client: Client::new(url, token["token"].as_str()) }
}
