//! What one invocation leaves behind, no other finds.

use serde_json::json;

use crate::support::{endpoint, hooked, node, ok};

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

#[tokio::test]
async fn linear_memory_is_fresh_each_time() {
    // Scans its own memory for what an earlier invocation wrote: typed arrays are not cleared by the script, only by the sandbox.
    let source = "export function preHook(call) {
        const needle = call.arguments.needle;
        const block = new Uint8Array(new ArrayBuffer(4 << 20));
        let dirty = 0;
        for (let i = 0; i < block.length; i += 97) if (block[i] !== 0) dirty++;
        block.fill(needle);
        return { dirty };
    }";
    let (a, upstream) = hooked("pre-hook", source).await;
    upstream.on("/x", ok());
    for i in 1..=20 {
        let _ = a.call("api/x", json!({"needle": i})).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"dirty": 0}));
    }
}
