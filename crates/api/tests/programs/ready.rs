//! Programs that are not where they were: code that is gone, components of another interpreter.

use serde_json::json;
use snaphook_model::Name;
use snaphook_store::{ScriptStore as _, Store as _, StoredComponent};

use crate::engine::{engine, node};
use crate::support::TestNode;

const SOURCE: &str = "export function preHook(call) { call.arguments.at = AT; }\nconst AT = Date.now();";

pub(crate) async fn compiled_code_that_is_gone_is_made_again() {
    let node = node().await;
    let token = {
        let acme = node.tenant("acme").await;
        acme.upload("/v1/scripts/s", "application/javascript", SOURCE).await.expect(201);
        acme.token
    };
    node.store.close().await.unwrap();
    // Another start on the same data, with an empty code directory.
    let TestNode { dir, api, programs, store, .. } = node;
    drop((api, programs, store));
    let engine = engine(&dir, "code-2");
    let node = TestNode::over(dir, engine, |_| {}).await;
    let test = || node.json("POST", "/v1/scripts/s/versions/1/test", &token, json!({"hook": "pre-hook", "arguments": {}}));
    // Many ask at once; one child makes it.
    let (a, b, c) = tokio::join!(test(), test(), test());
    let (a, b, c) = (a.expect(200).json(), b.expect(200).json(), c.expect(200).json());
    assert_eq!((&a["arguments"], &b["arguments"]), (&c["arguments"], &c["arguments"]));
    assert!(a["arguments"]["at"].as_u64().unwrap() > 1_700_000_000_000, "{a}");
}

pub(crate) async fn an_upgrade_of_the_interpreter_makes_scripts_again() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    let (tenant, script) = (acme.tenant_name(), Name::new("s").unwrap());
    let test =
        async || acme.send("POST", "/v1/scripts/s/versions/1/test", json!({"hook": "pre-hook", "arguments": {}})).await.expect(200).json();
    acme.upload("/v1/scripts/s", "application/javascript", SOURCE).await.expect(201);
    let before = test().await;
    let made = node.store.component(&tenant, &script, 1).await.unwrap().unwrap();
    let outdated = StoredComponent { bytes: made.bytes.slice(..8), interpreter: Some("interpreter-h00000000000000ff".to_owned()) };
    assert!(node.store.replace_component(&tenant, &script, 1, outdated).await.unwrap());
    assert_eq!(node.programs.refresh().await.unwrap(), 1);
    assert_eq!(node.programs.refresh().await.unwrap(), 0);
    // The same component comes out, frozen clock included, since it is made as at its upload.
    assert_eq!(node.store.component(&tenant, &script, 1).await.unwrap().unwrap(), made);
    assert_eq!(test().await["arguments"], before["arguments"]);
}

pub(crate) async fn a_script_made_again_imports_what_it_imported_before() {
    let node = node().await;
    let acme = node.tenant("acme").await;
    let (tenant, script) = (acme.tenant_name(), Name::new("s").unwrap());
    let upload =
        async |name: &str, source: &'static str| acme.upload(&format!("/v1/scripts/{name}"), "application/javascript", source).await;
    upload("base", "export const text = 'one';").await.expect(201);
    upload("middle", "import { text } from 'script:base';\nexport const twice = text + text;").await.expect(201);
    upload("s", "import { twice } from 'script:middle';\nimport { text } from 'script:base';\nexport function preHook(call) { call.arguments.text = [twice, text]; }")
        .await
        .expect(201);
    let made = node.store.component(&tenant, &script, 1).await.unwrap().unwrap();
    upload("base", "export const text = 'two';").await.expect(201);
    upload("middle", "export const twice = 'changed';").await.expect(201);

    let outdated = StoredComponent { bytes: made.bytes.slice(..8), interpreter: Some("interpreter-h00000000000000ff".to_owned()) };
    assert!(node.store.replace_component(&tenant, &script, 1, outdated).await.unwrap());
    assert_eq!(node.programs.refresh().await.unwrap(), 1);
    assert_eq!(node.store.component(&tenant, &script, 1).await.unwrap().unwrap(), made);
    let tested = acme.send("POST", "/v1/scripts/s/versions/1/test", json!({"hook": "pre-hook", "arguments": {}})).await.expect(200).json();
    assert_eq!(tested["arguments"]["text"], json!(["oneone", "one"]));
}
