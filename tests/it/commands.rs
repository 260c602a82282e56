//! The commands that people type beside `deploy` and `test`: `dev`, `call`, `tenant`, `token`.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::OPERATOR;
use tempfile::TempDir;

use crate::folders::{folder, write};
use crate::support::{binary, endpoint, node, ok, tenant};

/// Runs a command to its end, with the shared node and this token in its environment.
pub(crate) fn run(token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("SNAPHOOK_URL", node().url()).env("SNAPHOOK_TOKEN", token).env("SNAPHOOK_OPERATOR_TOKEN", token);
    command.env("NO_COLOR", "1").output().expect("the binary was built")
}

/// What a command that must succeed printed.
pub(crate) fn said(token: &str, arguments: &[&str]) -> String {
    let output = run(token, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `snaphook dev`, and the lines that it prints.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Dev {
    fn start(folder: &TempDir) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary()).arg("dev").arg(folder.path()).args(["--listen", "127.0.0.1:0"]);
        let mut child = command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary was built");
        let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        Self { child, lines }
    }

    /// Reads on to a line with this text.
    fn until(&mut self, text: &str) -> String {
        let mut before = String::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            if line.contains(text) {
                return line;
            }
            before += &line;
            before.push('\n');
        }
        panic!("`{text}` was never printed, but:\n{before}")
    }

    /// Ends it as Ctrl-C does, and gives whether it ended well.
    fn interrupt(mut self) -> bool {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The word after a name, as in `export NAME=VALUE OTHER=VALUE`.
fn exported(line: &str, name: &str) -> String {
    let value = line.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{line}"));
    value.split_whitespace().next().unwrap_or_default().to_owned()
}

// The upstreams of these answer while the test waits for a command.
#[tokio::test(flavor = "multi_thread")]
async fn dev_deploys_a_folder_and_deploys_it_again_when_it_changes() {
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let stamp = |text: &str| format!("export function preHook(call) {{ call.arguments.stamp = {text}; }}");
    let connector = json!({"base_url": upstream.url(""), "endpoints": {
        "x": {"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "stamp"}]}}}});
    let folder = folder(&[("scripts/stamp.js", &stamp("'one'")), ("connectors/api.json", &connector.to_string())]);
    let mut dev = Dev::start(&folder);
    let line = dev.until("export SNAPHOOK_URL=");
    let (url, token) = (exported(&line, "SNAPHOOK_URL"), exported(&line, "SNAPHOOK_TOKEN"));
    let call = || {
        let mut command = Command::new(binary());
        let output = command.args(["call", "api/x", "{}", "--url", &url, "--token", &token]).output().expect("the binary was built");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    dev.until("watching ");
    assert!(call().contains("answer 200"));
    assert_eq!(upstream.last().json(), json!({"stamp": "one"}));

    write(folder.path(), &[("scripts/stamp.js", &stamp("'two'"))]);
    // The connector, which binds it, is deployed behind it.
    dev.until("stamp version 2 (new; pre-hook");
    dev.until("connector");
    assert!(call().contains("answer 200"));
    assert_eq!(upstream.last().json(), json!({"stamp": "two"}));

    // An error is shown with its place, what is deployed stays in use, and mending it is enough.
    write(folder.path(), &[("scripts/stamp.js", "export function preHook(call) {\n  call.arguments.stamp = ;\n}")]);
    let marked = dev.until("stamp.js:2:");
    assert!(marked.contains("2:26"), "{marked}");
    assert!(call().contains("answer 200"));
    assert_eq!(upstream.last().json(), json!({"stamp": "two"}));
    write(folder.path(), &[("scripts/stamp.js", &stamp("'three'"))]);
    dev.until("stamp version 3 (new; pre-hook");
    assert!(dev.interrupt(), "it ends well when it is interrupted");

    // Started again, it knows its scripts and its token still opens.
    let mut again = Dev::start(&folder);
    let line = again.until("export SNAPHOOK_URL=");
    assert_eq!(exported(&line, "SNAPHOOK_TOKEN"), token);
    again.until("stamp version 3 (same; pre-hook");
    again.until("watching ");
    assert!(again.interrupt());
}

#[tokio::test(flavor = "multi_thread")]
async fn call_shows_the_timeline_and_the_answer() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let source = "import { reject } from 'snaphook';
        export function preHook(call, context) {
            if (call.arguments.bad) return reject(409, 'not this one', 'no-thanks');
            context.log.info('seen');
        }";
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    tenant.flow("f", json!({"steps": [{"name": "Call it", "call": "api/x"}]})).await;
    let token = tenant.client.token.as_deref().expect("a tenant has a token");

    let printed = said(token, &["call", "api/x", r#"{"a": 1}"#]);
    for part in ["pre-hook", "s@1", "call", "fuel", "seen", "POST", "200", "answer 200", r#"{"ok":true}"#] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let printed = said(token, &["call", "f", "{}", "--flow"]);
    assert!(printed.contains("Call it") && printed.contains("answer 200"), "{printed}");
    // The same timeline of a run that is over, and where it stands in the list.
    let listed = said(token, &["runs", "--flow", "f"]);
    let row = listed.lines().find(|line| line.contains("f version 1")).unwrap_or_else(|| panic!("{listed}"));
    assert!(row.contains("succeeded"), "{row}");
    let id = row.split_whitespace().next().expect("a row begins with the run");
    let shown = said(token, &["run", id]);
    assert!(shown.contains("Call it") && shown.contains("s@1"), "{shown}");
    let record: Value = serde_json::from_str(&said(token, &["run", id, "--json"])).expect("a record");
    assert_eq!(record["id"], id);
    let lines = said(token, &["runs", "--call", "api/x", "--json"]);
    let calls: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a record on each line")).collect();
    assert_eq!((calls.len(), &calls[0]["call"]), (1, &json!("api/x")));
    assert_eq!(said(token, &["runs", "--status", "failed"]).lines().count(), 1, "the heading alone");
    let printed = said(token, &["call", "api/x", "{}", "--quiet"]);
    assert_eq!(printed.trim(), r#"{"ok":true}"#);

    let refused = run(token, &["call", "api/x", r#"{"bad": true}"#]);
    let shown = String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{shown}");
    assert!(shown.contains("answer 409") && shown.contains("no-thanks") && shown.contains("not this one"), "{shown}");
    let wrong = run(token, &["call", "api", "{}"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("for a flow add --flow"));
    let no_json = run(token, &["call", "api/x", "{a"]);
    assert!(String::from_utf8_lossy(&no_json.stderr).contains("the input is no JSON"));
}

#[tokio::test]
async fn the_operator_manages_tenants_and_their_tokens() {
    let name = format!("commands-{}", std::process::id());
    let document = r#"{"limits": {"fuel": 5000000}}"#;
    let shown: Value = serde_json::from_str(&said(OPERATOR, &["tenant", "put", &name, document])).expect("a document");
    assert_eq!(shown["limits"]["fuel"], 5_000_000);
    assert!(said(OPERATOR, &["tenant", "list"]).lines().any(|line| line.contains(&name)));
    let again: Value = serde_json::from_str(&said(OPERATOR, &["tenant", "show", &name])).expect("a document");
    assert_eq!(again["limits"], shown["limits"]);

    // The operator's first token for the tenant; with it the tenant makes and removes its own.
    let made = run(OPERATOR, &["token", "create", "first", "--scopes", "admin", "--tenant", &name]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(!token.contains(char::is_whitespace) && token.len() > 20, "the token alone is on standard output: {token}");
    let second = said(&token, &["token", "create", "second", "--scopes", "invoke", "--expires-s", "3600"]);
    let listed = said(&token, &["token", "list"]);
    assert!(!listed.contains(second.trim()), "a list shows no token");
    let row = listed.lines().find(|line| line.contains("second")).unwrap_or_else(|| panic!("{listed}"));
    assert!(row.contains("invoke"), "{row}");
    let id = row.split_whitespace().next().expect("a row begins with the id");
    let first = listed.lines().find(|line| line.contains("first")).unwrap_or_else(|| panic!("{listed}"));
    assert!(first.trim_end().ends_with(":00Z"), "the minute in which it was used last: {first}");
    assert!(said(&token, &["token", "delete", id]).contains("is deleted"));
    assert_eq!(run(second.trim(), &["token", "list"]).status.code(), Some(1));
    assert!(!said(&token, &["token", "list"]).contains("second"));

    // Who did all that, the newest first.
    let audit = said(&token, &["audit"]);
    let rows: Vec<&str> = audit.lines().skip(1).collect();
    let has = |row: &str, parts: &[&str]| parts.iter().all(|part| row.contains(part));
    assert!(has(rows[0], &["token.delete", id, "token first ("]), "{audit}");
    assert!(
        has(rows[1], &["token.create", id]) && has(rows[2], &["token.create", "operator"]) && has(rows[3], &["tenant.put", &name]),
        "{audit}"
    );
    let of_one_kind = said(&token, &["audit", "--action", "token.delete", "--json", "--last", "5"]);
    let records: Vec<Value> = of_one_kind.lines().map(|line| serde_json::from_str(line).expect("a record on each line")).collect();
    assert_eq!((records.len(), records[0]["by"]["name"].as_str()), (1, Some("first")));
    let refused = run(&token, &["audit", "--action", "token.paint"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is no action; there are"), "{}", String::from_utf8_lossy(&refused.stderr));

    assert!(said(OPERATOR, &["tenant", "delete", &name]).contains("is deleted"));
    let gone = run(OPERATOR, &["tenant", "show", &name]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("404"), "{}", String::from_utf8_lossy(&gone.stderr));
}
