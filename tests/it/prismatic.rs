//! Scripts written for Prismatic, as they are: one exported function of the context and of earlier results, or of a trigger's payload.

use serde_json::{Value, json};
use snaphook_tests::{Client, Response, Tenant};

use crate::support::{messages, node, problem};

/// The default stub that the vendor's page prints for a step.
const STEP_STUB: &str = "module.exports = async ({ logger, configVars }, stepResults) => {
return { data: null };
};";

/// A step's function with this body.
fn step(body: &str) -> String {
    format!("module.exports = async ({{ logger, configVars }}, stepResults) => {{\n{body}\n}};")
}

/// A flow of scripts, each a step under its own name.
async fn flow(tenant: &Tenant, name: &str, extra: Value, steps: &[(&str, String)]) {
    let mut list = Vec::new();
    for (i, (step, source)) in steps.iter().enumerate() {
        let script = format!("{name}-{i}");
        tenant.brought(&script, "prismatic", source).await;
        list.push(json!({"name": step, "script": script}));
    }
    let mut document = json!({"steps": list});
    if let (Some(document), Some(extra)) = (document.as_object_mut(), extra.as_object()) {
        document.extend(extra.clone());
    }
    tenant.flow(name, document).await;
}

#[tokio::test]
async fn f105_results_of_earlier_steps_are_found_under_camel_cased_names() {
    let tenant = node().tenant().await;
    let uses = step(
        "const { foo, baz } = stepResults.getDataFromApi.results;
        return { data: { foo, baz, has: 'getDataFromApi' in stepResults, none: stepResults.other === undefined, keys: Object.keys(stepResults),
            trigger: stepResults.trigger.results.t, all: JSON.parse(JSON.stringify(stepResults)).getDataFromApi.results.foo } };",
    );
    let steps = [("Get Data from API", step("return { data: { foo: 'bar', baz: 123 } };")), ("Use it", uses)];
    flow(&tenant, "f", json!({}), &steps).await;
    let expected =
        json!({"foo": "bar", "baz": 123, "has": true, "none": true, "keys": ["getDataFromApi", "trigger"], "trigger": 1, "all": "bar"});
    assert_eq!(tenant.run("f", json!({"t": 1})).await.expect(200).json(), expected);
}

#[tokio::test]
async fn f106_data_of_any_json_type_arrives_unchanged() {
    let tenant = node().tenant().await;
    for value in ["\"x\"", "5", "{\"a\":[1]}", "null", "true", "\"{\\\"not\\\": \\\"parsed\\\"}\"", "[]", "\"\"", "1.5e300"] {
        let steps =
            [("first", step(&format!("return {{ data: {value} }};"))), ("second", step("return { data: [stepResults.first.results] };"))];
        flow(&tenant, "f", json!({}), &steps).await;
        let expected: Value = serde_json::from_str(value).unwrap();
        assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), json!([expected]), "{value}");
    }
    // The stub gives null; who returns nothing leaves the payload.
    flow(&tenant, "stub", json!({}), &[("stub", STEP_STUB.to_owned())]).await;
    assert_eq!(tenant.run("stub", json!({"a": 1})).await.expect(200).text(), "null");
    for body in ["", "return {};", "return { data: undefined };"] {
        flow(&tenant, "nothing", json!({}), &[("nothing", step(body))]).await;
        assert_eq!(tenant.run("nothing", json!({"a": 1})).await.expect(200).json(), json!({"a": 1}), "{body}");
    }
    for body in
        ["return 5;", "return 'data';", "return [];", "return { data: () => 1 };", "return { data: 1n };", "return { instanceState: 1 };"]
    {
        flow(&tenant, "wrong", json!({}), &[("wrong", step(body))]).await;
        let answer = tenant.run("wrong", json!({})).await.expect(422);
        assert_eq!(problem(&answer).0, "script-contract", "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn f107_config_variables_are_read_by_their_display_names() {
    let tenant = node().tenant().await;
    let body = "const apiEndpoint = `${configVars[\"App Base URL\"]}/api`;\nreturn { data: { apiEndpoint, regions: configVars.Regions } };";
    let config = json!({"config": {"App Base URL": "https://app.example.com", "Regions": ["eu", "us"]}});
    flow(&tenant, "f", config, &[("Code Block", step(body))]).await;
    let expected = json!({"apiEndpoint": "https://app.example.com/api", "regions": ["eu", "us"]});
    assert_eq!(tenant.run("f", json!({})).await.expect(200).json(), expected);
}

#[tokio::test]
async fn f111_every_level_of_the_logger_and_the_console_are_in_the_log() {
    let tenant = node().tenant().await;
    let body = "for (const level of ['metric', 'trace', 'debug', 'info', 'log', 'warn', 'error']) logger[level](`by ${level}`);
        console.log('by console', { a: 1 });\nreturn { data: 1 };";
    flow(&tenant, "f", json!({}), &[("Code Block", step(body))]).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    let run = tenant.record(&answer).await;
    assert_eq!((run["id"].as_str(), run["steps"][0]["name"].as_str()), (answer.header("x-run-id"), Some("Code Block")));
    let logs = run["steps"][0]["hooks"][0]["logs"].as_array().unwrap();
    let levels: Vec<_> = logs.iter().map(|log| log["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["metric", "trace", "debug", "info", "log", "warn", "error", "log"]);
    assert_eq!((logs[3]["message"].as_str(), logs[7]["message"].as_str()), (Some("by info"), Some("by console {\"a\":1}")));
}

#[tokio::test]
async fn f112_ids_are_those_of_the_runs_record_and_the_tenants_own() {
    let (a, b) = (node().tenant().await, node().tenant().await);
    let body = "const { stepId, executionId, customer, instance, flow, integration, startedAt } = context;
        return { data: { stepId, executionId, customer, instance, flow, integration, startedAt } };";
    let source = format!("module.exports = async (context) => {{ {body} }};");
    for tenant in [&a, &b] {
        flow(tenant, "orders", json!({}), &[("Code Block", source.clone())]).await;
        let answer = tenant.run("orders", json!({})).await.expect(200);
        let (seen, run) = (answer.json(), tenant.record(&answer).await);
        assert_eq!((&seen["stepId"], &seen["executionId"]), (&run["steps"][0]["name"], &run["id"]));
        assert_eq!((&seen["flow"]["name"], &seen["integration"]["name"]), (&run["flow"], &run["flow"]));
        assert_eq!((seen["customer"]["id"].as_str(), seen["instance"]["id"].as_str()), (Some(&*tenant.name), Some(&*tenant.name)));
        assert_eq!(ms(&seen["startedAt"]), ms(&run["started_at"]), "{seen} {run}");
        let other = if tenant.name == a.name { &b } else { &a };
        assert!(!answer.text().contains(&other.name));
    }
}

/// A time in whole milliseconds, which is how scripts are told it.
fn ms(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn f112_every_step_is_told_when_its_run_began() {
    let tenant = node().tenant().await;
    tenant.brought("late", "prismatic", "module.exports = async (context) => ({ data: [context.startedAt, Date.now()] });").await;
    // The clock of a step that is tried again is a second on; the run began when it did.
    let again = "export default function (payload, context) {
        if (context.attempt === 1) throw new Error('once more');
        context.variables.seen = [context.startedAt, Date.now()];
    }";
    tenant.js("again", again).await;
    tenant.js("gives", "export default (payload, context) => ({ seen: context.variables.seen, late: payload });").await;
    let on_error = json!({"policy": "retry", "attempts": 1, "delay_s": 1});
    let steps = json!([{"script": "again", "on_error": on_error}, {"script": "late"}, {"script": "gives"}]);
    tenant.flow("f", json!({"steps": steps})).await;
    let answer = tenant.run_to_end("f", json!({})).await.expect(200);
    let (seen, run) = (answer.json(), tenant.record(&answer).await);
    for step in ["seen", "late"] {
        assert_eq!(ms(&seen[step][0]), ms(&run["started_at"]), "{step}: {seen} {run}");
        assert!(seen[step][1].as_i64().unwrap() >= ms(&run["started_at"]) + 1000, "{step}: {seen} {run}");
    }
    // Both times are recorded, so a replay sees the same.
    let id = run["id"].as_str().unwrap();
    let replayed = tenant.client.post(&format!("/v1/runs/{id}/replay"), &json!({})).await.expect(200).json();
    assert_eq!(replayed["same"], true, "{replayed:#}");
}

#[tokio::test]
async fn what_a_context_lacks_is_named() {
    let tenant = node().tenant().await;
    let of_context =
        ["user", "debug", "invokeFlow", "invokeUrl", "webhookUrls", "webhookApiKeys", "components", "executionFrame", "flowSchemas"];
    for name in of_context.into_iter().chain(["isSimulatedTestExecution", "batch", "integration.externalVersion"]) {
        let version =
            tenant.brought("s", "prismatic", &format!("\nmodule.exports = async (context) => {{\n  context.{name}.x;\n}};")).await;
        let result = tenant.test("s", version, json!({"hook": "step"})).await;
        assert_eq!((result["fault"]["code"].as_str(), result["fault"]["line"].as_u64()), (Some("script-threw"), Some(3)), "{result}");
        assert!(result["fault"]["detail"].as_str().unwrap().contains(&format!("{name} is not available here")), "{result}");
    }
    for name in ["user", "invokeUrl", "webhookUrls", "webhookApiKeys", "globalDebug"] {
        let source = format!("module.exports = async (context, payload) => {{\n  payload.{name};\n}};");
        let version = tenant.brought("s", "prismatic", &source).await;
        let result = tenant.test("s", version, json!({"hook": "trigger"})).await;
        let detail = result["fault"]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("payload.{name} is not available here")) && result["fault"]["line"] == 2, "{result}");
    }
    // Copied, written down and handed on they are what they were.
    let copies =
        "module.exports = async (context, payload) => ({ payload: { ...payload, own: JSON.parse(JSON.stringify(payload)).executionId } });";
    let version = tenant.brought("s", "prismatic", copies).await;
    let result = tenant.test("s", version, json!({"hook": "trigger"})).await;
    assert!(result["fault"].is_null() && result["payload"]["own"] == result["payload"]["executionId"], "{result}");
    let version =
        tenant.brought("s", "prismatic", "module.exports = (context) => ({ data: { ...context, logger: 0, configVars: 0 } });").await;
    let result = tenant.test("s", version, json!({"hook": "step"})).await;
    assert_eq!(result["payload"]["customer"]["name"], *tenant.name, "{result}");
    let refused = tenant.upload("s?dialect=prismatic", "javascript", "exports.run = async () => ({ data: 1 });").await.expect(422);
    assert_eq!(problem(&refused).0, "script-no-hook");
    let refused = tenant.upload("s?dialect=prismatic", "javascript", "const axios = require('axios');").await.expect(422);
    assert!(problem(&refused).1.contains("axios"), "{}", refused.text());
}

#[tokio::test]
async fn what_an_answer_may_not_have_is_named() {
    let tenant = node().tenant().await;
    for (hook, answer, named) in [
        ("trigger", "{ payload: 1, branch: 'left' }", "`branch`"),
        ("trigger", "{ payload: 1, polledNoChanges: true }", "`polledNoChanges`"),
        ("trigger", "{ payload: 1, failed: null }", "`failed`"),
        ("trigger", "payload", "`headers`"),
        ("trigger", "{ response: { statusCode: 200, contentType: 'text/plain', cookies: [] } }", "`cookies`"),
        ("step", "{ data: 1, branch: 'left' }", "`branch`"),
    ] {
        let source = format!("module.exports = async (context, payload) => ({answer});");
        let version = tenant.brought("s", "prismatic", &source).await;
        let fault = tenant.test("s", version, json!({"hook": hook})).await["fault"].clone();
        let detail = fault["detail"].as_str().unwrap_or_default();
        assert!(fault["code"] == "script-contract" && detail.contains(named) && detail.contains("it may have"), "{answer}: {fault}");
    }
    for (hook, answer) in [
        (
            "trigger",
            "{ payload: 1, branch: undefined, executionState: { a: 1 }, instanceState: {}, crossFlowState: {}, integrationState: {} }",
        ),
        ("step", "{ data: 1, contentType: 'text/plain', statusCode: 200, headers: {}, executionState: { a: 1 } }"),
    ] {
        let version = tenant.brought("s", "prismatic", &format!("module.exports = async () => ({answer});")).await;
        let result = tenant.test("s", version, json!({"hook": hook})).await;
        assert!(result["fault"].is_null() && result["payload"] == 1, "{answer}: {result}");
    }
}

/// The default stub that the vendor's page prints for a trigger.
const TRIGGER_STUB: &str = "module.exports = async ({ logger, configVars }, payload) => {
const response = {
statusCode: 200,
contentType: \"text/plain\",
body: \"hello\",
};
return { payload, response };
};";

/// A flow `f` that everybody may begin, with such a trigger and a step that gives back the trigger's result.
async fn triggered(tenant: &Tenant, source: &str) {
    tenant.brought("intake", "prismatic", source).await;
    tenant.brought("echo", "prismatic", &step("return { data: stepResults.trigger.results };")).await;
    let trigger = json!({"auth": "none", "script": "intake"});
    tenant
        .flow("f", json!({"trigger": trigger, "config": {"App Base URL": "https://a"}, "steps": [{"name": "Echo", "script": "echo"}]}))
        .await;
}

async fn send(tenant: &Tenant, path: &str, content_type: &str, body: &'static [u8]) -> Response {
    let outside = Client::new(node().url(), None);
    let headers = [("content-type", content_type), ("X-Own", "1")];
    outside.send("POST", &format!("/t/{}/f{path}", tenant.name), &headers, body.into()).await
}

#[tokio::test]
async fn f108_a_trigger_function_is_given_the_request_and_returns_the_payload() {
    let tenant = node().tenant().await;
    let source = "module.exports = async (context, payload) => {
        const { headers, queryParameters, rawBody, body, pathFragment, executionId, customer, flow, startedAt } = payload;
        const seen = { own: headers['x-own'] + headers['X-Own'], queryParameters, raw: new TextDecoder().decode(rawBody.data), type: rawBody.contentType,
            data: body.data, pathFragment, same: executionId === context.executionId && startedAt === context.startedAt, customer, flow: flow.name,
            config: context.configVars['App Base URL'], step: context.stepId, keys: Object.keys(payload).length };
        return { payload: seen, response: { statusCode: 200, contentType: 'application/json', body: JSON.stringify(seen) } };
    };";
    triggered(&tenant, source).await;
    let answer = send(&tenant, "/a/b%20c?q=2&r=1&r=2", "application/json", b"{ \"a\":1 }").await.expect(200);
    let expected = json!({"own": "11", "queryParameters": {"q": "2", "r": ["1", "2"]}, "raw": "{ \"a\":1 }", "type": "application/json", "data": {"a": 1},
        "pathFragment": "/a/b%20c", "same": true, "customer": {"id": tenant.name, "externalId": tenant.name, "name": tenant.name}, "flow": "f",
        "config": "https://a", "step": null, "keys": 11});
    assert_eq!(answer.json(), expected);
    let run = tenant.record(&answer).await;
    assert_eq!((run["status"].as_str(), run["trigger"]["decision"]["kind"].as_str()), (Some("succeeded"), Some("return")), "{run}");
    // Forms and what is not what it says it is are text.
    for (content_type, text) in [("application/x-www-form-urlencoded", "a=1&b=2"), ("application/json", "{oops"), ("text/plain", "words")] {
        let echo = "module.exports = async (context, { body }) => ({ response: { statusCode: 200, contentType: 'text/plain', body: typeof body.data + body.data } });";
        triggered(&tenant, echo).await;
        let answer = send(&tenant, "", content_type, text.as_bytes()).await.expect(200);
        assert_eq!(answer.text(), format!("string{text}"), "{content_type}");
    }
}

#[tokio::test]
async fn f108_an_empty_text_as_payload_is_a_text() {
    let tenant = node().tenant().await;
    tenant.brought("intake", "prismatic", "module.exports = async () => ({ payload: '' });").await;
    tenant.brought("tells", "prismatic", &step("logger.info(JSON.stringify(stepResults.trigger.results));")).await;
    tenant.flow("f", json!({"trigger": {"auth": "none", "script": "intake"}, "steps": [{"name": "Tells", "script": "tells"}]})).await;
    let answer = send(&tenant, "", "application/json", b"{}").await.expect(200);
    assert_eq!(messages(&tenant.record(&answer).await), ["\"\""]);
}

#[tokio::test]
async fn the_printed_stubs_run_as_they_are_written() {
    let tenant = node().tenant().await;
    triggered(&tenant, TRIGGER_STUB).await;
    let answer = send(&tenant, "", "application/json", b"{\"a\":1}").await.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("hello", Some("text/plain")));
    // The uses that the page's comments show.
    let csv = "module.exports = async ({ logger, configVars }, payload) => {
        const apiEndpoint = `${configVars[\"App Base URL\"]}/api`;
        logger.info(apiEndpoint);
        return {
            payload: { foo: \"Hello\", bar: 123.45, baz: true },
            response: { statusCode: 200, contentType: \"text/csv\", body: \"hello,world\" },
        };
    };";
    triggered(&tenant, csv).await;
    let answer = send(&tenant, "", "text/plain", b"x").await.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("hello,world", Some("text/csv")));
    let run = tenant.record(&answer).await;
    assert_eq!(run["trigger"]["logs"][0]["message"], "https://a/api");
    triggered(&tenant, "module.exports = async () => ({ payload: { foo: \"Hello\", bar: 123.45, baz: true } });").await;
    let answer = send(&tenant, "", "text/plain", b"x").await.expect(200);
    assert_eq!(answer.json(), json!({"executionId": tenant.record(&answer).await["id"]}));
    // One function is a step or a trigger, as it is bound.
    let version = tenant.brought("both", "prismatic", STEP_STUB).await;
    let record = tenant.client.get(&format!("/v1/scripts/both/versions/{version}")).await.expect(200).json();
    assert_eq!(record["hooks"], json!(["step", "trigger"]));
}
