//! Scripts written for Patchworks, as they are: `handle(data)` and `module.exports = function (data)`.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::Tenant;

use crate::support::{endpoint, messages, ok, on_both_databases, problem, tenant};

on_both_databases!(f066_a_code_of_2_begins_the_run_again_at_its_first_step);

/// Decides by a text in the body: what the vendor's page describes as its first example.
const INVALID_SESSION: &str = "
/**
 * Handler function.
 */
function handle(data) {
    if (data.response.body.indexOf('Invalid session') !== -1) {
        data.response_code = 2;
        data.message = 'Invalid session';
    }
    return data;
}
";

/// A tenant whose endpoint `api/x` has one such script at one hook.
async fn hooked(hook: &str, source: &str, extra: Value) -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    tenant.brought("s", "patchworks", source).await;
    endpoint(&tenant, &upstream, json!({hook: [{"script": "s"}]}), extra).await;
    tenant.flow("f", json!({"steps": [{"name": "one", "call": "api/x"}]})).await;
    (tenant, upstream)
}

/// A response script that sets these members of data.
fn setting(members: &str) -> String {
    format!("module.exports = function (data) {{ return Object.assign(data, {members}); }};")
}

#[tokio::test]
async fn f063_a_response_script_of_patchworks_sees_everything() {
    let source = "module.exports = async (data) => {
        const seen = { ...data, flow: { variables: { ...data.flow.variables } }, keys: Object.keys(data), type: typeof data.response.status,
            header: [data.response.headers.H, data.response.headers['h'], 'H' in data.response.headers, data.response.headers.hasOwnProperty('H')] };
        seen.response = { ...data.response, headers: undefined };
        return { payload: JSON.stringify(seen) };
    };";
    let (tenant, upstream) = tenant().await;
    tenant.brought("s", "patchworks", source).await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s", "parms": {"app": "a", "count": 2}}]}), json!({})).await;
    upstream.on("/x", Answer::text("b").with_status(201).header("h", "v"));
    tenant.flow("f", json!({"variables": {"customerID": "42"}, "steps": [{"name": "one", "call": "api/x"}]})).await;
    let seen = tenant.run("f", json!({})).await.expect(200).json();
    let expected = json!({"payload": "b", "variables": {"app": "a", "count": "2"}, "meta": {}, "flow": {"variables": {"customerID": "42"}},
        "response": {"status": 201, "body": "b"}, "type": "number", "header": ["v", "v", true, true],
        "keys": ["payload", "variables", "meta", "flow", "response"]});
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn f064_a_code_of_0_goes_on_whatever_the_status() {
    let (tenant, upstream) = hooked("post-request", &setting("{ response_code: 0 }"), json!({})).await;
    upstream.on("/x", Answer::json(json!({"e": 1})).with_status(500));
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), json!({"e": 1}));
}

#[tokio::test]
async fn f065_a_code_of_1_sends_the_request_again() {
    let source = "function handle(data) { data.response_code = data.response.body === 'again' ? 1 : 0; return data; }";
    let (tenant, upstream) = hooked("post-request", source, json!({"retry": {"attempts": 1}})).await;
    upstream.on("/x", Answer::text("again")).on("/x", ok());
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(upstream.requests().len(), 2);
    let run = tenant.record(&answer).await;
    assert_eq!(run["status"], "succeeded");
    let attempts = run["steps"][0]["attempts"].as_array().unwrap();
    let kinds: Vec<_> = attempts.iter().map(|attempt| attempt["hooks"][0]["decision"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["retry-step", "proceed"]);
    assert!(!attempts[0]["error"].is_null() && attempts[1]["error"].is_null());
}

async fn f066_a_code_of_2_begins_the_run_again_at_its_first_step() {
    let (tenant, upstream) = tenant().await;
    tenant.brought("s", "patchworks", INVALID_SESSION).await;
    let document = json!({"base_url": upstream.url(""), "endpoints": {
        "first": {"method": "POST", "path": "/first"},
        "second": {"method": "POST", "path": "/x", "hooks": {"post-request": [{"script": "s"}]}}}});
    tenant.connector("api", document).await;
    let flow = json!({"retry": {"attempts": 1, "delay_s": 0}, "steps": [{"call": "api/first"}, {"call": "api/second"}]});
    tenant.flow("f", flow).await;
    upstream.on("/first", ok()).on("/x", Answer::text("{\"error\": \"Invalid session\"}")).on("/x", ok());
    let answer = tenant.run("f", json!({"order": 7})).await.expect(422);
    let first = tenant.record(&answer).await;
    assert_eq!((first["status"].as_str(), first["message"].as_str()), (Some("failed"), Some("Invalid session")));
    let next = answer.json()["retry_run"].as_str().expect("another run was queued").to_owned();
    let second = crate::support::ended(&tenant, &next).await;
    assert_eq!((second["status"].as_str(), second["retry_of"].as_str()), (Some("succeeded"), first["id"].as_str()));
    assert_eq!(second["flow_version"], first["flow_version"]);
    let paths: Vec<_> = upstream.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/first", "/x", "/first", "/x"]);
    assert_eq!(upstream.requests()[2].json(), json!({"order": 7}));
}

#[tokio::test]
async fn f067_a_code_of_3_fails_without_another_try() {
    let (tenant, upstream) =
        hooked("post-request", &setting("{ response_code: 3, message: 'enough' }"), json!({"retry": {"attempts": 3}})).await;
    upstream.on("/x", ok());
    let answer = tenant.run("f", json!({})).await.expect(422);
    assert_eq!(problem(&answer), ("script-failed".to_owned(), "enough".to_owned()));
    assert!(answer.json()["retry_run"].is_null());
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_code_of_4_asks_for_a_new_authentication() {
    let (tenant, upstream) = hooked("post-request", &setting("{ response_code: 4, message: 'expired' }"), json!({})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await;
    let run = tenant.record(&answer).await;
    assert_eq!(run["steps"][0]["attempts"][0]["hooks"][0]["decision"], json!({"kind": "reauthenticate", "message": "expired"}), "{run}");
}

#[tokio::test]
async fn f070_a_message_is_optional_and_in_the_log() {
    let (tenant, upstream) = hooked("post-request", &setting("{ response_code: 3, message: 'Invalid session' }"), json!({})).await;
    upstream.on("/x", ok());
    let run = tenant.record(&tenant.call("api/x", json!({})).await.expect(422)).await;
    assert_eq!((run["message"].as_str(), messages(&run)), (Some("Invalid session"), vec!["Invalid session".to_owned()]));
    for none in ["{ response_code: 3 }", "{ response_code: 3, message: null }"] {
        let (tenant, upstream) = hooked("post-request", &setting(none), json!({})).await;
        upstream.on("/x", ok());
        let run = tenant.record(&tenant.call("api/x", json!({})).await.expect(422)).await;
        assert_eq!((run["code"].as_str(), messages(&run).len()), (Some("script-failed"), 0));
    }
}

#[tokio::test]
async fn f071_a_response_script_runs_for_every_attempt() {
    let source = "function handle(data) { data.logs = [String(data.response.status)]; return data; }";
    let (tenant, upstream) = hooked("post-request", source, json!({"retry": {"attempts": 2}})).await;
    upstream.on("/x", Answer::status(500)).on("/x", Answer::status(500)).on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["500", "500", "200"]);
}

#[tokio::test]
async fn f072_a_body_on_a_200_begins_the_run_again() {
    let (tenant, upstream) = hooked("post-request", INVALID_SESSION, json!({})).await;
    upstream.on("/x", Answer::text("Invalid session"));
    let answer = tenant.run("f", json!({})).await.expect(422);
    assert!(answer.json()["retry_run"].is_string(), "{}", answer.text());
    upstream.on("/x", Answer::json(json!({"session": "fine"})));
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!({"session": "fine"}));
}

#[tokio::test]
async fn f073_f074_a_steps_script_stands_in_for_the_endpoints() {
    let (tenant, upstream) = hooked("post-request", &setting("{ logs: ['E'] }"), json!({})).await;
    upstream.on("/x", ok());
    tenant.brought("step", "patchworks", &setting("{ logs: ['S'] }")).await;
    tenant.flow("own", json!({"steps": [{"call": "api/x", "hooks": {"post-request": [{"script": "step"}]}}]})).await;
    tenant.flow("g", json!({"steps": [{"call": "api/x"}]})).await;
    for (flow, expected) in [("f", "E"), ("g", "E"), ("own", "S")] {
        let answer = tenant.run(flow, json!({})).await.expect(200);
        assert_eq!(messages(&tenant.record(&answer).await), [expected], "{flow}");
    }
}

#[tokio::test]
async fn f075_a_changed_payload_goes_on_as_returned_and_an_unchanged_one_as_received() {
    let text = "{ \"items\" : [1, 2] }";
    let whole = "module.exports = (data) => ({ ...data, payload: JSON.stringify(JSON.parse(data.payload)) });";
    let cases = [
        (whole, json!({"items": [1, 2]})),
        // As it came it counts as not returned, so the path picks as it would without a script.
        ("module.exports = (data) => data;", json!([1, 2])),
        ("module.exports = (data) => ({ payload: data.payload });", json!([1, 2])),
        ("module.exports = (data) => ({});", json!([1, 2])),
    ];
    for (source, expected) in cases {
        let (tenant, upstream) = hooked("post-request", source, json!({"payload_path": "items"})).await;
        upstream.on("/x", Answer::text(text).header("content-type", "application/json"));
        assert_eq!(tenant.call("api/x", json!({})).await.expect(200).json(), expected, "{source}");
    }
    // Without a path an unchanged payload goes on byte for byte.
    let (tenant, upstream) = hooked("post-request", "module.exports = async (data) => { data.payload; return data; };", json!({})).await;
    upstream.on("/x", Answer::text(text).header("content-type", "application/json"));
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).text(), text);
}

#[tokio::test]
async fn what_a_script_returns_as_payload_goes_on_as_what_it_is() {
    let cases = [
        ("'{\"a\": [1e3, \"\\\\u00e9\", null]}'", "application/json", "{\"a\": [1e3, \"\\u00e9\", null]}"),
        ("' true '", "application/json", " true "),
        ("'{\"a\": 01}'", "text/plain", "{\"a\": 01}"),
        ("'[1,]'", "text/plain", "[1,]"),
        ("'plain words'", "text/plain", "plain words"),
        ("{ a: 1 }", "application/json", "{\"a\":1}"),
        ("7", "application/json", "7"),
        ("null", "text/plain", ""),
    ];
    for (payload, media_type, text) in cases {
        let (tenant, upstream) = hooked("post-request", &setting(&format!("{{ payload: {payload} }}")), json!({})).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!((answer.text().as_str(), answer.header("content-type")), (text, Some(media_type)), "{payload}");
    }
}

#[tokio::test]
async fn f076_flow_variables_hold_for_the_run() {
    let (tenant, _) = tenant().await;
    let set = "function handle(data) { data.flow.variables.customerID = 1234567; data.flow.variables.list = ['a'];
        data.flow.variables.list.push('b'); return data; }";
    let read = "module.exports = (data) => { const seen = JSON.stringify(data.flow.variables);
        return { ...data, payload: seen, flow: { variables: { ...data.flow.variables, late: true } } }; };";
    let again = "module.exports = (data) => ({ payload: data.payload + JSON.stringify(data.flow.variables.late) });";
    for (name, source) in [("set", set), ("read", read), ("again", again)] {
        tenant.brought(name, "patchworks", source).await;
    }
    let steps = |names: &[&str]| names.iter().map(|name| json!({"script": name})).collect::<Vec<_>>();
    tenant.flow("f", json!({"variables": {"customerID": "42"}, "steps": steps(&["set", "read", "again"])})).await;
    let expected = r#"{"customerID":1234567,"list":["a","b"]}true"#;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).text(), expected);
    // The next run begins with the flow's own again.
    tenant.flow("g", json!({"variables": {"customerID": "42"}, "steps": steps(&["read"])})).await;
    assert_eq!(tenant.run("g", json!({})).await.expect(200).json(), json!({"customerID": "42"}));
    assert_eq!(tenant.run("f", json!({})).await.expect(200).text(), expected);
}

#[tokio::test]
async fn f076_what_a_rebuilt_flow_leaves_out_is_gone() {
    let (tenant, _) = tenant().await;
    let tells = "module.exports = (data) => ({ payload: JSON.stringify(data.flow.variables) });";
    tenant.brought("tells", "patchworks", tells).await;
    for (rebuilds, expected) in [
        ("({ ...data, flow: { variables: { b: 3 } } })", "{\"b\":3}"),
        ("(({ flow: { variables: { a, ...flow } } }) => ({ flow: { variables: flow } }))(data)", "{\"b\":2}"),
        ("({ flow: { variables: {} } })", "{}"),
        ("({ flow: { variables: { a: undefined, b: null } } })", "{\"b\":null}"),
        // Who says nothing of the variables leaves them.
        ("({ flow: {} })", "{\"a\":1,\"b\":2}"),
        ("({ flow: { variables: null } })", "{\"a\":1,\"b\":2}"),
        ("({})", "{\"a\":1,\"b\":2}"),
    ] {
        tenant.brought("rebuilds", "patchworks", &format!("module.exports = (data) => {rebuilds};")).await;
        tenant.flow("f", json!({"variables": {"a": 1, "b": 2}, "steps": [{"script": "rebuilds"}, {"script": "tells"}]})).await;
        assert_eq!(tenant.run("f", json!({})).await.expect(200).text(), expected, "{rebuilds}");
    }
}

#[tokio::test]
async fn a_name_that_no_sandbox_has_is_warned_of_in_every_dialect() {
    let (tenant, _) = tenant().await;
    let sources = [
        ("patchworks", "function handle(data) {\n  data.payload = Buffer.from(data.payload).toString('base64');\n  return data;\n}"),
        ("braincloud", "var message = data.message;\nmessage.id = Buffer.from(message.id);\n({ status: 200, messageOverride: message });"),
        ("prismatic", "module.exports = async (context) => ({\n  data: Buffer.from('x'),\n});"),
    ];
    for (dialect, source) in sources {
        let deployed = tenant.upload(&format!("s?dialect={dialect}"), "javascript", source).await.expect(201).json();
        let warnings = deployed["warnings"].as_array().unwrap();
        let message = warnings.iter().map(|warning| warning["message"].as_str().unwrap()).collect::<Vec<_>>();
        assert!(matches!(message[..], [one] if one.contains("`Buffer`")), "{dialect}: {deployed:#}");
        assert_eq!(warnings[0]["line"], 2, "{dialect}: {deployed:#}");
    }
}

#[tokio::test]
async fn f077_meta_is_text_for_later_fields_and_ends_at_10240_bytes() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/u/north", ok());
    let set = "module.exports = (data) => { data.meta.region = 'north'; data.meta.count = 3; delete data.meta.gone; return data; };";
    tenant.brought("set", "patchworks", set).await;
    tenant.brought("read", "patchworks", "module.exports = (data) => ({ payload: data.meta });").await;
    let request = json!({"url": upstream.url("/u/{{ meta.region }}"), "headers": {"x-count": "{{ meta.count }}"}, "data": {"r": "{{ meta.region }}"}});
    tenant.flow("f", json!({"steps": [{"script": "set"}, request, {"script": "read"}]})).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!({"region": "north", "count": "3"}));
    let sent = upstream.last();
    assert_eq!((sent.path.as_str(), sent.header("x-count"), sent.json()), ("/u/north", Some("3"), json!({"r": "north"})));
    let fill = |bytes: usize| format!("module.exports = (data) => {{ data.meta.k = 'x'.repeat({bytes} - 1); return data; }};");
    for (bytes, status) in [(10_240, 200), (10_241, 422)] {
        tenant.brought("fill", "patchworks", &fill(bytes)).await;
        tenant.flow("g", json!({"steps": [{"script": "fill"}]})).await;
        let answer = tenant.run("g", json!({})).await.expect(status);
        if status == 422 {
            assert_eq!((problem(&answer).0.as_str(), answer.json()["limit"].as_u64()), ("meta-size", Some(10_240)), "{}", answer.text());
            assert_eq!(answer.json()["used"], 10_241);
        }
    }
}

#[tokio::test]
async fn f077_what_shrinks_in_bytes_makes_room_whatever_a_script_did_to_arrays() {
    let (tenant, _upstream) = tenant().await;
    // In characters `a` grows and `b` shrinks, in bytes it is the other way round: only in that order is there never too much.
    let set = "module.exports = (data) => { data.meta = { b: 'y'.repeat(3000), a: 'é'.repeat(3000) }; return data; };";
    let change = "Array.prototype.sort = Array.prototype.includes = Object.keys = Object.hasOwn = () => { throw new Error('patched'); };
        String = () => 'patched';
        module.exports = (data) => { data.meta = { b: 'é'.repeat(2900), a: 'x'.repeat(3100) }; return data; };";
    tenant.brought("set", "patchworks", set).await;
    tenant.brought("change", "patchworks", change).await;
    tenant.brought("read", "patchworks", "module.exports = (data) => ({ payload: { a: data.meta.a, b: data.meta.b } });").await;
    tenant.flow("f", json!({"steps": [{"script": "set"}, {"script": "change"}, {"script": "read"}]})).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!({"a": "x".repeat(3100), "b": "é".repeat(2900)}));
    // The limit itself counts bytes: half as many characters that have two.
    for (characters, status) in [(5119, 200), (5120, 422)] {
        let fill = format!("module.exports = (data) => {{ data.meta.kk = 'é'.repeat({characters}); return data; }};");
        tenant.brought("fill", "patchworks", &fill).await;
        tenant.flow("g", json!({"steps": [{"script": "fill"}]})).await;
        let _ = tenant.run("g", json!({})).await.expect(status);
    }
}

#[tokio::test]
async fn f078_logs_come_after_the_script_and_in_order() {
    let source = "function handle(data) { data.logs = ['a', 'b']; console.log('while it runs'); return data; }";
    let (tenant, upstream) = hooked("post-request", source, json!({})).await;
    upstream.on("/x", ok());
    let answer = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["while it runs", "a", "b"]);
}

#[tokio::test]
async fn f079_codes_and_messages_mean_nothing_in_a_step() {
    let (tenant, upstream) = hooked("pre-request", &setting("{ response_code: 3, message: 'stop' }"), json!({})).await;
    upstream.on("/x", ok());
    tenant.flow("g", json!({"steps": [{"script": "s"}, {"call": "api/x"}]})).await;
    let answer = tenant.run("g", json!({"a": 1})).await.expect(200);
    assert_eq!(answer.json(), json!({"ok": true}));
    assert_eq!(upstream.last().json(), json!({"a": 1}));
    let run = tenant.record(&answer).await;
    assert_eq!((run["status"].as_str(), messages(&run).len()), (Some("succeeded"), 0));
}

#[tokio::test]
async fn f080_absent_and_null_decide_nothing_and_other_codes_break_the_contract() {
    for code in ["undefined", "null"] {
        let (tenant, upstream) = hooked("post-request", &setting(&format!("{{ response_code: {code} }}")), json!({})).await;
        upstream.on("/x", Answer::status(500));
        assert_eq!(problem(&tenant.call("api/x", json!({})).await.expect(502)).0, "status", "{code}");
    }
    let wrong = [
        "{ response_code: 9 }",
        "{ response_code: '2' }",
        "{ response_code: 1.5 }",
        "{ response_code: true }",
        "{ message: 5 }",
        "{ logs: 'a' }",
    ];
    for members in wrong {
        let (tenant, upstream) = hooked("post-request", &setting(members), json!({})).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{members}: {}", answer.text());
    }
    for returned in ["undefined", "null", "5", "'data'", "[]", "true", "() => data"] {
        let source = format!("module.exports = (data) => ({returned});");
        let (tenant, upstream) = hooked("post-request", &source, json!({})).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{returned}: {}", answer.text());
    }
}

#[tokio::test]
async fn f081_a_code_of_1_counts_against_the_steps_retry() {
    let (tenant, upstream) = hooked("post-request", &setting("{ response_code: 1 }"), json!({})).await;
    upstream.on("/x", ok());
    tenant.flow("none", json!({"steps": [{"call": "api/x", "retry": {"attempts": 0}}]})).await;
    tenant.flow("two", json!({"steps": [{"call": "api/x", "retry": {"attempts": 2}}]})).await;
    for (flow, requests) in [("none", 1), ("two", 4)] {
        let answer = tenant.run(flow, json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "retries-used");
        assert_eq!(upstream.requests().len(), requests, "{flow}");
    }
    // A script that fails counts too.
    tenant.brought("s", "patchworks", "function handle() { throw new Error('no'); }").await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({"retry": {"attempts": 1}})).await;
    assert_eq!(problem(&tenant.call("api/x", json!({})).await.expect(422)).0, "script-threw");
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn f020_a_pre_request_script_of_patchworks_changes_body_headers_and_parameters() {
    let source = "function handle(data) {
        const body = JSON.parse(data.body);
        body.signed = data.variables.app_key;
        data.body = JSON.stringify(body);
        data.headers['X-Sig'] = 'abc';
        data.headers['X-Many'] = ['1', '2'];
        delete data.headers['X-Gone'];
        data.parameters.q = 'a b&c';
        delete data.parameters.old;
        return data;
    }";
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.brought("s", "patchworks", source).await;
    let hooks = json!({"pre-request": [{"script": "s", "parms": {"app_key": "k-1"}}]});
    endpoint(&tenant, &upstream, hooks, json!({"query": {"v": "2", "old": "1"}, "headers": {"x-gone": "1", "x-kept": "1"}})).await;
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    let sent = upstream.last();
    assert_eq!((sent.path.as_str(), sent.json()), ("/x?v=2&q=a+b%26c", json!({"a": 1, "signed": "k-1"})));
    assert_eq!((sent.header("x-sig"), sent.header("x-kept"), sent.header("x-gone")), (Some("abc"), Some("1"), None));
    let many: Vec<_> = sent.headers.iter().filter(|(name, _)| name == "x-many").map(|(_, value)| value.as_str()).collect();
    assert_eq!(many.join(", "), "1, 2");
    // Untouched, a request goes out as it is.
    let text = "{ \"a\" : 1.0 }";
    tenant.brought("s", "patchworks", "module.exports = (data) => data;").await;
    endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "s"}]}), json!({})).await;
    let _ = tenant.client.send("POST", "/v1/call/api/x", &[("content-type", "application/json")], text.into()).await.expect(200);
    assert_eq!(upstream.last().text(), text);
}

#[tokio::test]
async fn loose_habits_run_and_faults_have_their_place() {
    // Undeclared names, `this`, octal numbers, `with`, `arguments.callee`, a return at top level.
    let loose = "#!/usr/bin/env node
total = 010; var self = this;
if (self !== module.exports) return;
module.exports = function (data) { with (data) { payload = String(total + (this === globalThis) + arguments.length); } return data; };
return;";
    let (tenant, _) = tenant().await;
    tenant.brought("loose", "patchworks", loose).await;
    tenant.flow("f", json!({"steps": [{"script": "loose"}]})).await;
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!(10));

    let thrown = tenant.brought("thrown", "patchworks", "'use strict';\n\nfunction handle(data) {\n  undeclared = 1;\n}\n").await;
    let result = tenant.test("thrown", thrown, json!({"hook": "step"})).await;
    assert_eq!((result["fault"]["code"].as_str(), result["fault"]["line"].as_u64()), (Some("script-threw"), Some(4)), "{result}");
    let cases = [
        ("const fs = require('fs');\nmodule.exports = (data) => data;", "script-compile", 1, "fs"),
        ("module.exports = (data) => data;\nfor (;;) {}", "compile", 2, "fuel"),
        ("module.exports = (data) => data;\nnothing.at.all;", "script-compile", 2, "nothing"),
        ("function handle(data) {\n  return 1 +;\n}", "script-syntax", 2, ""),
        ("\nimport fs from 'fs';\nmodule.exports = (data) => data;", "script-syntax", 2, "import"),
        ("const data = {};", "script-no-hook", 0, "handle"),
        ("module.exports = { run() {} };", "script-no-hook", 0, "module.exports"),
    ];
    for (source, code, line, named) in cases {
        let refused = tenant.upload("s?dialect=patchworks", "javascript", source).await.expect(422);
        let document = refused.json();
        assert_eq!((problem(&refused).0.as_str(), document["line"].as_u64().unwrap_or(0)), (code, line), "{source}: {document}");
        assert!(problem(&refused).1.contains(named), "{document}");
    }
    let wasm = tenant.upload("s?dialect=patchworks", "wasm", "x").await.expect(400);
    assert_eq!(wasm.json()["path"], "dialect");
    let unknown = tenant.upload("s?dialect=rhino", "javascript", "x").await.expect(400);
    assert!(problem(&unknown).1.contains("prismatic"), "{}", unknown.text());
}

#[tokio::test]
async fn typescript_may_be_written_for_any_dialect() {
    let (tenant, _) = tenant().await;
    let erased = "interface Data { payload: string | null }\nfunction handle(data: Data): Data {\n  data.payload = 'ts' as string;\n  return data;\n}";
    let coded =
        "enum Kind { A = 'first' }\n\nmodule.exports = (data: { payload: string }) => {\n  data.payload = Kind.A;\n  return data;\n};";
    for (name, source, expected) in [("erased", erased, "ts"), ("coded", coded, "first")] {
        tenant.script(&format!("{name}?dialect=patchworks"), "typescript", source).await;
        tenant.flow(name, json!({"steps": [{"script": name}]})).await;
        assert_eq!(tenant.run(name, json!({})).await.expect(200).text(), expected);
    }
}
