//! What is committed is what is generated: the API's description, which is served as well, and pages of the documentation.

use std::path::Path;

use crate::support::TestNode;

#[tokio::test]
async fn openapi_is_committed_as_generated_and_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let generated = snaphook_api::openapi_json();
    if std::env::var_os("SNAPHOOK_GENERATE").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "crates/api/openapi.json is not what the handlers say; run `cargo xtask gen`");
    let served = TestNode::start().await.send("GET", "/openapi.json", &[], "").await.expect(200);
    assert_eq!(served.text(), generated);
}

#[test]
fn pages_are_committed_as_generated() {
    for (name, generated) in [("errors.md", snaphook_api::errors_page()), ("routes.md", snaphook_api::routes_page())] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("SNAPHOOK_GENERATE").is_some() {
            std::fs::write(&file, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == generated, "docs/{name} is not what the API says; run `cargo xtask gen`");
    }
}
