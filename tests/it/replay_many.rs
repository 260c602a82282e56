//! A thousand runs of every kind: all the same again, and with another version exactly those differ that took the changed branch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeProcess, Tenant, examples};

use crate::replay::run_of;
use crate::support::{binary, ended, node};

const RUNS: u64 = 1000;

/// Runs at once, of either kind.
const AT_ONCE: usize = 8;

const PRICE: &str = "import type { Context } from 'snaphook';
interface Order { n: number; how: string; items: number[] }
export default async function (order: Order, context: Context) {
  if (order.how === 'throws') throw new RangeError('order ' + order.n);
  if (order.n % 7 === 3) console.info('a seventh');
  await new Promise(done => setTimeout(done, order.n));
  context.variables.total = order.items.reduce((sum, item) => sum + item, order.n % 7 === 3 ? 1 : 0);
  return { ...order, total: context.variables.total, ticket: crypto.randomUUID(), at: Date.now() };
}";

const HOOKS: &str = "import { fail, recover, reject, retry } from 'snaphook';
export function preHook(call, context) {
  if (call.arguments.how === 'rejected') return reject(423, 'locked', call.arguments.n);
  call.arguments.chance = Math.random();
  context.variables.began = call.arguments.n;
}
export function preRequest(request, context) {
  request.headers.set('x-attempt', context.attempt + '-' + context.variables.began);
}
export function postRequest(response, context) {
  const { how, n } = response.json();
  if (how === 'retried' && context.attempt === 1) return retry('once more');
  if (how === 'failed') return fail('no good', n);
  if (how === 'loops') for (;;);
}
export function postHook(result) { return { ...result.payload, of: result.arguments.n }; }
export function postFail(failure) { if (failure.arguments.n % 4 === 1) return recover({ code: failure.code }); }";

const INTAKE: &str = "export function trigger(request, context) {
  context.variables.region = request.headers.get('x-region');
  delete context.variables.gone;
  return { payload: { ...request.json(), came: crypto.randomUUID() } };
}";

/// Scripts that people bring: a pre-hook, a post-request script and a step.
const BRAINCLOUD: &str = "message = data.message;
Object.assign(message.eventData, data.parms.extradata);
bridge.logInfoJson('adding', data.parms);
var retval = {};
retval.status = 200;
retval.messageOverride = message;
retval;";
const PATCHWORKS: &str = "function handle(data) {
  if (data.response.body.indexOf('Invalid session') !== -1) data.response_code = 3;
  data.logs = ['status ' + data.response.status];
  return data;
}";
const PRISMATIC: &str = "module.exports = async ({ logger }, stepResults) => {
  logger.info(stepResults.step1.results.ticket);
  return { data: { n: stepResults.step1.results.n, drawn: Math.random(), at: Date.now() } };
};";

/// A tenant whose endpoint and flow have scripts everywhere, in every dialect and language there is.
async fn furnished(own: &NodeProcess, upstream: &Upstream) -> Tenant {
    let limits = json!({"fuel": 5_000_000});
    let tenant = own.tenant_with(json!({"limits": limits, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    tenant.script("price", "typescript", PRICE).await;
    tenant.js("hooks", HOOKS).await;
    tenant.js("intake", INTAKE).await;
    for (name, dialect, source) in
        [("added", "braincloud", BRAINCLOUD), ("checked", "patchworks", PATCHWORKS), ("summary", "prismatic", PRISMATIC)]
    {
        tenant.brought(name, dialect, source).await;
    }
    let extradata = json!({"extradata": {"b": 2}});
    let mut pre_hooks = vec![json!({"script": "hooks"}), json!({"script": "added", "parms": extradata})];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A component in Rust stands behind the scripts.
    tenant.script("extra", "wasm", examples::guest(&root, "event-extra-rust").expect("the guest was built")).await;
    pre_hooks.push(json!({"script": "extra", "parms": extradata}));
    let bound = |hook: &str| (hook.to_owned(), json!([{"script": "hooks"}]));
    let mut hooks: serde_json::Map<String, Value> = ["pre-request", "post-hook", "post-fail"].into_iter().map(bound).collect();
    hooks.insert("pre-hook".to_owned(), pre_hooks.into());
    hooks.insert("post-request".to_owned(), json!([{"script": "checked"}, {"script": "hooks"}]));
    let call = json!({"method": "POST", "path": "/x", "hooks": hooks, "retry": {"attempts": 1, "delay_s": 0}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": call}})).await;
    let flow = json!({
        "trigger": {"auth": "none", "script": "intake"}, "variables": {"region": "eu", "gone": 1}, "config": {"App": [1]},
        "steps": [{"script": "price"}, {"call": "api/x"}, {"script": "summary"}],
    });
    tenant.flow("orders", flow).await;
    tenant
}

/// One call or run; every tenth ends in another way than the usual.
async fn make(tenant: &Tenant, n: u64) -> (u64, String) {
    let how = match n % 50 {
        5 => "throws",
        15 => "rejected",
        25 => "retried",
        35 => "failed",
        45 => "loops",
        _ => "usual",
    };
    let order =
        json!({"n": n, "how": how, "items": [n, n * 2, n * 3], "eventData": {"text": "ü".repeat(usize::try_from(n % 300).unwrap())}});
    let answer = if n.is_multiple_of(4) {
        // Some of those that a trigger begins are queued before their first step.
        let prefer = if n.is_multiple_of(20) { "respond-async" } else { "wait=30" };
        let headers = [("content-type", "application/json"), ("x-region", "us"), ("prefer", prefer)];
        let outside = Client::new(&tenant.client.url, None);
        outside.send("POST", &format!("/t/{}/orders", tenant.name), &headers, order.to_string().into()).await
    } else if n.is_multiple_of(2) || how == "throws" {
        tenant.run("orders", order).await
    } else {
        tenant.call("api/x", order).await
    };
    (n, run_of(&answer))
}

fn run_cli(tenant: &Tenant, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("SNAPHOOK_URL", &tenant.client.url).env("SNAPHOOK_TOKEN", tenant.client.token.as_deref().unwrap());
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_replay_the_same_and_one_changed_branch_shows_where_it_was_taken() {
    let mut own = NodeProcess::start_like(node());
    let upstream = Upstream::start().await;
    upstream.on_request("/x", |request| Answer::json(request.json()));
    let tenant = furnished(&own, &upstream).await;
    let runs: BTreeMap<u64, String> = stream::iter(0..RUNS).map(|n| make(&tenant, n)).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(runs.len() as u64, RUNS);
    for n in (0..RUNS).step_by(20) {
        ended(&tenant, &runs[&n]).await;
    }
    // A look at a run lets the node write down what it has; from then on it is there, also after a kill.
    let _ = tenant.client.get(&format!("/v1/runs/{}", runs[&0])).await.expect(200);
    let asked = upstream.requests().len();
    own.kill();
    let findings = Command::new(binary()).args(["doctor", "--data-dir"]).arg(own.data_dir()).output().unwrap();
    assert!(findings.status.success(), "{}", String::from_utf8_lossy(&findings.stdout));
    own.restart();
    let tenant = Tenant { name: tenant.name, client: Client::new(own.url(), tenant.client.token.as_deref()) };

    let replays = async |scripts: Value| -> BTreeMap<u64, Value> {
        let one = async |(n, run): (&u64, &String)| {
            let body = json!({ "scripts": scripts });
            let answer = tenant.client.post(&format!("/v1/runs/{run}/replay"), &body).await;
            // Direct calls have no step to price.
            let nothing_to_price = answer.status == 400 && scripts != json!({});
            (*n, if nothing_to_price { json!({"same": true, "invocations": []}) } else { answer.expect(200).json() })
        };
        stream::iter(&runs).map(one).buffer_unordered(AT_ONCE).collect().await
    };
    let mut hooks = BTreeSet::new();
    for (n, answer) in replays(json!({})).await {
        let differing: Vec<_> = answer["invocations"].as_array().unwrap().iter().filter(|invocation| invocation["same"] != true).collect();
        assert!(answer["same"] == true && differing.is_empty(), "run {n}: {differing:#?}");
        for invocation in answer["invocations"].as_array().unwrap() {
            assert_eq!(invocation["fuel_before"], invocation["fuel_after"], "run {n}: {invocation:#}");
            hooks.insert((
                invocation["hook"].as_str().unwrap().to_owned(),
                invocation["before"]["fault"]["code"].as_str().map(str::to_owned),
            ));
        }
    }
    let seen = |hook: &str, fault: Option<&str>| {
        assert!(hooks.contains(&(hook.to_owned(), fault.map(str::to_owned))), "{hook} {fault:?}: {hooks:?}")
    };
    for hook in ["trigger", "pre-hook", "pre-request", "post-request", "post-hook", "post-fail", "step"] {
        seen(hook, None);
    }
    seen("step", Some("script-threw"));
    seen("post-request", Some("fuel"));

    // Another version: one branch gives another total, and one word of a comment says nothing.
    let version = tenant.script("price", "typescript", PRICE.replace("? 1 : 0", "? 2 /* now two */ : 0")).await;
    let took_it = |n: u64| n.is_multiple_of(2) && n % 7 == 3 && n % 50 != 5;
    let differing: BTreeSet<u64> =
        replays(json!({"price": version})).await.into_iter().filter(|(_, answer)| answer["same"] != true).map(|(n, _)| n).collect();
    assert_eq!(differing, (0..RUNS).filter(|n| took_it(*n)).collect());
    assert_eq!(upstream.requests().len(), asked, "nobody was called");

    the_command_line_says_the_same(&tenant, version, &runs, differing.len());
}

/// What one runs before a new version is bound.
fn the_command_line_says_the_same(tenant: &Tenant, version: u64, runs: &BTreeMap<u64, String>, differing: usize) {
    let script = format!("price={version}");
    let output = run_cli(tenant, &["replay", "--flow", "orders", "--last", "2000", "--script", &script]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let of_flow = runs.keys().filter(|n| n.is_multiple_of(2) || *n % 50 == 5).count();
    assert!(text.contains(&format!("{} of {of_flow} replayed runs decided the same, {differing} did not", of_flow - differing)), "{text}");
    assert!(text.contains("fuel of price: ") && text.contains("-     \"total\": ") && text.contains("more runs that differ"), "{text}");
    let output = run_cli(tenant, &["replay", "--flow", "orders", "--last", "150", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    assert_eq!((&document["replayed"], &document["different"]), (&json!(150), &json!(0)));
    assert_eq!(document["fuel"]["before"], document["fuel"]["after"]);
    // A version that is not there fails every run that used the script, and the check goes on to its end.
    let output = run_cli(tenant, &["replay", "--flow", "orders", "--last", "20", "--script", "price=99"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("20 could not be replayed") && text.contains("not-found: ") && text.contains("scripts.price"), "{text}");
    let output = run_cli(tenant, &["replay", "--flow", "orders", "--last", "20", "--script", "price=99", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &document["failed"]["count"]), (Some(3), &json!(20)), "{document}");
    let output = run_cli(tenant, &["replay", "--call", "api/x", "--last", "10"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("10 of 10 replayed runs decided the same"), "{output:?}");
    let output = run_cli(tenant, &["replay", &runs[&10], "--script", &script]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(3) && text.contains("differs step-1, step price@1 → @2"), "{text}");
    let output = run_cli(tenant, &["replay", &runs[&10], "--script", "hooks=9"]);
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("scripts.hooks"), "{output:?}");
    for wrong in [&["replay"][..], &["replay", "--flow", "f", "--call", "a/b"], &["replay", "--flow", "f", "--script", "price"]] {
        assert_eq!(run_cli(tenant, wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_recording_leaves_runs_whole_or_not_at_all() {
    let mut own = NodeProcess::start_like(node());
    let upstream = Upstream::start().await;
    upstream.on_request("/x", |request| Answer::json(request.json()));
    let tenant = furnished(&own, &upstream).await;
    let calling: Vec<_> = (0..AT_ONCE as u64)
        .map(|worker| {
            let client = tenant.client.clone();
            tokio::spawn(async move {
                for n in (0..).map(|i| i * 100 + worker) {
                    let order = json!({"n": n, "how": "usual", "items": [n], "eventData": {"text": "x".repeat(2000)}}).to_string();
                    if client.try_send("POST", "/v1/call/api/x", &[("content-type", "application/json")], order.into()).await.is_err() {
                        break;
                    }
                }
            })
        })
        .collect();
    upstream.received(300).await;
    own.kill();
    for task in calling {
        task.await.unwrap();
    }
    let findings = Command::new(binary()).args(["doctor", "--data-dir"]).arg(own.data_dir()).output().unwrap();
    assert!(findings.status.success(), "{}", String::from_utf8_lossy(&findings.stdout));
    own.restart();
    let client = Client::new(own.url(), tenant.client.token.as_deref());
    let runs = client.get("/v1/runs?limit=200").await.expect(200).json();
    let runs = runs["items"].as_array().unwrap();
    assert!(runs.len() > 50, "batches were written before the kill: {}", runs.len());
    for run in runs {
        let answer = client.post(&format!("/v1/runs/{}/replay", run["id"].as_str().unwrap()), &json!({})).await.expect(200).json();
        assert_eq!(answer["same"], true, "{answer:#}");
    }
}
