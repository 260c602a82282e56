//! The same of guests that cannot wait: hooks, scripts that were brought along, and a component that is no script. Each loops until its time is over, and
//! its memory is read while it does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{NodeProcess, Response, Tenant};

use super::{assert_clean, guests, holds, repeating, stored};
use crate::canary::{Search, secrets};
use crate::hostile_wasm::with_metadata_of;
use crate::support::{node, problem};

/// Long enough to be looked at on a busy machine.
const WALL_MS: u64 = 3_000;
/// Until a guest is there that loops.
const PATIENCE: Duration = Duration::from_secs(30);

const HOOK: &str = "
    export function postRequest(response, context) {
        const held = [JSON.stringify(context.connection), response.text(), JSON.stringify([...response.headers]), response.bytes()];
        held.push(['m4rk', context.parms.number, 'er'].join('-'));
        for (;;) held.length;
    }
";

const PATCHWORKS: &str = "
    function handle(data) {
        const held = [JSON.stringify(data), JSON.stringify(data.response.headers), ['m4rk', data.variables.number, 'er'].join('-')];
        for (;;) held.length;
    }
";

const PRISMATIC: &str = "
    module.exports = async ({ configVars }, stepResults) => {
        const held = [JSON.stringify(configVars.looping), ['m4rk', stepResults.trigger.results.number, 'er'].join('-')];
        for (;;) held.length;
    };
";

/// Of a connection it is given nothing but what the upstream repeats.
const BRAINCLOUD: &str = "
    function main() {
        var held = [JSON.stringify(data), JSON.stringify(data.message), ['m4rk', data.parms.number, 'er'].join('-')];
        for (;;) held.length;
    }
    main();
";

/// A component whose memory gets whatever its hook is given, and then its mark, which is in no data of it. Its data is there so that its memory is known
/// as one that has an image.
fn component(mark: &str) -> Vec<u8> {
    let mark = i64::from_le_bytes(mark.as_bytes().try_into().expect("a mark of eight letters"));
    with_metadata_of(
        "post-request",
        &format!(
            r#"(module
                (memory (export "memory") 8)
                (data (i32.const 64) "some data")
                (global $next (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    global.get $next
                    (global.set $next
                        (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 15)) (i32.const -16))))
                (func (export "snaphook:hook/post-request@0.1.0#post-request") (param i32) (result i32)
                    (i64.store (i32.const 32) (i64.const {mark}))
                    (loop br 0) unreachable))"#
        ),
    )
}

/// Gives the memory of all guests when one of them has made its mark. What it belongs to must end since its time is over.
async fn looked_at(own: &NodeProcess, mark: &str, running: impl Future<Output = Response>) -> Vec<u8> {
    let look = async {
        let begun = Instant::now();
        loop {
            let memory = guests(own.pid());
            if holds(&memory, mark) {
                return memory;
            }
            assert!(begun.elapsed() < PATIENCE, "no guest has made `{mark}`");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (answer, memory) = tokio::join!(running, look);
    assert_eq!(problem(&answer).0, "deadline", "{}", answer.text());
    memory
}

/// A script at a hook after a request that brings all of its connection to the upstream, which repeats it in its answer's body and headers. brainCloud
/// knows no other hook there than the one after the whole call.
async fn bound(tenant: &Tenant, upstream: &Upstream, script: &str, number: usize) {
    let all = "{{ connection.api_key }} {{ connection.api_secret }}{{ connection.password }}{{ connection.access_token }}";
    let hook = if script == "braincloud" { "post-hook" } else { "post-request" };
    let hooks = json!({hook: [{"script": script, "parms": {"number": number}}]});
    let endpoint = json!({"method": "POST", "path": "/loud", "headers": {"x-secret": all}, "data": {"all": all}, "hooks": hooks});
    tenant.connector("api", json!({"base_url": upstream.url(""), "connection": "looping", "endpoints": {"x": endpoint}})).await;
}

fn connections(upstream: &Upstream, secrets: &[String]) -> [Value; 3] {
    let fields = json!({"authorize_url": upstream.url("/authorize"), "token_url": upstream.url("/token"), "client_id": "id", "client_secret": secrets[3]});
    [
        json!({"kind": "api-key-secret", "fields": {"api_key": secrets[0], "api_secret": secrets[1]}}),
        json!({"kind": "basic", "fields": {"username": "ada", "password": secrets[2]}}),
        json!({"kind": "oauth2-authorization-code", "fields": fields}),
    ]
}

#[tokio::test]
async fn no_memory_of_a_guest_that_cannot_wait_holds_a_secret() {
    let own = NodeProcess::start_like(node());
    let (upstream, tokens) = repeating().await;
    upstream.on_request("/loud", |request| {
        let repeated = request.header("x-secret").unwrap_or_default().to_owned();
        let authorization = request.header("authorization").unwrap_or_default();
        Answer::json(json!({"body": request.text(), "authorization": authorization})).header("x-echo", repeated)
    });
    // Those of the end may stand in a header.
    let secrets = secrets().split_off(36);
    let mut number = 0;
    for connection in connections(&upstream, &secrets) {
        let limits = json!({"fuel": 1_000_000_000_000_u64, "wall_ms": WALL_MS});
        let tenant = own.tenant_with(json!({"limits": limits, "egress": {"allow_private": ["127.0.0.0/8"]}})).await;
        stored(&tenant, "looping", &connection).await;
        tenant.js("hook", HOOK).await;
        tenant.brought("patchworks", "patchworks", PATCHWORKS).await;
        tenant.brought("prismatic", "prismatic", PRISMATIC).await;
        tenant.brought("braincloud", "braincloud", BRAINCLOUD).await;
        tenant.flow("f", json!({"steps": [{"script": "prismatic", "connection": "looping"}]})).await;
        for script in ["hook", "patchworks", "prismatic", "braincloud", "component"] {
            number += 1;
            let mark = if script == "component" { format!("m4rk{number:04}") } else { format!("m4rk-{number}-er") };
            if script == "component" {
                tenant.script(script, "wasm", component(&mark)).await;
            }
            bound(&tenant, &upstream, if script == "prismatic" { "hook" } else { script }, number).await;
            let memory = match script {
                "prismatic" => looked_at(&own, &mark, tenant.run("f", json!({"number": number}))).await,
                _ => looked_at(&own, &mark, tenant.call("api/x", json!({}))).await,
            };
            assert!(holds(&memory, "sealed:"), "the memory of {script} holds nothing that it was given");
            let search = Search::new(&[&secrets[..], &tokens.all(&upstream)[..]].concat());
            assert_clean(&search, &format!("the memory of {script} with {connection}"), memory);
        }
    }
}
