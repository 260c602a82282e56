//! What deleted versions leave behind, and what they must not take along: compiled code, and scripts that queued runs need.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Upstream};
use snaphook_tests::{Client, NodeProcess};

use crate::hostile_wasm::guest;
use crate::support::{endpoint, node, ok, problem, tenant};

/// Names of the files of compiled code.
fn code(node: &NodeProcess) -> BTreeSet<String> {
    let files = std::fs::read_dir(node.data_dir().join("code")).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".cwasm")).collect()
}

/// Waits until the files are these: a node sweeps beside its other work.
async fn becomes(node: &NodeProcess, expected: &BTreeSet<String>) {
    for _ in 0..200 {
        if code(node) == *expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(&code(node), expected);
}

#[tokio::test]
async fn compiled_code_goes_with_the_last_version_that_needs_it() {
    let mut own = NodeProcess::start_like(node());
    let (a, b) = (own.tenant().await, own.tenant().await);
    let wasm = guest("i32.const 1024", "");
    a.script("s", "wasm", wasm.clone()).await;
    let shared = code(&own);
    assert_eq!(shared.len(), 1);
    a.script("again", "wasm", wasm.clone()).await;
    b.script("s", "wasm", wasm).await;
    assert_eq!(code(&own), shared, "the same component is kept once");
    a.js("j", "export function preHook() { return { made: 1 }; }").await;
    assert_eq!(code(&own).len(), 2);

    // One of three who have it deletes it, then the second; the third still runs it without compiling again.
    for script in ["s", "again"] {
        let _ = a.client.delete(&format!("/v1/scripts/{script}/versions/1")).await.expect(204);
        assert!(code(&own).is_superset(&shared));
    }
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    endpoint(&b, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let _ = b.call("api/x", json!({})).await.expect(200);
    let _ = a.client.delete("/v1/scripts/j/versions/1").await.expect(204);
    assert_eq!(code(&own), shared);

    // A tenant takes its code along.
    let _ = own.operator().delete(&format!("/v1/tenants/{}", b.name)).await.expect(204);
    becomes(&own, &BTreeSet::new()).await;

    // What a killed node left is swept at the next start, what is needed stays.
    a.js("kept", "export function preHook() { return { made: 2 }; }").await;
    let kept = code(&own);
    let file = |name: &str| own.data_dir().join("code").join(name);
    std::fs::copy(file(kept.first().unwrap()), file(&format!("{}.cwasm", "0".repeat(64)))).unwrap();
    assert_eq!(code(&own).len(), 2);
    own.restart();
    becomes(&own, &kept).await;
    let client = Client::new(own.url(), a.client.token.as_deref());
    let test = client.post("/v1/scripts/kept/versions/1/test", &json!({"hook": "pre-hook"})).await.expect(200).json();
    assert_eq!(test["arguments"], json!({"made": 2}), "{test}");
}

#[tokio::test]
async fn a_queued_run_keeps_the_script_of_its_flows_version() {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", Answer::status(500)).on("/other", ok());
    tenant.js("sign", "export function preRequest(request) { request.headers.set('x-signed', 'one'); }").await;
    let step = json!({"url": upstream.url("/x"), "status_code": [200], "hooks": {"pre-request": [{"script": "sign"}]}});
    tenant.flow("f", json!({"retry": {"attempts": 1, "delay_s": 2}, "steps": [step]})).await;
    let failed = tenant.run("f", Value::Null).await.expect(502);
    let queued = failed.json()["retry_run"].as_str().expect("another run is queued").to_owned();

    // The flow's latest version does not bind it any more; the queued run is of the one before.
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/other")}]})).await;
    let refused = tenant.client.delete("/v1/scripts/sign/versions/1").await.expect(409);
    let (code, detail) = problem(&refused);
    assert_eq!(code, "script-bound");
    assert!(detail.contains("queued runs of flow f, version 1, steps[0].hooks.pre-request[0]"), "{detail}");

    upstream.on("/x", ok());
    let run = loop {
        let run = tenant.client.get(&format!("/v1/runs/{queued}")).await.expect(200).json();
        match run["status"].as_str() {
            Some("queued" | "running") => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => break run,
        }
    };
    assert_eq!((run["status"].as_str(), run["flow_version"].as_u64()), (Some("succeeded"), Some(1)), "{run}");
    assert_eq!(upstream.last().header("x-signed"), Some("one"));
    let _ = tenant.client.delete("/v1/scripts/sign/versions/1").await.expect(204);
    let _ = tenant.client.get("/v1/flows/f/versions/1").await.expect(200);
}
