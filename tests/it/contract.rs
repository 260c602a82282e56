//! The same contract for every language: one list of cases, and a guest in each language that must decide the same.

use std::path::Path;

use serde_json::Value;
use snaphook_tests::examples;

use crate::support::node;

#[tokio::test]
async fn f005_every_language_keeps_the_same_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("tests/contract");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let document: Value = serde_json::from_slice(&read("cases.json")).unwrap();
    let cases = document["cases"].as_array().unwrap();
    let rust = examples::guest(&root, "contract").expect("the guest was built");
    let guests = [("javascript", read("guest.js").into()), ("typescript", read("guest.ts").into()), ("wasm", rust)];
    let tenant = node().tenant().await;
    for (language, source) in guests {
        let version = tenant.script("contract", language, source).await;
        for case in cases {
            let actual = tenant.test("contract", version, case["input"].clone()).await;
            for (member, expected) in case["expect"].as_object().unwrap() {
                let actual_member = &actual[member];
                let equal = match (member.as_str(), expected) {
                    // Line and wording of a fault are the language's own affair.
                    ("fault", Value::Object(expected)) => expected.iter().all(|(key, value)| &actual_member[key] == value),
                    _ => actual_member == expected,
                };
                assert!(equal, "{language}, {}, {member}: expected {expected}, got {actual:#}", case["name"]);
            }
        }
    }
}
