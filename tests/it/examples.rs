//! Every example does what it says of itself.

use std::path::Path;

use snaphook_tests::examples;

use crate::support::node;

#[tokio::test]
async fn every_example_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut run = 0;
    for example in examples::all(&root) {
        let guest = example.has_guest().then(|| examples::guest(&root, &example.name).expect("the guest was built"));
        let tenant = node().tenant().await;
        let (upstream, script) = example.upstream().await;
        example.deploy(&tenant, &upstream, guest).await;
        for call in example.calls() {
            script.play(&call);
            let before = upstream.requests().len();
            let response = examples::make(&tenant, &call).await;
            let record = tenant.record(&response).await;
            let found = examples::differences(&call, &response, &record, &upstream.requests()[before..]);
            assert!(found.is_empty(), "examples/{}, {}:\n{}\n{record:#}", example.name, call["title"], found.join("\n"));
            run += 1;
        }
    }
    assert!(run >= 4, "only {run} calls of examples ran");
}
