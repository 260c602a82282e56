//! A disk that is full: what cannot be kept is refused, what was acknowledged stays, and the node lives to say so.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::{Client, NodeProcess, Tenant};

use crate::support::{binary, ended, node, ok, problem};

/// Some hundred kilobytes.
fn large_connector(upstream: &Upstream) -> Value {
    let endpoints = (0..2_000).map(|number| (format!("endpoint-{number}"), json!({"method": "POST", "path": format!("/{number}")})));
    json!({"base_url": upstream.url(""), "endpoints": endpoints.collect::<serde_json::Map<_, _>>()})
}

/// The sizes of the database's files, the largest.
fn database_bytes(node: &NodeProcess) -> u64 {
    let size = |name| std::fs::metadata(node.data_dir().join(name)).map_or(0, |metadata| metadata.len());
    size("snaphook.db").max(size("snaphook.db-wal"))
}

/// Calls until the probe says that what is written of calls is lost, and until all of it is: nothing is left that could show by itself that there is
/// room again.
async fn records_are_lost(client: &Client) {
    for _ in 0..200 {
        let _ = client.post("/v1/call/api/x", &json!({})).await;
        // Waits for what was recorded before.
        let lost = client.get("/v1/runs").await.status == 503;
        if lost && client.get("/readyz").await.status == 503 {
            return;
        }
    }
    panic!("`/readyz` does not become 503");
}

/// Waits until the probe says that the node may be used, asking nothing else: behind a balancer nothing else comes.
async fn readiness_comes_back(client: &Client) {
    for _ in 0..200 {
        if client.get("/readyz").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`/readyz` does not become 200");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mut own = NodeProcess::start_like(node());
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let tenant = own.tenant().await;
    crate::support::endpoint(&tenant, &upstream, json!({}), json!({})).await;
    let _ = tenant.flow("f", json!({"trigger": {"auth": "none"}, "steps": [{"name": "only", "call": "api/x"}]})).await;
    let limit = database_bytes(&own) + (1 << 20);
    own.restart_with_file_limit(limit);

    let client = Client::new(own.url(), tenant.client.token.as_deref());
    let document = large_connector(&upstream);
    let (mut connectors, mut runs) = (Vec::new(), Vec::new());
    let refused = loop {
        let path = format!("/v1/connectors/c{}", connectors.len());
        let answer = client.put(&path, &document).await;
        if answer.status != 201 {
            break answer;
        }
        connectors.push(path);
        let run = client.send("POST", &format!("/t/{}/f", tenant.name), &[("prefer", "respond-async")], "{}".into()).await;
        if run.status == 202 {
            runs.push(run.header("x-run-id").unwrap().to_owned());
        }
        assert!(connectors.len() < 100, "the limit of {limit} bytes is not met");
    };
    assert_eq!((refused.status, problem(&refused).0.as_str()), (503, "store-unavailable"), "{}", refused.text());
    assert!(!connectors.is_empty() && !runs.is_empty(), "{connectors:?} {runs:?}");
    records_are_lost(&client).await;
    for _ in 0..3 {
        let answer = client.put("/v1/connectors/more", &document).await;
        assert_eq!((answer.status, problem(&answer).0.as_str()), (503, "store-unavailable"), "{}", answer.text());
    }
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get(connectors.last().unwrap()).await.status, 200, "what is there can still be read");

    // With room again it goes on by itself.
    own.lift_file_limit();
    readiness_comes_back(&client).await;
    let tenant = Tenant { client: client.clone(), ..tenant };
    for run in &runs {
        assert_eq!(ended(&tenant, run).await["status"], "succeeded");
    }
    let _ = client.put("/v1/connectors/mended", &document).await.expect(201);

    own.restart();
    let findings = Command::new(binary()).args(["doctor", "--data-dir"]).arg(own.data_dir()).output().unwrap();
    assert!(findings.status.success(), "{}{}", String::from_utf8_lossy(&findings.stdout), String::from_utf8_lossy(&findings.stderr));
    let client = Client::new(own.url(), tenant.client.token.as_deref());
    readiness_comes_back(&client).await;
    for path in &connectors {
        let _ = client.get(path).await.expect(200);
    }
    let _ = client.get("/v1/connectors/mended").await.expect(200);
    assert_eq!(client.get("/v1/connectors/more").await.status, 404, "what was refused is not there");
    let _ = client.put("/v1/connectors/more", &document).await.expect(201);
}

/// Runs that are accepted and definitions do not go by the queue of records, and show a full disk all the same.
#[tokio::test]
async fn a_full_disk_is_seen_where_only_runs_and_definitions_are_written() {
    let mut own = NodeProcess::start_like(node());
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let tenant = own.tenant().await;
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/x"), "method": "GET"}]})).await;
    own.restart_with_file_limit(database_bytes(&own) + (1 << 20));

    let tenant = Tenant { client: Client::new(own.url(), tenant.client.token.as_deref()), ..tenant };
    let client = &tenant.client;
    let document = large_connector(&upstream);
    let (mut connectors, mut runs, mut filled) = (0, Vec::new(), false);
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    while client.get("/readyz").await.status == 200 {
        // The large ones leave little room, and runs take that bit by bit.
        if !filled {
            let answer = client.put(&format!("/v1/connectors/c{connectors}"), &document).await;
            match answer.status {
                201 => connectors += 1,
                _ => assert_eq!((answer.status, problem(&answer).0.as_str()), (503, "store-unavailable"), "{}", answer.text()),
            }
            filled = answer.status != 201;
        }
        let run = client.send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await;
        match run.status {
            202 => runs.push(run.json()["run"].as_str().unwrap().to_owned()),
            _ => assert_eq!((run.status, problem(&run).0.as_str()), (503, "store-unavailable"), "{}", run.text()),
        }
        assert!(connectors < 100 && runs.len() < 1000, "the limit is not met, or not seen");
    }
    assert!(connectors > 0 && !runs.is_empty(), "{connectors} {runs:?}");
    assert_eq!(client.get("/v1/connectors/c0").await.status, 200, "what is there can still be read");

    own.lift_file_limit();
    readiness_comes_back(client).await;
    for run in &runs {
        assert_eq!(ended(&tenant, run).await["status"], "succeeded");
    }
    let _ = client.put("/v1/connectors/mended", &document).await.expect(201);
}
