//! Placeholders and texts: where a text goes, where it does not, and what an answer that repeats it has in its place.

use bytes::Bytes;
use snaphook_model::Headers;

use super::*;
use crate::room::BodyMemory;

/// A vault, and secrets in it by name and text, which may go to one host.
fn secrets(named: &[(&str, &str)]) -> (Vault, TenantName, Secrets) {
    secrets_for("api.example.com", named)
}

fn secrets_for(host: &str, named: &[(&str, &str)]) -> (Vault, TenantName, Secrets) {
    let vault = Vault::ephemeral().unwrap();
    let tenant = TenantName::new("acme").unwrap();
    let value = |(name, text): &(&str, &str)| SealedValue {
        placeholder: vault.placeholder(&tenant, "run", name),
        name: (*name).to_owned(),
        label: (*name).to_owned(),
        sealed: vault.seal_as(&tenant, name, text).unwrap(),
        member: None,
        hosts: [SecretHost::named(HostRule::parse(host).unwrap())].into(),
    };
    let values = named.iter().map(value).collect();
    (vault, tenant, Secrets { values, ..Secrets::default() })
}

/// Room for what is masked, of memory that is there for it alone.
fn room(tenant: &TenantName) -> Room {
    BodyMemory::new(4 << 20).room(tenant)
}

fn filled(texts: &[(&str, &str)], request: impl FnOnce(&[String]) -> HttpRequest) -> Result<HttpRequest, Fault> {
    let (vault, tenant, secrets) = secrets(texts);
    let placeholders: Vec<_> = secrets.values.iter().map(|value| value.placeholder.clone()).collect();
    let mut request = request(&placeholders);
    let url = Url::parse(&request.url).unwrap();
    vault.open_all(&tenant, &secrets).unwrap().fill(&mut request, &url).map(|()| request)
}

fn request(url: String, headers: &[(&str, &str)], body: String) -> HttpRequest {
    let mut request = HttpRequest { method: "POST".to_owned(), url, headers: Headers::default(), body: body.into() };
    for (name, value) in headers {
        request.headers.set(name, *value);
    }
    request
}

#[test]
fn a_placeholder_is_the_same_on_every_node_and_another_in_every_run() {
    let vault = Vault::of_text(&"ab".repeat(32)).unwrap();
    let same = Vault::of_text(&"ab".repeat(32)).unwrap();
    let (acme, other) = (TenantName::new("acme").unwrap(), TenantName::new("other").unwrap());
    let placeholder = vault.placeholder(&acme, "run", "KEY");
    assert_eq!(placeholder, same.placeholder(&acme, "run", "KEY"));
    assert_eq!((placeholder.len(), placeholder.starts_with(PLACEHOLDER)), (PLACEHOLDER.len() + PLACEHOLDER_RANDOM, true));
    for else_ in [vault.placeholder(&other, "run", "KEY"), vault.placeholder(&acme, "run2", "KEY"), vault.placeholder(&acme, "run", "K")] {
        assert_ne!(else_, placeholder);
    }
    assert_ne!(Vault::ephemeral().unwrap().placeholder(&acme, "run", "KEY"), placeholder);
}

#[test]
fn a_text_is_put_in_as_its_place_wants_it() {
    let text = "a \"b\"/ü&=%";
    let in_place = |make: &dyn Fn(&str) -> HttpRequest| filled(&[("KEY", text)], |all| make(&all[0])).unwrap();
    let sent = in_place(&|key| request(format!("https://api.example.com/x/{}?q={key}", key.replace(':', "%3A")), &[], String::new()));
    let url = Url::parse(&sent.url).unwrap();
    assert_eq!(url.query_pairs().next().unwrap().1, text);
    assert_eq!(url.path_segments().unwrap().count(), 2, "one segment of a path stays one: {url}");
    let json = [("content-type", "application/json; charset=utf-8")];
    let sent = in_place(&|key| request("https://api.example.com/".to_owned(), &json, format!("{{\"k\":\"<{key}>\"}}")));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap(), serde_json::json!({"k": format!("<{text}>")}));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sent = in_place(&|key| request("https://api.example.com/".to_owned(), &form, format!("a=1&k={}", key.replace(':', "%3a"))));
    assert_eq!(url::form_urlencoded::parse(&sent.body).nth(1).unwrap().1, text);
    let sent = in_place(&|key| request("https://api.example.com/".to_owned(), &[("content-type", "text/plain")], format!("{key}{key}")));
    assert_eq!(sent.body, format!("{text}{text}"));
    let sent =
        in_place(&|key| request("https://api.example.com/".to_owned(), &[("authorization", &format!("Basic me:{key}"))], String::new()));
    assert_eq!(sent.headers.get("authorization").unwrap(), format!("Basic {}", STANDARD.encode(format!("me:{text}"))));
}

#[test]
fn a_text_goes_to_its_own_host_only() {
    for url in ["https://evil.example/", "https://api.example.com.evil.example/", "http://127.0.0.1/"] {
        let sent = filled(&[("KEY", "text")], |all| request(format!("{url}?k={}", all[0]), &[("x-k", &all[0])], all[0].clone())).unwrap();
        assert!(!format!("{sent:?}").contains("text"), "{sent:?}");
    }
}

#[test]
fn a_text_goes_without_tls_only_where_a_port_is_named() {
    for (host, url, goes) in [
        ("api.example.com", "https://api.example.com/", true),
        ("api.example.com", "https://api.example.com:8443/", true),
        ("api.example.com", "http://api.example.com/", false),
        ("api.example.com", "http://api.example.com:443/", false),
        ("api.example.com:443", "http://api.example.com:443/", false),
        ("api.example.com:80", "http://api.example.com/", true),
        ("*.example.com:8080", "http://api.example.com:8080/", true),
        ("*.example.com", "http://api.example.com:8080/", false),
    ] {
        let (vault, tenant, mut secrets) = secrets_for(host, &[("KEY", "k3y-text")]);
        let place = Some(Place::Header { header: "x-api-key".to_owned(), prefix: String::new() });
        let (fields, hosts) = (BTreeMap::from([("api_key".to_owned(), 0)]), secrets.values[0].hosts.clone());
        secrets.credentials = Some(Credentials { kind: ConnectionKind::ApiKey, place, username: None, fields, hosts });
        let mut request = request(url.to_owned(), &[("x-k", &secrets.values[0].placeholder)], String::new());
        vault.open_all(&tenant, &secrets).unwrap().fill(&mut request, &Url::parse(url).unwrap()).unwrap();
        let (own, added) = (request.headers.get("x-k") == Some("k3y-text"), request.headers.get("x-api-key") == Some("k3y-text"));
        assert_eq!((own, added), (goes, goes), "{host}: {url}: {request:?}");
    }
}

#[test]
fn what_is_no_placeholder_of_the_run_stays() {
    let body = |all: &[String]| format!("sealed: sealed:short sealed:{} {}x", "A".repeat(22), all[0]);
    let sent = filled(&[("KEY", "text")], |all| request("https://api.example.com/".to_owned(), &[], body(all))).unwrap();
    assert_eq!(sent.body, format!("sealed: sealed:short sealed:{} textx", "A".repeat(22)));
    // What was put in is not looked into again.
    let sent = filled(&[("ONE", "sealed:AAAAAAAAAAAAAAAAAAAAAA"), ("TWO", "two")], |all| {
        request("https://api.example.com/".to_owned(), &[], all[0].clone() + &all[1])
    });
    assert_eq!(sent.unwrap().body, "sealed:AAAAAAAAAAAAAAAAAAAAAAtwo");
}

#[test]
fn a_text_with_a_line_break_is_refused_in_a_header_without_being_shown() {
    let fault = filled(&[("KEY", "hunter2\r\nx-evil: 1")], |all| {
        request("https://api.example.com/".to_owned(), &[("x-k", &all[0])], String::new())
    });
    let fault = fault.unwrap_err();
    assert_eq!(fault.code, Code::ScriptContract);
    assert!(fault.detail.contains("`KEY`") && !fault.detail.contains("hunter2"), "{}", fault.detail);
}

#[test]
fn an_answer_that_repeats_a_text_has_its_placeholder() {
    let text = "s3cr\"t/ü+x y-long-enough";
    let (vault, tenant, secrets) = secrets(&[("KEY", text), ("PIN", "123")]);
    let placeholder = secrets.values[0].placeholder.clone();
    let percent: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let quoted = serde_json::Value::from(text).to_string();
    let mut forms = vec![
        text.to_owned(),
        percent.clone(),
        percent.replace('+', "%20"),
        percent.to_lowercase(),
        quoted,
        STANDARD.encode(text),
        STANDARD.encode(format!("user:{text}")),
        STANDARD.encode(format!("us:{text}:more")),
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("u{text}")),
    ];
    // An upstream that puts what it got into a string of its JSON, writers that escape more than they must, and other alphabets of URLs.
    let json = serde_json::json!({"key": text}).to_string();
    forms.extend([serde_json::Value::from(json.as_str()).to_string(), STANDARD.encode(&json), STANDARD.encode(&percent)]);
    forms.push(text.replace('ü', "\\u00fc").replace('"', "\\\""));
    forms.push(text.replace('ü', "\\u00FC").replace('"', "\\\"").replace('/', "\\/"));
    forms.push("s3cr%22t%2F%C3%BC%2Bx%20y-long-enough".to_owned());
    forms.push(forms.join(" | "));
    for form in forms {
        let mut headers = Headers::default();
        headers.set("x-echo", form.as_str());
        let mut response = HttpResponse { status: 200, headers, body: Bytes::from(format!("<{form}> 123")) };
        vault.open_all(&tenant, &secrets).unwrap().mask(&mut response, 1 << 20, room(&tenant)).unwrap();
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(body.contains(&placeholder) && response.headers.get("x-echo").unwrap().contains(&placeholder), "{form}: {body}");
        assert!(!body.contains("long-enough") && !body.contains(&STANDARD.encode(text)[4..20]), "{form}: {body}");
        assert!(body.ends_with("> 123"), "what is short is left: {body}");
    }
}

#[test]
fn every_alphabet_of_a_url_and_of_json_is_known() {
    let (vault, tenant, secrets) = secrets(&[("KEY", "a!b'(c)*~ <d>&e")]);
    for form in [
        "a!b'(c)*~%20%3Cd%3E%26e",
        "a%21b%27%28c%29*%7E+%3Cd%3E%26e",
        "a%21b%27%28c%29%2A~%20%3Cd%3E%26e",
        "a!b'(c)*~ \\u003cd\\u003e\\u0026e",
    ] {
        let mut response = HttpResponse { status: 200, headers: Headers::default(), body: Bytes::from(form.to_owned()) };
        vault.open_all(&tenant, &secrets).unwrap().mask(&mut response, 1 << 20, room(&tenant)).unwrap();
        assert_eq!(response.body, secrets.values[0].placeholder, "{form}");
    }
}

#[test]
fn what_earlier_requests_used_is_taken_out_and_put_in_nowhere() {
    let (vault, tenant, mut earlier) = secrets(&[("PASSWORD", "p4ssw0rd")]);
    let (fields, hosts) = (BTreeMap::from([("password".to_owned(), 0)]), earlier.values[0].hosts.clone());
    let username = Some("ada".to_owned());
    earlier.credentials = Some(Credentials { kind: ConnectionKind::Basic, place: None, username, fields, hosts });
    let placeholder = earlier.values[0].placeholder.clone();
    let secrets = Secrets { earlier: vec![Arc::new(earlier)], ..Secrets::default() };
    let opened = vault.open_all(&tenant, &secrets).unwrap();
    let url = "https://api.example.com/";
    let mut sent = request(url.to_owned(), &[("x-k", &placeholder)], String::new());
    opened.fill(&mut sent, &Url::parse(url).unwrap()).unwrap();
    assert_eq!((sent.headers.get("x-k"), sent.headers.get("authorization")), (Some(placeholder.as_str()), None));
    let body = format!("p4ssw0rd {}", STANDARD.encode("ada:p4ssw0rd"));
    let mut response = HttpResponse { status: 200, headers: Headers::default(), body: body.into() };
    opened.mask(&mut response, 1 << 20, room(&tenant)).unwrap();
    assert_eq!(response.body, format!("{placeholder} {placeholder}"), "{response:?}");
}

#[test]
fn what_stands_for_texts_makes_no_answer_larger_than_it_may_be() {
    let (vault, tenant, secrets) = secrets(&[("KEY", "aaaa")]);
    let mut response = HttpResponse { status: 200, headers: Headers::default(), body: Bytes::from("a".repeat(4000)) };
    let fault = vault.open_all(&tenant, &secrets).unwrap().mask(&mut response, 20_000, room(&tenant)).unwrap_err();
    assert_eq!((fault.code, fault.used), (Code::ResponseSize, Some(29_000)));
}

#[test]
fn what_is_masked_takes_room_until_nobody_holds_it() {
    let (vault, tenant, secrets) = secrets(&[("KEY", "long-enough")]);
    // A tenant alone has half.
    let memory = BodyMemory::new(64 << 10);
    let mask = |text: &str| {
        let mut response = HttpResponse { status: 200, headers: Headers::default(), body: Bytes::from(text.to_owned()) };
        let masked = vault.open_all(&tenant, &secrets).unwrap().mask(&mut response, 1 << 20, memory.room(&tenant));
        masked.map(|()| response)
    };
    let text = format!("{}long-enough", "x".repeat(20 << 10));
    let held = mask(&text).unwrap();
    let fault = mask(&text).unwrap_err();
    assert_eq!(fault.code, Code::Overloaded, "{fault}");
    assert_eq!(mask("nothing of it").unwrap().body, "nothing of it", "what is not copied takes nothing");
    let part = held.body.slice(..1);
    drop(held);
    assert!(mask(&text).is_err(), "a part keeps the whole");
    drop(part);
    mask(&text).unwrap();
}

#[test]
fn a_request_carries_secrets_of_bounded_length() {
    let text = "k".repeat(16_000);
    let times = |times: usize| filled(&[("KEY", &text)], |all| request("https://api.example.com/".to_owned(), &[], all[0].repeat(times)));
    assert_eq!(times(65).unwrap().body.len(), 65 * text.len());
    assert_eq!(times(66).unwrap_err().code, Code::ScriptContract);
}
