//! The same script on the same input: the same output and the same fuel.

use serde_json::json;

use crate::support::node;

#[tokio::test]
async fn the_same_input_gives_the_same_output_and_fuel_a_hundred_times() {
    let tenant = node().tenant().await;
    let source = "export async function preHook(call, context) {
        const begun = Date.now();
        const seen = { random: [Math.random(), Math.random()], uuid: crypto.randomUUID(), bytes: [...crypto.getRandomValues(new Uint8Array(8))] };
        await new Promise(done => setTimeout(done, 5));
        seen.later = Date.now() - begun;
        seen.sorted = Object.keys(call.arguments).sort();
        seen.hash = [...new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(call.arguments))))];
        for (const key in call.arguments) context.variables[key] = call.arguments[key];
        return seen;
    }";
    let version = tenant.js("s", source).await;
    let body = json!({"hook": "pre-hook", "arguments": {"b": [1, 2, {"c": "ü"}], "a": null}});
    let result = |value: serde_json::Value| {
        (
            value["decision"].clone(),
            value["payload"].clone(),
            value["arguments"].clone(),
            value["usage"]["fuel"].clone(),
            value["usage"]["memory_bytes"].clone(),
        )
    };
    let first = tenant.test("s", version, body.clone()).await;
    assert!(first["fault"].is_null(), "{first}");
    let first = result(first);
    for _ in 0..100 {
        assert_eq!(result(tenant.test("s", version, body.clone()).await), first);
    }
}
