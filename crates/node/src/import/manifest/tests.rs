//! Manifests and what becomes of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn outcome<'a>(import: &'a Import, path: &str) -> &'a Outcome {
    let found: Vec<&Outcome> = import.findings.iter().filter(|finding| finding.path == path).map(|finding| &finding.outcome).collect();
    assert_eq!(found.len(), 1, "{path}: {:?}", import.findings);
    found[0]
}

fn is_left(outcome: &Outcome, part: &str) -> bool {
    matches!(outcome, Outcome::Left(why) if why.contains(part))
}

fn is_changed(outcome: &Outcome, part: &str) -> bool {
    matches!(outcome, Outcome::Changed(how) if how.contains(part))
}

#[test]
fn what_a_flow_has_is_taken() {
    let manifest = json!({
        "headers": {"Authorization": "Basic {{U}}:{{P}}"},
        "execute": [
            {"url": "https://a.example/{{ email }}", "method": "GET", "headers": {"A": "b"}, "save_as_file": "f.png", "status_code": ["200", 201]},
            {"url": "https://a.example/up", "method": "POST", "files": {"file": "f.png"}, "data": {"n": "{{ first_name }}"}},
            {"url": "https://a.example/x", "method": "PUT", "data": {"a": [1]}, "cast_data_to_json": false, "store_data": {"FORM_ID": "data.id"},
             "continue_if": {"response_notation": "detail.status", "value": "done"}},
            {"url": "https://a.example/y", "method": "POST", "data": {"a": 1}, "cast_data_to_json": true},
            {"url": "https://a.example/z", "data": {"a": 1}},
        ],
    });
    let import = import(&manifest).unwrap();
    assert_eq!(import.left(), 0, "{:?}", import.findings);
    assert_eq!(import.flow["headers"], manifest["headers"]);
    let steps = import.flow["steps"].as_array().unwrap();
    let execute = manifest["execute"].as_array().unwrap();
    assert_eq!(steps[0], execute[0]);
    assert_eq!(
        (&steps[1]["encode"], &steps[1]["files"], &steps[1]["data"]),
        (&json!("multipart"), &execute[1]["files"], &execute[1]["data"])
    );
    assert_eq!((&steps[2]["encode"], &steps[2]["continue_if"]), (&json!("json"), &execute[2]["continue_if"]));
    assert_eq!((&steps[3]["encode"], &steps[4]["encode"], &steps[4]["method"]), (&json!("form"), &json!("form"), &json!("POST")));
    assert_eq!(outcome(&import, "execute[2].store_data"), &Outcome::Taken);
    assert!(is_changed(outcome(&import, "execute[3].cast_data_to_json"), "encode: form"));
    assert!(is_changed(outcome(&import, "execute[4].data"), "encode: form"));
}

#[test]
fn what_a_flow_has_not_is_left_out_with_a_reason() {
    let manifest = json!({
        "form": [{"id": "TEAM"}], "exists": {"url": "https://a.example"}, "revoke": [], "oauth": {"refresh": {}}, "whatever": 1,
        "initial_data_form": [{"id": "PASSWORD", "name": "generate"}, {"id": "ORG", "name": "Organisation", "secret": true}, {"name": "x"}],
        "execute": [{"url": "https://a.example", "method": "GET", "expected": "x", "foo": 1,
                     "extra_headers": "pritunl", "continue_if": {"response_notation": "a", "value": "", "bar": 1}, "cast_data_to_json": true},
                    {"url": "https://a.example", "method": "GET", "polling": {"interval": 5, "amount": 60}}],
    });
    let import = import(&manifest).unwrap();
    for (path, part) in [
        ("form", "subject"),
        ("exists", "second flow"),
        ("oauth", "connections"),
        ("whatever", "no key of a manifest"),
        ("initial_data_form[1]", "`ORG`"),
        ("initial_data_form[2]", "no `id`"),
        ("execute[1].polling", "`continue_if`"),
        ("execute[0].expected", "post-request"),
        ("execute[0].foo", "no key of a request"),
        ("execute[0].extra_headers", "pre-request"),
        ("execute[0].continue_if.bar", "no key of a condition"),
    ] {
        assert!(is_left(outcome(&import, path), part), "{path}: {:?}", outcome(&import, path));
    }
    assert!(is_changed(outcome(&import, "revoke"), "empty"));
    assert!(is_changed(outcome(&import, "initial_data_form[0]"), "generate.PASSWORD"));
    assert!(is_changed(outcome(&import, "execute[0].cast_data_to_json"), "there is none"));
    assert!(is_changed(outcome(&import, "execute[0].continue_if.value"), "no match"));
    assert_eq!(import.left(), 11);
    assert_eq!(import.flow["generate"], json!({"PASSWORD": 10}));
    assert_eq!(
        import.flow["steps"][0],
        json!({"url": "https://a.example", "method": "GET", "continue_if": {"response_notation": "a", "value": ""}})
    );
}

#[test]
fn templates_of_another_language_are_found() {
    let manifest =
        json!([{"url": "https://a.example/{{ start|date:\"Y\" }}", "headers": {"A": "{{ oauth.access_token }}"}, "data": "{% now %}"}]);
    let import = import(&manifest).unwrap();
    assert!(is_left(outcome(&import, "[0].url"), "filter `date`"));
    assert!(is_left(outcome(&import, "[0].headers.A"), "oauth"));
    assert!(is_left(outcome(&import, "[0].data"), "tag `now`"));
    assert_eq!(outcome(&import, "[0].headers"), &Outcome::Taken);
}

#[test]
fn what_is_no_manifest_is_named() {
    for (manifest, path) in [
        (json!(5), ""),
        (json!({}), "execute"),
        (json!({"execute": {}}), "execute"),
        (json!({"execute": [1]}), "execute[0]"),
        (json!([{"url": "x"}, {"method": "GET"}]), "[1].url"),
    ] {
        assert_eq!(import(&manifest).unwrap_err().path, path);
    }
}

#[test]
fn complaints_about_the_flow_are_about_the_manifest() {
    let of = |manifest: Value, path: &str| import(&manifest).unwrap().in_manifest(Invalid::new(path, "x")).path;
    assert_eq!(of(json!([{"url": "x"}]), "steps[0].url"), "[0].url");
    assert_eq!(of(json!({"execute": [{"url": "x"}]}), "steps[0].url"), "execute[0].url");
    assert_eq!(of(json!({"execute": [{"url": "x"}]}), "headers.a"), "headers.a");
}

proptest! {
    /// Whatever keys a manifest has, each of the top level and of every request is spoken of.
    #[test]
    fn no_key_is_dropped_silently(top in keys(), request in keys()) {
        let mut manifest: Map<String, Value> = top.into_iter().collect();
        let mut first: Map<String, Value> = request.into_iter().collect();
        first.insert("url".to_owned(), json!("https://a.example"));
        manifest.insert("execute".to_owned(), json!([first]));
        let import = import(&manifest.clone().into()).unwrap();
        let spoken_of = |path: &str| import.findings.iter().any(|finding| finding.path.starts_with(path));
        for key in manifest.keys() {
            prop_assert!(spoken_of(key), "{key}");
        }
        for key in first.keys() {
            prop_assert!(spoken_of(&format!("execute[0].{key}")), "{key}");
        }
    }
}

const KNOWN: [&str; 11] = [
    "form",
    "headers",
    "oauth",
    "initial_data_form",
    "data",
    "files",
    "continue_if",
    "polling",
    "cast_data_to_json",
    "store_data",
    "method",
];

/// Keys that mean something and others, with values of every kind.
fn keys() -> impl Strategy<Value = Vec<(String, Value)>> {
    let key = prop_oneof![proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), "[a-z_]{1,8}"];
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!("{{ x")),
        Just(json!(true)),
        Just(json!([])),
        Just(json!([{"id": "A"}])),
        Just(json!({"a": {}}))
    ];
    proptest::collection::vec((key.prop_filter("has its own place", |key| key != "execute" && key != "url"), value), 0..6)
}
