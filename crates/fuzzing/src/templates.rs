//! Templates of a request, and the values that they are filled in with.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use snaphook_flow::template::{RequestTemplate, RunValues, Values};
use snaphook_model::{Blame, Flow, Payload, Variables};
use url::Url;

/// The first line is a URL, the second a header, the third data (JSON, or else text), and what follows is the payload. Whatever they are, a
/// request that comes of them is one that can be sent: one URL, headers of one line, and data of its kind.
pub fn templates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(4, '\n');
    let [url, header, data, payload] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let data = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
    let payload = serde_json::from_str::<IgnoredAny>(payload).map_or_else(|_| json!({ "v": payload }).to_string(), |_| payload.to_owned());
    for encode in ["json", "form", "text"] {
        one(url, header, &data, encode, &payload);
    }
    // Whatever the payload is, it stays one segment and one value.
    one("https://a.example/b/{{ payload }}?q={{ payload.v }}", header, &data, "json", &payload);
}

fn one(url: &str, header: &str, data: &Value, encode: &str, payload: &str) {
    let step = json!({"url": url, "method": "POST", "headers": {"x-one": header}, "data": data, "encode": encode});
    let Ok(flow) = Flow::parse(json!({ "steps": [step] })) else { return };
    let template = match RequestTemplate::of_step(&flow, 0) {
        Ok(template) => template,
        Err(fault) => return assert!(fault.blame() != Blame::Platform && !fault.detail.is_empty(), "{fault:?}"),
    };
    let values = Values::new(Payload::json(payload.to_owned()), Arc::new(Variables::default()), Arc::new(run()));
    let request = match template.render(&values) {
        Ok(request) => request,
        Err(fault) => return assert!(!fault.detail.is_empty() && fault.blame() != Blame::Platform, "{fault:?}"),
    };
    let parsed = Url::parse(&request.url).unwrap_or_else(|error| panic!("{error}: {:?}", request.url));
    assert!(matches!(parsed.scheme(), "http" | "https"), "{:?}", request.url);
    if url.starts_with("https://a.example/") {
        assert_eq!((parsed.host_str(), parsed.port()), (Some("a.example"), None), "{:?}", request.url);
    }
    for (name, value) in &request.headers.0 {
        assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
    }
    if encode == "json" && !request.body.is_empty() {
        serde_json::from_slice::<IgnoredAny>(&request.body).unwrap_or_else(|error| panic!("{error}: {:?}", request.body));
    }
}

/// What is known of a run, so that each kind of name leads somewhere.
fn run() -> RunValues {
    let texts = |pairs: &[(&str, Value)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
    RunValues {
        subject: texts(&[("email", json!("ada@example.com")), ("line", json!("a\r\nb"))]),
        generated: texts(&[("PASSWORD", json!("s3cret/\"\\"))]),
        stored: texts(&[("FORM_ID", json!(134))]),
        responses: vec![json!({"items": [{"id": "a/../b"}]}).to_string().into()],
    }
}
