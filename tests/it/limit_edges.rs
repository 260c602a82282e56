//! Every limit at its default: what is exactly as much as it allows passes, and one more is refused with the limit's name.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Response, Tenant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wit_component::ComponentEncoder;

use crate::hostile_wasm::{guest, with_metadata_of};
use crate::support::{endpoint, messages, node, ok, tenant};

/// The limits of a tenant that the operator said nothing about.
async fn limit(tenant: &Tenant, name: &str) -> usize {
    let limits = node().operator().get(&format!("/v1/tenants/{}", tenant.name)).await.expect(200).json();
    usize::try_from(limits["limits"][name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {limits}"))).unwrap()
}

/// Runs a step's script once, with nobody called.
async fn step(tenant: &Tenant, source: &str) -> Value {
    let version = tenant.js("s", source).await;
    tenant.test("s", version, json!({"hook": "step", "payload": {}})).await
}

/// Runs a component's `pre-hook` once.
async fn wasm(tenant: &Tenant, module: Vec<u8>) -> Value {
    let version = tenant.script("w", "wasm", module).await;
    tenant.test("w", version, json!({"hook": "pre-hook", "arguments": {}})).await
}

fn passes(tested: &Value) {
    assert!(tested["fault"].is_null() && tested["decision"].is_object(), "{}", shown(tested));
}

fn fails(tested: &Value, code: &str, limit: usize) {
    let fault = &tested["fault"];
    assert_eq!((fault["code"].as_str(), fault["limit"].as_u64()), (Some(code), Some(limit as u64)), "{}", shown(tested));
}

fn refused(answer: Response, status: u16, code: &str, limit: usize) {
    let problem = answer.expect(status).json();
    assert_eq!((problem["code"].as_str(), problem["limit"].as_u64()), (Some(code), Some(limit as u64)), "{problem}");
}

/// Announces a body of one byte more than may come. It is refused before any of it is sent; who sends it all the same may find the connection closed
/// before the answer is read.
pub(crate) async fn too_large(tenant: &Tenant, what: &str, content_type: &str, limit: usize, code: &str) {
    let address = node().url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (token, length) = (tenant.client.token.as_deref().unwrap(), limit + 1);
    let head = format!(
        "{what} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, problem) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    assert!(head.starts_with("HTTP/1.1 413"), "{answer}");
    let problem: Value = serde_json::from_str(problem).unwrap();
    let (limit, length) = (Some(limit as u64), Some(length as u64));
    assert_eq!((problem["code"].as_str(), problem["limit"].as_u64(), problem["used"].as_u64()), (Some(code), limit, length), "{problem}");
}

/// Without the megabytes that may stand in it.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(600).collect()
}

/// A guest whose fuel is a number of rounds, and single instructions after them. Fuel is looked at where a function begins, so it ends with one.
fn spending(rounds: u64, instructions: u64) -> Vec<u8> {
    let single = "(drop (i32.const 0))".repeat(usize::try_from(instructions).unwrap());
    let body = format!(
        "(local $i i32) (local.set $i (i32.const {rounds}))
         (loop $again (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $again (local.get $i)))
         {single} (call $nothing) i32.const 1024"
    );
    guest(&body, "(func $nothing)")
}

#[tokio::test]
async fn edge_fuel() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "fuel").await as u64;
    let fuel = async |rounds, instructions| {
        let tested = wasm(&tenant, spending(rounds, instructions)).await;
        passes(&tested);
        tested["usage"]["fuel"].as_u64().unwrap()
    };
    let (few, more) = (fuel(1_000, 0).await, fuel(2_000, 0).await);
    let round = (more - few) / 1_000;
    assert_eq!((fuel(1_000, 1).await - few, (more - few) % 1_000), (1, 0), "fuel is counted by the instruction");
    let rounds = 1_000 + (most - few) / round;
    let rest = (most - few) % round;
    let whole = wasm(&tenant, spending(rounds, rest)).await;
    passes(&whole);
    assert_eq!(whole["usage"]["fuel"].as_u64(), Some(most), "{}", shown(&whole));
    fails(&wasm(&tenant, spending(rounds, rest + 1)).await, "fuel", usize::try_from(most).unwrap());
}

/// Timers are virtual: what a guest waits for counts as its time and takes none.
#[tokio::test]
async fn edge_wall_ms() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "wall_ms").await;
    let waiting = |ms: usize| format!("export default async () => {{ await new Promise((done) => setTimeout(done, {ms})); }}");
    passes(&step(&tenant, &waiting(most)).await);
    fails(&step(&tenant, &waiting(most + 1)).await, "deadline", most);
}

#[tokio::test]
async fn edge_memory_bytes() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "memory_bytes").await;
    let of_pages = |pages: usize| {
        with_metadata_of(
            "pre-hook",
            &format!(
                r#"(module (memory (export "memory") {pages})
                    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
                    (func (export "snaphook:hook/pre-hook@0.1.0#pre-hook") (param i32) (result i32) i32.const 1024))"#
            ),
        )
    };
    let pages = most / 65_536;
    let whole = wasm(&tenant, of_pages(pages)).await;
    passes(&whole);
    assert_eq!(whole["usage"]["memory_bytes"].as_u64(), Some(most as u64));
    fails(&wasm(&tenant, of_pages(pages + 1)).await, "memory", most);
    // The same for one that grows to it.
    let growing = |more: usize| format!("(if (i32.eq (memory.grow (i32.const {more})) (i32.const -1)) (then unreachable)) i32.const 1024");
    passes(&wasm(&tenant, guest(&growing(pages - 2), "")).await);
    fails(&wasm(&tenant, guest(&growing(pages - 1), "")).await, "memory", most);
}

/// A fixed number and none of a tenant's: 20,000 elements.
#[tokio::test]
async fn edge_tables() {
    const MOST: usize = 20_000;
    let tenant = node().tenant().await;
    let with_table = |elements: usize| guest("i32.const 1024", &format!("(table {elements} funcref)"));
    passes(&wasm(&tenant, with_table(MOST)).await);
    let answer = tenant.upload("w", "wasm", with_table(MOST + 1)).await.expect(422).json();
    assert!(answer["code"] == "component-invalid" && answer["detail"].as_str().unwrap().contains("at most 20000"), "{answer}");
    let growing = |more: usize| {
        let grow =
            format!("(if (i32.eq (table.grow (ref.null func) (i32.const {more})) (i32.const -1)) (then unreachable)) i32.const 1024");
        guest(&grow, "(table 1 funcref)")
    };
    passes(&wasm(&tenant, growing(MOST - 1)).await);
    let tested = wasm(&tenant, growing(MOST)).await;
    assert_eq!(tested["fault"]["code"], "script-trapped", "{tested}");
}

#[tokio::test]
async fn edge_output_bytes() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "output_bytes").await;
    // What is given back is a text and its media type.
    let kind = "text/plain".len();
    let giving = |bytes: usize| format!("export default () => 'x'.repeat({});", bytes - kind);
    let whole = step(&tenant, &giving(most)).await;
    passes(&whole);
    assert_eq!(whole["payload"].as_str().map(str::len), Some(most - kind));
    fails(&step(&tenant, &giving(most + 1)).await, "output", most);
}

/// Apart from what it gives back, an invocation's own requests have as much together.
#[tokio::test]
async fn edge_output_bytes_of_requests() {
    let tenant = node().tenant_with(json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let most = limit(&tenant, "output_bytes").await;
    let sending = async |bytes: usize| {
        let body = format!("'x'.repeat({bytes})");
        let source = format!("export default async () => {{ await fetch('api:/x', {{ method: 'POST', body: {body} }}); return 'done'; }}");
        tenant.js("s", &source).await;
        tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
        tenant.run("f", json!({})).await
    };
    // Method, address and headers count as well.
    let used = sending(most).await.expect(422).json()["used"].as_u64().unwrap();
    let head = usize::try_from(used).unwrap() - most;
    let _ = sending(most - head).await.expect(200);
    assert_eq!(upstream.last().body.len(), most - head);
    refused(sending(most - head + 1).await, 422, "output", most);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn edge_log_bytes() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "log_bytes").await;
    // In pieces, since one line may have its own end.
    let logging = |bytes: usize| {
        format!(
            "export default () => {{ for (let left = {bytes}; left > 0; left -= 1024) console.log('x'.repeat(Math.min(left, 1024))); }}"
        )
    };
    let lines = |tested: &Value| {
        passes(tested);
        let lines: Vec<String> =
            tested["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
        lines
    };
    let whole = lines(&step(&tenant, &logging(most)).await);
    assert_eq!((whole.iter().map(String::len).sum::<usize>(), whole.len()), (most, most / 1024));
    // Not a fault: the last line says how much is missing.
    let more = lines(&step(&tenant, &logging(most + 1)).await);
    let marker = more.last().unwrap();
    assert!(marker.starts_with("1 bytes of log text were dropped") && marker.contains(&most.to_string()), "{marker}");
}

#[tokio::test]
async fn edge_host_calls() {
    let tenant = node().tenant_with(json!({"grants": {"fetch": true}, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let most = limit(&tenant, "host_calls").await;
    for (calls, passes) in [(most, true), (most + 1, false)] {
        let source = format!("export default async () => {{ for (let i = 0; i < {calls}; i++) await fetch('api:/x'); return 'done'; }}");
        tenant.js("s", &source).await;
        tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
        let before = upstream.requests().len();
        let answer = tenant.run("f", json!({})).await;
        assert_eq!(upstream.requests().len() - before, most, "{}", answer.text());
        if passes {
            let _ = answer.expect(200);
        } else {
            refused(answer, 422, "host-calls", most);
        }
    }
}

#[tokio::test]
async fn edge_source_bytes() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "source_bytes").await;
    let source = |bytes: usize| {
        let code = "export function preHook() {}\n//";
        format!("{code}{}", "x".repeat(bytes - code.len()))
    };
    let stored = tenant.upload("s", "javascript", source(most)).await.expect(201).json();
    assert_eq!(stored["source_bytes"].as_u64(), Some(most as u64));
    too_large(&tenant, "PUT /v1/scripts/s", "application/javascript", most, "source-size").await;
    // With what it imports.
    let library = format!("export const x = 1;\n//{}", "x".repeat(1_000));
    tenant.js("library", &library).await;
    let importing = |bytes: usize| {
        let code = "import 'script:library';\nexport function preHook() {}\n//";
        format!("{code}{}", "x".repeat(bytes - library.len() - code.len()))
    };
    let _ = tenant.upload("i", "javascript", importing(most)).await.expect(201);
    refused(tenant.upload("i", "javascript", importing(most + 1)).await, 413, "source-size", most);
}

#[tokio::test]
async fn edge_component_bytes() {
    let tenant = node().tenant().await;
    let most = limit(&tenant, "component_bytes").await;
    let component = ComponentEncoder::default().module(&guest("i32.const 1024", "")).unwrap().encode().unwrap();
    let stored = tenant.upload("w", "wasm", padded(&component, most)).await.expect(201).json();
    assert_eq!(stored["component_bytes"].as_u64(), Some(most as u64));
    passes(&tenant.test("w", 1, json!({"hook": "pre-hook", "arguments": {}})).await);
    too_large(&tenant, "PUT /v1/scripts/w", "application/wasm", most, "source-size").await;
}

/// A component with a section of zeroes that means nothing, so that it has so many bytes.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    // The section's number, its length in five bytes, the length of its name, and none.
    let length = bytes - component.len() - 6;
    let mut all = component.to_vec();
    all.push(0);
    let mut rest = length;
    for i in 0..5 {
        all.push(u8::try_from(rest & 0x7f).unwrap() | if i < 4 { 0x80 } else { 0 });
        rest >>= 7;
    }
    all.resize(bytes, 0);
    all
}

#[tokio::test]
async fn edge_request_body_bytes() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let most = limit(&tenant, "request_body_bytes").await;
    let body = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    let _ = tenant.call("api/x", body(most)).await.expect(200);
    assert_eq!(upstream.last().body.len(), most);
    too_large(&tenant, "POST /v1/call/api/x", "application/json", most, "too-large").await;
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn edge_response_body_bytes() {
    let (tenant, upstream) = tenant().await;
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let most = limit(&tenant, "response_body_bytes").await;
    upstream.on_request("/x", move |_| Answer::bytes(vec![b'x'; most]));
    assert_eq!(tenant.call("api/x", json!({})).await.expect(200).body.len(), most);
    upstream.on_request("/x", move |_| Answer::bytes(vec![b'x'; most + 1]));
    refused(tenant.call("api/x", json!({})).await, 502, "response-size", most);
}

#[tokio::test]
async fn edge_state_bytes() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    let most = limit(&tenant, "state_bytes").await;
    for (bytes, passes) in [(most, true), (most + 1, false)] {
        // A letter as the key, two quotes around the text, and what an entry itself is counted with.
        let text = bytes - 1 - 2 - 64;
        tenant.js("s", &format!("export function preHook(call, {{ state }}) {{ state.tenant.set('k', 'x'.repeat({text})); }}")).await;
        endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
        let answer = tenant.call("api/x", json!({})).await;
        if passes {
            assert!(messages(&tenant.record(&answer.expect(200)).await).is_empty());
        } else {
            refused(answer, 422, "state-size", most);
        }
    }
}

/// A component with a function of loops in loops, all of which use all of many locals. What its compiler needs of memory grows with their product, of
/// time with the square of the loops.
fn nested(loops: usize, locals: usize) -> Vec<u8> {
    let opened = "loop\n".repeat(loops);
    let worked: String = (0..locals).map(|at| format!("local.get {at} i32.const 1 i32.add local.set {}\n", (at + 1) % locals)).collect();
    let closed: String = (0..loops).map(|at| format!("local.get {} br_if 0 end\n", at % locals)).collect();
    guest("(call $heavy) i32.const 1024", &format!("(func $heavy (local {}) {opened}{worked}{closed})", "i32 ".repeat(locals)))
}

/// What a compiler needs is known no better than about, so these are no last units. The one that passes takes less than half of the memory and a
/// small part of the time, on a slow machine as well, and the ones that are refused would take a multiple.
async fn compiled_well(tenant: &Tenant) {
    let stored = tenant.upload("w", "wasm", nested(250, 8_000)).await.expect(201).json();
    assert_eq!(stored["hooks"], json!(["pre-hook"]), "{stored}");
}

#[tokio::test]
async fn edge_compile_memory_bytes() {
    let tenant = node().tenant().await;
    compiled_well(&tenant).await;
    refused(tenant.upload("w", "wasm", nested(4_000, 8_000)).await, 422, "compile", 512 << 20);
    compiled_well_again(&tenant).await;
}

#[tokio::test]
async fn edge_compile_cpu_s() {
    let tenant = node().tenant().await;
    compiled_well(&tenant).await;
    let problem = tenant.upload("w", "wasm", nested(8_000, 500)).await.expect(422).json();
    // Beside others a child may not come to ten seconds of a processor within the thirty that it has.
    assert!(problem["code"] == "compile" && matches!(problem["limit"].as_u64(), Some(10 | 30_000)), "{problem}");
    compiled_well_again(&tenant).await;
}

/// What was refused left everything as it was: the same is stored already, and is the only version.
async fn compiled_well_again(tenant: &Tenant) {
    let stored = tenant.upload("w", "wasm", nested(250, 8_000)).await.expect(200).json();
    assert_eq!(stored["version"], 1, "{stored}");
}
