//! Guests cannot split or reframe a request.

use serde_json::json;

use snaphook_testkit::Upstream;

use crate::hostile_wasm::with_metadata_of;
use crate::support::{endpoint, hooked, node, ok, problem, tenant};

#[tokio::test]
async fn framing_headers_from_guests_are_refused_by_name() {
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "Upgrade", "te", "keep-alive", "proxy-authorization"] {
        let source = format!("export function preRequest(request) {{ request.headers.set('{name}', '1'); }}");
        let (tenant, upstream) = hooked("pre-request", &source).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        let (code, detail) = problem(&answer);
        assert_eq!(code, "script-contract", "{name}");
        assert!(detail.to_lowercase().contains(&name.to_lowercase()), "{detail}");
        assert_eq!(upstream.requests().len(), 0);
    }
}

#[tokio::test]
async fn line_breaks_in_headers_never_reach_the_wire() {
    // Some ways throw inside the script, others are caught when the decision is checked; none sends anything.
    let sets = [
        r"request.headers.set('x-a', 'one\r\nx-evil: 1')",
        r"request.headers.set('x-a', 'one\nx-evil: 1')",
        r"request.headers.set('x-a', 'one\u0000two')",
        r"request.headers.set('x-a\r\nx-evil', '1')",
        r"request.headers.set('x a', '1')",
        r"request.headers.set('', '1')",
        r"request.headers.append('x-a:', '1')",
        r"request.method = 'POST /evil HTTP/1.1\r\nx: y'",
        r"request.url = request.url + ' HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /evil'",
    ];
    for set in sets {
        let (tenant, upstream) = hooked("pre-request", &format!("export function preRequest(request) {{ {set}; }}")).await;
        upstream.on("/x", ok());
        let answer = tenant.call("api/x", json!({})).await;
        match answer.status {
            // A URL may be normalised, as browsers do; then it is one request, and nothing of it became a header.
            200 => assert!(set.contains("url"), "{set}"),
            _ => assert!(matches!(problem(&answer).0.as_str(), "script-contract" | "script-threw" | "url"), "{set}: {}", answer.text()),
        }
        for request in upstream.requests() {
            assert_eq!(request.header("x-evil"), None, "{set}");
            assert_eq!(request.method, "POST");
            assert!(request.path.starts_with("/x"), "{set}: {}", request.path);
        }
    }
}

#[tokio::test]
async fn a_guests_answer_cannot_split_ours() {
    for header in [
        r"'x-a': 'one\r\nset-cookie: a=b'",
        r"'x\r\ny': '1'",
        "'content-length': '1'",
        "'transfer-encoding': 'chunked'",
        "'connection': 'close'",
    ] {
        let source = format!(
            "import {{ respond }} from 'snaphook';\nexport function preHook() {{ return respond({{ status: 200, headers: {{ {header} }}, body: 'whole' }}); }}"
        );
        let (tenant, _) = hooked("pre-hook", &source).await;
        let answer = tenant.call("api/x", json!({})).await.expect(422);
        assert!(matches!(problem(&answer).0.as_str(), "script-contract" | "script-threw"), "{header}: {}", answer.text());
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn a_scripts_own_request_carries_its_connectors_headers_as_any_other_does() {
    let tenant = node().tenant_with(json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let headers =
        json!({"authorization": "Basic user:pass", "x-all": "{{ config.T }} {{ email }} {{ payload.n }}", "x-own": "{{ config.T }}"});
    tenant.connector("api", json!({"base_url": upstream.url(""), "headers": headers, "endpoints": {}})).await;
    tenant.js("s", "export default async () => (await fetch('api:/x', { headers: { 'X-Own': 'mine' } })).status;").await;
    tenant.flow("f", json!({"config": {"T": "token"}, "steps": [{"script": "s"}]})).await;
    let ada = json!({"id": "p-1", "values": {"email": "ada@example.com"}});
    assert_eq!(tenant.run_about("f", ada, json!({"n": 7})).await.expect(200).json(), 200);
    let sent = upstream.last();
    let header = |name: &str| sent.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("authorization"), "Basic dXNlcjpwYXNz");
    assert_eq!((header("x-all").as_str(), header("x-own").as_str()), ("token ada@example.com 7", "mine"));

    // A value that is no line of a header fails the request, as in a step.
    let bob = json!({"id": "p-2", "values": {"email": "bob\r\nx-evil: 1"}});
    let failed = tenant.run_about("f", bob, json!({})).await;
    assert!(failed.status == 422 && upstream.requests().len() == 1, "{}", failed.text());
}

/// Components may give names in any letter case. Scripts look for them in lower case.
#[tokio::test]
async fn a_script_replaces_the_header_of_a_component() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let url = upstream.url("/x");
    // ok · send · a request: its option, then method, URL, headers and body behind the two tags, of eight bytes each.
    let fields = [(20, 100), (24, 4), (28, 200), (32, url.len()), (36, 400), (40, 1), (400, 300), (404, 6), (408, 310), (412, 3)];
    let stores: String = fields.map(|(at, value)| format!("(i32.store (i32.const {}) (i32.const {value}))", at_result(at))).concat();
    let module = format!(
        r#"(module
            (memory (export "memory") 2)
            (data (i32.const 100) "POST") (data (i32.const 200) "{url}") (data (i32.const 300) "X-Sign") (data (i32.const 310) "one")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
            (func (export "snaphook:hook/pre-request@0.1.0#pre-request") (param i32) (result i32)
              (i32.store8 (i32.const 1040) (i32.const 1)) {stores} (i32.const 1024)))"#
    );
    tenant.script("component", "wasm", with_metadata_of("pre-request", &module)).await;
    let set = "export function preRequest({ headers }) { if (headers.get('x-sign') !== 'one') throw 0; headers.set('x-sign', 'two'); }";
    tenant.js("script", set).await;
    endpoint(&tenant, &upstream, json!({"pre-request": [{"script": "component"}, {"script": "script"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let signs: Vec<_> = upstream.last().headers.into_iter().filter(|(name, _)| name == "x-sign").collect();
    assert_eq!(signs, [("x-sign".to_owned(), "two".to_owned())]);
}

/// Small places are those of the result, which stands at 1024.
fn at_result(at: usize) -> usize {
    if at < 100 { 1024 + at } else { at }
}
