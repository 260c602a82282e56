//! WebAssembly that means harm, at upload and at invocation.

use serde_json::json;
use snaphook_testkit::Upstream;
use snaphook_tests::Tenant;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem};

/// A core module with a `pre-hook` of this body, which gets a pointer to its arguments and gives one to its result; `rest` adds to the module.
/// Zeroes at the result mean: go on with the arguments as they are.
pub(crate) fn guest(body: &str, rest: &str) -> Vec<u8> {
    with_metadata(&format!(
        r#"(module
            (memory (export "memory") 2)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
            {rest}
            (func (export "snaphook:hook/pre-hook@0.1.0#pre-hook") (param i32) (result i32) {body}))"#
    ))
}

fn with_metadata(text: &str) -> Vec<u8> {
    with_metadata_of("pre-hook", text)
}

/// A core module that exports a hook, with what a compiler to components must know.
pub(crate) fn with_metadata_of(hook: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the module's text is right");
    let mut resolve = Resolve::default();
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/wit");
    let (package, _) = resolve.push_dir(wit).expect("the contract parses");
    let world = format!("package test:guest; world guest {{ include snaphook:hook/host@0.1.0; export snaphook:hook/{hook}@0.1.0; }}");
    let own = resolve.push_str("guest.wit", &world).expect("the world's text is right");
    let world = resolve.select_world(&[own, package], Some("test:guest/guest")).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the module takes a section");
    module
}

async fn tenant() -> (Tenant, Upstream) {
    let document =
        json!({"limits": {"fuel": 100_000_000, "wall_ms": 60_000, "memory_bytes": 16 << 20}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    (node().tenant_with(document).await, upstream)
}

async fn fault(name: &str, wasm: Vec<u8>, code: &str) {
    let (tenant, upstream) = tenant().await;
    tenant.script("s", "wasm", wasm).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let (answer, ()) = tokio::join!(tenant.call("api/x", json!({"a": 1})), neighbour_is_answered());
    assert_eq!(problem(&answer).0, code, "{name}: {}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_harmless_component_runs() {
    let (tenant, upstream) = tenant().await;
    tenant.script("s", "wasm", guest("i32.const 1024", "")).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let _ = tenant.call("api/x", json!({"a": 1})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"a": 1}));
}

#[tokio::test]
async fn components_that_misbehave_get_their_fault() {
    let looping = "(loop br 0) unreachable";
    let growing = "(loop (drop (memory.grow (i32.const 16))) (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536))) br 0) unreachable";
    let grow_or_trap = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let recursion = "(func $r (param i32) (result i32) (i32.add (i32.const 1) (call $r (local.get 0))))";
    let cases = [
        ("endless loop", guest(looping, ""), "fuel"),
        ("endless start function", guest("i32.const 1024", &format!("(func $start {}) (start $start)", "(loop br 0)")), "fuel"),
        ("unreachable", guest("unreachable", ""), "script-trapped"),
        ("endless recursion", guest("(call $r (i32.const 0))", recursion), "script-trapped"),
        ("memory to the end", guest(grow_or_trap, ""), "memory"),
        ("memory, written for ever", guest(growing, ""), "fuel"),
        ("result outside of memory", guest("i32.const -16", ""), "script-contract"),
        ("result that is not aligned", guest("i32.const 1025", ""), "script-contract"),
        // ok · call · some list at 65536 of 200 MB, which is not there. What follows a tag lies eight bytes further: a decision may hold an i64.
        (
            "list outside of memory",
            guest(
                "(i32.store8 (i32.const 1040) (i32.const 1)) (i32.store (i32.const 1044) (i32.const 65536)) (i32.store (i32.const 1048) (i32.const 200000000)) i32.const 1024",
                "",
            ),
            "script-contract",
        ),
        ("decision that does not exist", guest("(i32.store8 (i32.const 1032) (i32.const 9)) i32.const 1024", ""), "script-contract"),
        ("division by zero", guest("(i32.div_u (i32.const 1) (i32.const 0))", ""), "script-trapped"),
        (
            "table to the end",
            guest(
                "(loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 100000)) (i32.const -1)))) unreachable",
                "(table 1 funcref)",
            ),
            "script-trapped",
        ),
    ];
    for (name, wasm, code) in cases {
        fault(name, wasm, code).await;
    }
}

#[tokio::test]
async fn uploads_that_are_no_component_of_ours_are_refused() {
    let (tenant, _) = tenant().await;
    let whole = guest("i32.const 1024", "");
    let component = |text: &str| wat::parse_str(text).expect("the component's text is right");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "component-invalid"),
        ("garbage", vec![0x55; 4096], "component-invalid"),
        ("a header alone", b"\0asm\x0d\0\x01\0".to_vec(), "script-no-hook"),
        ("half of it", whole[..whole.len() / 2].to_vec(), "component-invalid"),
        ("a module without metadata", wat::parse_str("(module)").unwrap(), "component-invalid"),
        ("a core import", with_metadata_text(r#"(import "env" "f" (func))"#), "component-invalid"),
        ("sockets", component(r#"(component (import "wasi:sockets/network@0.2.0" (instance)))"#), "component-imports"),
        (
            "another world",
            component(r#"(component (import "evil:host/shell@1.0.0" (instance (export "run" (func)))))"#),
            "component-imports",
        ),
        ("the interpreter", component(r#"(component (import "interpreter-h0123456789abcdef" (core module)))"#), "component-imports"),
        ("no hook", component("(component)"), "script-no-hook"),
        ("a table past every limit", guest("i32.const 1024", "(table 100000000 funcref)"), "component-invalid"),
        ("a memory past every limit", wat_memory(65536), "component-invalid"),
        (
            "more core instances than a sandbox has",
            component(&format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(25))),
            "component-invalid",
        ),
        (
            "a hook of another type",
            component(
                r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f"))) (instance $h (export "pre-hook" (func $f))) (export "snaphook:hook/pre-hook@0.1.0" (instance $h)))"#,
            ),
            "component-invalid",
        ),
    ];
    for (name, wasm, code) in cases {
        let (answer, ()) = tokio::join!(tenant.upload("s", "wasm", wasm), neighbour_is_answered());
        assert_eq!(problem(&answer).0, code, "{name}: {}", answer.text());
    }
    let listed = tenant.client.get("/v1/scripts").await.expect(200).json();
    assert_eq!(listed["items"], json!([]), "nothing of it was kept");
}

/// A guest whose module has one more import.
fn with_metadata_text(import: &str) -> Vec<u8> {
    with_metadata(&format!(
        r#"(module {import} (memory (export "memory") 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "snaphook:hook/pre-hook@0.1.0#pre-hook") (param i32) (result i32) i32.const 1024))"#
    ))
}

fn wat_memory(pages: u32) -> Vec<u8> {
    with_metadata(&format!(
        r#"(module (memory (export "memory") {pages}) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "snaphook:hook/pre-hook@0.1.0#pre-hook") (param i32) (result i32) i32.const 1024))"#
    ))
}

#[tokio::test]
async fn wasm_that_makes_the_compiler_suffer_spends_the_budget_of_its_child() {
    // One function with thousands of values alive at once across nested loops: register allocation has a hard time with it.
    let locals = 3000;
    let mut body = String::new();
    for round in 0..40_usize {
        body.push_str("(loop ");
        for i in 0..locals {
            let (a, b) = ((i * 7 + round) % locals, (i * 13 + 5) % locals);
            body.push_str(&format!("(local.set {i} (i64.add (i64.mul (local.get {a}) (local.get {b})) (i64.const {round})))"));
        }
        body.push_str("(br_if 0 (i64.eqz (local.get 0)))");
    }
    body.push_str(&")".repeat(40));
    let function = format!("(func $heavy (local {}) {body})", "i64 ".repeat(locals));
    let wasm = guest("(call $heavy) i32.const 1024", &function);
    let (tenant, _) = tenant().await;
    let (answer, ()) = tokio::join!(tenant.upload("s", "wasm", wasm), async {
        for _ in 0..5 {
            neighbour_is_answered().await;
        }
    });
    assert_eq!(problem(&answer).0, "compile", "{}", answer.text());
}
