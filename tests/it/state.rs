//! State: what scripts keep for later runs, of a flow and of their tenant.

use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::{Gate, Upstream};
use snaphook_tests::{Client, NodeProcess, Tenant};

use crate::support::{ended, hooked, node, ok, on_both_databases, problem, tenant};

on_both_databases! {
    f113_the_four_states_of_prismatic_last_as_long_as_they_say,
    f114_a_failed_run_keeps_none_and_overlapping_runs_merge_by_key,
    f115_a_run_that_writes_more_than_the_limit_fails_with_the_number_of_bytes,
}

/// A script step that does what the payload says: `flow` and `tenant` are set key by key (null deletes), then it fails where `fail` says so. It
/// gives what it finds afterwards, and before.
const KEEPER: &str = "export default function (payload, { state }) {
  const seen = (of) => Object.fromEntries(of.keys().map((key) => [key, of.get(key)]));
  const before = { flow: seen(state.flow), tenant: seen(state.tenant) };
  for (const of of ['flow', 'tenant']) {
    for (const [key, value] of Object.entries(payload[of] ?? {})) value === null ? state[of].delete(key) : state[of].set(key, value);
  }
  if (payload.fail) throw new Error('told to fail');
  return { ...payload, before, after: { flow: seen(state.flow), tenant: seen(state.tenant) } };
}";

async fn keeper(tenant: &Tenant, flows: &[&str]) {
    tenant.js("keeper", KEEPER).await;
    for flow in flows {
        tenant.flow(flow, json!({"steps": [{"script": "keeper"}]})).await;
    }
}

/// What a run finds that sets nothing.
async fn kept(tenant: &Tenant, flow: &str) -> Value {
    tenant.run(flow, json!({})).await.expect(200).json()["before"].clone()
}

async fn f113_the_four_states_of_prismatic_last_as_long_as_they_say() {
    let tenant = node().tenant().await;
    let names = "['executionState', 'instanceState', 'crossFlowState', 'integrationState']";
    let sets = format!(
        "module.exports = async (context, stepResults) => {{
          if (stepResults.trigger.results.look) return {{ data: null }};
          for (const name of {names}) {{ context[name].assigned = name; context[name].list = [1]; }}
          context.instanceState.list.push(2);
          return {{ data: null, executionState: {{ returned: 1 }}, instanceState: {{ returned: 2 }}, crossFlowState: {{ returned: 3 }}, integrationState: {{ returned: 4 }} }};
        }};"
    );
    let looks = format!(
        "module.exports = async (context) => ({{ data: Object.fromEntries({names}.map((name) => [name, {{ ...context[name] }}])) }});"
    );
    tenant.brought("sets", "prismatic", &sets).await;
    tenant.brought("looks", "prismatic", &looks).await;
    for flow in ["one", "other"] {
        tenant.flow(flow, json!({"steps": [{"script": "sets"}, {"script": "looks"}]})).await;
    }
    let state = |name: &str, list: Value, returned: u32| json!({"assigned": name, "list": list, "returned": returned});
    let (across, wider) = (state("crossFlowState", json!([1]), 3), state("integrationState", json!([1]), 4));
    let mut expected = json!({"executionState": state("executionState", json!([1]), 1), "instanceState": state("instanceState", json!([1, 2]), 2),
        "crossFlowState": across, "integrationState": wider});
    assert_eq!(tenant.run("one", json!({})).await.expect(200).json(), expected, "a later step of the same run");
    expected["executionState"] = json!({});
    assert_eq!(tenant.run("one", json!({"look": true})).await.expect(200).json(), expected, "the next run of the same flow");
    expected["instanceState"] = json!({});
    assert_eq!(tenant.run("other", json!({"look": true})).await.expect(200).json(), expected, "another flow");
}

#[tokio::test]
async fn states_of_prismatic_are_changed_in_place_replaced_and_checked() {
    let tenant = node().tenant().await;
    let of = |body: &str| format!("module.exports = async (context) => {{\n{body}\n}};");
    let given = json!({"flow": {"kept": 1, "gone": {"a": 1}, "changed": [1]}, "tenant": {"t": 1, "integrationState/i": 2}});
    let cases = [
        ("delete context.instanceState.gone; context.instanceState.changed[0]++;", json!({"flow": {"gone": null, "changed": [2]}})),
        ("context.instanceState = { kept: 1, more: 2 };", json!({"flow": {"gone": null, "changed": null, "more": 2}})),
        ("context.crossFlowState = {};", json!({"tenant": {"t": null}})),
        ("context.integrationState.i = context.crossFlowState.t;", json!({"tenant": {"integrationState/i": 1}})),
        ("return { instanceState: { kept: undefined, gone: null } };", json!({"flow": {"kept": null, "gone": null}})),
        ("({ ...context.instanceState }).kept = 5;", Value::Null),
    ];
    for (body, expected) in cases {
        let version = tenant.brought("s", "prismatic", &of(body)).await;
        let result = tenant.test("s", version, json!({"hook": "step", "state": given})).await;
        assert_eq!(result["state"], expected, "{body}: {result}");
    }
    for body in ["return { instanceState: 5 };", "context.instanceState = 'x';"] {
        let version = tenant.brought("s", "prismatic", &of(body)).await;
        let result = tenant.test("s", version, json!({"hook": "step"})).await;
        assert_eq!(result["fault"]["code"], "script-contract", "{body}: {result}");
    }
}

async fn f114_a_failed_run_keeps_none_and_overlapping_runs_merge_by_key() {
    let (tenant, upstream) = tenant().await;
    keeper(&tenant, &["f", "g"]).await;
    let set = |flow: Value, of_tenant: Value| json!({"flow": flow, "tenant": of_tenant});
    let _ = tenant.run("f", set(json!({"cursor": 41, "old": 1}), json!({"shared": "a"}))).await.expect(200);
    let mut failing = set(json!({"cursor": 99}), json!({"shared": "b"}));
    failing["fail"] = true.into();
    assert_eq!(problem(&tenant.run("f", failing).await.expect(422)).0, "script-threw");
    assert_eq!(kept(&tenant, "f").await, json!({"flow": {"cursor": 41, "old": 1}, "tenant": {"shared": "a"}}));
    assert_eq!(kept(&tenant, "g").await, json!({"flow": {}, "tenant": {"shared": "a"}}));

    // One run sets both keys first and ends last: its key wins, and what only the other set stays.
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    tenant.flow("f", json!({"steps": [{"script": "keeper"}, {"call": "api/x"}]})).await;
    let gate = Gate::closed();
    upstream.on("/x", ok().after(&gate));
    let slow = tokio::spawn({
        let (tenant, payload) = (tenant.clone(), set(json!({"cursor": 42, "old": null}), json!({})));
        async move { tenant.run("f", payload).await.expect(200).json() }
    });
    upstream.received(1).await;
    tenant.flow("f", json!({"steps": [{"script": "keeper"}]})).await;
    let quick = tenant.run("f", set(json!({"cursor": 43, "new": 2}), json!({}))).await.expect(200).json();
    assert_eq!(quick["before"]["flow"], json!({"cursor": 41, "old": 1}), "what a run has not ended with is nobody else's");
    gate.open();
    slow.await.unwrap();
    assert_eq!(kept(&tenant, "f").await["flow"], json!({"cursor": 42, "new": 2}));
}

async fn f115_a_run_that_writes_more_than_the_limit_fails_with_the_number_of_bytes() {
    let document = json!({"limits": {"state_bytes": 1000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    keeper(&tenant, &["f", "g"]).await;
    // The key, its JSON text, and 64 bytes for the entry: 5 + 302 + 64.
    let text = "x".repeat(300);
    let _ = tenant.run("f", json!({"flow": {"first": text}})).await.expect(200);
    let _ = tenant.run("g", json!({"tenant": {"other": text}})).await.expect(200);
    let fits = 1000 - 2 * 371 - 64 - 1 - 2;
    let over = tenant.run("f", json!({"flow": {"first": "new", "z": "x".repeat(fits + 371)}})).await.expect(422);
    let fault = over.json();
    assert_eq!(
        (&fault["code"], &fault["limit"], &fault["used"]),
        (&json!("state-size"), &json!(1000), &json!(1000 + 5 + 5 + 64)),
        "{fault}"
    );
    let run = tenant.record(&over).await;
    assert_eq!((&run["status"], &run["code"]), (&json!("failed"), &json!("state-size")), "{run:#}");
    assert_eq!(kept(&tenant, "f").await, json!({"flow": {"first": text}, "tenant": {"other": text}}), "the old state stands");
    let over = tenant.run("f", json!({"flow": {"z": "x".repeat(fits + 1)}})).await.expect(422);
    assert_eq!(over.json()["used"], 1001, "state of flows and of the tenant count together");
    let _ = tenant.run("f", json!({"flow": {"z": "x".repeat(fits)}})).await.expect(200);
    // What could not fit alone ends the script where it writes it, and a script cannot look away.
    let source = "export default function (payload, { state }) { try { state.flow.set('z', 'x'.repeat(2000)); } catch {} }";
    tenant.js("greedy", source).await;
    tenant.flow("greedy", json!({"steps": [{"script": "greedy"}]})).await;
    let over = tenant.run("greedy", json!({})).await.expect(422);
    assert_eq!((over.json()["code"].clone(), over.json()["used"].clone()), (json!("state-size"), json!(1 + 2002 + 64)));
    // A state over its limit can be made smaller, and a deleted flow makes room.
    let _ = tenant.run("f", json!({"flow": {"z": null}})).await.expect(200);
    let _ = tenant.client.delete("/v1/flows/f").await.expect(204);
    let _ = tenant.run("g", json!({"flow": {"more": text}})).await.expect(200);
    keeper(&tenant, &["f"]).await;
    assert_eq!(kept(&tenant, "f").await["flow"], json!({}), "a flow of the same name begins anew");
}

#[tokio::test]
async fn direct_calls_share_the_tenants_state_and_have_no_flows() {
    let source = "export function preHook(call, { state }) {
        call.arguments.flow = state.flow.get('cursor') ?? null;
        call.arguments.count = (state.tenant.get('count') ?? 0) + 1;
        state.tenant.set('count', call.arguments.count);
        if (call.arguments.write) state.flow.set('cursor', 1);
    }";
    let (tenant, upstream) = hooked("pre-hook", source).await;
    for count in 1..=3 {
        upstream.on("/x", ok());
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"flow": null, "count": count}), "each sees what the one before kept");
    }
    let refused = tenant.call("api/x", json!({"write": true})).await.expect(422);
    let (code, detail) = problem(&refused);
    assert!(code == "script-contract" && detail.contains("belongs to no flow"), "{code}: {detail}");
    upstream.on("/x", snaphook_testkit::Answer::status(500));
    let _ = tenant.call("api/x", json!({})).await.expect(502);
    upstream.on("/x", ok());
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json()["count"], 4, "a failed call keeps nothing");
}

#[tokio::test]
async fn one_invocation_sees_one_moment_and_later_ones_of_the_run_what_it_wrote() {
    let tenant = node().tenant().await;
    keeper(&tenant, &["f"]).await;
    tenant.flow("f", json!({"steps": [{"script": "keeper"}, {"name": "again", "script": "keeper"}]})).await;
    let _ = tenant.run("f", json!({"flow": {"a": 1, "b": 2}})).await.expect(200);
    let result = tenant.run("f", json!({"flow": {"a": null, "c": {"deep": [true]}}})).await.expect(200).json();
    let now = json!({"b": 2, "c": {"deep": [true]}});
    assert_eq!((&result["before"]["flow"], &result["after"]["flow"]), (&now, &now), "the second step");
    assert_eq!(kept(&tenant, "f").await["flow"], now);
}

#[tokio::test]
async fn a_replay_reads_what_was_read_then() {
    let tenant = node().tenant().await;
    keeper(&tenant, &["f"]).await;
    let _ = tenant.run("f", json!({"flow": {"cursor": 1}, "tenant": {"t": [1]}})).await.expect(200);
    let second = tenant.run("f", json!({"flow": {"cursor": 2, "new": true}})).await.expect(200);
    let run = second.header("x-run-id").unwrap().to_owned();
    let _ = tenant.run("f", json!({"flow": {"cursor": 3, "new": null}, "tenant": {"t": null}})).await.expect(200);
    let replayed = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).json();
    assert_eq!(replayed["same"], true, "{replayed:#}");
    let [only] = &replayed["invocations"].as_array().unwrap()[..] else { panic!("{replayed:#}") };
    assert_eq!(only["fuel_before"], only["fuel_after"]);
    assert_eq!(kept(&tenant, "f").await["flow"], json!({"cursor": 3}), "a replay writes nothing");
    // Another version may ask for what was not read then, which nobody knows any more.
    tenant.js("narrow", "export default (payload, { state }) => state.flow.get('cursor');").await;
    tenant.flow("narrow", json!({"steps": [{"script": "narrow", "version": 1}]})).await;
    let run = tenant.run("narrow", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let version = tenant.js("narrow", "export default (payload, { state }) => state.flow.get('other');").await;
    let replayed = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({"scripts": {"narrow": version}})).await.expect(200).json();
    assert_eq!(replayed["same"], false, "{replayed:#}");
    assert!(replayed.to_string().contains("`other`"), "{replayed:#}");
}

#[tokio::test]
async fn what_a_waiting_run_has_set_survives_a_kill_and_is_kept_when_it_ends() {
    let mut own = NodeProcess::start_like(node());
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    keeper(&tenant, &["look"]).await;
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x"}}})).await;
    let steps = json!([{"script": "keeper"}, {"call": "api/x", "async": {"use_body": true}}, {"name": "then", "script": "keeper"}]);
    tenant.flow("f", json!({ "steps": steps })).await;
    let mut runs = Vec::new();
    for n in 0..2 {
        let run = tenant.start("f", json!({"flow": {"cursor": n}, "tenant": {"last": n}})).await;
        upstream.received(n + 1).await;
        runs.push((run, upstream.requests()[n].header("x-link-correlation-id").unwrap().to_owned()));
    }
    for (run, _) in &runs {
        for _ in 0..200 {
            if tenant.record_of(run).await["status"] == "waiting" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    own.kill();
    own.restart();
    tenant.client = Client::new(own.url(), tenant.client.token.as_deref());
    assert_eq!(kept(&tenant, "look").await["tenant"], json!({}), "a run that has not ended keeps nothing");
    let called = tenant.call_back(&[("x-link-correlation-id", &runs[0].1), ("x-link-status", "Ok")], "{\"tenant\": {\"more\": 1}}").await;
    let _ = called.expect(200);
    let run = ended(&tenant, &runs[0].0).await;
    assert_eq!(run["status"], "succeeded", "{run:#}");
    assert_eq!(kept(&tenant, "look").await["tenant"], json!({"last": 0, "more": 1}));
    let _ = tenant.client.post(&format!("/v1/runs/{}/cancel", runs[1].0), &json!({})).await.expect(200);
    assert_eq!(ended(&tenant, &runs[1].0).await["status"], "cancelled");
    assert_eq!(kept(&tenant, "look").await["tenant"], json!({"last": 0, "more": 1}), "a cancelled run keeps nothing");
    // The whole of it replays, whatever is kept by now.
    let replayed = tenant.client.post(&format!("/v1/runs/{}/replay", runs[0].0), &json!({})).await.expect(200).json();
    assert_eq!(replayed["same"], true, "{replayed:#}");
}

#[tokio::test]
async fn what_a_trigger_sets_goes_with_its_run() {
    let tenant = node().tenant().await;
    keeper(&tenant, &["f"]).await;
    let source = "export function trigger(request, { state }) { state.flow.set('seen', (state.flow.get('seen') ?? 0) + 1); return { payload: request.json() }; }";
    tenant.js("intake", source).await;
    tenant.flow("f", json!({"trigger": {"auth": "none", "script": "intake"}, "steps": [{"script": "keeper"}]})).await;
    let send = async |headers: &[(&str, &str)], body: Value| {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        let anonymous = Client::new(node().url(), None);
        anonymous.send("POST", &format!("/t/{}/f", tenant.name), &all, body.to_string().into()).await
    };
    let _ = send(&[], json!({})).await.expect(200);
    let _ = send(&[], json!({"fail": true})).await.expect(422);
    let accepted = send(&[("prefer", "respond-async")], json!({})).await.expect(202);
    let run = accepted.header("x-run-id").unwrap().to_owned();
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    assert_eq!(kept(&tenant, "f").await["flow"], json!({"seen": 2}), "the run that failed counts for nothing");
}

#[tokio::test]
async fn a_test_run_is_given_state_and_shows_what_was_written() {
    let tenant = node().tenant().await;
    let version = tenant.js("keeper", KEEPER).await;
    let state = json!({"flow": {"a": 1}, "tenant": {"b": [2]}});
    let payload = json!({"flow": {"a": null, "n": 1}, "tenant": {"b": 3}});
    let result = tenant.test("keeper", version, json!({"hook": "step", "payload": payload, "state": state})).await;
    assert_eq!(result["payload"]["before"], state, "{result}");
    assert_eq!(result["state"], json!({"flow": {"a": null, "n": 1}, "tenant": {"b": 3}}), "{result}");
    let path = format!("/v1/scripts/keeper/versions/{version}/test");
    let wrong = tenant.client.post(&path, &json!({"hook": "step", "state": {"run": {}}})).await.expect(400);
    assert!(wrong.text().contains("run"), "{}", wrong.text());
}
