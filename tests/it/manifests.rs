//! Requests from a manifest: what is sent, what must come back, and how a run goes on from there.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Response, Tenant};

use crate::support::{ok, problem, tenant};

/// A tenant, an upstream that answers everything it is asked for with `{"ok":true}`, and how often that was.
async fn answering(paths: &[&str]) -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    for path in paths {
        upstream.on(path, ok());
    }
    (tenant, upstream)
}

/// Stores a flow and runs it once without a payload.
async fn run(tenant: &Tenant, flow: Value) -> Response {
    tenant.flow("f", flow).await;
    tenant.run("f", Value::Null).await
}

/// The answer to a flow that cannot be stored.
async fn refused(tenant: &Tenant, flow: Value) -> Value {
    tenant.client.put("/v1/flows/refused", &flow).await.expect(400).json()
}

#[tokio::test]
async fn f024_requests_run_in_order_and_the_first_failure_stops() {
    let (tenant, upstream) = answering(&["/a", "/c"]).await;
    upstream.on("/b", Answer::status(500));
    let flow =
        json!({"execute": [{"url": upstream.url("/a")}, {"url": upstream.url("/b"), "status_code": [200]}, {"url": upstream.url("/c")}]});
    let answer = run(&tenant, flow).await.expect(502);
    assert_eq!(problem(&answer).0, "status");
    let seen: Vec<_> = upstream.requests().into_iter().map(|request| (request.method, request.path)).collect();
    assert_eq!(seen, [("POST".to_owned(), "/a".to_owned()), ("POST".to_owned(), "/b".to_owned())]);
    let record = tenant.record(&answer).await;
    assert_eq!((record["status"].as_str(), record["steps"].as_array().map(Vec::len)), (Some("failed"), Some(2)));
}

#[tokio::test]
async fn f026_earlier_responses_are_named_by_number() {
    let (tenant, upstream) = answering(&["/use", "/text"]).await;
    upstream.on("/make", Answer::json(json!({"form_id": 134, "items": [{"id": "a"}]})));
    upstream.on("/text", Answer::text("no JSON"));
    let use_it = json!({"url": upstream.url("/use"), "data": {
        "id": "{{ responses.0.form_id }}", "item": "{{ responses[0].items.0.id }}", "text": "{{ responses.1.a }}", "later": "{{ responses.7.a }}"}});
    let shape = "export default function (payload) { return payload; }";
    tenant.js("shape", shape).await;
    // A script is no request, so it takes no number.
    let steps = json!([{"url": upstream.url("/make")}, {"script": "shape"}, {"url": upstream.url("/text")}, use_it]);
    let _ = run(&tenant, json!({"steps": steps})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"id": 134, "item": "a", "text": "", "later": ""}));
}

#[tokio::test]
async fn f031_given_headers_replace_the_flows() {
    let (tenant, upstream) = answering(&["/x"]).await;
    let step = |headers: Value| json!({"url": upstream.url("/x"), "headers": headers});
    let flow =
        json!({"headers": {"x-a": "1", "x-b": "2"}, "steps": [step(json!({"x-c": "3"})), step(json!({})), {"url": upstream.url("/x")}]});
    let _ = run(&tenant, flow).await.expect(200);
    let seen: Vec<Vec<_>> = upstream
        .requests()
        .iter()
        .map(|request| ["x-a", "x-b", "x-c"].into_iter().filter_map(|name| request.header(name)).map(str::to_owned).collect())
        .collect();
    assert_eq!(seen, [vec!["3"], vec!["1", "2"], vec!["1", "2"]]);
}

#[tokio::test]
async fn f033_the_encoding_of_data_is_said() {
    let (tenant, upstream) = answering(&["/x"]).await;
    let url = upstream.url("/x");
    let (list, form) = (json!({"a": [1, 2]}), "application/x-www-form-urlencoded");
    let cases = [
        (json!({"steps": [{"url": url, "data": list}]}), r#"{"a":[1,2]}"#, "application/json"),
        (json!({"steps": [{"url": url, "data": list, "encode": "json"}]}), r#"{"a":[1,2]}"#, "application/json"),
        (json!({"steps": [{"url": url, "data": list, "encode": "form"}]}), "a=1&a=2", form),
        (json!({"steps": [{"url": url, "data": "a\n\"b\"", "encode": "text"}]}), "a\n\"b\"", "text/plain; charset=utf-8"),
        (json!({"execute": [{"url": url, "data": list, "cast_data_to_json": true}]}), "a=1&a=2", form),
        (json!({"execute": [{"url": url, "data": list, "cast_data_to_json": false}]}), r#"{"a":[1,2]}"#, "application/json"),
        (json!({"execute": [{"url": url, "data": list}]}), "a=1&a=2", form),
        (json!({"execute": [{"url": url, "data": list, "encode": "json"}]}), r#"{"a":[1,2]}"#, "application/json"),
        // What is no object makes no form; it goes out as the text that it is.
        (json!({"execute": [{"url": url, "data": [1, 2]}]}), "[1,2]", "application/json"),
        (json!({"execute": [{"url": url, "data": "a=1"}]}), "a=1", "text/plain; charset=utf-8"),
        (
            json!({"headers": {"content-type": "application/json"}, "steps": [{"url": url, "data": list, "encode": "form"}]}),
            "a=1&a=2",
            form,
        ),
    ];
    for (flow, body, content_type) in cases {
        let _ = run(&tenant, flow.clone()).await.expect(200);
        let sent = upstream.last();
        assert_eq!((sent.method.as_str(), sent.text().as_str(), sent.header("content-type")), ("POST", body, Some(content_type)), "{flow}");
    }
    let cases = [
        (json!({"steps": [{"url": url, "data": list, "cast_data_to_json": true}]}), "steps[0].cast_data_to_json"),
        (json!({"execute": [{"url": url, "data": list, "cast_data_to_json": true, "encode": "json"}]}), "execute[0].cast_data_to_json"),
        (json!({"steps": [{"url": url, "data": [1], "encode": "form"}]}), "steps[0].data"),
        (json!({"steps": [{"url": url, "encode": "form"}]}), "steps[0].encode"),
        (json!({"steps": [{"url": url, "data": list, "encode": "xml"}]}), "steps[0].encode"),
    ];
    for (flow, path) in cases {
        assert_eq!(refused(&tenant, flow.clone()).await["path"], path, "{flow}");
    }
}

#[tokio::test]
async fn f034_statuses_are_numbers_or_digits_and_an_empty_list_takes_all() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(201)).on("/x", Answer::status(204)).on("/x", Answer::status(500));
    let flow = |statuses: Value| json!({"steps": [{"url": upstream.url("/x"), "status_code": statuses}]});
    let _ = run(&tenant, flow(json!([200, "201"]))).await.expect(200);
    let answer = run(&tenant, flow(json!([200, "201"]))).await.expect(502);
    let (code, detail) = problem(&answer);
    assert!(code == "status" && detail.contains("204") && detail.contains("200, 201"), "{code}: {detail}");
    let _ = run(&tenant, flow(json!([]))).await.expect(200);
}

/// A flow whose first request has a condition, and whether the run went on to the second.
async fn condition(answer: Answer, condition: Value) -> (Tenant, Response, usize) {
    let (tenant, upstream) = answering(&["/next"]).await;
    upstream.on("/first", answer);
    let first = json!({"url": upstream.url("/first"), "continue_if": condition});
    let flow = json!({"retry": {"attempts": 3}, "steps": [first, {"url": upstream.url("/next")}]});
    let answer = run(&tenant, flow).await;
    (tenant, answer, upstream.requests().len())
}

fn done() -> Value {
    json!({"response_notation": "detail.status", "value": "done"})
}

#[tokio::test]
async fn f035_what_is_expected_lets_the_run_go_on() {
    let (_, answer, seen) = condition(Answer::json(json!({"detail": {"status": "done"}})), done()).await;
    assert_eq!((answer.status, seen), (200, 2), "{}", answer.text());
}

#[tokio::test]
async fn f036_anything_else_blocks_the_run() {
    let (tenant, answer, seen) = condition(Answer::json(json!({"detail": {"status": "wait"}})), done()).await;
    assert_eq!((answer.status, seen, problem(&answer).0.as_str()), (409, 1, "blocked"));
    assert_eq!(answer.json()["blame"], "nobody");
    assert!(answer.json()["retry_run"].is_null());
    let record = tenant.record(&answer).await;
    assert_eq!(
        (&record["status"], &record["code"], &record["steps"][0]["status"]),
        (&json!("blocked"), &json!("blocked"), &json!("blocked"))
    );
    let list = async |status: &str| tenant.client.get(&format!("/v1/runs?status={status}")).await.expect(200).json()["items"].clone();
    assert_eq!(list("blocked").await[0]["id"], record["id"]);
    for other in ["queued", "failed", "succeeded", "running"] {
        assert_eq!(list(other).await, json!([]), "{other}");
    }
}

#[tokio::test]
async fn f037_a_path_that_is_missing_is_no_match() {
    let nothing = json!({"response_notation": "a.b", "value": ""});
    for body in [json!({}), json!({"a": 1}), json!([])] {
        let (_, answer, seen) = condition(Answer::json(body), nothing.clone()).await;
        assert_eq!((answer.status, seen), (409, 1));
    }
}

#[tokio::test]
async fn f038_numbers_and_booleans_compare_by_their_json_text() {
    let cases = [
        (json!({"ok": true}), json!("true"), true),
        (json!({"ok": true}), json!(true), true),
        (json!({"ok": 5}), json!("5"), true),
        (json!({"ok": "5"}), json!(5), true),
        (json!({"ok": 5.5}), json!(5.5), true),
        (json!({"ok": false}), json!(""), false),
        (json!({"ok": null}), json!(null), true),
        (json!({"ok": null}), json!("null"), false),
        (json!({"ok": "True"}), json!(true), false),
    ];
    for (body, value, goes_on) in cases {
        let shown = format!("{body} {value}");
        let (_, answer, _) = condition(Answer::json(body), json!({"response_notation": "ok", "value": value})).await;
        assert_eq!(answer.status, if goes_on { 200 } else { 409 }, "{shown}");
    }
}

#[tokio::test]
async fn f039_a_condition_on_no_answer_or_no_json_fails_cleanly() {
    for (answer, code, status) in [(Answer::reset(), "reset", 502), (Answer::text("no JSON"), "response-json", 502)] {
        let (tenant, answer, seen) = condition(answer, done()).await;
        assert_eq!((answer.status, problem(&answer).0.as_str(), seen), (status, code, 1), "{}", answer.text());
        let record = tenant.record(&answer).await;
        assert_eq!((&record["status"], &record["code"]), (&json!("failed"), &json!(code)));
    }
}

#[tokio::test]
async fn f040_paths_are_dotted_with_positions_in_lists() {
    let (tenant, upstream) = answering(&["/use"]).await;
    upstream.on("/x", Answer::json(json!({"data": [{"id": 7}, {"id": 8}]})));
    let store = |path: &str| {
        json!({"steps": [{"url": upstream.url("/x"), "store_data": {"IT": path}},
        {"url": upstream.url("/use"), "data": "{{ IT }}"}]})
    };
    for (path, found) in [("data.0.id", json!(7)), ("data.-1.id", json!(8)), ("", json!({"data": [{"id": 7}, {"id": 8}]}))] {
        let _ = run(&tenant, store(path)).await.expect(200);
        assert_eq!(upstream.last().json(), found, "{path}");
    }
    for path in ["data.5.id", "data.x", "data.0.id.deeper"] {
        let answer = run(&tenant, store(path)).await.expect(422);
        let (code, detail) = problem(&answer);
        assert!(code == "store-path" && detail.contains(path), "{code}: {detail}");
    }
}

#[tokio::test]
async fn f054_a_generated_value_is_one_per_run() {
    let (tenant, upstream) = answering(&["/x"]).await;
    let data = json!({"a": "{{ PASSWORD }}", "b": "{{ PASSWORD }}", "short": "{{ PIN }}"});
    let step = json!({"url": upstream.url("/x"), "data": data});
    tenant.flow("f", json!({"generate": {"PASSWORD": 16, "PIN": 4}, "steps": [step, step]})).await;
    for _ in 0..2 {
        let _ = tenant.run("f", Value::Null).await.expect(200);
    }
    let sent: Vec<Value> = upstream.requests().iter().map(snaphook_testkit::Recorded::json).collect();
    let value = |run: usize| sent[run * 2]["a"].as_str().unwrap();
    assert_eq!((value(0).len(), sent[0]["short"].as_str().unwrap().len()), (16, 4));
    assert_eq!((&sent[0]["a"], &sent[0]), (&sent[0]["b"], &sent[1]));
    assert_ne!(value(0), value(1));
    let run = tenant.run("f", Value::Null).await.expect(200);
    let (record, sent) = (tenant.record(&run).await, upstream.last().json());
    let shown = record.to_string();
    assert!(!shown.contains(sent["a"].as_str().unwrap()) && !shown.contains(sent["short"].as_str().unwrap()), "{shown}");
    assert_eq!(record["steps"][0]["attempts"][0]["request"]["body"], r#"{"a":"[PASSWORD]","b":"[PASSWORD]","short":"[PIN]"}"#);
    // Also where a script says it.
    tenant.js("tells", "export function preRequest(request) { console.log(request.text()); }").await;
    let telling = json!({"url": upstream.url("/x"), "data": data, "hooks": {"pre-request": [{"script": "tells"}]}});
    tenant.flow("t", json!({"generate": {"PASSWORD": 16, "PIN": 4}, "steps": [telling]})).await;
    let told = tenant.run("t", Value::Null).await.expect(200);
    let (record, secret) = (tenant.record(&told).await.to_string(), upstream.last().json()["a"].as_str().unwrap().to_owned());
    assert!(record.contains("[PASSWORD]"), "{record}");
    assert!(!record.contains(&secret), "{record}");
    // Also where an upstream says it back and the failure shows what it said.
    upstream.on_request("/back", |request| Answer::json(request.json()));
    let back = json!({"url": upstream.url("/back"), "data": data, "store_data": {"ID": "id"}});
    tenant.flow("g", json!({"generate": {"PASSWORD": 16, "PIN": 4}, "steps": [back]})).await;
    let failed = tenant.run("g", Value::Null).await.expect(422);
    let secret = upstream.last().json()["a"].as_str().unwrap().to_owned();
    assert!(problem(&failed).1.contains("[PASSWORD]") && !failed.text().contains(&secret), "{}", failed.text());
    assert!(!tenant.record(&failed).await.to_string().contains(&secret));
    for (generate, path) in
        [(json!({"a b": 1}), "generate.a b"), (json!({"A": 0}), "generate.A"), (json!({"payload": 8}), "generate.payload")]
    {
        assert_eq!(refused(&tenant, json!({"generate": generate, "steps": [step]})).await["path"], path);
    }
}

#[tokio::test]
async fn f060_unknown_and_missing_keys_are_named_at_every_level() {
    let (tenant, _) = tenant().await;
    let step = |extra: Value| {
        let mut step = json!({"url": "https://a.example/"});
        step.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        step
    };
    let cases = [
        (json!({"execute": [step(json!({"foo": 1}))]}), "execute[0].foo"),
        (json!({"steps": [step(json!({})), step(json!({"foo": 1}))]}), "steps[1].foo"),
        (json!({"foo": 1, "steps": [step(json!({}))]}), "foo"),
        (
            json!({"execute": [step(json!({"continue_if": {"response_notation": "a", "value": 1, "foo": 1}}))]}),
            "execute[0].continue_if.foo",
        ),
        (json!({"execute": [step(json!({"continue_if": {"value": 1}}))]}), "execute[0].continue_if"),
        (json!({"execute": [step(json!({"continue_if": {"response_notation": "a", "value": [1]}}))]}), "execute[0].continue_if.value"),
        (json!({"execute": [step(json!({"store_data": {"a-b": "x"}}))]}), "execute[0].store_data.a-b"),
        (json!({"execute": [step(json!({"method": "get"}))]}), "execute[0].method"),
        (json!({"execute": [step(json!({"retry": {"attempts": 1, "foo": 1}}))]}), "execute[0].retry.foo"),
        (json!({"execute": [{"method": "GET"}]}), "execute[0]"),
        (json!({"execute": [], "steps": []}), "execute"),
        (json!({"execute": []}), "execute"),
    ];
    for (flow, path) in cases {
        assert_eq!(refused(&tenant, flow.clone()).await["path"], path, "{flow}");
    }
    let missing = refused(&tenant, json!({"headers": {}})).await;
    assert!(missing["detail"].as_str().unwrap().contains("`steps`"), "{missing}");
}

/// The two requests that the manifests' own page shows, as they are written there.
#[tokio::test]
async fn a_manifest_runs_as_it_is_written() {
    let (tenant, upstream) = answering(&["/documents"]).await;
    upstream.on("/forms", Answer::json(json!({"data": {"id": 9}, "document_hash": "abc"})));
    upstream.on("/status", Answer::json(json!({"detail": {"status": "done"}})));
    let manifest = format!(
        r#"{{"execute": [
            {{"url": "{0}", "method": "POST", "data": {{"name": "{{{{ first_name }}}} {{{{ last_name }}}}"}}, "headers": {{"Content-Type": "application/json"}},
              "store_data": {{"FORM_ID": "data.id", "DOCUMENT_HASH": "document_hash"}}}},
            {{"url": "{1}?form={{{{ FORM_ID }}}}", "method": "GET",
              "continue_if": {{"response_notation": "detail.status", "value": "done"}}}},
            {{"url": "{2}/{{{{ responses.0.document_hash }}}}", "method": "GET"}}
        ]}}"#,
        upstream.url("/forms"),
        upstream.url("/status"),
        upstream.url("/documents"),
    );
    upstream.on("/documents/abc", ok());
    let put = tenant.client.send("PUT", "/v1/flows/manifest", &[("content-type", "application/json")], manifest.into()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let person = json!({"id": "p-1", "values": {"first_name": "Ada", "last_name": "O'Neil"}});
    let answer = tenant.run_about("manifest", person, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let paths: Vec<_> = upstream.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/forms", "/status?form=9", "/documents/abc"]);
    // A manifest that does not say how sends a form, under whatever header it writes.
    assert_eq!(upstream.requests()[0].text(), "name=Ada+O%27Neil");
}
