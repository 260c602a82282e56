//! `snaphook import`: manifests of requests become flows, and every key of them is spoken of.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};

use crate::support::{binary, node};

/// Runs the command on a manifest in a directory of its own.
fn import(directory: &Path, file: &str, manifest: &str, arguments: &[&str]) -> Output {
    let path = directory.join(file);
    std::fs::write(&path, manifest).unwrap();
    let mut command = Command::new(binary());
    command.env_remove("SNAPHOOK_TOKEN").env_remove("SNAPHOOK_URL").arg("import").arg(path).args(arguments).output().unwrap()
}

/// The same with `--json`: exit code and answer.
fn import_json(manifest: &str) -> (Option<i32>, Value) {
    let directory = tempfile::tempdir().unwrap();
    let output = import(directory.path(), "m.json", manifest, &["--json"]);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), answer)
}

fn outcome<'a>(answer: &'a Value, path: &str) -> (&'a str, &'a str) {
    let finding = answer["findings"].as_array().unwrap().iter().find(|finding| finding["path"] == path);
    let finding = finding.unwrap_or_else(|| panic!("{path}: {answer:#}"));
    (finding["outcome"].as_str().unwrap(), finding["note"].as_str().unwrap())
}

/// The examples of the page that describes such requests, put together as it says.
const EXAMPLES: &str = r#"{
  "headers": {"Authorization": "Bearer {{ TOKEN }}"},
  "execute": [
    {"url": "https://u.example/documents/{{ email }}", "method": "POST", "data": {"name": "{{ first_name }}"},
     "store_data": {
       "FORM_ID": "data.id",
       "DOCUMENT_HASH": "document_hash"
     }},
    {"url": "https://u.example/documents/{{ FORM_ID }}", "method": "GET",
     "continue_if": {
       "response_notation": "detail.status",
       "value": "done"
     }},
    {"url": "https://u.example/documents/{{ FORM_ID }}/file", "method": "GET", "save_as_file": "filename.png"},
    {"url": "https://u.example/files", "method": "POST", "files": {
       "field_name": "filename.png"
     }}
  ]
}"#;

#[test]
fn the_examples_of_the_manifest_page_are_taken_whole() {
    let (code, answer) = import_json(EXAMPLES);
    assert_eq!((code, &answer["complete"], &answer["name"]), (Some(0), &json!(true), &json!("m")));
    for path in [
        "headers",
        "execute[0].url",
        "execute[0].store_data",
        "execute[1].continue_if.value",
        "execute[2].save_as_file",
        "execute[3].files",
    ] {
        assert_eq!(outcome(&answer, path), ("taken", ""), "{path}");
    }
    assert_eq!(outcome(&answer, "execute").0, "changed");
    let (how, note) = outcome(&answer, "execute[0].data");
    assert!(how == "changed" && note.contains("encode: form"), "{how}: {note}");
    let manifest: Value = serde_json::from_str(EXAMPLES).unwrap();
    let steps = answer["flow"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4);
    for (step, request) in steps.iter().zip(manifest["execute"].as_array().unwrap()) {
        for (key, value) in request.as_object().unwrap() {
            assert_eq!(&step[key], value, "{key}");
        }
    }
}

#[test]
fn what_is_left_out_is_said_with_a_reason_and_an_exit_code() {
    // The example of polling, with the comma after its last entry.
    let manifest = r#"{"execute": [{"url": "https://u.example/f", "method": "GET",
        "continue_if": {"response_notation": "detail.status", "value": "done"},
        "polling": {
            "interval": 5,
            "amount": 60,
        }}],
        "form": [{"id": "TEAM"}], "revoke": [{"url": "https://u.example"}], "exists": {"url": "https://u.example"}, "oauth": {"a": 1},
        "initial_data_form": [{"id": "PASSWORD", "name": "generate"}, {"id": "ORG", "name": "Organisation"}],
        "extra_user_info": [{"id": "x"}], "post_execute_notification": [{"type": "email"}], "unheard_of": true}"#;
    let (code, answer) = import_json(manifest);
    assert_eq!((code, &answer["complete"]), (Some(3), &json!(false)));
    assert!(outcome(&answer, "(file)").1.contains("read as YAML"));
    for path in ["form", "revoke", "exists", "oauth", "initial_data_form[1]", "extra_user_info", "post_execute_notification", "unheard_of"]
    {
        let (word, note) = outcome(&answer, path);
        assert!(word == "left out" && note.len() > 20, "{path}: {word}: {note}");
    }
    assert_eq!(outcome(&answer, "initial_data_form[0]").0, "changed");
    assert_eq!(answer["flow"]["generate"], json!({"PASSWORD": 10}));
    assert_eq!(outcome(&answer, "execute[0].polling").0, "taken");
    assert!(answer["flow"]["steps"][0]["polling"]["interval"].is_number());

    // What the other product's templates have and ours have not is found by both: by what is known of them, and by reading them.
    let manifest =
        json!([{"url": "https://u.example/{{ start|date:\"Y\" }}", "method": "GET", "headers": {"x-a": "{{ a|nosuchfilter }}"}}]);
    let (code, answer) = import_json(&manifest.to_string());
    assert_eq!(code, Some(3));
    assert!(outcome(&answer, "[0].url").1.contains("filter `date`"), "{answer:#}");

    // The same for people: one line for each key, and how many are missing on standard error.
    let directory = tempfile::tempdir().unwrap();
    let output = import(directory.path(), "plan.yaml", "execute:\n- {url: 'https://u.example', method: GET, foo: 1}\n", &[]);
    let (shown, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("execute[0].foo") && line.contains("left out")), "{shown}");
    assert!(shown.contains("flow plan:") && errors.contains("1 of 4 keys"), "{shown}{errors}");
}

#[test]
fn what_is_no_manifest_is_refused_where_it_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    for (manifest, part) in [
        (r#"{"execute": [{"method": "GET"}]}"#, "execute[0].url: is missing"),
        (r#"{"execute": [{"url": "https://u.example", "method": "post"}]}"#, "execute[0].method: `post` is no method"),
        (r#"[{"url": "https://u.example", "files": {"f": ""}}]"#, "[0].files.f"),
        (r#"{"execute": [], "execute": []}"#, "`execute` stands here twice"),
        (r#"{"headers": {}}"#, "execute: is missing"),
        ("{", "EOF"),
    ] {
        let output = import(directory.path(), "m.json", manifest, &[]);
        let errors = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(1) && errors.contains(part), "{manifest}: {errors}");
    }
    let output = import(directory.path(), "no name.json", "[{\"url\": \"https://u.example\"}]", &[]);
    assert_eq!(output.status.code(), Some(2));
    let missing = Command::new(binary()).args(["import", "no-such-file.json"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

/// What a node says of each flow, as the import left it and with what it left out taken away.
#[tokio::test]
async fn what_a_node_would_refuse_is_left_out_and_nothing_else() {
    let tenant = node().tenant().await;
    let request = |more: Value| {
        let mut request = json!({"url": "https://u.example/{{ fine }}", "method": "POST"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let many = vec!["{{ v }}"; 2000];
    for (requests, left) in [
        (json!([request(json!({"files": {"a": "{{ f", "b": "fine.png"}}))]), vec!["[0].files.a"]),
        (json!([request(json!({"save_as_file": "{{ f | nope }}"}))]), vec!["[0].save_as_file"]),
        (
            json!([request(json!({"save_as_file": "fine.png", "headers": {"x-a": "{{ f | nope }}", "x-b": "{{ fine }}"}}))]),
            vec!["[0].headers.x-a"],
        ),
        (
            json!([
                request(json!({"url": "https://u.example/{{ a | nope }}", "data": {"x": [{"y": "{{ b | nope }}"}]}})),
                request(json!({"data": "{{ c | nope }}"}))
            ]),
            vec!["[0].url", "[0].data.x[0].y", "[1].data"],
        ),
        (json!([request(json!({"name": "Ask"})), request(json!({"name": "ask"}))]), vec!["[1].name"]),
        (json!([request(json!({"data": many}))]), vec!["[0].data[1999]"]),
        (
            json!([request(json!({"data": "{{ fine | upper }}", "save_as_file": "{{ fine }}.png", "files": {"a": "{{ fine }}.png"}}))]),
            vec![],
        ),
    ] {
        let (code, answer) = import_json(&requests.to_string());
        let found: Vec<&str> = answer["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["outcome"] == "left out")
            .map(|finding| finding["path"].as_str().unwrap())
            .collect();
        assert_eq!((code, found), (Some(if left.is_empty() { 0 } else { 3 }), left.clone()), "{requests}: {answer:#}");
        let deployed = tenant.client.put("/v1/flows/f", &answer["flow"]).await;
        if left.is_empty() {
            assert!(deployed.status < 300, "{}", deployed.text());
            continue;
        }
        let refused = deployed.expect(400).json();
        let path = refused["path"].as_str().unwrap().replacen("steps", "", 1);
        assert!(left.contains(&path.as_str()), "{refused}");
    }
}

#[tokio::test]
async fn an_import_is_written_or_deployed_and_runs() {
    let tenant = node().tenant().await;
    let upstream = Upstream::start().await;
    upstream.on("/f", Answer::text("content")).on("/up", Answer::json(json!({"ok": true})));
    let manifest = json!([
        {"url": upstream.url("/f"), "method": "GET", "save_as_file": "f.txt"},
        {"url": upstream.url("/up"), "method": "POST", "files": {"file": "f.txt"}, "data": {"a": "b"}},
    ]);
    let directory = tempfile::tempdir().unwrap();
    let write = directory.path().join("mine").display().to_string();
    let token = tenant.client.token.clone().unwrap();
    let arguments = ["--name", "imported", "--write", &write, "--deploy", "--url", &tenant.client.url, "--token", &token];
    let output = import(directory.path(), "m.json", &manifest.to_string(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(directory.path().join("mine/flows/imported.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["steps"].as_array().unwrap().len(), 2);
    let _ = tenant.run("imported", json!({})).await.expect(200);
    let sent = upstream.last().text();
    assert!(
        sent.contains("filename=\"f.txt\"") && sent.contains("\r\n\r\ncontent\r\n") && sent.contains("name=\"a\"\r\n\r\nb\r\n"),
        "{sent}"
    );

    // What was written before is not overwritten, and without a token nothing is deployed.
    assert_eq!(
        import(directory.path(), "m.json", &manifest.to_string(), &["--name", "imported", "--write", &write]).status.code(),
        Some(1)
    );
    assert_eq!(std::fs::read_to_string(directory.path().join("mine/flows/imported.json")).unwrap(), written);
    assert_eq!(import(directory.path(), "m.json", &manifest.to_string(), &["--deploy"]).status.code(), Some(2));
}
