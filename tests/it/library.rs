//! Scripts that import scripts of the same tenant: found, pinned at deploy, kept as long as they are needed, and named in faults.

use serde_json::{Value, json};
use snaphook_tests::{Response, Tenant};

use crate::hostile_wasm::guest;
use crate::support::{node, problem};

async fn step(tenant: &Tenant, script: &str, version: u64) -> Value {
    tenant.test(script, version, json!({"hook": "step", "payload": 1})).await
}

/// Uploads JavaScript that must be refused, and gives the problem.
async fn refused(tenant: &Tenant, name: &str, source: &str) -> Value {
    tenant.upload(name, "javascript", source.to_owned()).await.expect(422).json()
}

fn place(document: &Value) -> (Option<u64>, Option<u64>) {
    (document["line"].as_u64(), document["column"].as_u64())
}

fn origin(document: &Value) -> (&str, Option<u64>, Option<u64>) {
    let origin = &document["origin"];
    (origin["file"].as_str().unwrap_or_default(), origin["line"].as_u64(), origin["column"].as_u64())
}

#[tokio::test]
async fn f010_scripts_of_the_same_tenant_can_be_imported_and_no_others() {
    let (a, b) = (node().tenant().await, node().tenant().await);
    a.js("helper", "export const greet = (name) => 'hello ' + name;").await;
    b.js("secret", "export const greet = (name) => 'mine, ' + name;").await;
    let main = a
        .upload("main", "javascript", "import { greet } from 'script:helper@1';\nexport default () => greet('you');")
        .await
        .expect(201)
        .json();
    assert_eq!(main["imports"], json!([{"script": "helper", "version": 1}]));
    assert_eq!(step(&a, "main", 1).await["payload"], "hello you");

    let theirs = refused(&a, "other", "import { greet } from 'script:secret@1';\nexport default () => greet('you');").await;
    let nobodys = refused(&a, "other", "import { greet } from 'script:nobody@1';\nexport default () => greet('you');").await;
    assert_eq!((theirs["code"].as_str(), place(&theirs)), (Some("script-compile"), (Some(1), Some(23))));
    assert!(theirs["detail"].as_str().unwrap().contains("is not found"), "{theirs}");
    let same = |document: &Value| document["detail"].as_str().unwrap().replace("secret", "X").replace("nobody", "X");
    assert_eq!(same(&theirs), same(&nobodys), "what is another tenant's reads like what does not exist");
    let latest = refused(&a, "other", "import 'script:secret';\nexport default () => 1;").await;
    assert!(latest["detail"].as_str().unwrap().contains("there is no script `secret`"), "{latest}");
}

#[tokio::test]
async fn versions_are_pinned_at_deploy() {
    let tenant = node().tenant().await;
    tenant.js("helper", "export const text = 'one';").await;
    let latest = "import { text } from 'script:helper';\nexport default () => text;";
    let pinned = "import { text } from 'script:helper@1';\nexport default () => text;";
    tenant.js("latest", latest).await;
    tenant.js("pinned", pinned).await;
    assert_eq!(tenant.upload("latest", "javascript", latest).await.expect(200).json()["version"], 1, "nothing is newer");

    tenant.js("helper", "export const text = 'two';").await;
    assert_eq!(step(&tenant, "latest", 1).await["payload"], "one", "a newer version changes nothing that is deployed");
    let again = tenant.upload("latest", "javascript", latest).await.expect(201).json();
    assert_eq!((again["version"].as_u64(), &again["imports"]), (Some(2), &json!([{"script": "helper", "version": 2}])));
    assert_eq!(step(&tenant, "latest", 2).await["payload"], "two");
    assert_eq!(tenant.upload("latest", "javascript", latest).await.expect(200).json()["version"], 2);
    assert_eq!(tenant.upload("pinned", "javascript", pinned).await.expect(200).json()["version"], 1, "its version is written into it");
    assert_eq!(tenant.client.get("/v1/scripts/latest/versions/1").await.expect(200).json()["imports"][0]["version"], 1);
}

#[tokio::test]
async fn imports_of_imports_keep_their_own_versions() {
    let tenant = node().tenant().await;
    tenant.js("base", "export const text = 'one';").await;
    tenant.js("middle", "import { text } from 'script:base';\nexport const twice = () => text + text;\nexport { text };").await;
    tenant.js("base", "export const text = 'two';").await;
    let source = "import * as middle from 'script:middle';\nimport { text } from 'script:base';\nimport { text as old } from 'script:base@1';\nexport default () => [middle.twice(), middle.text, text, old];";
    let main = tenant.upload("main", "javascript", source).await.expect(201).json();
    let expected = json!([{"script": "base", "version": 1}, {"script": "base", "version": 2}, {"script": "middle", "version": 1}]);
    assert_eq!(main["imports"], expected);
    assert_eq!(step(&tenant, "main", 1).await["payload"], json!(["oneone", "one", "two", "one"]));
    // One version is one module, whoever imports it.
    tenant.js("counter", "export const seen = [];").await;
    tenant.js("left", "import { seen } from 'script:counter';\nseen.push('left');\nexport {};export const l = 1;").await;
    let source =
        "import { l } from 'script:left';\nimport { seen } from 'script:counter@1';\nseen.push('main');\nexport default () => [seen, l];";
    let version = tenant.js("shared", source).await;
    assert_eq!(step(&tenant, "shared", version).await["payload"], json!([["left", "main"], 1]));
}

#[tokio::test]
async fn an_imported_version_stays_while_it_is_needed() {
    let tenant = node().tenant().await;
    tenant.js("helper", "export const text = 'one';").await;
    tenant.js("main", "import { text } from 'script:helper';\nexport default () => text;").await;
    let bound = tenant.client.delete("/v1/scripts/helper/versions/1").await.expect(409);
    assert_eq!(problem(&bound).0, "script-bound");
    assert!(problem(&bound).1.contains("script main, version 1"), "{}", bound.text());
    assert_eq!(step(&tenant, "main", 1).await["payload"], "one");
    let _ = tenant.client.delete("/v1/scripts/main/versions/1").await.expect(204);
    let _ = tenant.client.delete("/v1/scripts/helper/versions/1").await.expect(204);
}

#[tokio::test]
async fn circles_are_refused_with_their_chain() {
    let tenant = node().tenant().await;
    let own = refused(&tenant, "a", "import 'script:a';\nexport const x = 1;").await;
    assert!(own["detail"].as_str().unwrap().contains("itself: a → a"), "{own}");
    tenant.js("a", "export const x = 1;").await;
    tenant.js("b", "import { x } from 'script:a';\nexport const y = x;").await;
    tenant.js("c", "\nimport { y } from 'script:b@1';\nexport const z = y;").await;
    let circle = refused(&tenant, "a", "export const x = 2;\nimport { z } from 'script:c@1';").await;
    assert_eq!((circle["code"].as_str(), place(&circle)), (Some("script-compile"), (Some(2), Some(19))));
    assert!(circle["detail"].as_str().unwrap().contains("a → c@1 → b@1 → a@1"), "{circle}");
    assert_eq!(origin(&circle), ("b@1", Some(1), Some(19)));
}

#[tokio::test]
async fn imports_are_bounded() {
    let tenant = node().tenant_with(json!({"limits": {"source_bytes": 4000}})).await;
    tenant.js("d0", "export const x = 0;").await;
    for i in 1..=16 {
        tenant.js(&format!("d{i}"), &format!("export {{ x }} from 'script:d{}';", i - 1)).await;
    }
    let deep = refused(&tenant, "deep", "import { x } from 'script:d16';\nexport default () => x;").await;
    assert!(deep["detail"].as_str().unwrap().contains("deeper than 16") && deep["limit"] == 16, "{deep}");
    tenant.js("deep", "import { x } from 'script:d15';\nexport default () => x;").await;

    for i in 0..=64 {
        tenant.js("many", &format!("export const x{i} = {i};")).await;
    }
    let imports = |count: u32| (1..=count).map(|i| format!("import'script:many@{i}';")).collect::<String>() + "export default()=>1;";
    let wide = refused(&tenant, "wide", &imports(65)).await;
    assert!(wide["detail"].as_str().unwrap().contains("at most 64") && wide["limit"] == 64, "{wide}");
    tenant.js("wide", &imports(64)).await;

    let padding = format!("export const text = '{}';", "x".repeat(3900));
    tenant.js("large", &padding).await;
    let large =
        "import { text } from 'script:large';\nexport default () => text.length; // and this much more is too much for the two together";
    let refused = tenant.upload("sum", "javascript", large).await.expect(413).json();
    assert_eq!((refused["code"].as_str(), refused["limit"].as_u64()), (Some("source-size"), Some(4000)), "{refused}");
    assert_eq!(refused["used"].as_u64(), Some((padding.len() + large.len()) as u64));
}

#[tokio::test]
async fn what_cannot_be_imported_is_named_with_its_place() {
    let tenant = node().tenant().await;
    tenant.js("helper", "export const text = 'one';\nexport const other = 2;").await;
    let component = guest("i32.const 1024", "");
    let _ = tenant.upload("wasm", "wasm", component).await.expect(201);
    let cases = [
        ("import fs from 'fs';", "cannot import \"fs\"", (1, 16)),
        ("\n  import x from './x.js';", "cannot import \"./x.js\"", (2, 17)),
        ("import 'script:helper@0';", "names no version", (1, 8)),
        ("import 'script:a/b';", "names no script", (1, 8)),
        ("import 'script:helper@7';", "there is no version 7", (1, 8)),
        ("import 'script:wasm';", "is a component", (1, 8)),
        ("import { text, txt } from 'script:helper';", "`script:helper@1` has no export `txt`; it exports text, other", (1, 16)),
        ("export { nothing as text } from 'script:helper@1';", "has no export `nothing`", (1, 10)),
    ];
    for (source, detail, (line, column)) in cases {
        let refused = refused(&tenant, "main", &format!("{source}\nexport function preHook() {{}}")).await;
        assert!(refused["detail"].as_str().unwrap().contains(detail), "{source}: {refused}");
        assert_eq!(
            (refused["code"].as_str(), place(&refused)),
            (Some("script-compile"), (Some(line), Some(column))),
            "{source}: {refused}"
        );
    }
    // What is imported while it runs was not pinned at the deploy.
    let version = tenant.js("late", "export default async () => (await import('script:helper@1')).text;").await;
    let late = step(&tenant, "late", version).await;
    assert!(late["fault"]["detail"].as_str().unwrap().contains("by import statements"), "{late}");
}

#[tokio::test]
async fn typescript_and_javascript_import_each_other() {
    let tenant = node().tenant().await;
    let _ = tenant
        .script(
            "types",
            "typescript",
            "export interface Order { id: number }\nexport enum Kind { New = 'n', Old = 'o' }\nexport type Name = string;",
        )
        .await;
    tenant.js("plain", "export const double = (n) => n * 2;").await;
    let source = "import { Kind, type Order } from 'script:types';\nimport type { Name } from 'script:nothing-that-exists';\nimport { double } from 'script:plain';\nexport default (n: number): [Kind, number] => { const order: Order = { id: n }; const name: Name = ''; return [Kind.Old, double(order.id)]; };";
    let version = tenant.script("main", "typescript", source).await;
    assert_eq!(step(&tenant, "main", version).await["payload"], json!(["o", 2]));
    let version = tenant.js("back", "import { Kind } from 'script:types@1';\nexport default () => Kind.New;").await;
    assert_eq!(step(&tenant, "back", version).await["payload"], "n");
}

#[tokio::test]
async fn faults_name_the_imported_file_and_the_call_of_it() {
    let tenant = node().tenant_with(json!({"limits": {"fuel": 50_000_000}})).await;
    let helper = "enum Kind { A }\nexport function check(what: string) {\n  if (what === 'error') throw new TypeError('no ' + Kind.A);\n  if (what === 'text') throw 'only text';\n  if (what === 'loop') for (;;) {}\n  if (what === 'parse') JSON.parse('{');\n}\nexport const later = async () => { await null;\n  throw new Error('late'); };\n";
    let _ = tenant.script("helper", "typescript", helper).await;
    let source = |call: &str| format!("import {{ check, later }} from 'script:helper';\n\nexport default async () => {{\n  {call};\n}};\n");
    let cases = [
        ("check('error')", "script-threw", 3),
        ("check('text')", "script-threw", 4),
        ("check('loop')", "fuel", 5),
        ("check('parse')", "script-threw", 6),
    ];
    for (call, code, its_line) in cases {
        let version = tenant.js("main", &source(call)).await;
        let fault = step(&tenant, "main", version).await["fault"].clone();
        assert_eq!((fault["code"].as_str(), fault["line"].as_u64()), (Some(code), Some(4)), "{call}: {fault}");
        assert!(matches!(fault["column"].as_u64(), Some(3..=9)), "{call}: {fault}");
        assert_eq!((origin(&fault).0, origin(&fault).1), ("helper@1", Some(its_line)), "{call}: {fault}");
    }
    // Nobody's call of it is on the stack any more: the import stands for it.
    let version = tenant.js("main", &source("await later()")).await;
    let fault = step(&tenant, "main", version).await["fault"].clone();
    assert_eq!((place(&fault), origin(&fault).0, origin(&fault).1), ((Some(1), Some(30)), "helper@1", Some(9)), "{fault}");
    // A fault of the script itself has no other file.
    let version = tenant.js("main", &source("check('nothing'); null.x")).await;
    let fault = step(&tenant, "main", version).await["fault"].clone();
    assert_eq!((fault["line"].as_u64(), &fault["origin"]), (Some(4), &Value::Null), "{fault}");
}

#[tokio::test]
async fn top_level_code_of_an_import_runs_at_the_deploy_and_its_faults_are_placed() {
    let tenant = node().tenant().await;
    tenant.js("table", "export const table = [];\nfor (let i = 0; i < 300000; i++) {\n  table.push(i);\n}\n").await;
    let limits = json!({"limits": {"fuel": 1_000_000}, "egress": {"allow_private": ["127.0.0.0/8"]}});
    let _ = node().operator().put(&format!("/v1/tenants/{}", tenant.name), &limits).await.expect(200);
    let spent = refused(&tenant, "main", "\nimport { table } from 'script:table';\nexport default () => table.length;").await;
    assert_eq!((spent["code"].as_str(), place(&spent)), (Some("compile"), (Some(2), Some(23))), "{spent}");
    assert_eq!(origin(&spent).0, "table@1");
    assert!(matches!(origin(&spent).1, Some(2 | 3)), "{spent}");
}

#[tokio::test]
async fn a_script_without_hooks_is_there_to_be_imported() {
    let tenant = node().tenant().await;
    let library = tenant.upload("library", "javascript", "export const prehook = () => 1;").await.expect(201).json();
    assert_eq!(library["hooks"], json!([]));
    let warning = library["warnings"][0]["message"].as_str().unwrap();
    assert!(warning.contains("not bound") && warning.contains("is `prehook` meant to be `preHook`?"), "{warning}");
    let document = json!({"base_url": "http://127.0.0.1:9", "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "library"}]}}}});
    let refused = tenant.client.put("/v1/connectors/api", &document).await.expect(422);
    assert_eq!(problem(&refused).0, "script-no-hook");
    assert!(problem(&refused).1.contains("is there to be imported"), "{}", refused.text());
    let lacking = tenant.client.post("/v1/scripts/library/versions/1/test", &json!({"hook": "pre-hook"})).await;
    assert_eq!(problem(&lacking).0, "script-no-hook");
    let nothing: Response = tenant.upload("nothing", "javascript", "const a = 1;").await.expect(422);
    assert_eq!(problem(&nothing).0, "script-no-hook");
}

#[tokio::test]
async fn names_that_a_sandbox_lacks_are_warned_about() {
    let tenant = node().tenant().await;
    let source = "export default (payload) => {\n  if (typeof window !== 'undefined') return window.x;\n  return payload ? setInterval(Buffer.from(payload)) + Buffer.y : undefinedName;\n};";
    let answer = tenant.upload("main", "javascript", source).await.expect(201).json();
    let warnings: Vec<_> = answer["warnings"].as_array().unwrap().iter().map(|w| (w["message"].as_str().unwrap(), place(w))).collect();
    let expected =
        [("`setInterval` does not exist", 20), ("`Buffer` (used 2 times) does not exist", 32), ("`undefinedName` is defined nowhere", 67)];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for ((message, place), (start, column)) in warnings.into_iter().zip(expected) {
        assert!(message.starts_with(start), "{message}");
        assert_eq!(place, (Some(3), Some(column)), "{message}");
    }
}

#[tokio::test]
async fn f010_braincloud_scripts_include_those_of_the_same_tenant_and_no_others() {
    let (a, b) = (node().tenant().await, node().tenant().await);
    let upload = async |tenant: &Tenant, name: &str, source: &str| {
        let path = format!("/v1/scripts/{name}?dialect=braincloud");
        tenant.client.send("PUT", &path, &[("content-type", "application/javascript")], source.to_owned().into()).await
    };
    let hook = async |tenant: &Tenant, version: u64| {
        tenant.test("main", version, json!({"hook": "pre-hook", "connector": "c", "endpoint": "e", "arguments": {"name": "you"}})).await
    };
    let _ = upload(&a, "words", "const word = 'hello';\nvar loud = (text) => text.toUpperCase();\nnull;").await.expect(201);
    let _ = upload(
        &a,
        "helper",
        "bridge.include('words');\nfunction greet(name) {\n  if (!name) throw new Error('nobody');\n  return loud(word + ' ' + name);\n}",
    )
    .await
    .expect(201);
    let _ = upload(&b, "secret", "function greet() { return 'mine'; }").await.expect(201);
    let main = "\"use strict\";\n// What is included comes first.\nbridge.include(\"helper\");\nfunction main() {\n  return { status: 200, messageOverride: { text: greet(data.message.name) } };\n}\nmain();";
    let answer = upload(&a, "main", main).await.expect(201).json();
    assert_eq!(answer["imports"], json!([{"script": "helper", "version": 1}]));
    assert_eq!(hook(&a, 1).await["arguments"], json!({"text": "HELLO YOU"}));

    // Pinned: a newer version counts when the script is deployed again.
    let _ = upload(&a, "helper", "var greet = (name) => 'bye ' + name;").await.expect(201);
    assert_eq!(hook(&a, 1).await["arguments"], json!({"text": "HELLO YOU"}));
    let _ = upload(&a, "main", main).await.expect(201);
    assert_eq!(hook(&a, 2).await["arguments"], json!({"text": "bye you"}));

    let theirs = upload(&a, "other", "bridge.include('secret');\ngreet();").await.expect(422).json();
    let nobodys = upload(&a, "other", "bridge.include('nobody');\ngreet();").await.expect(422).json();
    assert_eq!((theirs["code"].as_str(), place(&theirs)), (Some("script-compile"), (Some(1), Some(16))));
    assert!(theirs["detail"].as_str().unwrap().contains("there is no script `secret`"), "{theirs}");
    assert_eq!(theirs["detail"].as_str().unwrap().replace("secret", "X"), nobodys["detail"].as_str().unwrap().replace("nobody", "X"));

    // A name that nothing can have here is said in the words of the source, with one that would do.
    for (included, said) in [("My Helper", "as `My-Helper`"), ("../lib/greet all.ccjs", "as `greet-all`"), ("größe", "as `gr-e`")] {
        let refused = upload(&a, "other", &format!("bridge.include('{included}');\ngreet();")).await.expect(422).json();
        let detail = refused["detail"].as_str().unwrap();
        assert_eq!((refused["code"].as_str(), place(&refused)), (Some("script-compile"), (Some(1), Some(16))));
        assert!(
            detail.starts_with(&format!("bridge.include(\"{included}\")")) && detail.contains("1 to 63 of a-z") && detail.contains(said),
            "{detail}"
        );
    }

    // Only in the first lines, only a script of the dialect, and faults name its file.
    a.js("module", "export const greet = 1;").await;
    let foreign = upload(&a, "other", "bridge.include('module');\ngreet();").await.expect(422).json();
    assert!(foreign["detail"].as_str().unwrap().contains("is written for the dialect `native`"), "{foreign}");
    let _ = upload(&a, "main", "var x = 1;\nbridge.include('helper');\nx;").await.expect(201);
    let late = hook(&a, 3).await["fault"].clone();
    assert!(late["detail"].as_str().unwrap().contains("in the first lines") && late["line"] == 2, "{late}");
    let _ = upload(&a, "helper", "function greet(name) {\n  throw new Error('nobody');\n}").await.expect(201);
    let _ = upload(&a, "main", main).await.expect(201);
    let fault = hook(&a, 4).await["fault"].clone();
    assert_eq!((fault["line"].as_u64(), origin(&fault).0, origin(&fault).1), (Some(5), "helper@3", Some(2)), "{fault}");
}
