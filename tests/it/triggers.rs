//! Triggers: what begins a run from outside, its script, and its answer.

use bytes::Bytes;
use serde_json::{Value, json};
use snaphook_testkit::Answer;
use snaphook_tests::{Client, Response, Tenant};

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem, tenant};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Sends to a trigger of the tenant's, without any token.
async fn send(tenant: &Tenant, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    let outside = Client::new(node().url(), None);
    outside.send(method, &format!("/t/{}/{path}", tenant.name), headers, body.into()).await
}

/// A flow `f` that everybody may begin, with this trigger script and a step that gives back what it is given.
async fn triggered(tenant: &Tenant, source: &str) {
    tenant.js("intake", source).await;
    tenant.js("echo", "export default function (payload) { return payload; }").await;
    tenant.flow("f", json!({"trigger": {"auth": "none", "script": "intake"}, "steps": [{"name": "Echo", "script": "echo"}]})).await;
}

#[tokio::test]
async fn f109_a_trigger_answers_with_status_type_headers_and_body() {
    let (tenant, _) = tenant().await;
    let source = "export function trigger(request) {
        return { payload: request.json(), response: { status: 200, headers: { 'content-type': 'text/csv', 'x-made': ['a', 'b'] }, body: 'hello,world' } };
    }";
    triggered(&tenant, source).await;
    let answer = send(&tenant, "POST", "f", JSON, "{\"a\":1}").await.expect(200);
    assert_eq!((answer.header("content-type"), answer.text().as_str()), (Some("text/csv"), "hello,world"));
    assert_eq!(answer.headers.get_all("x-made").iter().collect::<Vec<_>>(), ["a", "b"]);
    let run = tenant.record(&answer).await;
    assert_eq!((run["status"].as_str(), run["flow"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some("f"), Some(1)));
    let trigger = &run["trigger"];
    assert_eq!(
        (trigger["hook"].as_str(), trigger["script"].as_str(), trigger["version"].as_u64()),
        (Some("trigger"), Some("intake"), Some(1))
    );
    assert_eq!(trigger["decision"], json!({"kind": "return", "status": 200}));
    assert!(trigger["usage"]["fuel"].as_u64().unwrap() > 0 && trigger["fault"].is_null());
    assert!(run["usage"]["fuel"].as_u64().unwrap() > trigger["usage"]["fuel"].as_u64().unwrap());
}

#[tokio::test]
async fn f110_without_a_body_the_answer_names_the_run() {
    let (tenant, _) = tenant().await;
    let listed = async |answer: &Response| {
        let id = answer.json()["executionId"].as_str().unwrap().to_owned();
        assert_eq!(answer.json(), json!({ "executionId": id }));
        assert_eq!((answer.header("x-run-id"), answer.header("content-type")), (Some(id.as_str()), Some("application/json")));
        let runs = tenant.client.get("/v1/runs?flow=f").await.expect(200).json();
        assert!(runs["items"].as_array().unwrap().iter().any(|run| run["id"] == id.as_str()), "{runs}");
    };
    for (source, status) in [
        ("export function trigger() {}", 200),
        ("export function trigger() { return { payload: [1] }; }", 200),
        ("export function trigger() { return { response: { status: 202, headers: { 'content-type': 'text/csv' } } }; }", 202),
        ("export function trigger() { return { payload: null, response: { body: null } }; }", 200),
    ] {
        triggered(&tenant, source).await;
        listed(&send(&tenant, "POST", "f", &[], "x").await.expect(status)).await;
    }
    // An empty body is a body, and some statuses have none.
    triggered(&tenant, "export function trigger() { return { response: { body: '' } }; }").await;
    assert_eq!(send(&tenant, "POST", "f", &[], "x").await.expect(200).body.len(), 0);
    triggered(&tenant, "export function trigger() { return { response: { status: 204, body: 'lost' } }; }").await;
    assert_eq!(send(&tenant, "POST", "f", &[], "x").await.expect(204).body.len(), 0);
    let head = send(&tenant, "HEAD", "f", &[], "").await.expect(204);
    assert!(head.header("x-run-id").is_some());
}

#[tokio::test]
async fn methods_paths_and_queries_reach_the_script() {
    let (tenant, _) = tenant().await;
    let source = "export function trigger(request, context) {
        const { method, url, path, query, headers } = request;
        const seen = { method, path, query, url: new URL(url).pathname + new URL(url).search, own: headers.get('X-Own'), length: request.text().length,
                       host: headers.get('host') !== null, connection: headers.get('connection'), auth: headers.get('authorization'),
                       tenant: context.tenant, flow: context.flow, step: context.step, test: context.testRun };
        return { payload: seen, response: { body: seen } };
    }";
    triggered(&tenant, source).await;
    let address = format!("/t/{}/f", tenant.name);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let seen = send(&tenant, method, "f", &[("x-own", "v"), ("authorization", "Custom key")], "").await.expect(200).json();
        let expected = json!({"method": method, "path": "", "query": {}, "url": address, "own": "v", "length": 0, "host": true, "connection": null,
            "auth": "Custom key", "tenant": tenant.name, "flow": "f", "step": null, "test": false});
        assert_eq!(seen, expected, "{method}");
    }
    for (path, below, query) in [
        ("f/", "/", json!({})),
        ("f?", "", json!({})),
        ("f/a/b%20c//d", "/a/b%20c//d", json!({})),
        ("f/x?q=2&r=1&r=x+y&r=%C3%BC%2B", "/x", json!({"q": "2", "r": ["1", "x y", "ü+"]})),
        (
            "f?flag&=empty&a%3Db=c%26d&constructor=1&__proto__=2&odd=%zz%4",
            "",
            json!({"flag": "", "": "empty", "a=b": "c&d", "constructor": "1", "__proto__": "2", "odd": "%zz%4"}),
        ),
    ] {
        let seen = send(&tenant, "GET", path, &[], "").await.expect(200).json();
        assert_eq!((seen["path"].as_str(), &seen["query"]), (Some(below), &query), "{path}");
    }
}

#[tokio::test]
async fn without_a_script_the_body_is_the_payload_and_the_last_payload_the_answer() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("echo", "export default function (payload, context) { return context.parms.shape ? { payload, kind: payload instanceof Uint8Array ? 'bytes' : typeof payload } : undefined; }").await;
    tenant.flow("f", json!({"trigger": {"auth": "none"}, "steps": [{"script": "echo"}]})).await;
    tenant.flow("shaped", json!({"trigger": {"auth": "none"}, "steps": [{"script": "echo", "parms": {"shape": true}}]})).await;
    let shaped = async |content_type: &str, body: &'static [u8]| {
        send(&tenant, "POST", "shaped", &[("content-type", content_type)], body).await.expect(200).json()
    };
    assert_eq!(shaped("application/json", b"{\"a\": [1]}").await, json!({"payload": {"a": [1]}, "kind": "object"}));
    assert_eq!(shaped("application/cloudevents+json", b"5").await, json!({"payload": 5, "kind": "number"}));
    assert_eq!(shaped("text/plain", b"x").await, json!({"payload": "x", "kind": "string"}));
    assert_eq!(shaped("application/octet-stream", b"\xff").await["kind"], "bytes");
    assert_eq!(send(&tenant, "GET", "shaped", &[], "").await.expect(200).json(), json!({"payload": null, "kind": "object"}));
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let answer = send(&tenant, "POST", "f", &[("content-type", "image/png")], binary.clone()).await.expect(200);
    assert!(answer.body == binary && answer.header("content-type") == Some("image/png"));
    let run = tenant.record(&answer).await;
    assert!(run["status"] == "succeeded" && run.get("trigger").is_none());
    let broken = send(&tenant, "POST", "f", JSON, "{\"a\": 1,\n}").await.expect(400);
    assert_eq!((broken.json()["code"].as_str(), broken.json()["line"].as_u64()), (Some("invalid"), Some(2)));
    // A script reads what it likes.
    triggered(&tenant, "export function trigger(request) { return { payload: request.text(), response: { body: request.bytes() } }; }")
        .await;
    assert_eq!(send(&tenant, "POST", "f", JSON, "{\"a\": 1,\n}").await.expect(200).text(), "{\"a\": 1,\n}");
    assert_eq!(send(&tenant, "POST", "f", JSON, binary.clone()).await.expect(200).body, binary);
}

#[tokio::test]
async fn steps_find_what_the_trigger_made() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let intake = "export function trigger(request, context) {
        context.variables.customer = request.query.c; context.meta.trace = 't'; context.log.info('taken in');
        request.body.seen = true;
    }";
    tenant.js("intake", intake).await;
    let look = "export default function (payload, context) {
        const { trigger, orderIn } = context.stepResults;
        return { payload, trigger, orderIn, customer: context.variables.customer, trace: context.meta.trace };
    }";
    tenant.js("look", look).await;
    let steps = json!([{"call": "api/x"}, {"script": "look"}]);
    let flow = tenant.flow("f", json!({"trigger": {"auth": "none", "script": "intake", "version": 1}, "steps": steps.clone()})).await;
    assert_eq!(flow["trigger"], json!({"auth": "none", "script": "intake", "version": 1}));
    let _ = send(&tenant, "POST", "f?c=7", JSON, "{\"a\":1}").await.expect(200);
    assert_eq!(upstream.last().json(), json!({"a": 1, "seen": true}));
    let named = json!({"auth": "none", "script": "intake", "name": "Order in", "parms": {"p": 1}});
    tenant.flow("f", json!({"trigger": named, "steps": [{"script": "look"}]})).await;
    let answer = send(&tenant, "POST", "f?c=7", JSON, "{\"a\":1}").await.expect(200);
    let run = tenant.record(&answer).await;
    assert_eq!(run["trigger"]["logs"][0]["message"], "taken in");
    // A run that a caller of the API begins has that caller's payload, and no trigger.
    let begun = tenant.run("f", json!({"b": 2})).await.expect(200);
    assert_eq!(begun.json(), json!({"payload": {"b": 2}, "orderIn": {"b": 2}}));
    assert!(tenant.record(&begun).await.get("trigger").is_none());
}

#[tokio::test]
async fn a_failed_run_is_answered_as_such_and_repeated_without_its_trigger() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500));
    tenant.js("intake", "let n = 0; export function trigger(request) { return { payload: { n: ++n, at: request.query.at }, response: { body: 'all is well' } }; }").await;
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let trigger = json!({"auth": "none", "script": "intake"});
    let steps = json!([{"call": "api/x"}]);
    tenant.flow("f", json!({"trigger": trigger, "retry": {"attempts": 1, "delay_s": 0}, "steps": steps})).await;
    let failed = send(&tenant, "GET", "f?at=1", &[], "").await.expect(502);
    assert_eq!((problem(&failed).0.as_str(), failed.header("x-run-id").is_some()), ("status", true));
    let run = tenant.record(&failed).await;
    assert_eq!((run["status"].as_str(), run["trigger"]["decision"]["status"].as_u64()), (Some("failed"), Some(200)));
    upstream.received(2).await;
    for request in upstream.requests() {
        assert_eq!(request.json(), json!({"n": 1, "at": "1"}));
    }
    let again = failed.json()["retry_run"].as_str().unwrap().to_owned();
    let again = ended(&tenant, &again).await;
    assert_eq!((again["attempt"].as_u64(), again["retry_of"].clone()), (Some(2), run["id"].clone()));
    assert!(again.get("trigger").is_none());
}

/// The record of a run, once it has ended.
async fn ended(tenant: &Tenant, id: &str) -> Value {
    loop {
        let run = tenant.client.get(&format!("/v1/runs/{id}")).await.expect(200).json();
        if !run["ended_at"].is_null() {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_repeated_run_has_what_the_trigger_wrote() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500));
    tenant.js("intake", "export function trigger(request, context) { context.variables.from = request.query.from; context.meta.m = 'kept'; delete context.variables.gone; }").await;
    tenant.js("fill", "export function preRequest(request, context) { request.body = { from: context.variables.from, meta: context.meta.m, gone: context.variables.gone ?? null }; }").await;
    endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "fill"}]}), json!({})).await;
    let document = json!({"trigger": {"auth": "none", "script": "intake"}, "variables": {"gone": 1}, "retry": {"attempts": 1}, "steps": [{"call": "api/x"}]});
    tenant.flow("f", document).await;
    let _ = send(&tenant, "POST", "f?from=outside", &[], "x").await.expect(502);
    upstream.received(2).await;
    for request in upstream.requests() {
        assert_eq!(request.json(), json!({"from": "outside", "meta": "kept", "gone": null}));
    }
}

#[tokio::test]
async fn who_does_not_wait_is_answered_when_the_run_is_durable() {
    let (tenant, upstream) = tenant().await;
    let gate = snaphook_testkit::Gate::closed();
    upstream.on("/x", ok().after(&gate));
    tenant.js("intake", "export function trigger(request, context) { context.variables.n = request.json().n; context.log.info('in'); return { payload: { at: request.path }, response: { body: 'not for you' } }; }").await;
    tenant.js("fill", "export function preRequest(request, context) { request.headers.set('x-n', String(context.variables.n)); }").await;
    endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "fill"}]}), json!({})).await;
    tenant.flow("f", json!({"trigger": {"auth": "none", "script": "intake"}, "steps": [{"call": "api/x"}]})).await;
    let prefer = [("prefer", "wait=5, Respond-Async"), JSON[0]];
    let accepted = send(&tenant, "POST", "f/here", &prefer, "{\"n\": 7}").await.expect(202);
    let id = accepted.json()["executionId"].as_str().unwrap().to_owned();
    assert_eq!(accepted.json(), json!({ "executionId": id }));
    assert_eq!((accepted.header("x-run-id"), accepted.header("location")), (Some(&*id), Some(&*format!("/v1/runs/{id}"))));
    assert_eq!(accepted.header("preference-applied"), Some("respond-async"));
    upstream.received(1).await;
    let running = tenant.client.get(&format!("/v1/runs/{id}")).await.expect(200).json();
    assert!(running["ended_at"].is_null() && running["trigger"]["logs"][0]["message"] == "in", "{running}");
    gate.open();
    let run = ended(&tenant, &id).await;
    assert_eq!((run["status"].as_str(), run["trigger"]["hook"].as_str()), (Some("succeeded"), Some("trigger")));
    assert!(run["usage"]["fuel"].as_u64().unwrap() > run["trigger"]["usage"]["fuel"].as_u64().unwrap());
    assert_eq!((upstream.last().json(), upstream.last().header("x-n")), (json!({"at": "/here"}), Some("7")));
    // What is wrong with the request is said at once, and no step runs.
    let failed = send(&tenant, "POST", "f", &prefer, "{").await.expect(422);
    assert_eq!(problem(&failed).0, "script-threw");
    assert_eq!(tenant.record(&failed).await["status"], "failed");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_trigger_with_a_token_takes_its_tenants_callers_only() {
    let (tenant, _) = tenant().await;
    triggered(&tenant, "export function trigger(request) { return { response: { body: [request.headers.get('authorization')] } }; }").await;
    for auth in [json!({"script": "intake"}), json!({"auth": "token", "script": "intake"})] {
        let flow = tenant.flow("f", json!({"trigger": auth, "steps": [{"script": "echo"}]})).await;
        assert_eq!(flow["trigger"]["auth"], "token");
    }
    let with = async |authorization: &str| send(&tenant, "POST", "f", &[("authorization", authorization)], "").await;
    let token = async |scopes: Value| {
        let made = tenant.client.post("/v1/tokens", &json!({"name": "t", "scopes": scopes})).await.expect(201).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let missing = send(&tenant, "POST", "f", &[], "").await.expect(401);
    assert_eq!((problem(&missing).0.as_str(), missing.header("www-authenticate")), ("unauthorized", Some("Bearer")));
    assert_eq!(problem(&with("Bearer snap_wrong").await.expect(401)).0, "unauthorized");
    let invoke = token(json!(["invoke"])).await;
    assert_eq!(with(&format!("Bearer {invoke}")).await.expect(200).json(), json!([null]), "a script does not see the token");
    let few = with(&format!("Bearer {}", token(json!(["deploy", "read"])).await)).await.expect(403);
    assert_eq!(problem(&few).0, "scope-missing");
    let other = node().tenant().await.client.token.unwrap();
    let foreign = with(&format!("Bearer {other}")).await.expect(404);
    assert_eq!(problem(&foreign), ("not-found".to_owned(), "there is no trigger at this address".to_owned()));
    assert_eq!(tenant.client.get("/v1/runs").await.json()["items"].as_array().unwrap().len(), 1);
}

/// Whether a flow is there is its tenant's own business.
#[tokio::test]
async fn a_flow_behind_a_token_cannot_be_told_from_none() {
    let (tenant, _) = tenant().await;
    triggered(&tenant, "export function trigger() {}").await;
    tenant.flow("f", json!({"trigger": {"auth": "token"}, "steps": [{"script": "echo"}]})).await;
    let made = async |tenant: &Tenant, scopes: Value| {
        let made = tenant.client.post("/v1/tokens", &json!({"name": "t", "scopes": scopes})).await.expect(201).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let other = node().tenant().await;
    let (all, few) = (other.client.token.clone().unwrap(), made(&other, json!(["read"])).await);
    let operator = node().operator().token.unwrap();
    for (token, status) in [(None, 401), (Some("snap_wrong"), 401), (Some(&*all), 404), (Some(&*few), 404), (Some(&*operator), 403)] {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let mut answers = Vec::new();
        for path in [format!("{}/f", tenant.name), format!("{}/none", tenant.name), "nobody/f".to_owned()] {
            let outside = Client::new(node().url(), None);
            let answer = outside.send("POST", &format!("/t/{path}"), &headers, Bytes::new()).await.expect(status);
            let mut body = answer.json();
            body.as_object_mut().unwrap().remove("request_id");
            answers.push((body, answer.header("www-authenticate").map(str::to_owned)));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{token:?}: {answers:?}");
    }
    // Who is of the tenant is told what is missing.
    let own = made(&tenant, json!(["read"])).await;
    let refused = send(&tenant, "POST", "f", &[("authorization", &format!("Bearer {own}"))], "").await.expect(403);
    assert_eq!(problem(&refused).0, "scope-missing");
}

#[tokio::test]
async fn what_has_no_trigger_does_not_exist() {
    let (tenant, _) = tenant().await;
    triggered(&tenant, "export function trigger() {}").await;
    tenant.flow("plain", json!({"steps": [{"script": "echo"}]})).await;
    let outside = Client::new(node().url(), tenant.client.token.as_deref());
    let mut bodies = Vec::new();
    let name = &tenant.name;
    for path in [
        format!("/t/{name}/plain"),
        format!("/t/{name}/none"),
        "/t/nobody/f".to_owned(),
        format!("/t/{name}"),
        format!("/t/{name}/no name"),
        format!("/t/{name}//f"),
    ] {
        let answer = outside.send("POST", &path.replace(' ', "%20"), &[], Bytes::new()).await.expect(404);
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let _ = outside.delete("/v1/flows/f").await.expect(204);
    let _ = send(&tenant, "POST", "f", &[], "").await.expect(401);
    let _ = outside.send("POST", &format!("/t/{}/f", tenant.name), &[], Bytes::new()).await.expect(404);
}

#[tokio::test]
async fn a_body_beyond_the_limit_begins_nothing() {
    let tenant = node().tenant_with(json!({"limits": {"request_body_bytes": 1000}})).await;
    triggered(&tenant, "export function trigger() {}").await;
    let refused = send(&tenant, "POST", "f", &[], "x".repeat(1001)).await.expect(413);
    assert_eq!((problem(&refused).0.as_str(), refused.json()["limit"].as_u64()), ("too-large", Some(1000)));
    assert_eq!(tenant.client.get("/v1/runs").await.json()["items"], json!([]));
    let _ = send(&tenant, "POST", "f", &[], "x".repeat(1000)).await.expect(200);
}

#[tokio::test]
async fn a_hostile_trigger_fails_its_own_run() {
    let document = json!({"limits": {"fuel": 50_000_000, "output_bytes": 100_000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    let returns = |text: &str| format!("export function trigger(request, context) {{ return {text}; }}");
    for (source, code, says) in [
        ("export function trigger() { while (true) {} }".to_owned(), "fuel", "fuel"),
        ("export function trigger() {\n  throw new Error('boom');\n}".to_owned(), "script-threw", "boom"),
        ("export async function trigger() { await new Promise(() => {}); }".to_owned(), "never-settles", ""),
        (returns("request.json()"), "script-threw", "SyntaxError"),
        (returns("5"), "script-contract", "trigger returned a number; it may return an object with payload and response, or nothing"),
        (returns("'text'"), "script-contract", "text"),
        (returns("null"), "script-contract", "null"),
        (returns("[1]"), "script-contract", "an array"),
        (returns("() => 1"), "script-contract", "a function"),
        (returns("{}"), "script-contract", "without payload and response"),
        (returns("{ payload: 1, respones: {} }"), "script-contract", "`respones`"),
        (returns("{ response: { statusCode: 200 } }"), "script-contract", "`statusCode`; it may have status, headers, body"),
        (returns("{ response: 'ok' }"), "script-contract", "the trigger's response is text"),
        (returns("{ payload: () => 1 }"), "script-contract", "a function"),
        (returns("{ payload: 10n }"), "script-contract", "BigInt"),
        (returns("{ response: { status: 'ok' } }"), "script-contract", "status"),
        (returns("{ response: { status: 199 } }"), "script-contract", "200 to 599"),
        (returns("{ response: { status: 600 } }"), "script-contract", "200 to 599"),
        (returns("{ response: { status: 101 } }"), "script-contract", "200 to 599"),
        (returns("{ response: { headers: { 'x-a': 'b\\r\\nset-cookie: c' } } }"), "script-contract", "x-a"),
        (returns("{ response: { headers: { 'x a': 'b' } } }"), "script-contract", "x a"),
        (returns("{ response: { headers: { 'Content-Length': '3' }, body: 'hello' } }"), "script-contract", "content-length"),
        (returns("{ response: { headers: { 'transfer-encoding': 'chunked' } } }"), "script-contract", "transfer-encoding"),
        (returns("{ response: { headers: { connection: 'x-a' } } }"), "script-contract", "connection"),
        (returns("{ response: { body: 'x'.repeat(200_000) } }"), "output", "output_bytes"),
        (returns("{ payload: 'x'.repeat(60_000), response: { body: 'x'.repeat(60_000) } }"), "output", "output_bytes"),
    ] {
        triggered(&tenant, &source).await;
        let failed = send(&tenant, "POST", "f", &[], "x").await.expect(422);
        let (found, detail) = problem(&failed);
        assert!(found == code && detail.contains(says), "{source}: {found}, {detail}");
        let run = tenant.record(&failed).await;
        assert_eq!((run["status"].as_str(), run["code"].as_str()), (Some("failed"), Some(code)), "{source}");
        assert_eq!((run["trigger"]["fault"]["code"].as_str(), &run["steps"]), (Some(code), &json!([])), "{source}");
        assert!(failed.json().get("retry_run").is_none());
    }
    triggered(&tenant, "export function trigger() {\n  throw new Error('boom');\n}").await;
    assert_eq!(send(&tenant, "POST", "f", &[], "").await.json()["line"], 2);
    neighbour_is_answered().await;
}

#[tokio::test]
async fn a_flow_with_a_broken_trigger_is_refused() {
    let (tenant, upstream) = tenant().await;
    triggered(&tenant, "export function trigger() {}").await;
    let refused = async |trigger: Value, status: u16| {
        let document = json!({"trigger": trigger, "steps": [{"script": "echo"}]});
        let body = tenant.client.put("/v1/flows/refused", &document).await.expect(status).json();
        (
            body["code"].as_str().unwrap().to_owned(),
            body["path"].as_str().unwrap_or_default().to_owned(),
            body["detail"].as_str().unwrap().to_owned(),
        )
    };
    for (trigger, path) in [
        (json!({"script": "none"}), "trigger.script"),
        (json!({"script": "intake", "version": 9}), "trigger.version"),
        (json!({"auth": "basic"}), "trigger.auth"),
        (json!({"foo": 1}), "trigger.foo"),
        (json!({"parms": {"a": 1}}), "trigger.parms"),
    ] {
        let (code, found, detail) = refused(trigger.clone(), 400).await;
        assert_eq!((code.as_str(), found.as_str()), ("invalid", path), "{trigger}: {detail}");
    }
    let (code, path, detail) = refused(json!({"script": "echo"}), 422).await;
    assert_eq!((code.as_str(), path.as_str()), ("script-no-hook", "trigger"), "{detail}");
    let _ = tenant.client.get("/v1/flows/refused").await.expect(404);
    // A trigger is no hook of a call.
    let hooks = json!({"trigger": [{"script": "intake"}]});
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": hooks}}});
    let body = tenant.client.put("/v1/connectors/api", &connector).await.expect(400).json();
    assert_eq!(body["path"], "endpoints.x.hooks.trigger");
    assert!(body["detail"].as_str().unwrap().contains("the flow's `trigger`"), "{body}");
    // A bound version stays.
    let bound = tenant.client.delete("/v1/scripts/intake/versions/1").await.expect(409);
    assert!(problem(&bound).1.contains("trigger"), "{}", bound.text());
}
