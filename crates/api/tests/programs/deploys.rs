//! Uploads: versions, bindings, calls, and what is refused.

use insta::assert_snapshot;
use serde_json::json;
use snaphook_testkit::{Answer, Upstream};

use crate::engine::node;

const JS: &str = "application/javascript";

pub(crate) async fn an_upload_becomes_a_version_and_is_called() {
    let node = node().await;
    let (acme, upstream) = (node.tenant("acme").await, Upstream::start().await);
    upstream.on("/send", Answer::json(json!({"ok": true})));
    let source = "export function preHook(call, context) { call.arguments.added = context.parms.value; }";
    let created = acme.upload("/v1/scripts/add?dialect=native", JS, source).await.expect(201).json();
    assert_eq!((created["version"].as_u64(), &created["hooks"], created["kind"].as_str()), (Some(1), &json!(["pre-hook"]), Some("script")));
    assert!(created["deploy_ms"].is_u64() && created["component_bytes"].as_u64().unwrap() > 1000, "{created}");
    let again = acme.upload("/v1/scripts/add", JS, source).await.expect(200).json();
    assert_eq!((&again["version"], &again["hash"]), (&created["version"], &created["hash"]));
    assert_eq!(acme.get("/v1/scripts/add/versions/1/source").await.text(), source);
    assert!(acme.get("/v1/scripts/add/versions/1/component").await.body.starts_with(b"\0asm"));

    let hooks = json!({"pre-hook": [{"script": "add", "parms": {"value": 7}}]});
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send", "hooks": hooks}}});
    acme.put("/v1/connectors/crm", connector).await.expect(201);
    acme.send("POST", "/v1/call/crm/send", json!({"a": 1})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"a": 1, "added": 7}));

    // The next version is picked up by no binding.
    let rejecting = "import { reject } from 'snaphook'; export function preHook() { return reject(409, 'closed', 'E7'); }";
    acme.upload("/v1/scripts/add", JS, rejecting).await.expect(201);
    acme.send("POST", "/v1/call/crm/send", json!({})).await.expect(200);
    let connector = json!({"base_url": upstream.url(""), "endpoints": {"send": {"method": "POST", "path": "/send", "hooks": {"pre-hook": [{"script": "add"}]}}}});
    acme.put("/v1/connectors/crm", connector).await.expect(200);
    let rejected = acme.send("POST", "/v1/call/crm/send", json!({})).await;
    assert!(rejected.header("x-run-id").is_some());
    assert_snapshot!(rejected.shown(), @r#"
    409 application/json
    {
      "status": 409,
      "reason_code": "E7",
      "status_message": "closed"
    }
    "#);
}

pub(crate) async fn what_an_upload_does_wrong_is_placed() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    assert_snapshot!(acme.upload("/v1/scripts/s", JS, "export function preHook() {\n  let x = ;\n}").await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/script-syntax",
      "title": "script has a syntax error",
      "status": 422,
      "code": "script-syntax",
      "blame": "guest",
      "detail": "Unexpected token",
      "line": 2,
      "column": 11,
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/s", JS, "const x = 1;").await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/script-no-hook",
      "title": "script has no such hook",
      "status": 422,
      "code": "script-no-hook",
      "blame": "guest",
      "detail": "the script exports no hook; export a function named preHook, preRequest, postRequest, postHook, postFail or trigger, or a default function for a step",
      "request_id": "[request_id]"
    }
    "#);
    assert_snapshot!(acme.upload("/v1/scripts/s", "application/wasm", "not wasm").await.shown(), @r#"
    422 application/problem+json
    {
      "type": "/errors/component-invalid",
      "title": "component is not valid",
      "status": 422,
      "code": "component-invalid",
      "blame": "guest",
      "detail": "the upload is no WebAssembly: it does not begin as a component or a module does",
      "request_id": "[request_id]"
    }
    "#);
    acme.get("/v1/scripts/s").await.expect(404);
}
