//! Tenants see nothing of each other.

use serde_json::json;

use snaphook_tests::{Client, NodeOptions, NodeProcess};

use crate::support::{binary, hooked, node, ok};

#[tokio::test]
async fn f126_a_tenants_things_do_not_exist_for_another() {
    let (a, upstream) = hooked("pre-hook", "export function preHook() {}").await;
    upstream.on("/x", ok());
    a.flow("f", json!({"steps": [{"call": "api/x"}]})).await;
    let run = a.run("f", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let tokens = a.client.get("/v1/tokens").await.expect(200).json();
    let token = tokens["items"][0]["id"].as_str().unwrap().to_owned();
    let b = node().tenant().await;

    let reads = [
        "/v1/scripts/s",
        "/v1/scripts/s/versions/1",
        "/v1/scripts/s/versions/1/source",
        "/v1/scripts/s/versions/1/component",
        "/v1/connectors/api",
        "/v1/flows/f",
        "/v1/flows/f/versions/1",
    ];
    for path in reads.iter().map(|path| (*path).to_owned()).chain([format!("/v1/runs/{run}")]) {
        let theirs = b.client.get(&path).await.expect(404);
        assert_eq!(theirs.json()["code"], "not-found", "{path}");
        let _ = a.client.get(&path).await.expect(200);
    }
    let _ = b.call("api/x", json!({})).await.expect(404);
    let _ = b.run("f", json!({})).await.expect(404);
    let _ = b.client.post("/v1/scripts/s/versions/1/test", &json!({"hook": "pre-hook"})).await.expect(404);
    for path in ["/v1/scripts/s/versions/1", "/v1/connectors/api", "/v1/flows/f"] {
        let _ = b.client.delete(path).await.expect(404);
    }
    let _ = b.client.delete(&format!("/v1/tokens/{token}")).await.expect(404);
    // A binding finds the tenant's own scripts only.
    let stolen = json!({"base_url": upstream.url(""), "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": {"pre-hook": [{"script": "s", "version": 1}]}}}});
    assert_eq!(b.client.put("/v1/connectors/own", &stolen).await.expect(400).json()["code"], "invalid");
    for list in ["/v1/scripts", "/v1/connectors", "/v1/flows", "/v1/runs"] {
        assert_eq!(b.client.get(list).await.expect(200).json()["items"], json!([]), "{list}");
    }
    // The tenant's own documents: nobody but the operator.
    let _ = b.client.get(&format!("/v1/tenants/{}", a.name)).await.expect(403);
    let _ = a.call("api/x", json!({})).await.expect(200);
}

#[tokio::test]
async fn an_operators_token_that_is_empty_opens_nothing() {
    let own = NodeProcess::start_with(node(), NodeOptions { operator: Some(String::new()), ..NodeOptions::default() });
    let stranger = Client::new(own.url(), None);
    for authorization in ["Basic Og==", "Basic", "Bearer ", "Bearer"] {
        let answer = stranger.send("GET", "/v1/tenants", &[("authorization", authorization)], "".into()).await;
        assert_eq!(answer.status, 401, "{authorization:?}: {}", answer.text());
    }
    assert!(own.printed().contains("operator"), "one was made instead: {}", own.printed());
    let options = NodeOptions { operator: Some("too short".to_owned()), ..NodeOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let refused = options.command(binary(), directory.path()).output().unwrap();
    assert!(!refused.status.success(), "a token that can be guessed is refused");
}
