//! Values that try to be more than values, and any value at all.

use proptest::prelude::*;
use serde_json::{Value, json};
use snaphook_model::{Code, Encode};
use url::Url;

use super::requests::{read, with_payload};
use crate::template::Values;

/// Two ways to put a value: by name, and by the engine.
const BOTH: [&str; 2] = ["{{ payload.v }}", "{% if true %}{{ payload.v }}{% endif %}"];

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "O'Neil \"q\" \\ \n new\r\nline",
        "\u{0}\u{1}\u{2}\u{7f}",
        "{{ payload }}{% raw %}{# x #}",
        "\u{202e}right to left\u{2066}",
        "a/b?c#d&e=f;g+h%2f%00",
        "https://evil.example/",
        "//evil.example",
        "@evil.example:80/",
        "\\..\\..",
        "<script>&amp;",
        "\u{1}x\u{2}y",
        "ü€😀",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("long ".repeat(200_000));
    texts
}

/// What the upstream reads as the last segment of the path, and as the one value of the query.
fn in_url(template: &str, values: &Values) -> Result<(String, String), snaphook_model::Fault> {
    let url = format!("https://a.example/b/{template}/e?q={template}");
    let request = read(&url, &[], None, None).unwrap().render(values)?;
    let url = Url::parse(&request.url).unwrap();
    assert_eq!((url.scheme(), url.host_str(), url.port(), url.fragment()), ("https", Some("a.example"), None, None), "{}", request.url);
    let segments: Vec<_> = url.path_segments().unwrap().collect();
    assert_eq!((segments.len(), segments[0], segments[2]), (3, "b", "e"), "{}", request.url);
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    assert_eq!((pairs.len(), pairs[0].0.as_str()), (1, "q"), "{}", request.url);
    let segment = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap().into_owned();
    Ok((segment, pairs[0].1.clone()))
}

fn in_json(template: &str, values: &Values) -> Value {
    let data = json!({"whole": "{{ payload.v }}", "text": format!("a{template}b"), format!("k{template}"): [template]});
    let request = read("https://a.example/", &[], Some(&data), None).unwrap().render(values).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn hostile_values_arrive_as_they_are() {
    for text in hostile() {
        let values = with_payload(&json!({ "v": text }));
        for template in BOTH {
            assert_eq!(in_url(template, &values).unwrap(), (text.clone(), text.clone()));
            let body = in_json(template, &values);
            assert_eq!((&body["whole"], &body["text"]), (&json!(text), &json!(format!("a{text}b"))));
            assert_eq!(body[format!("k{text}")], json!([text]));
            let form =
                read("https://a.example/", &[], Some(&json!({ "f": template })), Some(Encode::Form)).unwrap().render(&values).unwrap();
            let pairs: Vec<_> = url::form_urlencoded::parse(&form.body).into_owned().collect();
            assert_eq!(pairs, [("f".to_owned(), text.clone())]);
        }
    }
}

#[test]
fn a_segment_leads_nowhere_else() {
    for text in [".", ".."] {
        for template in BOTH {
            let fault = in_url(template, &with_payload(&json!({ "v": text }))).unwrap_err();
            assert_eq!((fault.code, fault.path.as_deref()), (Code::Template, Some("steps[0].url")));
        }
    }
    let values = with_payload(&json!({"v": "."}));
    for url in [
        "https://a.example/{{ payload.v }}{{ payload.v }}",
        "https://a.example/x/%2E{{ payload.v }}/y",
        "https://a.example/.{{ payload.v }}?q",
    ] {
        assert_eq!(read(url, &[], None, None).unwrap().render(&values).unwrap_err().code, Code::Template, "{url}");
    }
    for (url, path) in [("https://a.example/x{{ payload.v }}", "/x."), ("https://a.example/..{{ payload.v }}", "/...")] {
        assert_eq!(Url::parse(&read(url, &[], None, None).unwrap().render(&values).unwrap().url).unwrap().path(), path);
    }
}

#[test]
fn a_host_is_made_of_a_hosts_characters() {
    let host = |value: &str| {
        let request = read("https://{{ payload.v }}.example.com/x", &[], None, None).unwrap();
        request
            .render(&with_payload(&json!({ "v": value })))
            .map(|request| Url::parse(&request.url).unwrap().host_str().unwrap().to_owned())
    };
    assert_eq!(host("acme").unwrap(), "acme.example.com");
    for bad in ["", "evil.com/", "evil.com?", "evil.com#", "a@evil.com", "evil.com\\", "a b", "evil%2ecom%2f", "ü", "[::1]"] {
        assert_eq!(host(bad).unwrap_err().code, Code::Template, "{bad}");
    }
    // A port ends a host, so nothing can follow it.
    assert_eq!(host("evil.com:80").unwrap_err().code, Code::Url);
}

#[test]
fn a_base_is_a_url_and_nothing_else() {
    let base = |template: &str, value: &str| {
        let request = read(template, &[], None, None).unwrap();
        request.render(&with_payload(&json!({ "v": value }))).map(|request| request.url)
    };
    assert_eq!(base("{{ payload.v }}/x", "https://a.example/api/").unwrap(), "https://a.example/api/x");
    assert_eq!(base("{{ payload.v }}?q=1", "https://a.example/api").unwrap(), "https://a.example/api?q=1");
    assert_eq!(base("{{ payload.v }}", "https://a.example/next?page=2").unwrap(), "https://a.example/next?page=2");
    for bad in [
        "",
        "a.example",
        "/x",
        "ftp://a.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://u:p@a.example",
        "https://a.example?q",
        "https://a.example#f",
    ] {
        assert_eq!(base("{{ payload.v }}/x", bad).unwrap_err().code, Code::Template, "{bad}");
    }
    assert_eq!(base("{{ payload.v }}.evil.example/", "https://a.example").unwrap_err().code, Code::Template);
    assert_eq!(base("{{ payload.v }}{{ payload.v }}", "https://a.example").unwrap_err().code, Code::Template);
}

/// Any text, with more than its share of characters that mean something somewhere.
fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            any::<char>(),
            prop::sample::select("\0\u{1}\u{2}\r\n\t\"\\'{}%#/?&=.:@;<>\u{202e}\u{2028}".chars().collect::<Vec<_>>())
        ],
        0..40,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_one_segment(text in any_text(), both in 0..2_usize) {
        match in_url(BOTH[both], &with_payload(&json!({ "v": text }))) {
            Ok(found) => prop_assert_eq!(found, (text.clone(), text)),
            Err(fault) => prop_assert!(fault.code == Code::Template && matches!(&*text, "." | ".."), "{fault:?}"),
        }
    }

    #[test]
    fn any_text_is_one_value_of_data(text in any_text(), both in 0..2_usize) {
        let body = in_json(BOTH[both], &with_payload(&json!({ "v": text })));
        prop_assert_eq!(&body["whole"], &json!(text));
        prop_assert_eq!(&body["text"], &json!(format!("a{text}b")));
        prop_assert_eq!(body.as_object().unwrap().len(), 3);
    }

    #[test]
    fn any_text_is_one_header_or_none(text in any_text(), both in 0..2_usize) {
        let request = read("https://a.example/", &[("x-v", &format!("a {}", BOTH[both]))], None, None).unwrap();
        match request.render(&with_payload(&json!({ "v": text }))) {
            Ok(request) => {
                prop_assert_eq!(request.headers.0.len(), 1);
                prop_assert_eq!(&request.headers.0[0].1, &format!("a {text}"));
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'));
            }
            Err(fault) => prop_assert!(fault.code == Code::Template && text.chars().any(char::is_control), "{fault:?}"),
        }
    }

    #[test]
    fn any_template_is_read_or_refused(text in "[a-z{}%#|. \"'()\\[\\]~+*0-9\n-]{0,60}", value in any_text()) {
        for text in [text.clone(), format!("{{{{ {text} }}}}"), format!("{{% {text} %}}")] {
            if let Ok(request) = read("https://a.example/", &[("x", &text)], Some(&json!({ "d": text })), None) {
                let _ = request.render(&with_payload(&json!(value)));
            }
            if let Ok(request) = read(&format!("https://a.example/{text}"), &[], None, None) {
                let _ = request.render(&with_payload(&json!(value)));
            }
        }
    }
}
