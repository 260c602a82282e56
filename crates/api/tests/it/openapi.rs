//! The committed description is the one that is generated and served.

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
