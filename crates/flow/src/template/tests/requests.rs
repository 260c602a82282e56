//! Single requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use snaphook_model::{Code, Encode, Fault, HttpRequest, Payload, Variables};

use crate::template::{Body, Needs, RequestTemplate, RunValues, Source, SourceUrl, Values};

/// A step's request.
pub(super) fn read(url: &str, headers: &[(&str, &str)], data: Option<&Value>, encode: Option<Encode>) -> Result<RequestTemplate, Fault> {
    let headers: BTreeMap<String, String> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let source = Source {
        path: "steps[0]",
        method: "POST".to_owned(),
        url: SourceUrl::Whole(url),
        headers: vec![("steps[0].headers".to_owned(), headers.iter().collect())],
        data,
        encode,
        otherwise: Body::None,
        condition: None,
    };
    RequestTemplate::read(source).map(|(request, _)| request)
}

fn texts(pairs: &[(&str, Value)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect()
}

pub(super) fn with_payload(payload: &Value) -> Values {
    Values::new(Payload::json(payload.to_string()), Arc::default(), Arc::default())
}

fn values() -> Values {
    let variables = Variables {
        variables: texts(&[("v", json!(1))]),
        meta: texts(&[("m", json!("text"))]),
        config: texts(&[("App Base URL", json!("https://app.example.com/v1/")), ("same", json!("config")), ("list", json!(["eu", "us"]))]),
        step_results: texts(&[("createOrder", json!({"id": 7}))]),
        ..Variables::default()
    };
    let run = RunValues {
        subject: texts(&[("email", json!("ada@example.com")), ("same", json!("subject")), ("only", json!("subject"))]),
        generated: texts(&[("PASSWORD", json!("s3cret")), ("same", json!("generated"))]),
        stored: texts(&[("FORM_ID", json!(134)), ("same", json!("stored"))]),
        responses: vec![json!({"form_id": 134, "items": [{"id": "a"}]}).to_string().into(), "{}".into()],
    };
    let payload = &json!({"kind": "a b", "n": 1.50, "list": [1, {"x": null}]});
    Values::new(Payload::json(payload.to_string()), Arc::new(variables), Arc::new(run))
}

fn data(text: &str) -> Value {
    let request = read("https://a.example/", &[], Some(&json!({ "it": text })), None).unwrap();
    let body = request.render(&values()).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).body;
    serde_json::from_slice::<Value>(&body).unwrap_or_else(|error| panic!("{text}: {error}: {body:?}"))["it"].take()
}

fn filled(url: &str) -> Result<HttpRequest, Fault> {
    read(url, &[], None, None).and_then(|request| request.render(&values()))
}

#[test]
fn names_lead_where_the_format_says() {
    let cases = [
        ("{{ same }}", json!("stored")),
        ("{{ PASSWORD }}", json!("s3cret")),
        ("{{ only }}", json!("subject")),
        ("{{ subject.same }}", json!("subject")),
        ("{{ list.1 }}", json!("us")),
        ("{{ config['App Base URL'] }}", json!("https://app.example.com/v1/")),
        ("{{ payload.list[1] }}", json!({"x": null})),
        ("{{ payload.list[-2] }}", json!(1)),
        ("{{ variables.v }}", json!(1)),
        ("{{ meta.m }}", json!("text")),
        ("{{ steps.createOrder.id }}", json!(7)),
        ("{{ responses.0.form_id }}", json!(134)),
        ("{{ responses[0].items[0].id }}", json!("a")),
        ("{{ responses.1.x }}", json!("")),
        ("{{ nope }}{{ nope.below.it }}", json!("")),
        ("{{ nope.a.b }}", json!("")),
        ("{{ FORM_ID }}", json!(134)),
        ("id {{ FORM_ID }}!", json!("id 134!")),
        ("{{ FORM_ID }} ", json!("134 ")),
        ("{{ payload }}", json!({"kind": "a b", "n": 1.50, "list": [1, {"x": null}]})),
        ("x{{ payload.list }}", json!("x[1,{\"x\":null}]")),
    ];
    for (text, expected) in cases {
        assert_eq!(data(text), expected, "{text}");
    }
}

#[test]
fn the_engine_does_the_rest() {
    let cases = [
        ("{{ only | upper }}", json!("SUBJECT")),
        ("{{ FORM_ID + 1 }}", json!(135)),
        ("{% if payload.kind == 'a b' %}yes{% else %}no{% endif %}", json!("yes")),
        ("{% for item in list %}{{ item }}{% if not loop.last %},{% endif %}{% endfor %}", json!("eu,us")),
        ("{{ [only, same] | join('-') }}", json!("subject-stored")),
        ("{{ list | length }}", json!(2)),
        ("{{ nope | default('none given') }}", json!("none given")),
        ("{{ nope.a.b | upper }}", json!("")),
        ("{{ payload.list | tojson }}", json!("[1,{\"x\":null}]")),
        ("{# a comment #}{{ only }}\n", json!("subject\n")),
        ("{{ '<&\"' }}x", json!("<&\"x")),
        ("{% set x %}{{ only }}{% endset %}{{ x }}", json!("subject")),
        ("{{ responses.0.items[0].id | upper }}", json!("A")),
        ("{{ \"}}\" }}", json!("}}")),
    ];
    for (text, expected) in cases {
        assert_eq!(data(text), expected, "{text}");
    }
}

#[test]
fn numbers_keep_every_digit() {
    let request = read("https://a.example/", &[], Some(&json!({"n": "{{ payload.n }}", "t": "{{ payload.n }}!"})), None).unwrap();
    let payload = Payload::json(r#"{"n": 12345678901234567890.50}"#);
    let body = request.render(&Values::new(payload, Arc::default(), Arc::default())).unwrap().body;
    assert_eq!(body, r#"{"n":12345678901234567890.50,"t":"12345678901234567890.50!"}"#);
}

#[test]
fn keys_are_texts_whatever_they_become() {
    let request =
        read("https://a.example/", &[], Some(&json!({"{{ FORM_ID }}": 1, "a": {"x-{{ only }}": ["{{ PASSWORD }}"]}})), None).unwrap();
    let body: Value = serde_json::from_slice(&request.render(&values()).unwrap().body).unwrap();
    assert_eq!(body, json!({"134": 1, "a": {"x-subject": ["s3cret"]}}));
}

#[test]
fn urls_are_filled_in() {
    let cases = [
        ("https://a.example/u/{{ email }}", "https://a.example/u/ada%40example.com"),
        ("https://a.example/x/{{ nope }}", "https://a.example/x/"),
        ("https://a.example/{{ payload.kind }}?q={{ payload.kind }}&r=1", "https://a.example/a%20b?q=a%20b&r=1"),
        ("{{ config['App Base URL'] }}/x", "https://app.example.com/v1/x"),
        ("{{ config['App Base URL'] }}", "https://app.example.com/v1/"),
        ("https://{{ only }}.example.com/{{ FORM_ID }}", "https://subject.example.com/134"),
        ("https://a.example/{{ email | upper }}", "https://a.example/ADA%40EXAMPLE.COM"),
        ("https://{% if FORM_ID %}eu{% endif %}.a.example/{{ email }}/{{ list[0] ~ '/' }}", "https://eu.a.example/ada%40example.com/eu%2F"),
    ];
    for (url, expected) in cases {
        assert_eq!(filled(url).unwrap_or_else(|fault| panic!("{url}: {fault:?}")).url, expected);
    }
}

#[test]
fn headers_are_filled_in_and_basic_is_encoded() {
    let headers = [("X-{{ FORM_ID }}", "{{ email }}"), ("authorization", "Basic {{ only }}:{{ PASSWORD }}"), ("x-plain", "1")];
    let request = read("https://a.example/", &headers, None, None).unwrap().render(&values()).unwrap();
    let found: Vec<_> = request.headers.iter().collect();
    assert_eq!(found, [("x-134", "ada@example.com"), ("authorization", "Basic c3ViamVjdDpzM2NyZXQ="), ("x-plain", "1")]);
    let plain = |value: &str| read("https://a.example/", &[("Authorization", value)], None, None).unwrap().headers.0[0].1.clone();
    assert_eq!(plain("Basic a:b"), "Basic YTpi");
    assert_eq!(plain("Basic YTpi"), "Basic YTpi", "what is encoded stays as it is");
    for (name, value) in [("{{ payload.kind }}", "1"), ("{{ nope }}", "1"), ("{{ 'Host' | lower }}", "a"), ("x", "{{ \"a\\nb\" }}")] {
        let fault = read("https://a.example/", &[(name, value)], None, None).unwrap().render(&values()).unwrap_err();
        assert_eq!((fault.code, fault.path), (Code::Template, Some(format!("steps[0].headers.{name}"))));
    }
}

#[test]
fn data_is_encoded_as_asked() {
    let of = |data: Value, encode| {
        let request = read("https://a.example/", &[], Some(&data), Some(encode)).unwrap().render(&values()).unwrap();
        (String::from_utf8(request.body.to_vec()).unwrap(), request.headers.get("content-type").unwrap().to_owned())
    };
    let form = ("a=1&a=2&email=ada%40example.com".to_owned(), "application/x-www-form-urlencoded".to_owned());
    assert_eq!(of(json!({"a": [1, 2], "email": "{{ email }}"}), Encode::Form), form);
    assert_eq!(
        of(json!("Hi \"{{ email }}\"\n"), Encode::Text),
        ("Hi \"ada@example.com\"\n".to_owned(), "text/plain; charset=utf-8".to_owned())
    );
    assert_eq!(of(json!({"a": "b"}), Encode::Form).0, "a=b");
    let whole = read("https://a.example/", &[], Some(&json!("{{ list }}")), Some(Encode::Form)).unwrap().render(&values()).unwrap_err();
    assert_eq!((whole.code, whole.path.as_deref()), (Code::Template, Some("steps[0].data")));
}

#[test]
fn what_is_no_template_is_refused_with_its_place() {
    let cases = [
        ("a\n {{ b", 2, "unexpected end"),
        ("{{ a b }}", 1, "unexpected"),
        ("{{ a | nope }}", 1, "there is no filter `nope`"),
        ("{{ a is nope }}", 1, "there is no test `nope`"),
        ("{{ nope() }}", 1, "there is no function `nope`"),
        ("{{ a.upper() }}", 1, "no methods"),
        ("x {{ secrets[payload.name] }}", 1, "secrets are named one by one"),
        ("{{ secrets }}", 1, "secrets are named one by one"),
        ("{% if a %}{{ secrets }}{% endif %}", 1, "secrets.NAME"),
        ("{{ a | safe }}", 1, "there is no filter `safe`"),
        ("{% include 'a' %}", 1, "unknown statement"),
        ("{% autoescape false %}{{ a }}{% endautoescape %}", 1, "no `autoescape`"),
        ("{% for x in a %}", 1, "unexpected end"),
    ];
    for (text, line, says) in cases {
        let fault = read("https://a.example/", &[], Some(&json!({"deep": [text]})), None).unwrap_err();
        assert_eq!((fault.code, fault.path.as_deref(), fault.line), (Code::Invalid, Some("steps[0].data.deep[0]"), Some(line)), "{text}");
        assert!(fault.detail.contains(says) && fault.column.is_some(), "{text}: {fault:?}");
    }
    let fault = read("https://a.example/", &[], Some(&json!({"x {{ a": 1})), None).unwrap_err();
    assert_eq!(fault.path.as_deref(), Some("steps[0].data.x {{ a"));
    let fault = read("https://a.example/x {{ secrets }}", &[], None, None).unwrap_err();
    assert_eq!((fault.path.as_deref(), fault.column), (Some("steps[0].url"), Some(24)));
    for url in ["a.example/{{ x }}", "ftp://{{ x }}/", "{% if a %}http://a.example/{% endif %}", "ht{{ x }}"] {
        assert_eq!(read(url, &[], None, None).unwrap_err().path.as_deref(), Some("steps[0].url"), "{url}");
    }
}

#[test]
fn what_a_template_looks_at_is_known() {
    let needs =
        |text: &str| Needs { templates: 0, programs: 0, ..read("https://a.example/", &[], Some(&json!(text)), None).unwrap().needs() };
    let none = Needs::default();
    assert_eq!(needs("{{ payload.a }}{{ config.b }}"), none);
    assert_eq!(needs("{{ a }}"), Needs { subject: true, ..none.clone() });
    assert_eq!(needs("{% if responses.0.a %}{{ steps.b | upper }}{% endif %}"), Needs { responses: true, steps: true, ..none.clone() });
    assert_eq!(needs("{% for x in payload %}{{ x }}{{ loop.index }}{{ range(3) }}{% endfor %}"), none);
    // A name that the template gives only sometimes, or only elsewhere, is the run's.
    let subject = Needs { subject: true, ..none.clone() };
    for text in [
        "{% if payload.email %}{% set email = payload.email %}{% endif %}{{ email }}",
        "{% for email in payload %}{{ email }}{% else %}{{ email }}{% endfor %}",
        "{% for x in payload %}{% endfor %}{{ x }}",
        "{% with x = 1 %}{% endwith %}{{ x }}",
    ] {
        assert_eq!(needs(text), subject, "{text}");
    }
    assert_eq!(needs("{% with x = 1 %}{% for y, z in payload %}{{ x }}{{ y }}{{ z }}{% endfor %}{% endwith %}"), none);
    assert_eq!(needs("{% set secrets = 1 %}{{ secrets }}"), none);
    let secrets = ["A", "B"].map(|name| snaphook_model::SecretName::new(name).unwrap());
    assert_eq!(needs("{{ secrets.A }}{{ secrets['B'] }}{{ connection.api_key }}"), Needs { secrets: secrets.into(), ..none.clone() });
    let counted = read("https://a.example/{{ a }}", &[], Some(&json!(["{{ a }}", "{{ a | upper }}", "x{% if a %}{% endif %}"])), None)
        .unwrap()
        .needs();
    assert_eq!((counted.templates, counted.programs), (4, 2));
}

#[test]
fn expensive_templates_end() {
    let render = |text: &str, values: &Values| {
        let request = read("https://a.example/", &[], Some(&json!(text)), None).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        request.render(values)
    };
    let texts = [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 90000000 }}",
        "{% set x = 'x' * 1000 %}{% set x = x ~ x ~ x ~ x ~ x ~ x ~ x ~ x %}{% set x = x * 1000 %}{{ x ~ x }}",
        "{{ payload.big | replace('x', payload.big) }}!",
        "{% set b = payload.big %}{% set l = [b, b, b, b, b, b, b, b, b, b] %}{{ [l, l, l, l, l, l, l, l, l, l] }}",
        "{% set b = payload.big %}{% set l = [b, b, b, b, b, b, b, b, b, b] %}{{ [l, l, l, l, l, l, l, l, l, l] | tojson | length }}",
    ];
    let big = with_payload(&json!({"big": "x".repeat(100_000)}));
    for text in texts {
        assert_eq!(render(text, &big).unwrap_err().code, Code::TemplateLimit, "{text}");
    }
    let two = with_payload(&json!({"big": "x".repeat(2 << 20)}));
    assert_eq!(render("{{ payload.big }}{{ payload.big }}{{ payload.big }}", &two).unwrap_err().code, Code::TemplateLimit);
    assert!(render("{{ payload.big }}{{ payload.big }}", &two).is_ok());
    assert_eq!(render("{{ payload.big ~ payload.big ~ payload.big ~ payload.big }}", &two).unwrap_err().code, Code::TemplateLimit);
    let many = with_payload(&json!({"list": vec![1; 200_000]}));
    assert_eq!(render("{{ payload.list | length }}", &many).unwrap_err().code, Code::TemplateLimit);
    assert!(render("{{ payload.list }}", &many).is_ok(), "what is passed on whole is not looked at");
}

#[test]
fn the_templates_of_a_request_have_one_budget() {
    let render = |template: &str, values: &Values| {
        let request = read("https://a.example/", &[], Some(&json!(vec![template; 2000])), None).unwrap();
        request.render(values).map(|request| request.body.len())
    };
    // What is large is looked through once, at whatever depth, by names and by the engine.
    let large = || with_payload(&json!({"items": vec![json!({"id": "x".repeat(500)}); 10_000], "last": 1}));
    for template in ["{{ payload.zz }}", "{{ payload.items.9999.zz }}", "{{ payload.last + 1 }}"] {
        assert!(render(template, &large()).is_ok(), "{template}");
    }
    // What cannot be is paid for each time, and so is what the engine does.
    let wide = || with_payload(&(0..150_000).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into());
    for (template, values) in [("{{ payload.k7 }}", wide()), ("{% for a in range(9999) %}{% endfor %}", Values::default())] {
        let fault = render(template, &values).unwrap_err();
        assert!(values.are_spent() && fault.code == Code::TemplateLimit && fault.limit == Some(2_000_000), "{template}: {fault:?}");
        assert!(fault.path.is_some_and(|path| path.starts_with("steps[0].data[")), "{template}");
    }
}
