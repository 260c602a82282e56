//! Files of a run: saved from responses, sent as fields of forms, gone with the run.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Recorded, Upstream};
use snaphook_tests::{NodeProcess, Tenant};

use crate::support::{node, ok, problem, tenant};

/// One part of a form as it arrived.
#[derive(Debug, PartialEq)]
struct Part {
    field: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

/// Takes a form apart as a server does.
fn parts(request: &Recorded) -> Vec<Part> {
    let content_type = request.header("content-type").expect("a form has a content type");
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap_or_else(|| panic!("{content_type}"));
    let delimiter = format!("\r\n--{boundary}");
    let whole = [b"\r\n", request.body.as_ref()].concat();
    let mut found = Vec::new();
    let mut rest = whole.as_slice();
    while let Some(at) = position(rest, delimiter.as_bytes()) {
        let before = &rest[..at];
        if let Some(head_end) = position(before, b"\r\n\r\n") {
            let head = String::from_utf8(before[..head_end].to_vec()).unwrap();
            let quoted = |key: &str| Some(head.split(&format!(" {key}=\"")).nth(1)?.split('"').next()?.to_owned());
            found.push(Part {
                field: quoted("name").expect("a part has a name"),
                file_name: quoted("filename"),
                content_type: head.split("Content-Type: ").nth(1).map(|rest| rest.lines().next().unwrap_or_default().to_owned()),
                content: before[head_end + 4..].to_vec(),
            });
        }
        rest = &rest[at + delimiter.len()..];
    }
    assert_eq!(rest, b"--\r\n", "a form ends with its boundary");
    found
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn text(field: &str, content: &str) -> Part {
    Part { field: field.to_owned(), file_name: None, content_type: None, content: content.as_bytes().to_vec() }
}

fn file(field: &str, name: &str, content_type: &str, content: &[u8]) -> Part {
    let content_type = Some(content_type.to_owned());
    Part { field: field.to_owned(), file_name: Some(name.to_owned()), content_type, content: content.to_vec() }
}

/// Bytes that are no text, with everything in them that a frame could trip over.
fn picture() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n--\r\n\r\n--snaphook-\0".to_vec();
    bytes.extend((0..20_000_u32).flat_map(u32::to_le_bytes));
    bytes
}

fn get(upstream: &Upstream, path: &str, save_as: &str) -> Value {
    json!({"url": upstream.url(path), "method": "GET", "save_as_file": save_as})
}

fn post(upstream: &Upstream, files: Value) -> Value {
    json!({"url": upstream.url("/up"), "method": "POST", "files": files})
}

async fn refused_at(tenant: &Tenant, path: &str, document: Value, place: &str) {
    let answer = tenant.client.put(path, &document).await.expect(400);
    assert_eq!((answer.json()["code"].as_str(), answer.json()["path"].as_str()), (Some("invalid"), Some(place)), "{}", answer.text());
    assert!(problem(&answer).1.contains("pre-request"), "{}", answer.text());
}

#[tokio::test]
async fn f022_a_pre_request_script_is_refused_where_files_are_sent() {
    let (tenant, upstream) = tenant().await;
    tenant.js("s", "export function preRequest(request) { request.body = 'changed'; }").await;
    let bound = json!({"pre-request": [{"script": "s"}]});
    let endpoint = |hooks: &Value| json!({"method": "POST", "path": "/up", "files": {"f": "f.png"}, "hooks": hooks});
    let connector = |hooks: &Value, of_endpoint: &Value| json!({"base_url": upstream.url(""), "hooks": hooks, "endpoints": {"up": endpoint(of_endpoint)}});
    refused_at(&tenant, "/v1/connectors/c", connector(&json!({}), &bound), "endpoints.up.hooks.pre-request").await;
    refused_at(&tenant, "/v1/connectors/c", connector(&bound, &json!({})), "hooks.pre-request").await;
    tenant.connector("c", connector(&json!({}), &json!({"pre-request": []}))).await;
    let call = json!({"steps": [{"url": upstream.url("/x")}, {"call": "c/up", "hooks": bound}]});
    refused_at(&tenant, "/v1/flows/f", call, "steps[1].hooks.pre-request").await;
    let step = json!({"url": upstream.url("/up"), "files": {"f": "f.png"}, "hooks": bound});
    refused_at(&tenant, "/v1/flows/f", json!({"steps": [step]}), "steps[0].hooks.pre-request").await;

    // A connector that sends files only since the flow was stored: its run says so, and sends nothing.
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": {"up": {"method": "POST", "path": "/up"}}})).await;
    tenant.flow("f", json!({"steps": [{"call": "c/up", "hooks": bound}]})).await;
    tenant.connector("c", connector(&json!({}), &json!({}))).await;
    let answer = tenant.run("f", json!({})).await.expect(400);
    assert!(problem(&answer).1.contains("pre-request"), "{}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn f046_a_saved_response_is_sent_as_a_field_of_a_form() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/f.png", Answer::bytes(picture()).header("content-type", "image/png"));
    upstream.on("/up", Answer::json(json!({"id": 9})));
    let mut upload = post(&upstream, json!({"file": "f.png"}));
    upload["data"] = json!({"name": "Ann \"A\"\r\n--x", "sizes": [1, 2], "deep": {"a": null}, "none": null});
    // The default says JSON; a form says what it is.
    let flow =
        json!({"headers": {"content-type": "application/json", "x-default": "1"}, "steps": [get(&upstream, "/f.png", "f.png"), upload]});
    tenant.flow("f", flow).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(answer.json(), json!({"id": 9}));
    let sent = upstream.last();
    assert_eq!((sent.method.as_str(), sent.header("x-default")), ("POST", Some("1")));
    assert_eq!(sent.header("content-length"), Some(sent.body.len().to_string().as_str()));
    let expected = [
        text("name", "Ann \"A\"\r\n--x"),
        text("sizes", "1"),
        text("sizes", "2"),
        text("deep", "{\"a\":null}"),
        file("file", "f.png", "image/png", &picture()),
    ];
    assert_eq!(parts(&sent), expected);
}

#[tokio::test]
async fn f047_a_saved_file_is_sent_as_often_as_wanted() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/f.png", Answer::bytes(picture())).on("/up", ok());
    let twice = post(&upstream, json!({"a": "f.png", "b": "f.png"}));
    let steps =
        [get(&upstream, "/f.png", "f.png"), post(&upstream, json!({"file": "f.png"})), twice, post(&upstream, json!({"file": "f.png"}))];
    tenant.flow("f", json!({"steps": steps})).await;
    let _ = tenant.run("f", json!({})).await.expect(200);
    let sent: Vec<_> = upstream.requests()[1..].iter().map(parts).collect();
    let of = |field: &str| file(field, "f.png", "application/octet-stream", &picture());
    assert_eq!(sent, [vec![of("file")], vec![of("a"), of("b")], vec![of("file")]]);
}

#[tokio::test]
async fn f048_a_name_that_was_not_saved_fails_before_anything_is_sent() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/a", ok()).on("/up", ok());
    tenant.flow("f", json!({"steps": [get(&upstream, "/a", "a"), post(&upstream, json!({"ok": "a", "f": "zz"}))]})).await;
    let answer = tenant.run("f", json!({})).await.expect(422);
    assert_eq!(problem(&answer), ("file-unknown".to_owned(), "`zz` is not a saved file; this run has saved `a`".to_owned()));
    assert_eq!(answer.json()["blame"], "caller");
    assert_eq!(upstream.requests().len(), 1);
    let run = tenant.record(&answer).await;
    assert_eq!((&run["steps"][1]["code"], &run["steps"][1]["attempts"][0]["request"]), (&json!("file-unknown"), &Value::Null));

    // A direct call has no earlier steps.
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"up": {"method": "POST", "path": "/up", "files": {"f": "f.png"}}}});
    tenant.connector("c", connector).await;
    let direct = tenant.call("c/up", json!({})).await.expect(422);
    assert_eq!(problem(&direct), ("file-unknown".to_owned(), "`f.png` is not a saved file; this run has saved none".to_owned()));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn f049_the_content_of_a_file_is_not_in_the_record() {
    let (tenant, upstream) = tenant().await;
    let content = "the content of the file";
    upstream.on("/f", Answer::text(content)).on("/g", Answer::text(content)).on("/up", ok());
    tenant.js("seen", "export function postRequest(response, context) { context.log.info(String(response.text().length)); }").await;
    let mut scripted = get(&upstream, "/g", "g.txt");
    scripted["hooks"] = json!({"post-request": [{"script": "seen"}]});
    let mut upload = post(&upstream, json!({"a": "f.txt", "b": "g.txt"}));
    upload["data"] = json!({"note": "shown"});
    tenant.flow("f", json!({"steps": [get(&upstream, "/f", "f.txt"), scripted, upload]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(upstream.last().text().matches(content).count(), 2);
    let run = tenant.record(&answer).await;
    assert!(!run.to_string().contains(content), "{run:#}");
    let attempt = |step: usize| &run["steps"][step]["attempts"][0];
    assert_eq!(attempt(0)["response"]["body"], "[file f.txt, 23 bytes]");
    assert_eq!(attempt(1)["response"]["body"], "[file g.txt, 23 bytes]");
    let body = attempt(2)["request"]["body"].as_str().unwrap();
    for part in ["[file f.txt, 23 bytes]", "[file g.txt, 23 bytes]", "name=\"note\"\r\n\r\nshown\r\n"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(attempt(2)["request"]["headers"]["content-type"].as_str().unwrap().starts_with("multipart/form-data"));
    assert_eq!(crate::support::messages(&run), ["23"]);
}

#[tokio::test]
async fn f056_the_record_of_a_step_that_timed_out_has_status_0_and_the_error() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/slow", ok().after(&Gate::closed()));
    let step = json!({"url": upstream.url("/slow?q=1"), "method": "PUT", "data": {"a": 1}, "headers": {"x-own": "h"}, "status_code": [200], "timeout_s": 1});
    tenant.flow("f", json!({"steps": [step]})).await;
    let answer = tenant.run("f", json!({})).await.expect(504);
    assert_eq!(problem(&answer).0, "timeout");
    let run = tenant.record(&answer).await;
    let attempt = &run["steps"][0]["attempts"][0];
    assert_eq!(attempt["request"]["method"], "PUT");
    assert_eq!(attempt["request"]["url"], upstream.url("/slow?q=1"));
    assert_eq!((&attempt["request"]["headers"]["x-own"], &attempt["request"]["body"]), (&json!("h"), &json!("{\"a\":1}")));
    assert_eq!(attempt["response"], json!({"status": 0, "headers": {}, "body": ""}));
    assert_eq!((&attempt["error"]["code"], &run["code"]), (&json!("timeout"), &json!("timeout")));
    assert!(attempt["error"]["detail"].as_str().unwrap().contains("timed out"), "{attempt:#}");

    // What was expected stands in the error of an answer that was another.
    upstream.on("/other", Answer::text("no").with_status(418));
    tenant.flow("g", json!({"steps": [{"url": upstream.url("/other"), "status_code": [200, "201"]}]})).await;
    let answer = tenant.run("g", json!({})).await.expect(502);
    let attempt = tenant.record(&answer).await["steps"][0]["attempts"][0].clone();
    assert_eq!((&attempt["response"]["status"], &attempt["response"]["body"]), (&json!(418), &json!("no")));
    assert!(attempt["error"]["detail"].as_str().unwrap().contains("418; accepted: 200, 201"), "{attempt:#}");
}

#[tokio::test]
async fn names_are_templates_and_what_they_become_is_checked() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/f", Answer::json(json!({"state": "done", "id": 7}))).on("/up", ok());
    let mut save = get(&upstream, "/f", "{{ payload.name }}.json");
    // Whoever looks into the response sees it, though it is kept as a file.
    save["continue_if"] = json!({"response_notation": "state", "value": "done"});
    save["store_data"] = json!({"ID": "id"});
    let mut upload = post(&upstream, json!({"f": "{{ steps.trigger.name }}.json"}));
    upload["data"] = json!({"id": "{{ ID }}", "file": "{{ responses.0.file }}"});
    tenant.flow("f", json!({"steps": [save, upload]})).await;
    let _ = tenant.run("f", json!({"name": "a\"b"})).await.expect(200);
    let sent = parts(&upstream.last());
    assert_eq!((&sent[0], &sent[1]), (&text("id", "7"), &text("file", "a\"b.json")));
    assert_eq!((sent[2].file_name.as_deref(), &sent[2].content[..]), (Some("a%22b.json"), &br#"{"state":"done","id":7}"#[..]));

    let count = upstream.requests().len();
    for name in ["a\r\nx: y", "\u{0}", &"x".repeat(251)] {
        let answer = tenant.run("f", json!({"name": name})).await.expect(422);
        assert_eq!((problem(&answer).0, &answer.json()["path"]), ("template".to_owned(), &json!("steps[0].save_as_file")));
    }
    assert_eq!(upstream.requests().len(), count);
    let broken = json!({"steps": [{"url": upstream.url("/up"), "files": {"f": "{{ payload."}}]});
    let answer = tenant.client.put("/v1/flows/g", &broken).await.expect(400);
    assert_eq!(answer.json()["path"], "steps[0].files.f");
}

#[tokio::test]
async fn a_form_of_several_parts_needs_no_files() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/up", ok());
    tenant.js("s", "export function preRequest(request) { request.body = request.text().replace('old', 'new'); }").await;
    let step = json!({"url": upstream.url("/up"), "encode": "multipart", "data": {"a": "old", "b": [1, "{{ payload.x }}"], "c": null},
                      "hooks": {"pre-request": [{"script": "s"}]}});
    tenant.flow("f", json!({"headers": {"content-type": "application/json"}, "steps": [step]})).await;
    let _ = tenant.run("f", json!({"x": "--\r\n"})).await.expect(200);
    assert_eq!(parts(&upstream.last()), [text("a", "new"), text("b", "1"), text("b", "--\r\n")]);

    for (step, path) in [
        (json!({"encode": "multipart", "data": [1]}), "steps[0].data"),
        (json!({"encode": "multipart"}), "steps[0].encode"),
        (json!({"encode": "json", "data": {}, "files": {"f": "f"}}), "steps[0].encode"),
        (json!({"data": "text", "files": {"f": "f"}}), "steps[0].data"),
        (json!({"files": {"f": ""}}), "steps[0].files.f"),
        (json!({"save_as_file": "a\nb"}), "steps[0].save_as_file"),
    ] {
        let mut document = step.clone();
        document["url"] = json!(upstream.url("/up"));
        let answer = tenant.client.put("/v1/flows/g", &json!({"steps": [document]})).await.expect(400);
        assert_eq!(answer.json()["path"], path, "{step}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_next_step_is_given_a_description_of_the_file() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/f", Answer::text("12345")).on("/up", ok());
    tenant.flow("f", json!({"steps": [get(&upstream, "/f", "f.txt")]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(answer.json(), json!({"file": "f.txt", "bytes": 5, "content_type": "text/plain; charset=utf-8"}));
}

#[tokio::test]
async fn only_a_response_that_counts_is_kept() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/f", Answer::text("first").with_status(503)).on("/f", Answer::text("second")).on("/up", ok());
    let mut step = get(&upstream, "/f", "f");
    step["status_code"] = json!([200]);
    step["retry"] = json!({"attempts": 1});
    tenant.flow("f", json!({"steps": [step, post(&upstream, json!({"f": "f"}))]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    assert_eq!(parts(&upstream.last())[0].content, b"second");
    // The one that did not is shown as any other.
    let run = tenant.record(&answer).await;
    assert_eq!(run["steps"][0]["attempts"][0]["response"]["body"], "first");

    // A script may go on with a status that is not accepted; what it makes of the payload is not the file.
    upstream.on("/g", Answer::text("third").with_status(500));
    tenant.js("go", "import { proceed } from 'snaphook'; export function postRequest(r) { return proceed({saw: r.text()}); }").await;
    let mut step = get(&upstream, "/g", "f");
    step["status_code"] = json!([200]);
    step["hooks"] = json!({"post-request": [{"script": "go"}]});
    tenant.flow("g", json!({"steps": [step, post(&upstream, json!({"f": "f"}))]})).await;
    let answer = tenant.run("g", json!({})).await.expect(200);
    assert_eq!(parts(&upstream.last())[0].content, b"third");
    assert!(!tenant.record(&answer).await.to_string().contains("third\""));
}

#[tokio::test]
async fn files_of_a_run_are_bounded_together() {
    let tenant = node().tenant_with(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "limits": {"response_body_bytes": 1000}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/f", Answer::large(1000)).on("/g", Answer::large(1001));
    let steps: Vec<_> = (0..5).map(|i| get(&upstream, "/f", &format!("f{i}"))).collect();
    tenant.flow("f", json!({"steps": steps})).await;
    let answer = tenant.run("f", json!({})).await.expect(502);
    assert_eq!((&answer.json()["code"], &answer.json()["limit"]), (&json!("response-size"), &json!(4000)));
    assert_eq!(upstream.requests().len(), 5);
    // The same name again takes the first one's place, so this fits.
    let steps: Vec<_> = (0..6).map(|_| get(&upstream, "/f", "f")).collect();
    tenant.flow("f", json!({"steps": steps})).await;
    let answer = tenant.run("f", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    tenant.flow("g", json!({"steps": [get(&upstream, "/g", "g")]})).await;
    let answer = tenant.run("g", json!({})).await.expect(502);
    assert_eq!((&answer.json()["code"], &answer.json()["limit"]), (&json!("response-size"), &json!(1000)));
}

/// Files that lie in a node's data directory.
fn left(node: &NodeProcess) -> usize {
    std::fs::read_dir(node.data_dir().join("files/open")).unwrap().count()
}

#[tokio::test]
async fn files_are_gone_with_their_run_and_those_of_a_killed_node_with_the_next_start() {
    let mut own = NodeProcess::start_like(node());
    let tenant = own.tenant().await;
    let (upstream, gate) = (Upstream::start().await, Gate::closed());
    upstream.on("/f", Answer::bytes(picture())).on("/fails", Answer::status(500)).on("/held", ok().after(&gate));
    let fails = json!({"url": upstream.url("/fails"), "status_code": [200]});
    tenant.flow("ends", json!({"steps": [get(&upstream, "/f", "f")]})).await;
    tenant.flow("fails", json!({"steps": [get(&upstream, "/f", "f"), fails]})).await;
    tenant.flow("held", json!({"steps": [get(&upstream, "/f", "f"), {"url": upstream.url("/held")}]})).await;
    let _ = tenant.run("ends", json!({})).await.expect(200);
    let _ = tenant.run("fails", json!({})).await.expect(502);
    assert_eq!(left(&own), 0);

    let count = upstream.requests().len();
    let held = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.client.try_send("POST", "/v1/flows/held/runs", &[("content-type", "application/json")], "{}".into()).await }
    });
    // The second step has begun, so the first one's file lies on disk.
    upstream.received(count + 2).await;
    assert_eq!(left(&own), 1);
    own.kill();
    assert!(held.await.unwrap().is_err());
    assert_eq!(left(&own), 1);
    own.restart();
    assert_eq!(left(&own), 0);
}
