//! Templates: what they name, and that what they are filled with stays a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snaphook_tests::Response;

use crate::support::{endpoint, neighbour_is_answered, ok, problem, tenant};

fn person(values: Value) -> Value {
    json!({"id": "p-1", "values": values})
}

#[tokio::test]
async fn f025_templates_stand_in_urls_headers_data_and_conditions() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/u/ada%40example.com", snaphook_testkit::Answer::json(json!({"state": "done for Ada"})));
    let step = json!({
        "url": upstream.url("/u/{{ email }}"), "method": "POST",
        "headers": {"X-{{ K }}": "for {{ first_name }}"},
        "data": {"n": "{{ first_name }}", "{{ K }}": ["{{ age }}"]},
        "continue_if": {"response_notation": "state", "value": "done for {{ first_name }}"},
    });
    tenant.flow("f", json!({"steps": [step]})).await;
    let ada = person(json!({"email": "ada@example.com", "K": "Kind", "first_name": "Ada", "age": 36}));
    let answer = tenant.run_about("f", ada, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = upstream.last();
    assert_eq!(sent.header("x-kind"), Some("for Ada"));
    assert_eq!(sent.json(), json!({"n": "Ada", "Kind": [36]}));
    // The same with somebody for whom the condition does not hold.
    let bob = person(json!({"email": "ada@example.com", "K": "Kind", "first_name": "Bob"}));
    assert_eq!(tenant.run_about("f", bob, Value::Null).await.status, 409);
}

#[tokio::test]
async fn endpoints_have_templates_too() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/v1/events/a%2Fb", ok());
    let send = json!({"method": "POST", "path": "/events/{{ payload.kind }}", "query": {"v": "{{ payload.version }}"}, "headers": {"x-kind": "{{ payload.kind }}"},
        "data": "{{ payload.items }}", "encode": "json"});
    let base = upstream.url("/v1?key=1");
    tenant.connector("api", json!({"base_url": base, "headers": {"x-all": "{{ meta.m }}."}, "endpoints": {"send": send}})).await;
    let answer = tenant.call("api/send", json!({"kind": "a/b", "version": 2, "items": [1, {"a": 1.5}]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = upstream.last();
    assert_eq!(sent.path, "/v1/events/a%2Fb?key=1&v=2");
    assert_eq!((sent.header("x-kind"), sent.header("x-all"), sent.text().as_str()), (Some("a/b"), Some("."), r#"[1,{"a":1.5}]"#));
}

#[tokio::test]
async fn hooks_and_scripts_give_what_templates_name() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant
        .js(
            "make",
            "export default function (payload, context) { context.variables.v = { n: 1 }; context.meta.m = 'text'; return { id: 7 }; }",
        )
        .await;
    tenant.js("more", "export function preHook(call, context) { call.arguments.extra = true; context.variables.late = 'yes'; }").await;
    let data = json!({"v": "{{ variables.v.n }}", "m": "{{ meta.m }}", "s": "{{ steps.makeOne.id }}", "t": "{{ steps.trigger.q }}",
        "p": "{{ payload }}", "late": "{{ variables.late }}", "c": "{{ config['App Base URL'] }}"});
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "more"}]}), json!({"data": data})).await;
    let config = json!({"App Base URL": "https://app.example.com"});
    tenant.flow("f", json!({"config": config, "steps": [{"name": "Make one", "script": "make"}, {"call": "api/x"}]})).await;
    let answer = tenant.run("f", json!({"q": "first"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected =
        json!({"v": 1, "m": "text", "s": 7, "t": "first", "p": {"id": 7, "extra": true}, "late": "yes", "c": "https://app.example.com"});
    assert_eq!(upstream.last().json(), expected);
}

#[tokio::test]
async fn f027_an_unknown_name_renders_empty() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x/", ok());
    let step = json!({"url": upstream.url("/x/{{ nope }}"), "data": {"a": "{{ nope.below }}", "b": "x{{ payload.no.thing }}y"}});
    tenant.flow("f", json!({"steps": [step]})).await;
    let _ = tenant.run("f", Value::Null).await.expect(200);
    assert_eq!((upstream.last().path.as_str(), upstream.last().json()), ("/x/", json!({"a": "", "b": "xy"})));
}

#[tokio::test]
async fn f028_later_values_stand_over_earlier_ones() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", snaphook_testkit::Answer::json(json!({"it": "run"})));
    let use_it = json!({"url": upstream.url("/x"), "data": ["{{ S }}", "{{ C }}", "{{ G }}", "{{ R }}", "{{ subject.R }}"]});
    let mut store_it = use_it.clone();
    store_it["store_data"] = json!({"R": "it"});
    let config = json!({"C": "config", "G": "config", "R": "config"});
    tenant.flow("f", json!({"config": config, "generate": {"G": 8}, "steps": [store_it, use_it]})).await;
    let all = person(json!({"S": "subject", "C": "subject", "G": "subject", "R": "subject"}));
    let _ = tenant.run_about("f", all, Value::Null).await.expect(200);
    let sent: Vec<Value> = upstream.requests().iter().map(snaphook_testkit::Recorded::json).collect();
    let generated = sent[0][2].as_str().unwrap().to_owned();
    assert_eq!(generated.len(), 8);
    assert_eq!(sent[0], json!(["subject", "config", generated, "config", "subject"]));
    assert_eq!(sent[1], json!(["subject", "config", generated, "run", "subject"]));
}

#[tokio::test]
async fn f032_basic_is_filled_in_and_then_encoded() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "headers": {"Authorization": "Basic {{U}}:{{P}}"}}]})).await;
    let _ = tenant.run_about("f", person(json!({"U": "a", "P": "b"})), Value::Null).await.expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Basic YTpi"));
}

/// Values that would be more than values if they could.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "O'Neil \"q\" \\ \nnew line\r\n",
        "\u{0}\u{1}\u{2}\u{7f}",
        "{{ payload }}{% raw %}",
        "\u{202e}right to left\u{2066}",
        "../a/b?c#d&e=f;%2f",
        "<b>&amp;'\"",
        "ü€😀",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("long ".repeat(200_000));
    texts
}

#[tokio::test]
async fn f029_a_value_stays_a_value() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/json", ok()).on("/form", ok());
    let data = json!({"whole": "{{ v }}", "within": "<{{ v }}>", "keys": {"{{ v }}": 1}});
    tenant.flow("json", json!({"steps": [{"url": upstream.url("/json"), "data": data}]})).await;
    tenant.flow("form", json!({"steps": [{"url": upstream.url("/form"), "data": {"v": "{{ v }}", "n": 1}, "encode": "form"}]})).await;
    for text in hostile() {
        let about = person(json!({ "v": text }));
        let _ = tenant.run_about("json", about.clone(), Value::Null).await.expect(200);
        let body = upstream.last().json();
        assert_eq!(
            (&body["whole"], &body["within"], &body["keys"]),
            (&json!(text), &json!(format!("<{text}>")), &json!({ text.clone(): 1 }))
        );
        let _ = tenant.run_about("form", about, Value::Null).await.expect(200);
        let pairs: Vec<(String, String)> = form_pairs(&upstream.last().text());
        assert_eq!(pairs, [("v".to_owned(), text), ("n".to_owned(), "1".to_owned())]);
    }
    tenant.flow("url", json!({"steps": [{"url": upstream.url("/p/{{ v }}/end?q={{ v }}")}]})).await;
    for text in hostile().into_iter().filter(|text| text.len() < 10_000) {
        let encoded: String = text
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let path = format!("/p/{encoded}/end");
        upstream.on(&path, ok());
        let answer = tenant.run_about("url", person(json!({ "v": text })), Value::Null).await;
        assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
        assert_eq!(upstream.last().path, format!("{path}?q={encoded}"), "{text:?}");
    }
}

/// The pairs of a form.
fn form_pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |part: &str| {
        let bytes = part.as_bytes();
        let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
        while at < bytes.len() {
            match bytes[at] {
                b'%' => {
                    out.push(u8::from_str_radix(&part[at + 1..at + 3], 16).unwrap());
                    at += 2;
                }
                b'+' => out.push(b' '),
                other => out.push(other),
            }
            at += 1;
        }
        String::from_utf8(out).unwrap()
    };
    text.split('&').map(|pair| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value))).unwrap()).collect()
}

/// The failure of a run about somebody with one value.
async fn failed(step: Value, value: &str) -> (Response, usize) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let step: Value = serde_json::from_str(&step.to_string().replace("UPSTREAM", &upstream.url(""))).unwrap();
    tenant.flow("f", json!({"steps": [step]})).await;
    let answer = tenant.run_about("f", person(json!({ "v": value })), Value::Null).await;
    (answer, upstream.requests().len())
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_place_fails_before_anything_is_sent() {
    let cases = [
        (json!({"url": "UPSTREAM/x", "headers": {"x-v": "{{ v }}"}}), "a\r\nx-evil: 1", "steps[0].headers.x-v"),
        (json!({"url": "UPSTREAM/x", "headers": {"x-v": "{{ v }}"}}), "a\u{0}", "steps[0].headers.x-v"),
        (json!({"url": "UPSTREAM/x", "headers": {"x-{{ v }}": "1"}}), "a: b", "steps[0].headers.x-{{ v }}"),
        (json!({"url": "UPSTREAM/x", "headers": {"{{ v }}": "1"}}), "Content-Length", "steps[0].headers.{{ v }}"),
        (json!({"url": "UPSTREAM/a/{{ v }}"}), "..", "steps[0].url"),
        (json!({"url": "http://{{ v }}/x"}), "evil.example/?", "steps[0].url"),
        (json!({"url": "{{ v }}/x"}), "file:///etc/passwd", "steps[0].url"),
        (json!({"url": "UPSTREAM/x", "data": "{{ v }}", "encode": "form"}), "text", "steps[0].data"),
    ];
    for (step, value, path) in cases {
        let (answer, seen) = failed(step.clone(), value).await;
        assert_eq!((answer.status, problem(&answer).0.as_str(), seen), (422, "template", 0), "{step}: {}", answer.text());
        assert_eq!((&answer.json()["path"], &answer.json()["blame"]), (&json!(path), &json!("caller")), "{step}");
    }
}

#[tokio::test]
async fn a_base_from_a_value_goes_past_the_egress_policy() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/v1/x", ok());
    tenant.flow("f", json!({"steps": [{"url": "{{ base }}/x"}]})).await;
    let _ = tenant.run_about("f", person(json!({"base": upstream.url("/v1/")})), Value::Null).await.expect(200);
    assert_eq!(upstream.last().path, "/v1/x");
    let refused = tenant.run_about("f", person(json!({"base": "http://10.0.0.1"})), Value::Null).await.expect(403);
    assert_eq!(problem(&refused).0, "egress-refused");
}

#[tokio::test]
async fn an_expensive_template_ends() {
    let (tenant, upstream) = tenant().await;
    let cases = [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% for a in range(10) %}{{ payload }}{% endfor %}",
        "{{ 'x' * 90000000 }}",
    ];
    for template in cases {
        tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "data": {"deep": ["", template]}}]})).await;
        let answer = tenant.run("f", json!("x".repeat(1 << 20))).await.expect(422);
        assert_eq!(
            (problem(&answer).0.as_str(), &answer.json()["path"]),
            ("template-limit", &json!("steps[0].data.deep[1]")),
            "{template}"
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

/// Cheap ones one by one, but so many of them, and over so much, that a request would hold its node for minutes.
#[tokio::test]
async fn many_templates_of_one_request_end_and_hold_nobody() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let of = |template: &str| json!({"steps": [{"url": upstream.url("/x"), "data": vec![template; 2000]}]});
    let large = json!({"items": vec![json!({"id": "x".repeat(1000)}); 5000], "last": 1});
    let wide: serde_json::Map<_, _> = (0..150_000).map(|n| (format!("k{n}"), json!(n))).collect();
    tenant.flow("names", of("{{payload.zz}}")).await;
    tenant.flow("below", of("{{payload.items.4999.zz}}")).await;
    tenant.flow("engine", of("{{payload.last|upper}}")).await;
    tenant.flow("loops", of("{%for a in range(9999)%}{%endfor%}")).await;
    // What looks once at a large payload may name it as often as it likes.
    for (flow, value) in [("names", ""), ("below", ""), ("engine", "1")] {
        let _ = tenant.run(flow, large.clone()).await.expect(200);
        assert_eq!(upstream.last().json(), json!(vec![value; 2000]), "{flow}");
    }
    for (flow, payload) in [("names", wide.into()), ("loops", Value::Null)] {
        let (answer, ()) = tokio::join!(tenant.run(flow, payload), neighbour_is_answered());
        let answer = answer.expect(422);
        let document = answer.json();
        assert_eq!(problem(&answer).0, "template-limit", "{flow}");
        assert!(document["path"].as_str().unwrap().starts_with("steps[0].data[") && document["limit"].is_u64(), "{document}");
    }
}

#[tokio::test]
async fn a_name_that_a_template_gives_only_sometimes_is_still_the_runs() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    for (template, value) in [
        ("{% if payload.email %}{% set email = payload.email %}{% endif %}{{ email }}", "ada@example.com"),
        ("{% for email in [] %}{{ email }}{% endfor %}{{ email }}", "ada@example.com"),
        ("{% for email in ['x'] %}{{ email }}{% endfor %}", "x"),
    ] {
        tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "data": {"to": template}}]})).await;
        let _ = tenant.run_about("f", person(json!({"email": "ada@example.com"})), Value::Null).await.expect(200);
        assert_eq!(upstream.last().json(), json!({ "to": value }), "{template}");
    }
}

#[tokio::test]
async fn a_template_that_is_none_is_refused_when_it_is_saved() {
    let (tenant, _) = tenant().await;
    let step = |data: &str| json!({"steps": [{"url": "https://a.example/", "data": {"x": [data]}}]});
    let cases = [
        ("a\n {{ b", 2, "no template"),
        ("{{ b | nope }}", 1, "`nope`"),
        ("{{ secrets }}", 1, "secrets.NAME"),
        ("{{ secrets[payload.name] }}", 1, "secrets.NAME"),
    ];
    for (template, line, says) in cases {
        let refused = tenant.client.put("/v1/flows/f", &step(template)).await.expect(400).json();
        // The place is one in the document, and the detail has the one in the template.
        assert_eq!((&refused["code"], &refused["path"], &refused["line"]), (&json!("invalid"), &json!("steps[0].data.x[0]"), &json!(1)));
        let detail = refused["detail"].as_str().unwrap();
        let own = format!("(at line {line}, column ");
        assert!(detail.contains(says) && detail.contains(&own) && refused["column"].is_number(), "{refused}");
    }
    let connector = json!({"base_url": "https://a.example", "endpoints": {"e": {"method": "GET", "path": "/x{{", "query": {"q": "1"}}}});
    assert_eq!(tenant.client.put("/v1/connectors/c", &connector).await.expect(400).json()["path"], "endpoints.e.path");
    let connector = json!({"base_url": "https://{{ host }}", "endpoints": {}});
    assert_eq!(tenant.client.put("/v1/connectors/c", &connector).await.expect(400).json()["path"], "base_url");
    assert_eq!(tenant.client.get("/v1/flows/f").await.status, 404, "nothing was stored");
    let yaml = "execute:\n  - url: https://a.example/\n    data:\n      a: '{{ b'\n";
    let refused = tenant.client.send("PUT", "/v1/flows/f", &[("content-type", "application/yaml")], yaml.into()).await.expect(400).json();
    assert_eq!(refused["path"], "execute[0].data.a");
}

#[tokio::test]
async fn templates_name_secrets_and_fields_of_a_connection() {
    let (tenant, upstream) = tenant().await;
    let text = tenant.client.send("PUT", "/v1/secrets/PIN", &[("content-type", "text/plain")], "p1n \"x\"&/".into()).await;
    let _ = text.expect(201);
    let connection = json!({"kind": "api-key-secret", "fields": {"api_key": "k3y", "api_secret": "s3cret-text"}});
    let _ = tenant.client.put("/v1/connections/crm", &connection).await.expect(201);
    let step = json!({"url": upstream.url("/x/{{ secrets.PIN }}?k={{ connection.api_secret }}"), "method": "POST", "connection": "crm",
        "headers": {"authorization": "Basic {{ connection.api_key }}:{{ secrets.PIN }}", "content-type": "application/json"},
        "data": {"pin": "<{{ secrets.PIN }}>", "key": "{{ connection.api_secret }}"}, "status_code": [404]});
    tenant.flow("f", json!({"steps": [step]})).await;
    let answer = tenant.run("f", json!({})).await.expect(200);
    let request = upstream.last();
    let url = url::Url::parse(&format!("http://u{}", request.path)).unwrap();
    let segments: Vec<_> = url.path_segments().unwrap().collect();
    assert_eq!((segments.len(), url.query_pairs().next().unwrap().1.as_ref()), (2, "s3cret-text"));
    assert_eq!(percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap(), "p1n \"x\"&/");
    assert_eq!(request.header("authorization"), Some(format!("Basic {}", STANDARD.encode("k3y:p1n \"x\"&/")).as_str()));
    assert_eq!(request.json(), json!({"pin": "<p1n \"x\"&/>", "key": "s3cret-text"}));
    let record = tenant.record(&answer).await.to_string();
    assert!(record.contains("[PIN]") && record.contains("[crm.api_secret]") && !record.contains("s3cret-text"), "{record}");
    let refused =
        tenant.client.put("/v1/flows/g", &json!({"steps": [{"url": upstream.url("/x"), "data": "{{ secrets }}"}]})).await.expect(400);
    assert!(problem(&refused).1.contains("secrets.NAME"), "{}", refused.text());
    // A secret that is gone is named before anything is sent.
    let _ = tenant.client.delete("/v1/secrets/PIN").await.expect(204);
    let before = upstream.requests().len();
    assert!(problem(&tenant.run("f", json!({})).await.expect(400)).1.contains("`PIN`"));
    assert_eq!(upstream.requests().len(), before);
}
