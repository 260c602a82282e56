//! Scripts and components that mean harm: each gets its fault, and a neighbour is answered meanwhile.

use serde_json::{Value, json};
use snaphook_testkit::Upstream;

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem};

/// Runs a hostile `pre-hook` while a neighbour calls, and expects one of the codes.
async fn fault(source: &str, codes: &[&str]) {
    let document =
        json!({"limits": {"fuel": 200_000_000, "wall_ms": 5000, "memory_bytes": 16 << 20}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let tenant = node().tenant_with(document).await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    tenant.js("s", source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let (answer, ()) = tokio::join!(tenant.call("api/x", json!({"a": 1})), neighbour_is_answered());
    assert!(codes.contains(&problem(&answer).0.as_str()), "expected {codes:?}, got {}: {}", answer.status, answer.text());
    assert_eq!(upstream.requests().len(), 0, "a hook that failed lets nothing out");
    neighbour_is_answered().await;
}

/// A `pre-hook` with this body.
fn hook(body: &str) -> String {
    format!("export function preHook(call, context) {{ {body} }}")
}

#[tokio::test]
async fn endless_loops_spend_their_fuel() {
    let loops = [
        "while (true) {}",
        "for (;;) { Math.sqrt(2); }",
        "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
        "JSON.parse('[' + '1,'.repeat(50) + '1]', function () { for (;;) {} });",
        "[3, 2, 1].sort(() => { for (;;) {} });",
        "const p = new Proxy({}, { get() { for (;;) {} } }); p.x;",
        "const o = { get a() { return this.a; } }; while (true) { try { o.a; } catch {} }",
        "while (true) { try { throw 1; } catch {} finally { continue; } }",
        "function* g() { while (true) yield 1; } for (const x of g()) {}",
        "const a = []; a.length = 4294967295; a.indexOf(1);",
        "'x'.repeat(1000).replace(/x/g, () => { for (;;) {} });",
    ];
    for body in loops {
        fault(&hook(body), &["fuel", "deadline"]).await;
    }
}

#[tokio::test]
async fn memory_bombs_meet_their_limit() {
    let bombs = [
        "const a = []; for (;;) a.push({});",
        "let s = 'x'; for (;;) s += s;",
        "return { a: new Uint8Array(1 << 30).length };",
        "const a = []; for (;;) a.push('x'.repeat(100000) + a.length);",
        "new Array(200000000).fill({});",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]);",
        "let o = {}; for (;;) o = { o, p: new Array(100).fill(o) };",
        "return JSON.parse('[' + '[],'.repeat(5000000) + '[]]');",
    ];
    for body in bombs {
        fault(&hook(body), &["memory", "fuel", "script-threw"]).await;
    }
}

#[tokio::test]
async fn deep_recursion_is_an_exception() {
    for body in [
        "const f = () => f(); f();",
        "let o = {}; for (let i = 0; i < 100000; i++) o = { o }; return JSON.stringify(o).length;",
        "return JSON.parse('['.repeat(1000000));",
        "new RegExp('('.repeat(100000) + ')'.repeat(100000));",
        "const a = []; a.toString = () => a + ''; a + '';",
        "let p = {}; for (let i = 0; i < 100000; i++) p = Object.create(p); structuredClone([p]); const f = () => [f()]; f();",
        "const e = eval; let s = '1'; for (let i = 0; i < 20000; i++) s = '(' + s + ')'; e(s); const g = () => [g()]; g();",
    ] {
        fault(&hook(body), &["script-threw", "memory", "fuel"]).await;
    }
}

#[tokio::test]
async fn promises_that_never_settle_are_found() {
    fault("export async function preHook() { await new Promise(() => {}); }", &["never-settles"]).await;
    fault(
        "export async function preHook() { const again = () => Promise.resolve().then(again); await again(); }",
        &["fuel", "deadline", "memory"],
    )
    .await;
    fault("export async function preHook() { for (;;) await null; }", &["fuel", "deadline"]).await;
    fault("export async function preHook() { for (;;) await new Promise(done => setTimeout(done, 1000)); }", &["deadline", "fuel"]).await;
    fault("export async function preHook() { await new Promise(done => setTimeout(done, 60_000)); }", &["deadline"]).await;
    fault("export function preHook() { return { then() { for (;;) {} } }; }", &["fuel", "deadline"]).await;
}

#[tokio::test]
async fn output_and_log_floods_are_bounded() {
    fault(&hook("return { a: 'x'.repeat(7 << 20) };"), &["output", "memory", "fuel"]).await;
    fault(&hook("for (;;) context.log.info('x'.repeat(10000));"), &["fuel", "deadline"]).await;
    fault(
        &hook("for (;;) context.variables['k' + Math.random()] = 'x'.repeat(1000);"),
        &["fuel", "script-threw", "memory", "script-contract"],
    )
    .await;
}

#[tokio::test]
async fn scripts_that_break_the_platform_hurt_themselves() {
    for body in [
        "delete globalThis.JSON; Object.prototype.toJSON = () => { throw new Error('mine'); }; return { a: 1 };",
        "Array.prototype[Symbol.iterator] = null; Object.defineProperty(Object.prototype, 'arguments', { get() { throw new Error('mine'); } }); throw new Error('mine');",
        "Promise.prototype.then = 5; Object.freeze(globalThis); throw new Error('mine');",
        "throw { get message() { throw new Error('again'); }, toString() { throw new Error('and again'); } };",
        "throw null;",
        "throw Object.create(null);",
        "Error.prepareStackTrace = () => { throw 1; }; Error.stackTraceLimit = 1e9; throw new Error('mine');",
    ] {
        fault(&hook(body), &["script-threw", "script-contract"]).await;
    }
}

#[tokio::test]
async fn uploads_that_do_harm_at_deploy_are_refused() {
    let tenant = node().tenant().await;
    let cases = [
        ("while (true) {}\nexport function preHook() {}", &["compile"][..]),
        ("const a = []; for (;;) a.push(new Array(1e6).fill(1));\nexport function preHook() {}", &["compile", "script-compile"]),
        ("await new Promise(() => {});\nexport function preHook() {}", &["script-compile", "script-syntax", "compile"]),
        ("const f = () => f(); f();\nexport function preHook() {}", &["script-compile"]),
        ("import fs from 'fs';\nexport function preHook() {}", &["script-syntax", "script-compile"]),
        ("export const preHook = 5;", &["script-no-hook", "script-compile"]),
    ];
    for (source, codes) in cases {
        let (answer, ()) = tokio::join!(tenant.upload("s", "javascript", source), neighbour_is_answered());
        assert!(codes.contains(&problem(&answer).0.as_str()), "{source}: {}", answer.text());
    }
    // Text that makes a parser recurse or a compiler suffer.
    for source in ["[".repeat(500_000), format!("export function preHook() {{ return {}1{}; }}", "(".repeat(200_000), ")".repeat(200_000))]
    {
        let (answer, ()) = tokio::join!(tenant.upload("s", "typescript", source), neighbour_is_answered());
        assert!(matches!(problem(&answer).0.as_str(), "script-syntax" | "compile" | "script-compile"), "{}", answer.text());
    }
    let listed = tenant.client.get("/v1/scripts").await.expect(200).json();
    assert_eq!(listed["items"], Value::Array(vec![]), "nothing of it was kept");
}
