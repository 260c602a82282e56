//! `snaphook logs`: what scripts logged and why they failed, of runs that were and of those that come.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::{NodeOptions, NodeProcess, Tenant};

use crate::commands::{run, said};
use crate::support::{binary, endpoint, node, ok, tenant};

const SOURCE: &str = "export function preHook(call, context) {
    context.log.debug('looking at ' + call.arguments.n);
    context.log.warn('careful: ' + call.arguments.n);
    if (call.arguments.bad) throw new Error('cannot do this');
}";

/// A tenant with a script that logs, at an endpoint and in a flow that calls it.
async fn logging() -> (Tenant, snaphook_testkit::Upstream) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", SOURCE).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    tenant.flow("f", json!({"steps": [{"name": "Call it", "call": "api/x"}]})).await;
    (tenant, upstream)
}

fn token(tenant: &Tenant) -> &str {
    tenant.client.token.as_deref().expect("a tenant has a token")
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an entry on each line")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_in_order_with_where_they_are_from() {
    let (tenant, _upstream) = logging().await;
    let _ = tenant.call("api/x", json!({"n": 1})).await.expect(200);
    let failed = tenant.call("api/x", json!({"n": 2, "bad": true})).await.expect(422);
    let _ = tenant.run("f", json!({"n": 3})).await.expect(200);
    let token = token(&tenant);

    let all = json_lines(&said(token, &["logs", "--json"]));
    let shown: Vec<_> = all.iter().map(|line| (line["level"].as_str().unwrap(), line["message"].as_str().unwrap())).collect();
    let places = [(0, "api/x"), (4, "api/x"), (5, "f")].map(|(at, what)| all[at]["what"] == what);
    assert_eq!(places, [true; 3], "{all:#?}");
    assert_eq!(shown[..4], [("debug", "looking at 1"), ("warn", "careful: 1"), ("debug", "looking at 2"), ("warn", "careful: 2")]);
    let fault = &all[4];
    assert_eq!(
        (&fault["level"], &fault["code"], &fault["script"], &fault["version"]),
        (&json!("error"), &json!("script-threw"), &json!("s"), &json!(1))
    );
    assert!(
        fault["message"].as_str().unwrap().starts_with("at 4:") && fault["message"].as_str().unwrap().contains("cannot do this"),
        "{fault}"
    );
    assert_eq!((&all[5]["step"], &all[5]["hook"], all.len()), (&json!("Call it"), &json!("pre-hook"), 7));

    // For people, and only what is asked for.
    let text = said(token, &["logs", "--level", "warn", "--flow", "f"]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(" warn   f/Call it pre-hook s@1: careful: 3 (") && !text.contains('\u{1b}'), "{text:?}");
    let errors = json_lines(&said(token, &["logs", "--level", "error", "--call", "api/x", "--json"]));
    assert_eq!(errors.len(), 1);
    let of_one = json_lines(&said(token, &["logs", "--run", failed.header("x-run-id").unwrap(), "--json"]));
    assert_eq!((of_one.len(), &of_one[0]["run"]), (3, &fault["run"]));
    assert_eq!(json_lines(&said(token, &["logs", "--last", "1", "--json"])).len(), 2, "of the newest run");
    // A run that has ended is not waited for.
    assert_eq!(json_lines(&said(token, &["logs", "-f", "--run", failed.header("x-run-id").unwrap(), "--json"])).len(), 3);

    let wrong = run(token, &["logs", "--level", "loud"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there are metric, trace, debug"));
    assert_eq!(run(token, &["logs", "--run", "0198c5f2-0000-7000-8000-000000000001"]).status.code(), Some(1));
}

/// `snaphook logs -f`, and what it prints.
struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
    complaints: mpsc::Receiver<String>,
}

/// What comes, line by line.
fn lines_of(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (printed, lines) = mpsc::channel();
    std::thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| printed.send(line)));
    lines
}

impl Following {
    fn start(token: &str, arguments: &[&str]) -> Self {
        Self::start_at(node().url(), token, arguments)
    }

    fn start_at(url: &str, token: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary()).args(["logs", "--follow", "--json"]).args(arguments);
        command.env("SNAPHOOK_URL", url).env("SNAPHOOK_TOKEN", token).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let lines = lines_of(child.stdout.take().expect("it was piped"));
        let complaints = lines_of(child.stderr.take().expect("it was piped"));
        Self { child, lines, complaints }
    }

    fn complaint(&mut self) -> String {
        self.complaints.recv_timeout(Duration::from_secs(60)).expect("it says so")
    }

    fn next(&mut self) -> String {
        let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("it goes on");
        serde_json::from_str::<Value>(&line).expect("an entry")["message"].as_str().expect("with a message").to_owned()
    }

    fn interrupt(mut self) -> bool {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_runs_that_come_are_shown_once_and_those_from_before_are_not() {
    let (tenant, upstream) = logging().await;
    for n in [1, 2] {
        let _ = tenant.call("api/x", json!({ "n": n })).await.expect(200);
    }
    let mut following = Following::start(token(&tenant), &["--last", "1", "--level", "warn"]);
    assert_eq!(following.next(), "careful: 2", "the newest run alone");
    for n in [3, 4] {
        let _ = tenant.call("api/x", json!({ "n": n })).await.expect(200);
        assert_eq!(following.next(), format!("careful: {n}"));
    }
    // A run that goes on: what it logged is shown while it waits, and what it logs later when it does.
    tenant.js("look", "export default function (payload, context) { context.log.warn('waited'); }").await;
    upstream.on("/poll", snaphook_testkit::Answer::json(json!({"done": true})));
    let steps = json!([{"call": "api/x"}, {"call": "api/x", "retry": {"attempts": 1, "delay_s": 1}, "hooks": {"post-request": [{"script": "again"}]}}, {"script": "look"}]);
    let again = "import { retry } from 'snaphook'; export function postRequest(response, context) { if (context.attempt === 1) { context.log.warn('once more'); return retry(); } }";
    tenant.js("again", again).await;
    tenant.flow("waits", json!({ "steps": steps })).await;
    let id = tenant.start("waits", json!({"n": 5})).await;
    let seen: Vec<String> = std::iter::repeat_with(|| following.next()).take(4).collect();
    assert_eq!(seen, ["careful: 5", "careful: undefined", "once more", "waited"], "run {id}");
    assert!(following.interrupt(), "it ends well when it is interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_on_when_their_node_was_away_without_losing_or_doubling_a_line() {
    let mut own = NodeProcess::start_with(node(), NodeOptions::default().at_a_fixed_address());
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    upstream.on_request("/x", |_| ok());
    tenant.js("s", SOURCE).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({"n": 0})).await.expect(200);
    let mut following = Following::start_at(own.url(), token(&tenant), &["--level", "warn"]);
    assert_eq!(following.next(), "careful: 0");
    for round in 1..3 {
        let _ = tenant.call("api/x", json!({ "n": format!("{round}, before") })).await.expect(200);
        // Ended in order or not, what was answered is recorded, and none of it need have been shown yet.
        if round == 1 {
            own.stop().await;
        } else {
            assert_eq!(following.next(), format!("careful: {round}, before"));
            own.kill();
        }
        let complaint = following.complaint();
        assert!(complaint.ends_with("; waiting for it"), "{complaint}");
        own.restart();
        if round == 1 {
            assert_eq!(following.next(), format!("careful: {round}, before"));
        }
        for n in 0..3 {
            let _ = tenant.call("api/x", json!({ "n": format!("{round}, after {n}") })).await.expect(200);
        }
        let seen: Vec<String> = std::iter::repeat_with(|| following.next()).take(3).collect();
        assert_eq!(seen, [0, 1, 2].map(|n| format!("careful: {round}, after {n}")));
    }
    let rest = (following.lines.try_recv(), following.complaints.try_recv());
    assert!(rest.0.is_err() && rest.1.is_err(), "nothing is said twice: {rest:?}");
    assert!(following.interrupt(), "it ends well when it is interrupted");
}
