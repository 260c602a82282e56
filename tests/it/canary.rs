//! Many secrets of many shapes, in every kind of connection and in templates, sent to an upstream that repeats all that it gets. Then whatever the
//! node has, keeps and says, its metrics and spans too, is searched for each of them, in every form that a text may have on its way.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeProcess, Tenant};

use crate::signatures::logged;
use crate::support::{files_below, node};

/// Secrets of shapes that real ones have, and of some that they should not have.
pub(crate) fn secrets() -> Vec<String> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let odd = "ABab01+/=&%?#\"'\\<>{}$ ;:,.~!*()";
    let beyond = "ABab01+/&%\"'\\<> äß€é~!*()";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    let made = (0..36).map(|number| {
        let from: Vec<char> = [letters, odd, beyond][number % 3].chars().collect();
        let length = [8, 12, 16, 22, 32, 40, 64, 128, 200][number % 9];
        let text: String = (0..length).map(|_| from[next(from.len())]).collect();
        // Whatever chance makes of it, it ends in something to search for.
        format!("{}c4n4ry{number}", text.trim())
    });
    made.chain(["sk_live_c4n4ryA", "ghp_c4n4ryB/x+y", "eyJhbGciOiJub25lIn0.c4n4ryC.", "p@ss:w0rd c4n4ryD"].map(str::to_owned)).collect()
}

/// A secret in plain, percent-encoded, in base64 of both alphabets, and escaped as JSON and as a debug print have it.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = json!(secret).to_string();
    let twice = json!(json).to_string();
    let in_base64 = (0..3).flat_map(|before| {
        let longer = STANDARD_NO_PAD.encode([&vec![b'x'; before][..], secret.as_bytes()].concat());
        longer.get(4..longer.len() - 4).map(str::to_owned)
    });
    let mut forms: Vec<String> = in_base64.collect();
    forms.extend([
        secret.to_owned(),
        twice[3..twice.len() - 3].to_owned(),
        percent_encoding::utf8_percent_encode(secret, COMPONENT).to_string(),
        percent.replace('+', "%20"),
        percent,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        json[1..json.len() - 1].to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]);
    forms
}

/// What `encodeURIComponent` writes in percent.
const COMPONENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// Searches for all forms of all secrets at once.
pub(crate) struct Search {
    forms: Vec<String>,
    found: AhoCorasick,
}

impl Search {
    pub(crate) fn new(secrets: &[String]) -> Self {
        let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let found = AhoCorasick::new(&forms).expect("texts can be searched for");
        Self { forms, found }
    }

    pub(crate) fn assert_clean(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.found.find(bytes) {
            panic!("{place} holds `{}`", self.forms[found.pattern().as_usize()]);
        }
    }
}

/// Connections of every kind and place, until all secrets are used. What goes into a header is in ASCII.
pub(crate) fn connections(upstream: &Upstream, secrets: &[String]) -> Vec<Value> {
    let (mut plain, mut beyond): (Vec<_>, Vec<_>) = secrets.iter().cloned().partition(|secret| secret.is_ascii());
    let oauth = |kind: &str, secret: String| {
        let mut fields = json!({"token_url": upstream.url("/token"), "client_id": "id", "client_secret": secret});
        if kind == "oauth2-authorization-code" {
            fields["authorize_url"] = upstream.url("/authorize").into();
        }
        json!({"kind": kind, "fields": fields})
    };
    let mut made = Vec::new();
    for number in 0.. {
        let Some(one) = (if number % 2 == 0 { beyond.pop() } else { None }).or_else(|| plain.pop()).or_else(|| beyond.pop()) else { break };
        let in_header = one.is_ascii();
        made.push(match (number % 9, plain.pop()) {
            (1, _) if in_header => json!({"kind": "bearer", "fields": {"token": one}}),
            (3, _) if in_header => json!({"kind": "api-key", "fields": {"api_key": one}, "place": {"header": "x-key", "prefix": "Key "}}),
            (5, Some(two)) if in_header => {
                json!({"kind": "api-key-secret", "fields": {"api_key": one, "api_secret": two}, "place": {"header": "x-k", "secret_header": "x-s"}})
            }
            (0 | 4, Some(two)) => json!({"kind": "api-key-secret", "fields": {"api_key": one, "api_secret": two}}),
            (2, two) => {
                plain.extend(two);
                json!({"kind": "api-key", "fields": {"api_key": one}, "place": {"query": "key"}})
            }
            (6, two) => {
                plain.extend(two);
                json!({"kind": "private-key", "fields": {"private_key": one}})
            }
            (7, two) => {
                plain.extend(two);
                oauth("oauth2-client-credentials", one)
            }
            (8, two) => {
                plain.extend(two);
                oauth("oauth2-authorization-code", one)
            }
            (_, two) => {
                plain.extend(two);
                json!({"kind": "basic", "fields": {"username": "ada", "password": one}})
            }
        });
    }
    made
}

/// Puts everything that it sees into everything that it can reach.
const NOSY: &str = "
    const all = (context) => JSON.stringify([context.connection, context.variables, context.meta, context.stepResults]);
    export function preHook(call, context) { context.log.info(all(context)); context.variables.seen = all(context); }
    export function preRequest(request, context) {
        context.log.info(request.url + request.text() + JSON.stringify([...request.headers]));
        request.headers.set('x-seen', encodeURIComponent(all(context)));
        const body = request.json();
        for (const [name, value] of Object.entries(context.connection)) body[name] = [value, btoa(unescape(encodeURIComponent(String(value))))];
        request.body = body;
    }
    export function postRequest(response, context) {
        context.log.warn(response.text() + JSON.stringify([...response.headers]));
        context.variables.echo = response.text();
        context.meta.echo = response.text().slice(0, 2000);
        context.state.tenant.set('echo', response.text());
        if (context.parms.fail) throw new Error(response.text());
    }
    export function postHook(result, context) { return { result: result.payload, seen: all(context) }; }
    export function postFail(failure, context) { context.log.error(failure.message + all(context)); }
    export default (payload, context) => ({ payload, seen: all(context) });
";

async fn calls(tenant: &Tenant, upstream: &Upstream, number: usize, connection: &Value, said: &mut Vec<String>) {
    let name = format!("c{number}");
    said.push(tenant.client.put(&format!("/v1/connections/{name}"), connection).await.expect(201).text());
    for fail in [false, true] {
        let hook = json!([{"script": "nosy", "parms": {"fail": fail}}]);
        let hooks: serde_json::Map<String, Value> = ["pre-hook", "pre-request", "post-request", "post-hook", "post-fail"]
            .map(|at| (at.to_owned(), hook.clone()))
            .into_iter()
            .collect();
        let endpoint = json!({"method": "POST", "path": "/echo", "headers": {"x-secret": "{{ secrets.ONE }}"}, "hooks": hooks,
            "data": {"field": "{{ connection.api_secret }}{{ connection.password }}", "named": "{{ secrets.ONE }}"}});
        let connector = json!({"base_url": upstream.url(""), "connection": name, "endpoints": {"x": endpoint}});
        tenant.connector("api", connector).await;
        tenant.flow("f", json!({"steps": [{"call": "api/x"}, {"script": "nosy", "connection": name}]})).await;
        for answer in [tenant.call("api/x", json!({})).await, tenant.run("f", json!({})).await] {
            // Nobody agrees to anything here, so connections that somebody has to agree to are broken.
            assert!(matches!(answer.status, 200 | 422 | 502), "{}", answer.text());
            said.push(answer.text());
            let run =
                answer.header("x-run-id").map(str::to_owned).or_else(|| answer.json()["run"].as_str().map(str::to_owned)).expect("a run");
            for path in ["", "/events"] {
                said.push(tenant.client.get(&format!("/v1/runs/{run}{path}")).await.expect(200).text());
            }
            said.push(tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).text());
        }
    }
    said.push(tenant.client.get(&format!("/v1/connections/{name}")).await.expect(200).text());
}

#[tokio::test]
async fn no_secret_is_found_where_none_should_be() {
    let mut own = NodeProcess::start_like(node());
    own.kill();
    let (data, log) = (own.data_dir().to_owned(), own.data_dir().parent().unwrap().join("log"));
    let secrets = secrets();
    let mut said = Vec::new();
    let collector = Upstream::start().await;
    collector.on("/v1/traces", Answer::bytes(Vec::new()));
    let received = {
        let (child, url) = logged(&data, &log, &[("SNAPHOOK_OTLP_ENDPOINT", &collector.url("")), ("OTEL_BSP_SCHEDULE_DELAY", "50")]);
        let _ended = Ended(child);
        let tenant = tenant_at(&url).await;
        let upstream = Upstream::start().await;
        upstream.on_request("/echo", |request| {
            let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
            let body = request.text();
            let forms = [STANDARD.encode(&body), URL_SAFE.encode(&body), body.clone(), request.path.clone()];
            Answer::json(json!({"forms": forms, "authorization": header("authorization"), "x-secret": header("x-secret")}))
        });
        let token = secrets[0].clone();
        upstream.on_request("/token", move |_| Answer::json(json!({"access_token": token, "token_type": "bearer", "expires_in": 3600})));
        tenant.js("nosy", NOSY).await;
        let one: String = secrets[1].clone();
        let _ = tenant.client.send("PUT", "/v1/secrets/ONE", &[("content-type", "text/plain")], one.into()).await.expect(201);
        for (number, connection) in connections(&upstream, &secrets[2..]).iter().enumerate() {
            calls(&tenant, &upstream, number, connection, &mut said).await;
        }
        said.push(tenant.client.get("/v1/runs?limit=200").await.expect(200).text());
        said.push(tenant.client.get("/v1/audit?limit=200").await.expect(200).text());
        said.push(Client::new(&url, Some(snaphook_tests::node::OPERATOR)).get("/metrics").await.expect(200).text());
        // When its span is there, so are all before it.
        let last = tenant.client.get("/v1/secrets").await.expect(200).header("x-request-id").expect("an id").to_owned();
        while !collector.requests().iter().any(|spans| spans.text().contains(&last)) {
            collector.received(collector.requests().len() + 1).await;
        }
        upstream
            .requests()
            .iter()
            .map(|request| request.path.clone() + &request.text() + &format!("{:?}", request.headers))
            .collect::<String>()
    };
    // They did go out.
    assert!(received.contains("c4n4ry"), "{}", said[..4].concat());
    assert!(Search::new(&secrets).found.is_match(&received));
    let search = Search::new(&secrets);
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
    let _ = operator.put("/v1/tenants/acme", &json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await.expect(201);
    let token = operator.post("/v1/tenants/acme/tokens", &json!({"name": "t", "scopes": ["admin"]})).await.expect(201).json();
    Tenant { name: "acme".to_owned(), client: Client::new(url, token["token"].as_str()) }
}
