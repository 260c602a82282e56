//! `snaphook test` with files of cases.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use snaphook_tests::{Tenant, examples};

use crate::support::{binary, node};

fn snaphook_test(tenant: &Tenant, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("test").args(arguments).current_dir(folder);
    command.env("SNAPHOOK_URL", &tenant.client.url).env("SNAPHOOK_TOKEN", tenant.client.token.as_deref().unwrap());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a script of every kind of hook, and these files of cases.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "scripts/check.js",
        "import { fail, recover, reject, respond } from 'snaphook';
export function preHook(call, context) {
  if (!call.arguments.text) return reject(400, 'text is missing', 'no-text');
  if (call.arguments.text === 'ping') return respond({ status: 201, headers: { 'X-A': 'b' }, body: { pong: context.parms.who } });
  console.info('words', call.arguments.text.split(' ').length);
  call.arguments.where = call.connector + '/' + call.endpoint;
}
export function preRequest(request, context) {
  request.headers.set('X-Attempt', context.attempt);
  request.body = { ...request.json(), first: context.stepResults.first, app: context.config['App Base URL'] };
}
export function postRequest(response, context) {
  if (response.status !== 200) return fail('status ' + response.status, 7);
  context.variables.count = context.variables.count + 1;
  context.meta.last = response.headers.get('x-request-id') ?? context.meta.before;
  return response.json().data;
}
export function postHook(result) { return { got: result.payload, from: result.arguments.who, status: result.status }; }
export function postFail(failure) {
  if (failure.code === 'connect') return recover({ cached: true });
  throw new Error('cannot mend ' + failure.message);
}",
    );
    write("scripts/shape.ts", "export default function (payload: { n: number }): number[] {\n  return [payload.n, payload.n + 0.5];\n}\n");
    for (name, text) in files {
        write(name, text);
    }
    folder
}

const CASES: &str = r#"
script: check
hook: pre-hook
cases:
  - name: words are counted
    input: {connector: crm, endpoint: send, arguments: {text: two words}}
    expect:
      decision: {kind: call}
      arguments: {text: two words, where: crm/send}
      logs: [words 2]
  - name: nothing to count
    input: {arguments: {}}
    expect: {decision: {kind: reject, status: 400, reason_code: no-text}}
  - name: an answer of its own
    input: {arguments: {text: ping}, parms: {who: me}}
    expect:
      decision: {kind: respond, status: 201}
      response: {status: 201, body: {pong: me}}
  - name: a request is completed
    hook: pre-request
    input:
      request: {method: POST, url: "https://x.example/a", headers: {Accept: text/plain}, body: {n: 1}}
      step_results: {first: [1]}
      config: {App Base URL: "https://app"}
      attempt: 2
    expect:
      request:
        method: POST
        url: "https://x.example/a"
        headers: {accept: text/plain, content-type: application/json, x-attempt: "2"}
        body: {n: 1, first: [1], app: "https://app"}
  - name: data is unpacked
    hook: post-request
    input:
      response: {status: 200, headers: {x-request-id: r-1}, body: {data: {a: 1.0}}}
      variables: {count: 2}
    expect: {decision: {kind: none}, payload: {a: 1}, variables: {count: 3}, meta: {last: r-1}}
  - name: a payload stands in for the body
    hook: post-request
    input: {payload: {data: null}, variables: {count: 0}, meta: {before: r-0}}
    expect: {payload: null, meta: {last: r-0}}
  - name: another status fails
    hook: post-request
    input: {response: {status: 404}}
    expect: {decision: {kind: fail, message: status 404, reason_code: 7}, variables: {}}
  - name: the result is wrapped
    hook: post-hook
    input: {response: {status: 203}, payload: text, arguments: {who: me}}
    expect: {decision: {kind: replace}, payload: {got: text, from: me, status: 203}}
  - name: an unreachable upstream is covered up
    hook: post-fail
    expect: {decision: {kind: recover}, payload: {cached: true}}
  - name: anything else is not
    hook: post-fail
    input: {failure: {status: 500, code: status, message: "500"}}
    expect: {fault: {code: script-threw, detail: "Error: cannot mend 500", line: 21}}
"#;

#[tokio::test]
async fn cases_of_every_hook_are_run_before_anything_is_bound() {
    let tenant = node().tenant().await;
    let steps = r#"{"script": "../scripts/shape.ts", "hook": "step", "cases": [
        {"name": "halves", "input": {"payload": {"n": 2}}, "expect": {"decision": {"kind": "return"}, "payload": [2.0, 2.5]}}]}"#;
    let folder = folder(&[("tests/check.yaml", CASES), ("tests/shape.json", steps)]);
    let output = snaphook_test(&tenant, folder.path(), &["."]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(shown.ends_with("11 cases: 11 ok, 0 failed\n"), "{shown}");
    assert!(shown.contains("ok      ./tests/check.yaml: a request is completed\n"), "{shown}");
    // Both scripts were uploaded, once each; a second time they are the same, and files can be named one by one.
    let output = snaphook_test(&tenant, folder.path(), &["tests/check.yaml", "tests/shape.json", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["ok"], &document["failed"], output.status.code()), (&json!(11), &json!(0), Some(0)));
    assert!(document["cases"][0]["answer"]["usage"]["fuel"].as_u64().unwrap() > 0, "{document:#}");
    for script in ["check", "shape"] {
        let versions = tenant.client.get(&format!("/v1/scripts/{script}")).await.expect(200).json();
        assert_eq!(versions["versions"].as_array().unwrap().len(), 1, "{script}");
    }
    assert_eq!(tenant.client.get("/v1/runs").await.json()["items"], json!([]), "and nothing ran");
}

#[tokio::test]
async fn what_is_not_as_expected_is_shown_and_told_by_the_exit_code() {
    let tenant = node().tenant().await;
    let cases = r#"
hook: pre-hook
script: check
cases:
  - {name: right, input: {arguments: {text: a}}, expect: {decision: {kind: call}}}
  - {name: wrong arguments, input: {arguments: {text: a b}}, expect: {arguments: {text: a b, where: crm/send}, logs: [words 3]}}
  - {name: wrong decision, input: {arguments: {text: a}}, expect: {decision: {kind: reject, status: 400}}}
  - {name: unexpected fault, hook: post-fail, input: {failure: {code: status}}, expect: {decision: {kind: keep}}}
  - {name: by version, script: check@1, input: {arguments: {}}, expect: {decision: {kind: call}}}
"#;
    let folder = folder(&[("tests/check.yaml", cases)]);
    let output = snaphook_test(&tenant, folder.path(), &["tests"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown}{}", text(&output.stderr));
    for expected in [
        "ok      tests/check.yaml: right\n",
        "failed  tests/check.yaml: wrong arguments\n          arguments: - expected, + got\n",
        "            -   \"where\": \"crm/send\"\n            +   \"where\": \"/\"\n",
        "          logs: expected \"words 3\\n\", got \"words 2\\n\"\n",
        "          decision.kind: expected \"reject\", got \"call\"\n          decision.status: expected 400, got null\n",
        "failed  tests/check.yaml: unexpected fault\n          fault: - expected, + got\n",
        "script-threw",
        "failed  tests/check.yaml: by version\n          decision.kind: expected \"call\", got \"reject\"\n",
        "5 cases: 1 ok, 4 failed\n",
    ] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
}

#[tokio::test]
async fn files_that_are_wrong_are_refused_with_path_and_place() {
    let tenant = node().tenant().await;
    let case = |more: &str| {
        format!("hook: pre-hook\nscript: check\ncases:\n  - name: first\n    {more}\n    expect: {{decision: {{kind: call}}}}\n")
    };
    let refused = |file: &str| {
        let folder = folder(&[("tests/a.yaml", file)]);
        let output = snaphook_test(&tenant, folder.path(), &["."]);
        (output.status.code(), text(&output.stderr))
    };
    for (file, words) in [
        (case("inpt: {}"), vec!["unknown field `inpt`", "a.yaml:5:", "cases[0]"]),
        (case("input: {request: {verb: GET}}"), vec!["unknown field `verb`", "a.yaml:5:", "cases[0].input.request.verb"]),
        (case("input: {connection: 5}"), vec!["invalid type", "cases[0].input.connection"]),
        (case("script: nobody"), vec!["there is no file `nobody`", "cases[0].script"]),
        (case("script: check@7"), vec!["there is no version 7", "a.yaml:4:"]),
        (case("hook: step"), vec!["has no `step`", "a.yaml:5:", "cases[0].hook"]),
        (case("input: ["), vec!["a.yaml:"]),
    ] {
        let (code, shown) = refused(&file);
        assert_eq!(code, Some(1), "{file}\n{shown}");
        for word in words {
            assert!(shown.contains(word), "{word} is not in\n{shown}");
        }
    }
    let empty = tempfile::tempdir().unwrap();
    for wrong in [&["."][..], &[], &["tests/none.txt"]] {
        assert_eq!(snaphook_test(&tenant, empty.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
    // A script that does not compile is shown as `deploy` shows it.
    let folder = folder(&[("tests/a.yaml", &case("input: {}"))]);
    std::fs::write(folder.path().join("scripts/check.js"), "export function preHook( {").unwrap();
    let output = snaphook_test(&tenant, folder.path(), &["."]);
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("check.js:1:"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn one_hook_can_still_be_tried_by_hand() {
    let tenant = node().tenant().await;
    tenant.js("s", "export function preHook(call) { call.arguments.b = 1; }").await;
    let here = Path::new(".");
    let output = snaphook_test(&tenant, here, &["s", "--hook", "pre-hook", r#"{"arguments": {"a": 1}}"#]);
    assert!(output.status.success() && text(&output.stdout).contains("\"b\": 1"), "{output:?}");
    assert_eq!(snaphook_test(&tenant, here, &["s@1", "--hook", "pre-hook"]).status.code(), Some(1), "without arguments it throws");
    assert_eq!(snaphook_test(&tenant, here, &["s", "--hook", "pre-hook", "{}", "{}"]).status.code(), Some(2));
}

#[tokio::test]
async fn the_examples_cases_are_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tested = 0;
    for example in examples::all(&root) {
        assert!(example.folder.join("tests").is_dir(), "examples/{} has no cases", example.name);
        let guest = example.has_guest().then(|| examples::guest(&root, &example.name).expect("the guest was built"));
        let tenant = node().tenant().await;
        if let Some(wasm) = guest {
            tenant.script(&example.name, "wasm", wasm).await;
        }
        let output = snaphook_test(&tenant, &example.folder, &["."]);
        assert!(output.status.success(), "examples/{}:\n{}{}", example.name, text(&output.stdout), text(&output.stderr));
        tested += 1;
    }
    assert!(tested >= 4, "only the cases of {tested} examples were run");
}

#[tokio::test]
async fn a_case_tests_the_folders_own_helper() {
    let tenant = node().tenant().await;
    let case =
        "hook: pre-hook\nscript: asks\ncases:\n  - name: first\n    input: {}\n    expect: {decision: {kind: reject, message: new}}\n";
    let folder = folder(&[
        ("tests/a.yaml", case),
        (
            "scripts/asks.js",
            "import { word } from 'script:says';\nimport { reject } from 'snaphook';\nexport function preHook() { return reject(400, word); }",
        ),
        ("scripts/says.js", "import { word as inner } from 'script:deeper';\nexport const word = inner;"),
        ("scripts/deeper.js", "export const word = 'new';"),
    ]);
    // What the node has is older.
    tenant.js("deeper", "export const word = 'old';").await;
    tenant.js("says", "export const word = 'old';").await;
    let output = snaphook_test(&tenant, folder.path(), &["."]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
