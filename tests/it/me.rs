//! Whose token it is that asks, and what its tenant may use.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use snaphook_tests::Client;

use crate::support::node;

#[tokio::test]
async fn a_token_learns_whose_it_is() {
    let tenant = node().tenant().await;
    let asked = json!({"name": "dashboard", "scopes": ["read", "deploy"], "expires_s": 3600});
    let made = tenant.client.post("/v1/tokens", &asked).await.expect(201).json();
    let client = Client::new(node().url(), made["token"].as_str());
    let me = client.get("/v1/me").await.expect(200).json();
    let token = json!({"id": made["id"], "name": "dashboard", "expires_at": made["expires_at"]});
    let version = me["version"].clone();
    assert_eq!(me, json!({"tenant": tenant.name, "operator": false, "scopes": made["scopes"], "token": token, "version": version}));
    let expires = me["token"]["expires_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(expires.duration_since(Timestamp::now()) <= SignedDuration::from_secs(3600));
    let said = std::process::Command::new(crate::support::binary()).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), format!("snaphook {}", version.as_str().unwrap()));
    let own = tenant.client.get("/v1/me").await.expect(200).json();
    assert_eq!((&own["scopes"], &own["token"]["expires_at"]), (&json!(["admin"]), &Value::Null));

    let operator = node().operator().get("/v1/me").await.expect(200).json();
    assert_eq!(operator, json!({"tenant": null, "operator": true, "scopes": [], "token": null, "version": version}));
    let _ = tenant.client.send("DELETE", &format!("/v1/tokens/{}", made["id"].as_str().unwrap()), &[], "".into()).await.expect(204);
    let _ = client.get("/v1/me").await.expect(401);
}

#[tokio::test]
async fn a_tenant_sees_what_it_may_use() {
    let document = json!({"limits": {"fuel": 5_000_000}, "quota": {"concurrency": 3, "rate_per_s": 50}, "weight": 2, "grants": {"fetch": true},
        "retention": {"logs_s": 7200}, "egress": {"allow": ["api.example.com"]}});
    let tenant = node().tenant_with(document).await;
    let usage = tenant.client.get("/v1/usage").await.expect(200).json();
    assert_eq!((&usage["limits"]["fuel"], &usage["limits"]["wall_ms"]), (&json!(5_000_000), &json!(10_000)), "changed or not");
    let quota = json!({"concurrency": 3, "rate_per_s": 50, "history_bytes": 10_u64 << 30, "script_bytes": 1 << 30, "queue_bytes": 1 << 30,
        "documents": 1_000_000, "document_bytes": 1 << 30});
    assert_eq!((&usage["quota"], &usage["weight"]), (&quota, &json!(2)));
    let mut used = usage["usage"].clone();
    assert!(used["document_bytes"].take().as_u64() > Some(50), "the record of its token");
    let nothing = json!({"concurrency": 0, "history_bytes": 0, "script_bytes": 0, "documents": 1, "document_bytes": null});
    assert_eq!(used, nothing, "to look is no work");
    let mut seen = node().operator().get(&format!("/v1/tenants/{}", tenant.name)).await.expect(200).json();
    for key in ["name", "created_at", "updated_at"] {
        seen.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("the operator sees `{key}`"));
    }
    assert_eq!(usage, seen, "the operator sees the same");
}
