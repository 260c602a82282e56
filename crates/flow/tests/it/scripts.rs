//! Flows with scripts.

use serde_json::json;
use snaphook_model::{Code, LogLevel, RunStatus};
use snaphook_testkit::{Answer, Upstream};

use crate::rig::{Rig, failure, payload};

#[tokio::test]
async fn scripts_share_a_runs_variables_and_read_earlier_results() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!({"n": 2})));
    let rig = Rig::new().await;
    rig.deploy(
        "first",
        "export default function (payload, context) {
            context.variables.seen = payload.in; context.meta.who = 'first';
            return {region: context.config['Regions'][0], id: context.variables.customerID};
        }",
    );
    rig.deploy(
        "last",
        "export default function (payload, context) {
            const r = context.stepResults;
            return [payload.n, r.getData.n, r.trigger.in, r.step1.region, context.variables.seen, context.meta.who, context.flow, context.step];
        }",
    );
    let flow = json!({
        "variables": {"customerID": "42"}, "config": {"Regions": ["eu"]},
        "steps": [
            {"script": "first", "version": 1},
            {"name": "Get data", "url": upstream.url("/x")},
            {"name": "Last one", "script": "last", "version": 1},
        ],
    });
    let flow = rig.flow(flow).await;
    let finished = rig.run(&flow, "{\"in\": 7}").await;
    assert_eq!(payload(&finished), r#"[2,2,7,"eu",7,"first","f","Last one"]"#);
    let record = rig.record(finished.run).await;
    assert_eq!(record.steps[0].hooks[0].decision.as_ref().unwrap().kind, "return");
    assert_eq!((record.steps[0].attempts.len(), record.steps[1].attempts.len()), (0, 1));
}

#[tokio::test]
async fn a_steps_list_replaces_its_endpoints_for_that_hook_only() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    rig.deploy("log", "export function postRequest(r, context) { console.log(context.parms.by); } export const preRequest = postRequest;");
    let by = |by: &str| json!([{"script": "log", "version": 1, "parms": {"by": by}}]);
    let endpoint = json!({"method": "POST", "path": "/x", "hooks": {"pre-request": by("e-pre"), "post-request": by("e-post")}});
    rig.put_connector("up", &json!({"base_url": upstream.url(""), "hooks": {"post-request": by("c-post")}, "endpoints": {"x": endpoint}}))
        .await;
    let flow = json!({"steps": [{"call": "up/x", "hooks": {"post-request": by("s-post")}}, {"call": "up/x"}, {"call": "up/x", "hooks": {"post-request": []}}]});
    let flow = rig.flow(flow).await;
    let finished = rig.run(&flow, "1").await;
    let record = rig.record(finished.run).await;
    let logs = |step: usize| {
        let hooks = record.steps[step].attempts[0].hooks.iter();
        hooks.flat_map(|hook| &hook.logs).map(|log| log.message.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(logs(0), ["e-pre", "c-post", "s-post"]);
    assert_eq!(logs(1), ["e-pre", "c-post", "e-post"]);
    assert_eq!(logs(2), ["e-pre", "c-post"]);
}

#[tokio::test]
async fn retry_run_begins_again_from_the_first_step_once_where_the_flow_says_nothing() {
    let upstream = Upstream::start().await;
    upstream.on("/a", Answer::json(json!("a"))).on("/b", Answer::json(json!("Invalid session")));
    let rig = Rig::new().await;
    rig.deploy("session", "import {retryRun} from 'snaphook'; export function postRequest(r) { if (r.json() === 'Invalid session') return retryRun(r.json()); }");
    rig.deploy("late", "export function postFail() { console.log('final'); }");
    let hooks = json!({"post-request": [{"script": "session", "version": 1}], "post-fail": [{"script": "late", "version": 1}]});
    let flow = rig.flow(json!({"steps": [{"url": upstream.url("/a")}, {"url": upstream.url("/b"), "hooks": hooks}]})).await;
    let first = rig.run(&flow, "{\"in\":1}").await;
    let (fault, next) = failure(&first);
    assert_eq!((fault.code, fault.detail.as_str()), (Code::ScriptFailed, "Invalid session"));
    let next = next.expect("one more attempt");
    assert!(rig.record(first.run).await.steps[1].hooks.is_empty(), "the failure is not final");
    rig.clock.advance(59);
    assert_eq!(rig.runner.run_due().await, Ok(0));
    rig.clock.advance(1);
    assert_eq!(rig.runner.run_due().await, Ok(1));
    let second = rig.record(next).await;
    assert_eq!((second.status, second.attempt, second.retry_of, second.retry_run), (RunStatus::Failed, 2, Some(first.run), None));
    assert_eq!(second.steps[1].hooks[0].logs[0].message, "final");
    let paths: Vec<_> = upstream.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/a", "/b", "/a", "/b"]);
}

#[tokio::test]
async fn fail_queues_nothing_though_the_flow_retries() {
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::json(json!(1)));
    let rig = Rig::new().await;
    rig.deploy("no", "import {fail} from 'snaphook'; export function postRequest() { return fail('no'); }");
    let step = json!({"url": upstream.url("/x"), "retry": {"attempts": 3}, "hooks": {"post-request": [{"script": "no", "version": 1}]}});
    let flow = rig.flow(json!({"retry": {"attempts": 3}, "steps": [step]})).await;
    let finished = rig.run(&flow, "1").await;
    assert_eq!((failure(&finished).1, upstream.requests().len(), rig.runner.run_due().await), (None, 1, Ok(0)));
}

#[tokio::test]
async fn fetch_goes_to_connectors_and_named_hosts_of_tenants_who_have_it() {
    let upstream = Upstream::start().await;
    upstream.on("/v2/contacts", Answer::json(json!([1]))).on("/direct", Answer::json(json!([2])));
    let source = format!(
        "export default async function (payload) {{
            const [a, b] = await Promise.all([fetch('crm:/contacts', {{headers: {{'x-own': '1'}}}}), fetch('{}')]);
            return [...await a.json(), ...await b.json()];
        }}",
        upstream.url("/direct")
    );
    let host = upstream.address().to_string();
    let open = json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"], "allow": [host]}});
    let closed = json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    for (tenant, expected) in [(open, Ok("[1,2]")), (closed, Err(Code::ScriptThrew))] {
        let rig = Rig::of(tenant).await;
        rig.deploy("fetching", &source);
        rig.put_connector("crm", &json!({"base_url": upstream.url("/v2"), "headers": {"x-wide": "2"}, "endpoints": {}})).await;
        let flow = rig.flow(json!({"steps": [{"script": "fetching", "version": 1}]})).await;
        let finished = rig.run(&flow, "null").await;
        match expected {
            Ok(expected) => {
                assert_eq!(payload(&finished), expected);
                let sent = upstream.requests().into_iter().find(|request| request.path == "/v2/contacts").unwrap();
                assert_eq!((sent.header("x-own"), sent.header("x-wide")), (Some("1"), Some("2")));
            }
            Err(code) => assert_eq!(failure(&finished).0.code, code),
        }
    }
    assert_eq!(upstream.requests().iter().filter(|request| request.path == "/direct").count(), 1);
}

#[tokio::test]
async fn a_limit_nearly_spent_is_a_warning_in_the_run() {
    let rig = Rig::of(json!({"limits": {"fuel": 20_000_000}})).await;
    // Spends in steps that are small beside what is between the warning and the limit.
    rig.deploy("busy", "export default function (n) { let x = 0; for (let i = 0; i < n; i++) x += i; return x; }");
    let flow = rig.flow(json!({"steps": [{"script": "busy", "version": 1}]})).await;
    let fuel = |record: &snaphook_model::RunRecord| record.steps[0].hooks[0].usage.fuel;
    let small = rig.run(&flow, "1000").await;
    let large = rig.run(&flow, "2000").await;
    let (small, large) = (rig.record(small.run).await, rig.record(large.run).await);
    assert!(small.steps[0].hooks[0].logs.is_empty());
    let per_thousand = fuel(&large) - fuel(&small);
    let turns = 1000 + (18_000_000 - fuel(&small)) * 1000 / per_thousand;
    let near = rig.run(&flow, &turns.to_string()).await;
    let record = rig.record(near.run).await;
    let [warning] = record.steps[0].hooks[0].logs.as_slice() else { panic!("{:?}", record.steps[0].hooks[0]) };
    assert_eq!(warning.level, LogLevel::Warn);
    assert!(warning.message.starts_with("used ") && warning.message.contains("of the limit `fuel`"), "{}", warning.message);
}
