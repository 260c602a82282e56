//! Recorded invocations once more: the same, what differs with another version, and nobody called.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};
use snaphook_tests::{Client, Response, Tenant};

use crate::support::{endpoint, hooked, node, ok, tenant};

async fn replay(tenant: &Tenant, run: &str, scripts: Value) -> Response {
    tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({ "scripts": scripts })).await
}

/// The run that an answer names, whether it succeeded or not.
pub(crate) fn run_of(answer: &Response) -> String {
    answer.header("x-run-id").unwrap_or_else(|| panic!("no run: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn a_replay_shows_what_every_hook_made_then_and_now() {
    let (tenant, upstream) = tenant().await;
    let first = "import { reject } from 'snaphook';
        export function preHook(call, context) { call.arguments.id = crypto.randomUUID(); call.arguments.at = Date.now(); context.variables.seen = call.arguments.n; }
        export function preRequest(request) { request.headers.set('x-chance', String(Math.random())); }
        export function postRequest(response, context) { return { n: response.json().n, seen: context.variables.seen }; }
        export function postHook(result) { if (result.payload.n > 2) return reject(409, 'too many', 17); }";
    tenant.js("s", first).await;
    let everywhere = |hook: &str| (hook.to_owned(), json!([{"script": "s", "version": 1}]));
    let hooks = ["pre-hook", "pre-request", "post-request", "post-hook"].map(everywhere);
    endpoint(&tenant, &upstream, Value::Object(hooks.into_iter().collect()), json!({})).await;
    upstream.on_request("/x", |request| Answer::json(json!({"n": request.json()["n"]})));
    let fine = run_of(&tenant.call("api/x", json!({"n": 2})).await.expect(200));
    let rejected = run_of(&tenant.call("api/x", json!({"n": 3})).await.expect(409));
    let asked = upstream.requests().len();

    let answer = replay(&tenant, &fine, json!({})).await.expect(200).json();
    assert_eq!(answer["same"], true, "{answer:#}");
    let shown: Vec<_> = answer["invocations"].as_array().unwrap().iter().map(|i| (i["step"].as_str(), i["hook"].as_str())).collect();
    assert_eq!(shown, ["pre-hook", "pre-request", "post-request", "post-hook"].map(|hook| (Some("api/x"), Some(hook))));
    for invocation in answer["invocations"].as_array().unwrap() {
        assert_eq!((&invocation["before"], &invocation["fuel_before"]), (&invocation["after"], &invocation["fuel_after"]));
        assert!(invocation["fuel_before"].as_u64().unwrap() > 0 && invocation["same"] == true, "{invocation}");
    }
    // What was drawn and read off the clock then is what the upstream got.
    let [pre_hook, pre_request, post_request, post_hook] = [0, 1, 2, 3].map(|i| answer["invocations"][i]["after"].clone());
    let sent = &upstream.requests()[0];
    assert_eq!(pre_hook["arguments"], sent.json());
    assert_eq!(pre_hook["variables"], json!({"seen": 2}));
    assert_eq!(pre_request["request"]["headers"]["x-chance"].as_str(), sent.header("x-chance"));
    assert_eq!((&post_request["decision"]["kind"], &post_request["payload"]), (&json!("none"), &json!({"n": 2, "seen": 2})));
    assert_eq!((&post_hook["decision"]["kind"], &post_hook["payload"]), (&json!("keep"), &json!({"n": 2, "seen": 2})));

    // A version that differs in one hook, and there in one case.
    tenant.js("s", &first.replace("> 2", "> 1")).await;
    let answer = replay(&tenant, &fine, json!({"s": 2})).await.expect(200).json();
    let same: Vec<_> = answer["invocations"].as_array().unwrap().iter().map(|i| i["same"].as_bool().unwrap()).collect();
    assert_eq!((&answer["same"], same), (&json!(false), vec![true, true, true, false]));
    let last = &answer["invocations"][3];
    assert_eq!(
        (&last["version_before"], &last["version_after"], &last["before"]["decision"]["kind"]),
        (&json!(1), &json!(2), &json!("keep"))
    );
    assert_eq!(last["after"], json!({"decision": {"kind": "reject", "message": "too many", "status": 409, "reason_code": 17}}));
    let answer = replay(&tenant, &rejected, json!({"s": 2})).await.expect(200).json();
    assert_eq!(answer["same"], true, "both reject it: {answer:#}");
    assert_eq!(upstream.requests().len(), asked, "a replay calls nobody");
    assert_eq!(tenant.client.get("/v1/runs").await.json()["items"].as_array().unwrap().len(), 2, "and is no run itself");
}

#[tokio::test]
async fn what_an_invocation_was_given_is_the_body_of_a_test_run() {
    let (tenant, upstream) = tenant().await;
    let source = "export function preHook(call, context) { call.arguments.seen = context.parms.a; context.variables.n = 7; context.meta.m = 'x'; }
        export function preRequest(request, context) { request.body = { n: context.variables.n, m: context.meta.m, to: request.url }; }
        export function postRequest(response, context) { return { ok: response.json().ok, status: response.status, n: context.variables.n }; }
        export function postHook(result) { return { payload: result.payload, asked: result.arguments.q, status: result.status }; }";
    tenant.js("s", source).await;
    let everywhere = |hook: &str| (hook.to_owned(), json!([{"script": "s", "parms": {"a": 3}}]));
    let hooks = ["pre-hook", "pre-request", "post-request", "post-hook"].map(everywhere);
    endpoint(&tenant, &upstream, Value::Object(hooks.into_iter().collect()), json!({})).await;
    upstream.on("/x", ok());
    let run = run_of(&tenant.call("api/x", json!({"q": 1})).await.expect(200));
    let answer = replay(&tenant, &run, json!({})).await.expect(200).json();
    let invocations = answer["invocations"].as_array().unwrap();
    assert_eq!(invocations.len(), 4);
    for invocation in invocations {
        let mut body = invocation["given"].clone();
        body["hook"] = invocation["hook"].clone();
        let again = tenant.test("s", 1, body).await;
        for part in ["decision", "arguments", "request", "payload", "variables", "meta"] {
            assert_eq!(again[part], invocation["before"][part], "{part}: {invocation:#}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_with_its_path() {
    let (tenant, upstream) = hooked("pre-hook", "export function preHook() {}").await;
    upstream.on("/x", ok());
    let run = run_of(&tenant.call("api/x", json!({})).await.expect(200));
    tenant.js("s", "export function postHook() {}").await;
    let refused = async |tenant: &Tenant, run: &str, body: Value, status: u16| {
        let problem = tenant.client.post(&format!("/v1/runs/{run}/replay"), &body).await.expect(status).json();
        (
            problem["code"].as_str().unwrap().to_owned(),
            problem["path"].as_str().unwrap_or_default().to_owned(),
            problem["detail"].to_string(),
        )
    };
    let (code, path, detail) = refused(&tenant, &run, json!({"scripts": {"t": 1}}), 400).await;
    assert!((code.as_str(), path.as_str()) == ("invalid", "scripts.t") && detail.contains("it invoked `s`"), "{detail}");
    let (code, path, _) = refused(&tenant, &run, json!({"scripts": {"s": 3}}), 404).await;
    assert_eq!((code.as_str(), path.as_str()), ("not-found", "scripts.s"));
    let (code, path, detail) = refused(&tenant, &run, json!({"scripts": {"s": 2}}), 422).await;
    assert!((code.as_str(), path.as_str()) == ("script-no-hook", "scripts.s") && detail.contains("has no `pre-hook`"), "{detail}");
    for (body, path) in [(json!({"scripts": {"s": "1"}}), "scripts.s"), (json!({"script": {}}), "script"), (json!(5), "")] {
        assert_eq!(refused(&tenant, &run, body, 400).await.1, path);
    }
    for unknown in ["0198c5f2-0000-7000-8000-000000000001", "x"] {
        assert_eq!(refused(&tenant, unknown, json!({}), 404).await.0, "not-found");
    }
    // An empty body asks for nothing special.
    let answer = tenant.client.send("POST", &format!("/v1/runs/{run}/replay"), &[], "".into()).await.expect(200).json();
    assert_eq!(answer["same"], true);

    // Another tenant's run looks like none, whatever they have themselves.
    let (other, upstream) = hooked("pre-hook", "export function preHook() {}").await;
    upstream.on("/x", ok());
    assert_eq!(refused(&other, &run, json!({"scripts": {"s": 1}}), 404).await.0, "not-found");
    let own = run_of(&other.call("api/x", json!({})).await.expect(200));
    assert_eq!(replay(&other, &own, json!({})).await.expect(200).json()["same"], true);
    // Reading is not enough.
    let token = tenant.client.post("/v1/tokens", &json!({"name": "r", "scopes": ["read", "deploy"]})).await.expect(201).json();
    let reader = Client::new(node().url(), token["token"].as_str());
    let _ = reader.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(403);
}

#[tokio::test]
async fn runs_without_scripts_have_nothing_to_replay() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let run = run_of(&tenant.call("api/x", json!({})).await.expect(200));
    assert_eq!(replay(&tenant, &run, json!({})).await.expect(200).json(), json!({"same": true, "invocations": []}));
    assert_eq!(replay(&tenant, &run, json!({"s": 1})).await.expect(400).json()["path"], "scripts.s");
}

#[tokio::test]
async fn a_run_that_was_too_large_keeps_its_record_and_says_so() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function preHook() {}\nexport function postRequest() {}").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}], "post-request": [{"script": "s"}]}), json!({})).await;
    upstream.on("/x", Answer::json(json!("y".repeat(5 << 20))));
    let run = run_of(&tenant.call("api/x", json!({"x": "x".repeat(5 << 20)})).await.expect(200));
    let problem = replay(&tenant, &run, json!({})).await.expect(409).json();
    assert_eq!(problem["code"], "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("too large to be recorded"), "{problem}");
    let record = tenant.client.get(&format!("/v1/runs/{run}")).await.expect(200).json();
    assert_eq!(record["steps"][0]["hooks"][0]["decision"]["kind"], "call");
}

#[tokio::test]
async fn fetched_answers_are_the_recorded_ones_in_their_order_and_another_request_is_a_difference() {
    let document = json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let (tenant, upstream) = (node().tenant_with(document).await, Upstream::start().await);
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {}})).await;
    let racing = "export default async function (payload) {
        const order = [];
        const one = async path => {
            const answer = await fetch('api:' + path);
            order.push([path, answer.status, await answer.text()]);
            if (path === '/quick') await fetch('api:/heard');
        };
        await Promise.all([one('/slow'), one('/quick')]);
        try { await fetch('api:/gone', { method: 'POST', body: 'x' }); } catch (error) { order.push(error instanceof Error); }
        return order;
    }";
    tenant.js("race", racing).await;
    tenant.flow("f", json!({"steps": [{"script": "race", "version": 1}]})).await;
    let gate = Gate::closed();
    upstream
        .on("/slow", Answer::text("slow").after(&gate))
        .on("/quick", Answer::text("quick"))
        .on("/gone", Answer::close())
        .on("/heard", ok());
    let running = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.run("f", json!(1)).await }
    });
    // The guest says that it has heard of the second answer before the first may leave.
    upstream.received(3).await;
    gate.open();
    let answer = running.await.unwrap().expect(200);
    assert_eq!(answer.json()[0][0], "/quick", "{}", answer.text());
    let run = run_of(&answer);
    let asked = upstream.requests().len();
    upstream.on("/slow", Answer::text("changed")).on("/quick", Answer::text("changed")).on("/gone", Answer::text("there again"));

    for _ in 0..3 {
        let replayed = replay(&tenant, &run, json!({})).await.expect(200).json();
        assert_eq!(replayed["same"], true, "{replayed:#}");
        assert_eq!(replayed["invocations"][0]["after"]["payload"], answer.json());
        assert_eq!(replayed["invocations"][0]["after"]["requests"].as_array().unwrap().len(), 4);
    }
    for (change, words) in [
        (racing.replace("one('/slow'), one('/quick')", "one('/slow'), one('/other')"), "request 2, GET api:/other, was not sent"),
        (racing.replace("body: 'x'", "body: 'y'"), "its body is not the recorded one"),
        (racing.replace("return order", "await fetch('api:/more'); return order"), "the recorded invocation made no further request"),
    ] {
        let version = tenant.js("race", &change).await;
        let replayed = replay(&tenant, &run, json!({"race": version})).await.expect(200).json();
        let fault = &replayed["invocations"][0]["after"]["fault"];
        assert_eq!((&replayed["same"], &fault["code"]), (&json!(false), &json!("egress-refused")), "{replayed:#}");
        assert!(fault["detail"].as_str().unwrap().contains(words), "{fault}");
    }
    // One request fewer with the same result is a difference too: the world would see it.
    let fewer = racing.replace("fetch('api:/gone', { method: 'POST', body: 'x' })", "Promise.reject(new Error('no'))");
    let version = tenant.js("race", &fewer).await;
    let replayed = replay(&tenant, &run, json!({"race": version})).await.expect(200).json();
    let invocation = &replayed["invocations"][0];
    assert_eq!((&replayed["same"], &invocation["after"]["payload"]), (&json!(false), &invocation["before"]["payload"]));
    assert_eq!(upstream.requests().len(), asked, "nobody was called");
}

#[tokio::test]
async fn faults_replay_and_the_clock_on_the_wall_is_no_part_of_them() {
    let limits = json!({"fuel": 20_000_000_000_u64, "wall_ms": 60});
    let tenant = node().tenant_with(json!({"limits": limits, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let upstream = Upstream::start().await;
    let source = "export async function preHook(call) {
        if (call.arguments.how === 'throws') throw new TypeError('no');
        if (call.arguments.how === 'loops') for (;;);
        if (call.arguments.how === 'waits') await new Promise(done => setTimeout(done, 1000));
        if (call.arguments.how === 'never') await new Promise(() => {});
    }";
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    for (how, code) in [("throws", "script-threw"), ("loops", "deadline"), ("waits", "deadline"), ("never", "never-settles")] {
        let run = run_of(&tenant.call("api/x", json!({"how": how})).await.expect(422));
        let replayed = replay(&tenant, &run, json!({})).await.expect(200).json();
        let invocation = &replayed["invocations"][0];
        assert_eq!((&replayed["same"], &invocation["before"]["fault"]["code"]), (&json!(true), &json!(code)), "{replayed:#}");
        assert_eq!(invocation["before"], invocation["after"]);
        assert_eq!(invocation["fuel_before"], invocation["fuel_after"], "{how}");
    }
    // The version that mends it decides, and that is a difference.
    let run = run_of(&tenant.call("api/x", json!({"how": "loops"})).await.expect(422));
    let version = tenant.js("s", &source.replace("for (;;);", "return;")).await;
    let replayed = replay(&tenant, &run, json!({"s": version})).await.expect(200).json();
    assert_eq!((&replayed["same"], &replayed["invocations"][0]["after"]["decision"]["kind"]), (&json!(false), &json!("call")));
}

#[tokio::test]
async fn runs_of_one_endpoint_can_be_listed() {
    let (tenant, upstream) = hooked("pre-hook", "export function preHook() {}").await;
    upstream.on("/x", ok());
    let endpoints = json!({"x": {"method": "POST", "path": "/x"}, "xx": {"method": "POST", "path": "/x"}});
    tenant.connector("other", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.insert(0, run_of(&tenant.call("other/x", json!({"call": "api/x"})).await.expect(200)));
        let _ = tenant.call("other/xx", json!({})).await.expect(200);
        let _ = tenant.run("f", json!({})).await.expect(200);
    }
    let list = tenant.client.get("/v1/runs?call=other/x").await.expect(200).json();
    let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, expected);
    assert_eq!(tenant.client.get("/v1/runs?call=other").await.expect(400).json()["path"], "call");
}
