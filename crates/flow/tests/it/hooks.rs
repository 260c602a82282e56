//! Hooks around a call, in JavaScript.

use serde_json::{Value, json};
use snaphook_flow::Outcome;
use snaphook_model::{Code, Hook, ReasonCode};
use snaphook_testkit::{Answer, Upstream};

use crate::rig::{Rig, failure, payload};

/// An endpoint whose hooks are these scripts, each at the hook of its name, in order.
fn endpoint(hooks: &[(&str, &[&str])]) -> Value {
    let lists: serde_json::Map<_, _> = hooks
        .iter()
        .map(|(hook, scripts)| {
            let list = scripts.iter().map(|script| json!({"script": script, "version": 1, "parms": {"by": script}})).collect();
            ((*hook).to_owned(), Value::Array(list))
        })
        .collect();
    json!({"method": "POST", "path": "/x", "hooks": lists})
}

#[tokio::test]
async fn every_hook_sees_what_the_one_before_made() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"trail": ["upstream"]})).header("x-kind", "real").with_status(201));
    let rig = Rig::new().await;
    rig.deploy("pre", "export function preHook(call, context) { call.arguments.trail.push(context.parms.by + ' ' + call.endpoint); }");
    rig.deploy("pre2", "export function preHook(call) { return {trail: [...call.arguments.trail, 'pre2']}; }");
    rig.deploy("sign", "export function preRequest(request) { request.headers.set('x-sig', String(request.json().trail.length)); }");
    rig.deploy(
        "post",
        "export function postRequest(response, context) {
            console.log(response.status + ' ' + response.headers.get('x-kind'));
            const body = response.json(); body.trail.push(context.parms.by); response.body = body;
        }",
    );
    rig.deploy(
        "after",
        "export function postHook(result) { result.payload.trail.push(result.arguments.trail.length); return result.payload; }",
    );
    let hooks = endpoint(&[
        ("pre-hook", &["pre", "pre2"]),
        ("pre-request", &["sign"]),
        ("post-request", &["post", "post"]),
        ("post-hook", &["after"]),
    ]);
    let finished = rig.call(&upstream.url(""), hooks, r#"{"trail":[]}"#).await;
    let result: Value = serde_json::from_str(payload(&finished)).unwrap();
    assert_eq!(result, json!({"trail": ["upstream", "post", "post", 0]}));
    let sent = upstream.last();
    assert_eq!((sent.json(), sent.header("x-sig")), (json!({"trail": ["pre it", "pre2"]}), Some("2")));

    let record = rig.record(finished.run).await;
    let step = &record.steps[0];
    let called: Vec<_> =
        step.hooks.iter().map(|hook| (hook.hook, hook.script.as_str(), hook.decision.as_ref().unwrap().kind.as_str())).collect();
    assert_eq!(called, [(Hook::PreHook, "pre", "call"), (Hook::PreHook, "pre2", "call"), (Hook::PostHook, "after", "replace")]);
    let called: Vec<_> = step.attempts[0].hooks.iter().map(|hook| (hook.hook, hook.decision.as_ref().unwrap().kind.as_str())).collect();
    assert_eq!(called, [(Hook::PreRequest, "send"), (Hook::PostRequest, "none"), (Hook::PostRequest, "none")]);
    assert_eq!(step.attempts[0].hooks[1].logs[0].message, "201 real");
    assert!(record.usage.fuel > 0 && step.hooks.iter().all(|hook| hook.usage.fuel > 0));
}

#[tokio::test]
async fn a_rejection_reaches_the_caller_and_nothing_goes_out() {
    let upstream = Upstream::start().await;
    let rig = Rig::new().await;
    rig.deploy("no", "import {reject} from 'snaphook'; export function preHook() { return reject(500, 'too high', 50000); } export function preRequest() { return reject(403, 'no'); }");
    rig.deploy("late", "export function postFail() { throw new Error('never'); } export function postHook() { throw new Error('never'); }");
    for (hook, status, code) in [("pre-hook", 500, Some(ReasonCode::Number(50000))), ("pre-request", 403, None)] {
        let hooks = endpoint(&[(hook, &["no"]), ("post-fail", &["late"]), ("post-hook", &["late"])]);
        let finished = rig.call(&upstream.url(""), hooks, "{}").await;
        let Outcome::Rejected(rejection) = &finished.outcome else { panic!("{:?}", finished.outcome) };
        assert_eq!((rejection.status, &rejection.code), (status, &code));
        assert_eq!(rig.record(finished.run).await.code, Some(Code::Rejected));
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_hook_answers_in_the_upstreams_place() {
    let upstream = Upstream::start().await;
    let rig = Rig::new().await;
    rig.deploy("cache", "import {respond} from 'snaphook'; export function preHook() { return respond({status: 203, headers: {'x-from': 'cache'}, body: {hit: 1}}); }");
    let finished = rig.call(&upstream.url(""), endpoint(&[("pre-hook", &["cache"])]), "{}").await;
    let Outcome::Responded(response) = &finished.outcome else { panic!("{:?}", finished.outcome) };
    assert_eq!((response.status, response.headers.get("x-from"), &*response.body), (203, Some("cache"), &b"{\"hit\":1}"[..]));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_script_that_fails_before_the_request_keeps_it_from_going_out() {
    let upstream = Upstream::start().await;
    let rig = Rig::new().await;
    rig.deploy(
        "bad",
        "export function preHook() { null.x; }\nexport function preRequest(request) { request.headers.set('host', 'evil'); }",
    );
    for (hook, code) in [("pre-hook", Code::ScriptThrew), ("pre-request", Code::ScriptContract)] {
        let finished = rig.call(&upstream.url(""), endpoint(&[(hook, &["bad"])]), "{}").await;
        assert_eq!(failure(&finished).0.code, code);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_post_request_script_decides_over_the_status() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::json(json!({"error": "Invalid session"})));
    let rig = Rig::new().await;
    rig.deploy(
        "check",
        "import {proceed, fail} from 'snaphook';
        export function postRequest(response) {
            if (response.status === 500) return proceed({recovered: true});
            if (response.json().error) return fail(response.json().error, 14001);
        }",
    );
    let hooks = || endpoint(&[("post-request", &["check"])]);
    assert_eq!(payload(&rig.call(&upstream.url(""), hooks(), "{}").await), "{\"recovered\":true}");
    let finished = rig.call(&upstream.url(""), hooks(), "{}").await;
    let Outcome::Failed { fault, reason_code, retry_run } = &finished.outcome else { panic!("{:?}", finished.outcome) };
    assert_eq!((fault.code, fault.detail.as_str()), (Code::ScriptFailed, "Invalid session"));
    assert_eq!((reason_code, retry_run), (&Some(ReasonCode::Number(14001)), &None));
    let record = rig.record(finished.run).await;
    assert_eq!((record.code, record.message.as_deref()), (Some(Code::ScriptFailed), Some("Invalid session")));
    assert_eq!(record.steps[0].attempts[0].hooks[0].decision.as_ref().unwrap().message.as_deref(), Some("Invalid session"));
}

#[tokio::test]
async fn retry_counts_against_the_steps_retry_and_every_attempt_is_recorded() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    rig.deploy(
        "again",
        "import {retry} from 'snaphook';
        export function postRequest(response, context) { if (context.attempt < context.parms.until) return retry('busy ' + context.attempt); }",
    );
    let of = |until: u32, attempts: Option<u32>| {
        let hooks = json!({"post-request": [{"script": "again", "version": 1, "parms": {"until": until}}]});
        let retry = attempts.map(|attempts| json!({"attempts": attempts}));
        json!({"method": "POST", "path": "/x", "hooks": hooks, "retry": retry})
    };
    let finished = rig.call(&upstream.url(""), of(3, Some(2)), "{}").await;
    assert_eq!((payload(&finished), upstream.requests().len()), ("1", 3));
    let record = rig.record(finished.run).await;
    let attempts = &record.steps[0].attempts;
    let errors: Vec<_> = attempts.iter().map(|attempt| attempt.error.as_ref().map(|fault| fault.detail.as_str())).collect();
    assert_eq!(
        errors,
        [Some("the script asked for the request again: busy 1"), Some("the script asked for the request again: busy 2"), None]
    );
    assert!(attempts.iter().all(|attempt| attempt.hooks.len() == 1 && attempt.request.is_some()));
    for attempts in [None, Some(0), Some(1)] {
        let finished = rig.call(&upstream.url(""), of(9, attempts), "{}").await;
        assert_eq!(failure(&finished).0.code, Code::RetriesUsed);
    }
    assert_eq!(upstream.requests().len(), 3 + 1 + 1 + 2);
}

#[tokio::test]
async fn post_fail_sees_the_failure_and_may_recover_or_replace_it() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"why": 1})).with_status(409));
    let rig = Rig::new().await;
    rig.deploy("keep", "export function postFail(failure) { console.log(`${failure.status} ${failure.code} ${failure.arguments.a}`); }");
    rig.deploy("recover", "import {recover} from 'snaphook'; export function postFail(failure) { return recover({was: failure.code}); }");
    rig.deploy(
        "replace",
        "import {replace} from 'snaphook'; export function postFail() { return replace({status: 418, message: 'tea', code: 'pot'}); }",
    );
    let of = |scripts: &[&str]| endpoint(&[("post-fail", scripts)]);
    let kept = rig.call(&upstream.url(""), of(&["keep"]), "{\"a\":1}").await;
    assert_eq!(failure(&kept).0.code, Code::Status);
    assert_eq!(rig.record(kept.run).await.steps[0].hooks[0].logs[0].message, "409 status 1");
    assert_eq!(payload(&rig.call(&upstream.url(""), of(&["keep", "recover"]), "{}").await), "{\"was\":\"status\"}");
    let replaced = rig.call(&upstream.url(""), of(&["replace"]), "{}").await;
    let Outcome::Rejected(rejection) = &replaced.outcome else { panic!("{:?}", replaced.outcome) };
    assert_eq!((rejection.status, rejection.message.as_str()), (418, "tea"));
}

#[tokio::test]
async fn connector_hooks_come_first_and_a_direct_call_makes_no_new_run() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    rig.deploy("log", "export function preRequest(request, context) { console.log(context.parms.by); }");
    rig.deploy("rerun", "import {retryRun} from 'snaphook'; export function postRequest() { return retryRun('again'); }");
    let wide = json!({"pre-request": [{"script": "log", "version": 1, "parms": {"by": "connector"}}]});
    let inner = endpoint(&[("pre-request", &["log"]), ("post-request", &["rerun"])]);
    let connector = json!({"base_url": upstream.url(""), "hooks": wide, "endpoints": {"it": inner}});
    let finished = rig.call_of(connector, "{}").await;
    let (fault, retry_run) = failure(&finished);
    assert_eq!((fault.code, fault.detail.as_str(), retry_run), (Code::ScriptFailed, "again", None));
    let record = rig.record(finished.run).await;
    let logs: Vec<_> = record.steps[0].attempts[0].hooks.iter().flat_map(|hook| &hook.logs).map(|log| log.message.as_str()).collect();
    assert_eq!(logs, ["connector", "log"]);
}
