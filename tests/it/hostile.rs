//! Scripts and components that mean harm: each gets its fault, and a neighbour is answered meanwhile.

use serde_json::{Value, json};
use snaphook_testkit::Upstream;

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem};

/// Runs hostile scripts at `pre-hook` one after another, each while a neighbour calls, and expects of each its own fault. What should end for
/// another reason than its fuel has more of it than it can use, and what should not end for its time has enough, so that no fault depends on how
/// busy the machine is.
async fn faults(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (code, source) in cases {
        let (fuel, wall_ms) = match *code {
            "fuel" => (200_000_000_u64, 60_000),
            "deadline" => (20_000_000_000, 1000),
            _ => (20_000_000_000, 60_000),
        };
        let limits = json!({"fuel": fuel, "wall_ms": wall_ms, "memory_bytes": 16 << 20, "output_bytes": 1 << 20});
        let tenant = node().tenant_with(json!({"limits": limits, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
        let upstream = Upstream::start().await;
        upstream.on("/x", ok());
        tenant.js("s", source).await;
        endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
        let (answer, ()) = tokio::join!(tenant.call("api/x", json!({"a": 1})), neighbour_is_answered());
        if problem(&answer).0 != *code {
            wrong.push(format!("{source}: expected `{code}`, got {}", answer.text()));
        }
        assert_eq!(upstream.requests().len(), 0, "a hook that failed lets nothing out");
        neighbour_is_answered().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same for bodies of a `pre-hook`.
async fn hook_faults(cases: &[(&str, &str)]) {
    let hooks: Vec<(&str, String)> = cases.iter().map(|(code, body)| (*code, hook(body))).collect();
    faults(&hooks.iter().map(|(code, source)| (*code, source.as_str())).collect::<Vec<_>>()).await;
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
    hook_faults(&loops.map(|body| ("fuel", body))).await;
}

#[tokio::test]
async fn memory_bombs_meet_their_limit() {
    hook_faults(&[
        ("memory", "const a = []; for (;;) a.push({});"),
        ("script-threw", "let s = 'x'; for (;;) s += s;"),
        ("memory", "return { a: new Uint8Array(1 << 30).length };"),
        ("memory", "const a = []; for (;;) a.push('x'.repeat(100000) + a.length);"),
        ("memory", "new Array(200000000).fill({});"),
        ("memory", "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]);"),
        ("memory", "let o = {}; for (;;) o = { o, p: new Array(100).fill(o) };"),
        ("memory", "return JSON.parse('[' + '[],'.repeat(5000000) + '[]]');"),
    ])
    .await;
}

#[tokio::test]
async fn deep_recursion_is_an_exception() {
    hook_faults(&[
        ("script-threw", "const f = () => f(); f();"),
        ("script-threw", "let o = {}; for (let i = 0; i < 100000; i++) o = { o }; return JSON.stringify(o).length;"),
        ("script-threw", "return JSON.parse('['.repeat(1000000));"),
        ("script-threw", "new RegExp('('.repeat(100000) + ')'.repeat(100000));"),
        ("script-threw", "const a = []; a.toString = () => a + ''; a + '';"),
        ("memory", "let p = {}; for (let i = 0; i < 100000; i++) p = Object.create(p); structuredClone([p]); const f = () => [f()]; f();"),
        (
            "script-threw",
            "const e = eval; let s = '1'; for (let i = 0; i < 20000; i++) s = '(' + s + ')'; e(s); const g = () => [g()]; g();",
        ),
    ])
    .await;
}

#[tokio::test]
async fn promises_that_never_settle_are_found() {
    faults(&[
        ("never-settles", "export async function preHook() { await new Promise(() => {}); }"),
        ("fuel", "export async function preHook() { const again = () => Promise.resolve().then(again); await again(); }"),
        ("fuel", "export async function preHook() { for (;;) await null; }"),
        ("deadline", "export async function preHook() { for (;;) await new Promise(done => setTimeout(done, 1000)); }"),
        ("deadline", "export async function preHook() { await new Promise(done => setTimeout(done, 60_000)); }"),
        ("fuel", "export function preHook() { return { then() { for (;;) {} } }; }"),
    ])
    .await;
}

#[tokio::test]
async fn output_and_log_floods_are_bounded() {
    hook_faults(&[
        ("output", "return { a: 'x'.repeat(2 << 20) };"),
        ("fuel", "for (;;) context.log.info('x'.repeat(10000));"),
        ("script-threw", "for (;;) context.variables['k' + Math.random()] = 'x'.repeat(1000);"),
    ])
    .await;
}

#[tokio::test]
async fn scripts_that_break_the_platform_hurt_themselves() {
    let breaking = [
        "delete globalThis.JSON; Object.prototype.toJSON = () => { throw new Error('mine'); }; return { a: 1 };",
        "Array.prototype[Symbol.iterator] = null; Object.defineProperty(Object.prototype, 'arguments', { get() { throw new Error('mine'); } }); throw new Error('mine');",
        "Promise.prototype.then = 5; Object.freeze(globalThis); throw new Error('mine');",
        "throw { get message() { throw new Error('again'); }, toString() { throw new Error('and again'); } };",
        "throw null;",
        "throw Object.create(null);",
        "Error.prepareStackTrace = () => { throw 1; }; Error.stackTraceLimit = 1e9; throw new Error('mine');",
    ];
    hook_faults(&breaking.map(|body| ("script-threw", body))).await;
}

#[tokio::test]
async fn uploads_that_do_harm_at_deploy_are_refused() {
    let tenant = node().tenant().await;
    let cases = [
        ("while (true) {}\nexport function preHook() {}", "compile"),
        ("const a = []; for (;;) a.push(new Array(1e6).fill(1));\nexport function preHook() {}", "compile"),
        ("await new Promise(() => {});\nexport function preHook() {}", "script-compile"),
        ("const f = () => f(); f();\nexport function preHook() {}", "script-compile"),
        ("import fs from 'fs';\nexport function preHook() {}", "script-compile"),
        ("export const preHook = 5;", "script-compile"),
    ];
    for (source, code) in cases {
        let (answer, ()) = tokio::join!(tenant.upload("s", "javascript", source), neighbour_is_answered());
        assert_eq!(problem(&answer).0, code, "{source}: {}", answer.text());
    }
    // Text that makes a parser recurse or a compiler suffer.
    let nested = format!("export function preHook() {{ return {}1{}; }}", "(".repeat(200_000), ")".repeat(200_000));
    for (source, code) in [("[".repeat(500_000), "compile"), (nested, "compile")] {
        let (answer, ()) = tokio::join!(tenant.upload("s", "typescript", source), neighbour_is_answered());
        assert_eq!(problem(&answer).0, code, "{}", answer.text());
    }
    let listed = tenant.client.get("/v1/scripts").await.expect(200).json();
    assert_eq!(listed["items"], Value::Array(vec![]), "nothing of it was kept");
}
