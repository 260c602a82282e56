//! What one invocation leaves behind, no other finds.

use serde_json::json;

use crate::hostile_wasm::guest;
use crate::support::{endpoint, hooked, node, ok, tenant};

/// Marks everything a script can reach, and reports what it finds marked.
const MARKING: &str = "
    let closure = 0;
    const kept = { list: [] };
    export function preHook(call, context) {
        const found = [];
        if (globalThis.mark) found.push('global');
        if (Object.prototype.mark || Array.prototype.mark || Function.prototype.mark) found.push('prototype');
        if (closure) found.push('closure');
        if (kept.list.length) found.push('module');
        if (JSON.mark || Math.mark || console.mark) found.push('namespace');
        if (context.variables.mark || context.meta.mark) found.push('variables');
        if (Headers.prototype.mark || URL.mark || Promise.prototype.mark) found.push('platform');
        globalThis.mark = closure = call.arguments.secret;
        Object.prototype.mark = Array.prototype.mark = Function.prototype.mark = 1;
        JSON.mark = Math.mark = console.mark = Headers.prototype.mark = URL.mark = Promise.prototype.mark = 1;
        kept.list.push(call.arguments.secret);
        context.variables.mark = 'v';
        context.meta.mark = 'm';
        Array.prototype.push = () => { throw new Error('hijacked'); };
        return { found: found.join() };
    }";

#[tokio::test]
async fn a_thousand_invocations_find_nothing_of_each_other() {
    let (a, upstream) = hooked("pre-hook", MARKING).await;
    upstream.on("/x", ok());
    let b = node().tenant().await;
    b.js("s", MARKING).await;
    endpoint(&b, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    for i in 0..500 {
        for tenant in [&a, &b] {
            let _ = tenant.call("api/x", json!({"secret": format!("secret-{i}")})).await.expect(200);
        }
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 1000);
    for request in requests {
        assert_eq!(request.json(), json!({"found": ""}));
    }
}

/// A component that answers by a trap when it finds anything written where it writes: in its global, beside its data and in memory that it grew.
const DIRTYING: &str = r#"
    (local $at i32)
    (if (i32.or (global.get $count) (i32.load (i32.const 2048))) (then unreachable))
    (global.set $count (i32.const 1))
    (i32.store (i32.const 2048) (i32.const -1))
    (drop (memory.grow (i32.const 30)))
    (local.set $at (i32.const 131072))
    (loop $again
      (if (i32.load (local.get $at)) (then unreachable))
      (i32.store (local.get $at) (i32.const -1))
      (local.set $at (i32.add (local.get $at) (i32.const 1024)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 2000000))))
    i32.const 1024"#;

#[tokio::test]
async fn linear_memory_is_fresh_a_thousand_times() {
    let (a, upstream) = tenant().await;
    let b = node().tenant().await;
    upstream.on("/x", ok());
    for tenant in [&a, &b] {
        tenant.script("s", "wasm", guest(DIRTYING, "(global $count (mut i32) (i32.const 0))")).await;
        endpoint(tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    }
    for _ in 0..500 {
        for tenant in [&a, &b] {
            let _ = tenant.call("api/x", json!({})).await.expect(200);
        }
    }
}
