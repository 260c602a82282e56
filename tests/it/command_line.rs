//! The command line as a whole: help, completions, manual pages, exit codes, colours, JSON.

use std::process::{Command, Output};

use serde_json::{Value, json};
use snaphook_tests::OPERATOR;

use crate::commands::{run, said};
use crate::folders::folder;
use crate::support::{binary, endpoint, node, ok, tenant};

/// A command without a node, token or colours of the environment's.
fn plain(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for variable in ["SNAPHOOK_URL", "SNAPHOOK_TOKEN", "SNAPHOOK_CONFIG", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("the binary was built")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn completions_are_for_every_usual_shell() {
    for (shell, part) in [
        ("bash", "complete -F _snaphook"),
        ("zsh", "#compdef snaphook"),
        ("fish", "complete -c snaphook"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let printed = plain(&["completions", shell]);
        let text = stdout(&printed);
        assert!(printed.status.success() && text.contains(part) && text.contains("promote"), "{shell}");
        assert!(!text.contains("compile-child"), "{shell}: the node's own command is no one else's");
    }
    let bash = folder(&[("snaphook.bash", &stdout(&plain(&["completions", "bash"])))]);
    let read = Command::new("bash").arg("-n").arg(bash.path().join("snaphook.bash")).output().expect("bash is there");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = folder(&[]);
    let written = plain(&["man", &folder.path().join("man1").display().to_string()]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).unwrap_or_else(|_| panic!("no page {name}"));
    for name in ["snaphook.1", "snaphook-serve.1", "snaphook-promote.1", "snaphook-tenant-put.1", "snaphook-secrets-rotate.1"] {
        assert!(page(name).contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(page("snaphook.1").contains("Exit codes") && page("snaphook-logs.1").contains("snaphook logs"), "{}", page("snaphook.1"));
    assert!(page("snaphook-serve.1").contains("SNAPHOOK_LISTEN"));
    let pages = std::fs::read_dir(folder.path().join("man1")).unwrap().count();
    assert!(pages > 25, "{pages}");
    let refused = plain(&["man", "/proc/none"]);
    assert_eq!(refused.status.code(), Some(1));
}

#[tokio::test]
async fn every_exit_code_occurs_and_is_in_the_help() {
    let (tenant, _upstream) = tenant().await;
    let token = tenant.client.token.as_deref().unwrap();
    tenant.js("s", "export default () => 1;").await;
    tenant.js("s", "export default () => 2;").await;
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    let nobody = format!("http://{nobody}");
    let ends: [(i32, &[&str]); 9] = [
        (0, &["health"]),
        (1, &["run", "0198c5f2-0000-7000-8000-000000000001"]),
        (1, &["man", "/proc/none"]),
        (2, &["call", "no-endpoint"]),
        (2, &["paint"]),
        (2, &["serve", "--lease-s", "1"]),
        (3, &["diff", "s", "1", "2"]),
        (4, &["health", "--url", &nobody]),
        (4, &["runs", "--url", &nobody]),
    ];
    for (code, arguments) in ends {
        let output = run(token, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let help = stdout(&plain(&["--help"]));
    let listed: Vec<i32> =
        help.split("Exit codes:").nth(1).unwrap().lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();
    let mut occur: Vec<i32> = ends.map(|(code, _)| code).to_vec();
    occur.dedup();
    assert_eq!(listed, occur, "{help}");
}

#[tokio::test]
async fn colours_are_for_terminals_unless_one_says_otherwise() {
    let (tenant, _upstream) = tenant().await;
    tenant.js("s", "export default () => 1;").await;
    tenant.js("s", "export default () => 2;").await;
    let token = tenant.client.token.as_deref().unwrap();
    let coloured = |flags: &str, environment: &[(&str, &str)], terminal: bool| {
        let line = format!("{} diff s 1 2 {flags}", binary().display());
        let mut command = Command::new(if terminal { "script" } else { "sh" });
        match terminal {
            true => command.args(["--quiet", "--return", "--command", &line, "/dev/null"]),
            false => command.args(["-c", &line]),
        };
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm");
        command.env("SNAPHOOK_URL", node().url()).env("SNAPHOOK_TOKEN", token).envs(environment.iter().copied());
        let output = command.stdin(std::process::Stdio::null()).output().expect("both are part of every Debian");
        let text = stdout(&output);
        assert!(text.contains("export default () => 2;"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.contains("\u{1b}[32m+")
    };
    assert!(coloured("", &[], true), "a terminal");
    assert!(!coloured("", &[], false), "a pipe");
    assert!(!coloured("", &[("NO_COLOR", "1")], true));
    assert!(!coloured("--color never", &[], true));
    assert!(coloured("--color always", &[("NO_COLOR", "1")], false));
    assert!(coloured("--color=auto", &[("CLICOLOR_FORCE", "1")], false));
    // Reports of errors likewise, and wrong usage too.
    let report = |arguments: &[&str]| String::from_utf8_lossy(&plain(arguments).stderr).contains('\u{1b}');
    assert!(report(&["call", "x", "--token", "t", "--color", "always"]) && !report(&["call", "x", "--token", "t"]));
    assert!(report(&["paint", "--color", "always"]) && !report(&["paint"]));
    let wrong = plain(&["runs", "--color", "red"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_printed_is_printed_as_json_too() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let token = tenant.client.token.as_deref().unwrap();
    tenant.js("s", "export function preHook(call, context) { context.log.info('here'); }").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let parsed = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}")) };

    let called = parsed(&said(token, &["call", "api/x", "{}", "--json"]));
    assert_eq!((&called["status"], &called["body"], &called["run"]["status"]), (&json!(200), &json!({"ok": true}), &json!("succeeded")));
    let folder = folder(&[("scripts/a.js", "export default () => 1;"), ("scripts/b.js", "export default () => ;")]);
    let deployed = run(token, &["deploy", &folder.path().display().to_string(), "--json"]);
    let document = parsed(&stdout(&deployed));
    assert_eq!((deployed.status.code(), &document["ok"]), (Some(1), &json!(false)));
    let [good, bad] = [0, 1].map(|i| &document["items"][i]);
    assert_eq!((&good["name"], &good["new"], &good["document"]["version"]), (&json!("a"), &json!(true), &json!(1)));
    assert_eq!((&bad["problem"]["code"], &bad["problem"]["line"]), (&json!("script-syntax"), &json!(1)), "{document:#}");
    assert!(bad["problem"]["file"].as_str().unwrap().ends_with("b.js"), "{bad}");

    let tested = parsed(&said(token, &["test", "s", "{}", "--hook", "pre-hook", "--json"]));
    assert_eq!(tested["decision"]["kind"], "call");
    assert_eq!(parsed(&said(token, &["health", "--json"])), json!({"ready": true, "status": 200}));
    let made = parsed(&said(token, &["token", "create", "t", "--scopes", "read", "--json"]));
    let id = made["id"].as_str().unwrap();
    assert!(made["token"].as_str().unwrap().len() > 20);
    let listed = said(token, &["token", "list", "--json"]);
    assert!(listed.lines().map(parsed).any(|token| token["id"] == id), "{listed}");
    assert_eq!(parsed(&said(token, &["token", "delete", id, "--json"])), json!({"deleted": {"kind": "token", "name": id}}));

    let name = format!("json-{}", std::process::id());
    assert!(parsed(&said(OPERATOR, &["tenant", "put", &name, "--json"]))["limits"].is_object());
    assert!(parsed(&said(OPERATOR, &["tenant", "show", &name, "--json"]))["limits"].is_object());
    assert!(said(OPERATOR, &["tenant", "list", "--json"]).lines().map(parsed).any(|tenant| tenant["name"] == name.as_str()));
    assert_eq!(parsed(&said(OPERATOR, &["tenant", "delete", &name, "--json"]))["deleted"]["name"], name.as_str());
}

#[test]
fn a_reader_that_has_enough_ends_the_command_quietly() {
    // As behind `head` that has its lines: nobody is there when the command prints.
    for arguments in [["completions", "bash"].as_slice(), &["health", "--url", node().url()]] {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        let output = Command::new(binary()).args(arguments).stdout(writer).output().expect("the binary was built");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_name_is_read_as_part_of_an_address() {
    let (tenant, _upstream) = tenant().await;
    let token = tenant.client.token.as_deref().unwrap();
    tenant.js("s", "export function preHook() {}").await;
    // Each would be another address, or none, if it stood in one as it is.
    for (arguments, name) in [
        (&["run", "1/events"][..], "1/events"),
        (&["run", "a b"], "a b"),
        (&["run", "?limit=1"], "?limit=1"),
        (&["replay", "../scripts/s#"], "../scripts/s#"),
        (&["token", "delete", "ü/%2e%2e"], "ü/%2e%2e"),
        (&["call", "api/x?y=1"], "x?y=1"),
        (&["call", "--flow", "../call"], "../call"),
        (&["diff", "s/versions/1", "1", "2"], "s/versions/1"),
    ] {
        let refused = run(token, arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(&format!("`{name}`")), "the node was asked for what was typed: {arguments:?}: {said}");
    }
    let shown = Command::new(binary())
        .args(["tenant", "show", &format!("{}/tokens?x=", tenant.name)])
        .envs([("SNAPHOOK_URL", node().url()), ("SNAPHOOK_OPERATOR_TOKEN", OPERATOR)])
        .output()
        .expect("the binary was built");
    assert_eq!(shown.status.code(), Some(1), "{}", stdout(&shown));
}
