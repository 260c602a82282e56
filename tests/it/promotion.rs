//! Versions of scripts by command line: what differs, which is bound where, and what a new one would have done before it is bound.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::Tenant;

use crate::commands::{run, said};
use crate::folders::{folder, write};
use crate::support::{binary, endpoint, node, ok, tenant};

fn token(tenant: &Tenant) -> &str {
    tenant.client.token.as_deref().expect("a tenant has a token")
}

/// A script that puts a number into the arguments.
fn stamp(number: &str) -> String {
    format!("export function preHook(call) {{\n  call.arguments.stamp = {number};\n}}\n")
}

async fn stamped() -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", &stamp("1")).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s", "parms": {"a": 1}}]}), json!({})).await;
    (tenant, upstream)
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

#[tokio::test]
async fn two_versions_and_a_folder_are_compared() {
    let (tenant, upstream) = stamped().await;
    let token = token(&tenant);
    tenant.js("s", &stamp("2")).await;
    let expected = "--- s@1\n+++ s@2\n@@ -1,3 +1,3 @@\n export function preHook(call) {\n-  call.arguments.stamp = 1;\n+  call.arguments.stamp = 2;\n }\n";
    for arguments in [["diff", "s", "1", "2"].as_slice(), &["diff", "s", "1"]] {
        let differs = run(token, arguments);
        assert_eq!((differs.status.code(), String::from_utf8_lossy(&differs.stdout).as_ref()), (Some(3), expected), "{}", stderr(&differs));
    }
    assert_eq!(said(token, &["diff", "s", "2", "2"]), "");
    assert_eq!(run(token, &["diff", "s", "1", "9"]).status.code(), Some(1));

    // A folder as it is deployed, keys in another order, versions left out and as YAML, does not differ.
    let connector = format!(
        "endpoints:\n  x:\n    hooks: {{pre-hook: [{{parms: {{a: 1}}, script: s, version: 1}}]}}\n    path: /x\n    method: POST\nbase_url: {}\n",
        upstream.url("")
    );
    let flow = json!({"steps": [{"call": "api/x", "hooks": {"pre-hook": [{"script": "s"}]}}]});
    tenant.flow("f", flow.clone()).await;
    let folder = folder(&[("scripts/s.js", &stamp("2")), ("connectors/api.yaml", &connector), ("flows/f.json", &flow.to_string())]);
    let path = folder.path().display().to_string();
    let same = parsed(&said(token, &["diff", "--folder", &path, "--json"]));
    let kinds: Vec<_> = same["compared"].as_array().unwrap().iter().map(|c| (c["kind"].clone(), c["same"].clone())).collect();
    assert_eq!(kinds, ["script", "connector", "flow"].map(|kind| (json!(kind), json!(true))), "{same:#}");

    // A changed script changes what a binding without a number would be bound to.
    write(folder.path(), &[("scripts/s.js", &stamp("3")), ("scripts/t.js", "export default () => 1;\n")]);
    let differs = run(token, &["diff", "--folder", &path]);
    let text = String::from_utf8_lossy(&differs.stdout).into_owned();
    assert_eq!(differs.status.code(), Some(3));
    for part in [
        "--- s@2\n",
        "+  call.arguments.stamp = 3;",
        "--- not deployed\n",
        "+export default () => 1;",
        "--- flow f\n",
        "-            \"version\": 2",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("connector api") && stderr(&differs).contains("3 of 4 differ"), "{text}");
    let one = run(token, &["diff", "t", "--folder", &path, "--json"]);
    assert_eq!(parsed(&String::from_utf8_lossy(&one.stdout))["compared"][0]["before"], Value::Null);
    assert_eq!(run(token, &["diff", "u", "--folder", &path]).status.code(), Some(2));
}

#[tokio::test]
async fn a_script_is_bound_where_the_words_say() {
    let (tenant, upstream) = stamped().await;
    let token = token(&tenant);
    tenant.js("s", &stamp("2")).await;
    tenant
        .js(
            "t",
            "export function trigger(request) { return { payload: {} }; }\nexport default () => ({});\nexport function postRequest() {}",
        )
        .await;
    tenant.flow("f", json!({"steps": [{"name": "Call it", "call": "api/x"}, {"name": "Shape", "script": "t"}]})).await;
    let stored = async |path: &str| tenant.client.get(path).await.expect(200).json();

    // The same script keeps its place and parms; without a number it is the latest.
    assert_eq!(said(token, &["bind", "api/x", "pre-hook", "s"]), "connector api/x pre-hook: s@2 (was s@1)\n");
    let hooks = stored("/v1/connectors/api").await["endpoints"]["x"]["hooks"].clone();
    assert_eq!(hooks, json!({"pre-hook": [{"script": "s", "version": 2, "parms": {"a": 1}}]}));
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"stamp": 2}));
    // Another one comes behind it; a connector's own hooks run for all of its endpoints.
    assert_eq!(said(token, &["bind", "api/x", "post-request", "t=1", "--parms", r#"{"b": 2}"#]), "connector api/x post-request: t@1\n");
    assert_eq!(said(token, &["bind", "api", "post-request", "t"]), "connector api post-request: t@1\n");
    let connector = stored("/v1/connectors/api").await;
    assert_eq!(connector["endpoints"]["x"]["hooks"]["post-request"], json!([{"script": "t", "version": 1, "parms": {"b": 2}}]));
    assert_eq!(connector["hooks"], json!({"post-request": [{"script": "t", "version": 1}]}));

    // A step, by a name with a space in it; a step's own script; a flow's trigger, which it had none of.
    assert_eq!(said(token, &["bind", "f/Call it", "pre-hook", "s=1"]), "flow f/Call it pre-hook: s@1\n");
    assert_eq!(said(token, &["bind", "f/Shape", "step", "t=1"]), "flow f/Shape step: t@1\n");
    let answer = parsed(&said(token, &["bind", "f", "trigger", "t", "--json"]));
    assert_eq!((&answer["version"], &answer["before"], &answer["document"]["trigger"]["script"]), (&json!(1), &Value::Null, &json!("t")));
    let flow = stored("/v1/flows/f").await;
    assert_eq!((&flow["trigger"]["version"], &flow["steps"][0]["hooks"]["pre-hook"][0]["version"]), (&json!(1), &json!(1)));

    assert_eq!(
        said(token, &["bind", "api/x", "post-request", "t", "--remove"]),
        "connector api/x post-request: t is taken off (was t@1)\n"
    );
    assert_eq!(stored("/v1/connectors/api").await["endpoints"]["x"]["hooks"]["post-request"], json!([]));

    for (arguments, code, says) in [
        (["bind", "api/y", "pre-hook", "s"].as_slice(), 2, "there are api/x"),
        (&["bind", "none/x", "pre-hook", "s"], 2, "no connector and no flow `none`"),
        (&["bind", "f/Call it", "step", "s"], 2, "runs no script of its own"),
        (&["bind", "f/Shape", "step", "t", "--remove"], 2, "take the step out"),
        (&["bind", "api/x", "pre-hook", "t", "--remove"], 2, "has no script `t`"),
        (&["bind", "api/x", "pre-hook", "s=9"], 1, "has no version 9"),
        (&["bind", "api/x", "pre-hook", "t"], 1, "has no `pre-hook`"),
        (&["bind", "api/x", "before", "s"], 2, "is no hook; there are"),
        (&["bind", "api/x", "pre-hook", "s=new"], 2, "must be NAME=VERSION"),
    ] {
        let refused = run(token, arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", stderr(&refused));
        let plain = stderr(&refused).replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(says), "{arguments:?}: {plain}");
    }
    // A name that is a connector's and a flow's is asked about.
    tenant.flow("api", json!({"steps": [{"name": "x", "call": "api/x"}]})).await;
    let ambiguous = run(token, &["bind", "api/x", "pre-hook", "s"]);
    assert!(ambiguous.status.code() == Some(2) && stderr(&ambiguous).contains("add --flow"), "{}", stderr(&ambiguous));
    assert_eq!(said(token, &["bind", "api/x", "pre-hook", "s", "--flow"]), "flow api/x pre-hook: s@2\n");
}

#[tokio::test]
async fn a_version_is_promoted_after_what_was_recorded_was_replayed() {
    let (tenant, upstream) = stamped().await;
    let token = token(&tenant);
    tenant.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    tenant.flow("other", json!({"steps": [{"call": "api/x", "hooks": {"pre-hook": [{"script": "s"}]}}]})).await;
    let bound = async || {
        let connector = tenant.client.get("/v1/connectors/api").await.expect(200).json();
        let other = tenant.client.get("/v1/flows/other").await.expect(200).json();
        [&connector["endpoints"]["x"], &other["steps"][0]].map(|place| place["hooks"]["pre-hook"][0]["version"].clone())
    };
    let _ = tenant.call("api/x", json!({"n": 1})).await.expect(200);
    let _ = tenant.run("f", json!({"n": 2})).await.expect(200);
    let asked = upstream.requests().len();
    // The same decisions in other words: nobody to ask, so nothing changes without --yes.
    tenant.js("s", &stamp("0 + 1")).await;
    let unasked = run(token, &["promote", "s=2"]);
    let text = String::from_utf8_lossy(&unasked.stdout).into_owned();
    assert_eq!(unasked.status.code(), Some(3), "{text}{}", stderr(&unasked));
    for part in ["2 of 2 replayed runs decided the same", "connector api/x pre-hook: s@1 → @2", "flow other/step-1 pre-hook: s@1 → @2"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(stderr(&unasked).contains("no --yes"), "{}", stderr(&unasked));
    assert_eq!(bound().await, [1, 1]);
    // With it, everywhere at once, and parms stay.
    let promoted = parsed(&said(token, &["promote", "s=2", "--yes", "--json"]));
    assert_eq!(
        (&promoted["bound"], &promoted["replays"]["same"], promoted["places"].as_array().unwrap().len()),
        (&json!(true), &json!(2), 2)
    );
    assert_eq!(bound().await, [2, 2]);
    assert_eq!(tenant.client.get("/v1/connectors/api").await.json()["endpoints"]["x"]["hooks"]["pre-hook"][0]["parms"], json!({"a": 1}));
    assert_eq!(upstream.requests().len(), asked, "a replay calls nobody");
    assert_eq!(said(token, &["promote", "s=2", "--yes"]), "nothing older than s@2 is bound\n");
    assert!(said(token, &["promote", "s=1", "--yes"]).contains("nothing older"), "a promotion does not go back");

    // What differs is shown; who says no changes nothing, and who says yes does.
    tenant.js("s", &stamp("3")).await;
    for (answer, code, versions) in [("n\n", 3, [2, 2]), ("y\n", 0, [3, 3])] {
        let (exit, shown) = at_a_terminal(token, "promote s=3 --last 1", answer);
        assert_eq!(exit, Some(code), "{shown}");
        assert!(shown.contains("0 of 1 replayed runs decided the same, 1 did not") && shown.contains("Bind it? [y/N]"), "{shown}");
        assert_eq!(bound().await, versions, "{shown}");
    }
    for (arguments, code) in [(["promote", "s=9"], 1), (["promote", "none=1"], 1), (["promote", "s"], 2)] {
        assert_eq!(run(token, &arguments).status.code(), Some(code), "{arguments:?}");
    }
    tenant.js("loose", "export default () => 1;").await;
    let loose = run(token, &["promote", "loose=1"]);
    assert!(loose.status.code() == Some(2) && stderr(&loose).contains("bound nowhere"), "{}", stderr(&loose));
    // Without anything recorded it says so, and can be told to go on.
    let fresh = stamped().await.0;
    fresh.js("s", &stamp("2")).await;
    let said = said(fresh.client.token.as_deref().unwrap(), &["promote", "s=2", "--yes"]);
    assert!(said.contains("no recorded run came to s") && said.contains("s@2 is bound in connector api"), "{said}");
}

/// Runs a command with a terminal of its own, at which this is typed.
fn at_a_terminal(token: &str, arguments: &str, typed: &str) -> (Option<i32>, String) {
    use std::io::Write as _;
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &format!("{} {arguments}", binary().display()), "/dev/null"]);
    command.env("SNAPHOOK_URL", node().url()).env("SNAPHOOK_TOKEN", token).env("TERM", "xterm");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` is part of every Debian");
    child.stdin.take().expect("it was piped").write_all(typed.as_bytes()).expect("our own pipe");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
