//! Scripts written for brainCloud, as they are: globals `data` and `bridge`, and the value of the last expression.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Tenant;

use crate::support::{endpoint, messages, ok, problem, tenant};

/// The vendor's page prints this one.
const EXTRA_EVENT_DATA: &str = r#"message = data.message; //get the passed in API parameters
hookParms = data.parms; //get the custom hook parameters
bridge.logInfoJson("running from prehook_sendevent_addvalue hookparms: ", hookParms);
Object.assign(message.eventData, hookParms.extradata); //add extra json data value to eventdata that was passed in
bridge.logInfoJson("running from prehook_sendevent_adevalue message: ", message);
var retval = {}; //prepare the return object
retval.status = 200;
retval.messageOverride = message;
retval;
"#;

/// Allows what its parameters list, service by service; a service without operations allows all of them. A flow's calls pass.
const ALLOW_LIST: &str = "
var allowed = data.message.ccCall;
var operations = data.parms.services[data.service];
if (!allowed && operations !== undefined) {
    allowed = Object.keys(operations).length === 0 || operations.hasOwnProperty(data.operation);
}
allowed;
";

/// A tenant whose endpoint `api/x` has one such script at one hook, with these parameters.
async fn hooked(hook: &str, source: &str, parms: Value) -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    tenant.brought("s", "braincloud", source).await;
    endpoint(&tenant, &upstream, json!({hook: [{"script": "s", "parms": parms}]}), json!({})).await;
    (tenant, upstream)
}

#[tokio::test]
async fn f011_a_pre_hook_of_braincloud_is_given_exactly_four_keys() {
    let source = "function main() { return { status: 200, messageOverride: { keys: Object.keys(data), data: JSON.parse(JSON.stringify(data)) } }; }\nmain();";
    let (tenant, upstream) = hooked("pre-hook", source, json!({"p": [1]})).await;
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    let expected = json!({"keys": ["service", "operation", "message", "parms"],
        "data": {"service": "api", "operation": "x", "message": {"a": 1, "ccCall": false}, "parms": {"p": [1]}}});
    assert_eq!(upstream.last().json(), expected);
}

#[tokio::test]
async fn f012_the_printed_hook_runs_as_it_is_written() {
    let (tenant, upstream) = hooked("pre-hook", EXTRA_EVENT_DATA, json!({"extradata": {"b": 2}})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({"toProfileId": "p-2", "eventData": {"a": 1}})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"toProfileId": "p-2", "eventData": {"a": 1, "b": 2}}));
    let logs = messages(&tenant.record(&answer).await);
    assert_eq!(logs[0], r#"running from prehook_sendevent_addvalue hookparms:  {"extradata":{"b":2}}"#);
    assert!(logs[1].contains(r#""eventData":{"a":1,"b":2}"#), "{logs:?}");
}

#[tokio::test]
async fn f013_a_status_of_200_alone_sends_the_arguments_as_they_came() {
    let sources = [
        "data.message.a = 2; var answer = { status: 200 }; answer;",
        "data.message = { other: 1 }; ({ status: 200, messageOverride: null })",
        "delete data.message.a; true",
        "data.message.a = 3; ({})",
    ];
    for source in sources {
        let (tenant, upstream) = hooked("pre-hook", source, json!({})).await;
        upstream.on("/x", ok());
        let text = "{ \"a\" :\t1.0,  \"ccCall\": \"mine\" }";
        let _ = tenant.client.send("POST", "/v1/call/api/x", &[("content-type", "application/json")], text.into()).await.expect(200);
        assert_eq!(upstream.last().text(), text, "{source}");
    }
}

#[tokio::test]
async fn f014_another_status_aborts_before_the_call() {
    let source = "var limit = data.parms.limit;
        var answer = { status: 200 };
        if (data.message.amount > limit) { answer.status = 500; answer.reasonCode = 50000; answer.errorMessage = 'too high'; }
        answer;";
    let (tenant, upstream) = hooked("pre-hook", source, json!({"limit": 10})).await;
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({"amount": 9})).await.expect(200);
    let answer = tenant.call("api/x", json!({"amount": 11})).await.expect(500);
    assert_eq!(answer.json(), json!({"status": 500, "reason_code": 50000, "status_message": "too high"}));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn f015_parms_are_the_hooks_own() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.brought("s", "braincloud", "data.message.text += data.parms.suffix; ({ status: 200, messageOverride: data.message })").await;
    let endpoint = |suffix| json!({"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "s", "parms": {"suffix": suffix}}]}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint("x"), "y": endpoint("y")}})).await;
    for name in ["x", "y"] {
        let _ = tenant.call(&format!("api/{name}"), json!({"text": "ends in "})).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"text": format!("ends in {name}")}));
    }
}

#[tokio::test]
async fn f016_hooks_run_for_both_origins_and_are_told_which() {
    let source = "bridge.logInfo('ccCall ' + data.message.ccCall); ({ status: 200, messageOverride: data.message })";
    let (tenant, upstream) = hooked("pre-hook", source, json!({})).await;
    upstream.on("/x", ok());
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let direct = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    assert_eq!((messages(&tenant.record(&direct).await), upstream.last().json()), (vec!["ccCall false".to_owned()], json!({"a": 1})));
    // What a caller says about the origin is not believed, and what is said of it does not leave.
    let direct = tenant.call("api/x", json!({"a": 1, "ccCall": true})).await.expect(200);
    assert_eq!((messages(&tenant.record(&direct).await), upstream.last().json()), (vec!["ccCall false".to_owned()], json!({"a": 1})));
    let in_flow = tenant.run("f", json!({"a": 1})).await.expect(200);
    assert_eq!((messages(&tenant.record(&in_flow).await), upstream.last().json()), (vec!["ccCall true".to_owned()], json!({"a": 1})));
}

/// Connectors with the allow list at `pre-hook` of each, and one for authentication without it.
async fn allow_listed(services: Value) -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.brought("allow", "braincloud", ALLOW_LIST).await;
    let post = json!({"method": "POST", "path": "/x"});
    for name in ["entity", "playerState"] {
        let hooks = json!({"pre-hook": [{"script": "allow", "parms": {"services": services}}]});
        let endpoints = json!({"READ": post, "CREATE": post});
        tenant.connector(name, json!({"base_url": upstream.url(""), "hooks": hooks, "endpoints": endpoints})).await;
    }
    tenant.connector("authentication", json!({"base_url": upstream.url(""), "endpoints": {"AUTHENTICATE": post}})).await;
    (tenant, upstream)
}

#[tokio::test]
async fn f017_a_connectors_pre_hook_allows_and_denies_with_a_bare_boolean() {
    let (tenant, upstream) = allow_listed(json!({"entity": {"READ": 1}})).await;
    let _ = tenant.call("entity/READ", json!({})).await.expect(200);
    let _ = tenant.call("authentication/AUTHENTICATE", json!({})).await.expect(200);
    for endpoint in ["entity/CREATE", "playerState/READ"] {
        let refused = tenant.call(endpoint, json!({})).await.expect(500).json();
        assert_eq!((&refused["status"], &refused["reason_code"]), (&json!(500), &json!(40639)), "{endpoint}");
    }
    // Without any arguments too.
    let refused = tenant.client.send("POST", "/v1/call/entity/CREATE", &[], "".into()).await.expect(500);
    assert_eq!(refused.json()["reason_code"], 40639);
    assert_eq!(upstream.requests().len(), 2);
    tenant.flow("f", json!({"steps": [{"call": "entity/CREATE"}]})).await;
    let _ = tenant.run("f", json!({})).await.expect(200);
}

#[tokio::test]
async fn f018_a_service_without_operations_stands_for_all_of_them() {
    let (tenant, upstream) = allow_listed(json!({"playerState": {}})).await;
    for (endpoint, status) in [("playerState/READ", 200), ("playerState/CREATE", 200), ("entity/READ", 500)] {
        let _ = tenant.call(endpoint, json!({})).await.expect(status);
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn f019_a_malformed_value_breaks_the_contract_and_no_call_is_made() {
    let before = [
        "5",
        "'text'",
        "null",
        "undefined",
        "[]",
        "(function () {})",
        "Symbol('s')",
        "({ status: '200' })",
        "({ status: 20 })",
        "({ status: 200.5 })",
        "({ status: 200, messageOverride: 5 })",
        "({ status: 403, reasonCode: {} })",
        "var nothing;",
        "",
    ];
    for source in before {
        let (tenant, upstream) = hooked("pre-hook", source, json!({})).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{source}: {}", answer.text());
        assert_eq!(upstream.requests().len(), 0);
    }
    // A bare boolean belongs to pre-hooks.
    for (hook, status) in [("post-hook", 200), ("post-fail", 500)] {
        for source in ["5", "true", "false", "'text'", "[]", "({ status: '200' })"] {
            let (tenant, upstream) = hooked(hook, source, json!({})).await;
            upstream.on("/x", Answer::status(status));
            let answer = tenant.call("api/x", json!({})).await.expect(422);
            assert_eq!(problem(&answer).0, "script-contract", "{hook} {source}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn f082_a_post_hook_of_braincloud_is_given_exactly_five_keys() {
    let source = "({ status: 200, data: { keys: Object.keys(data), data: JSON.parse(JSON.stringify(data)) } })";
    let (tenant, upstream) = hooked("post-hook", source, json!({"p": 1})).await;
    upstream.on("/x", Answer::json(json!({"r": 1})));
    let answer = tenant.call("api/x", json!({"a": 1})).await.expect(200).json();
    let expected = json!({"keys": ["service", "operation", "callingMessage", "message", "parms"],
        "data": {"service": "api", "operation": "x", "callingMessage": {"a": 1}, "message": {"r": 1}, "parms": {"p": 1}}});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn f083_null_leaves_the_result_byte_for_byte() {
    for source in ["null", "data.message.a = 2; null", "({})", "data.message.a = 2; ({ status: 200 })", "bridge.logInfo(data.message.a);"] {
        let (tenant, upstream) = hooked("post-hook", source, json!({})).await;
        let text = "{ \"a\" : 1.0,\n \"a\": 2 }";
        upstream.on("/x", Answer::text(text).header("content-type", "application/json"));
        assert_eq!(tenant.call("api/x", json!({})).await.expect(200).text(), text, "{source}");
    }
}

#[tokio::test]
async fn f084_data_replaces_the_result() {
    let source = "var response = { status: 200, data: data.message }; response.data.wasPostHooked = true; response;";
    let (tenant, upstream) = hooked("post-hook", source, json!({})).await;
    upstream.on("/x", ok());
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"ok": true, "wasPostHooked": true}));
}

#[tokio::test]
async fn f084_the_next_hook_is_given_what_the_last_one_made_as_what_it_is() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", snaphook_testkit::Answer::bytes("a,b").header("content-type", "text/csv"));
    tenant.brought("makes", "braincloud", "({ status: 200, data: { rows: data.message.split(',') } })").await;
    tenant.brought("reads", "braincloud", "({ status: 200, data: { first: data.message.rows[0] } })").await;
    endpoint(&tenant, &upstream, json!({"post-hook": [{"script": "makes"}, {"script": "reads"}]}), json!({})).await;
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"first": "a"}));
}

#[tokio::test]
async fn f085_another_status_turns_the_done_call_into_an_error() {
    let (tenant, upstream) = hooked("post-hook", "({ status: 403, reasonCode: 40001, errorMessage: 'no' })", json!({})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(403);
    assert_eq!(answer.json(), json!({"status": 403, "reason_code": 40001, "status_message": "no"}));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn f086_a_post_fail_hook_sees_error_data_and_no_message() {
    let source = "({ status: 200, data: { keys: Object.keys(data), data: JSON.parse(JSON.stringify(data)) } })";
    let (tenant, upstream) = hooked("post-fail", source, json!({"p": 1})).await;
    upstream.on("/x", Answer::json(json!({"e": 1})).with_status(409));
    let seen = tenant.call("api/x", json!({"a": 1})).await.expect(200).json();
    assert_eq!(seen["keys"], json!(["service", "operation", "callingMessage", "errorData", "parms"]));
    let data = &seen["data"];
    assert_eq!((&data["service"], &data["operation"], &data["callingMessage"]), (&json!("api"), &json!("x"), &json!({"a": 1})));
    assert_eq!(data["errorData"]["reasonCode"], "status");
    assert!(data["errorData"]["errorMessage"].as_str().unwrap().contains("409"), "{data}");
}

#[tokio::test]
async fn f087_null_and_empty_keep_the_failure_200_recovers_and_others_replace() {
    let cases = [
        ("null", 502, json!(null)),
        ("({})", 502, json!(null)),
        ("bridge.logError('so it is');", 502, json!(null)),
        ("({ status: 200, data: { ok: 'after all' } })", 200, json!({"ok": "after all"})),
        ("({ status: 200 })", 200, json!(null)),
        (
            "({ status: 403, reasonCode: 40332, errorMessage: 'gone' })",
            403,
            json!({"status": 403, "reason_code": 40332, "status_message": "gone"}),
        ),
    ];
    for (source, status, body) in cases {
        let (tenant, upstream) = hooked("post-fail", source, json!({})).await;
        upstream.on("/x", Answer::status(500));
        let answer = tenant.call("api/x", json!({})).await.expect(status);
        if status == 502 {
            assert_eq!(problem(&answer).0, "status", "{source}");
        } else {
            assert_eq!(answer.json(), body, "{source}");
        }
    }
    // The number that one script gave is a number for the next.
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500));
    tenant.brought("first", "braincloud", "({ status: 404, reasonCode: 40332, errorMessage: 'none' })").await;
    let second = "if (data.errorData.reasonCode === 40332) { ({ status: 200, data: { created: data.errorData.errorMessage } }) }";
    tenant.brought("second", "braincloud", second).await;
    endpoint(&tenant, &upstream, json!({"post-fail": [{"script": "first"}, {"script": "second"}]}), json!({})).await;
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"created": "none"}));
}

#[tokio::test]
async fn f088_either_post_hook_or_post_fail_runs() {
    let (tenant, upstream) = tenant().await;
    tenant.brought("s", "braincloud", "bridge.logInfo(data.errorData ? 'post-fail' : 'post-hook'); null;").await;
    endpoint(&tenant, &upstream, json!({"post-hook": [{"script": "s"}], "post-fail": [{"script": "s"}]}), json!({})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["post-hook"]);
    upstream.on("/x", Answer::status(500));
    let answer = tenant.call("api/x", json!({})).await.expect(502);
    assert_eq!(messages(&tenant.record(&answer).await), ["post-fail"]);
}

#[tokio::test]
async fn f089_hooks_run_in_the_order_of_their_list() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.brought("p1", "braincloud", "data.message.seen = ['p1']; ({ status: 200, messageOverride: data.message })").await;
    tenant.brought("p2", "braincloud", "data.message.seen.push('p2'); ({ status: 200, messageOverride: data.message })").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "p1"}, {"script": "p2"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": ["p1", "p2"]}));
    let stored = tenant.client.get("/v1/connectors/api").await.expect(200).json();
    let shown: Vec<_> =
        stored["endpoints"]["x"]["hooks"]["pre-hook"].as_array().unwrap().iter().map(|binding| binding["script"].clone()).collect();
    assert_eq!(shown, ["p1", "p2"]);
}

#[tokio::test]
async fn f128_sleep_passes_virtual_time_and_ends_at_the_deadline() {
    let document = json!({"limits": {"wall_ms": 2000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = crate::support::node().tenant_with(document).await;
    let source = "var begun = Date.now(); bridge.sleep(data.message.ms); ({ status: 400, reasonCode: Date.now() - begun })";
    let version = tenant.brought("s", "braincloud", source).await;
    for (ms, passed) in [(500, 500), (60_000, 2000), (-5, 0)] {
        let result = tenant.test("s", version, json!({"hook": "pre-hook", "arguments": {"ms": ms}})).await;
        assert_eq!(result["decision"]["reason_code"], passed, "{result}");
        assert!(result["usage"]["wall_us"].as_u64().unwrap() < 1_000_000);
    }
    let waits = "export async function preHook(call) { await new Promise((done) => setTimeout(done, call.arguments.ms)); }";
    let version = tenant.js("t", waits).await;
    let result = tenant.test("t", version, json!({"hook": "pre-hook", "arguments": {"ms": 60_000}})).await;
    assert_eq!(result["fault"]["code"], "deadline", "{result}");
    let result = tenant.test("t", version, json!({"hook": "pre-hook", "arguments": {"ms": 1_999}})).await;
    assert_eq!(result["decision"]["kind"], "call", "{result}");
}

#[tokio::test]
async fn the_bridge_signs_names_and_refuses_what_it_lacks() {
    let (tenant, _) = tenant().await;
    let source = "var utils = bridge.utils();
        var answer = { sha256: bridge.signHmacSha256('key', 'The quick brown fox jumps over the lazy dog'),
            sha1: bridge.signHmacSha1('key', 'The quick brown fox jumps over the lazy dog'),
            same: utils.signHMACSha256('k', 'd') === bridge.signHmacSha256('k', 'd') && utils.signHMACSha1('k', 'd') === bridge.signHmacSha1('k', 'd'),
            guid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(bridge.generateGuid()),
            other: bridge.generateGuid() !== utils.generateGuid(), name: bridge.getScriptName() };
        ({ status: 200, messageOverride: answer })";
    let version = tenant.brought("signs.well", "braincloud", source).await;
    let result = tenant.test("signs.well", version, json!({"hook": "pre-hook"})).await;
    let expected = json!({"sha256": "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=", "sha1": "3nybhbi3iqa8ino29wqQcBydtNk=",
        "same": true, "guid": true, "other": true, "name": "signs.well"});
    assert_eq!(result["arguments"], expected, "{result}");

    for name in ["callAPI", "callScript", "getUserServiceProxy", "constructor", "hasOwnProperty"] {
        let version = tenant.brought("lacks", "braincloud", &format!("\nvar proxy = bridge.{name}('a');\ntrue;")).await;
        let result = tenant.test("lacks", version, json!({"hook": "pre-hook"})).await;
        assert_eq!((result["fault"]["code"].as_str(), result["fault"]["line"].as_u64()), (Some("script-threw"), Some(2)), "{result}");
        assert!(result["fault"]["detail"].as_str().unwrap().contains(&format!("bridge.{name}")), "{result}");
    }
}

#[tokio::test]
async fn the_value_of_a_program_is_that_of_its_last_expression() {
    let cases = [
        ("'use strict';\nfunction main() { return { status: 401 }; }\nmain();", 401),
        ("var a = { status: 402 }; a; // with a comment behind it", 402),
        ("if (data.parms) { ({ status: 403 }) } else { ({ status: 1 }) }", 403),
        ("for (var i = 0; i < 5; i++) { ({ status: 400 + i }) }", 404),
        ("try { ({ status: 405 }) } finally { 7; }", 405),
        ("({ status: 406 }); var later = 1; function f() {} ;;", 406),
        ("const { parms } = data; let status = 407; class C {} ({ status });", 407),
        ("eval('({ status: 408 })')", 408),
        ("async function main() { return { status: 409 }; }\nmain()", 409),
        ("switch (1) { case 1: ({ status: 410 }); break; }", 410),
    ];
    let (tenant, _) = tenant().await;
    for (source, status) in cases {
        let version = tenant.brought("s", "braincloud", source).await;
        let result = tenant.test("s", version, json!({"hook": "pre-hook"})).await;
        assert_eq!(result["decision"]["status"], status, "{source}: {result}");
    }
    let refused = tenant.upload("s?dialect=braincloud", "javascript", "var a = 1;\nreturn a;").await.expect(422);
    assert_eq!((problem(&refused).0.as_str(), refused.json()["line"].as_u64()), ("script-syntax", Some(2)));
    let typed = "type Answer = { status: number };\nenum Status { Teapot = 418 }\nconst answer: Answer = { status: Status.Teapot };\nanswer as Answer;";
    let version = tenant.script("t?dialect=braincloud", "typescript", typed).await;
    assert_eq!(tenant.test("t", version, json!({"hook": "pre-hook"})).await["decision"]["status"], 418);
}

#[tokio::test]
async fn f132_debug_lines_are_recorded_in_test_runs_only() {
    let source = "bridge.logDebug('d', 'more'); bridge.logDebugJson('dj', { a: 1 }); bridge.logInfo('i'); bridge.logWarning('w'); bridge.logErrorJson('e', [1]); true;";
    let (tenant, upstream) = hooked("pre-hook", source, json!({})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["i", "w", "e [1]"]);
    let result = tenant.test("s", 1, json!({"hook": "pre-hook"})).await;
    let logs: Vec<_> =
        result["logs"].as_array().unwrap().iter().map(|log| (log["level"].as_str().unwrap(), log["message"].as_str().unwrap())).collect();
    assert_eq!(logs, [("debug", "d more"), ("debug", "dj {\"a\":1}"), ("info", "i"), ("warn", "w"), ("error", "e [1]")]);
}
