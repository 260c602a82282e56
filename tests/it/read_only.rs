//! A database that takes no writes any more while a node runs on it, and then does again: an operator made it read-only, or a standby answers in its
//! place. Of SQLite, which knows neither, a disk that refuses each write is met in `full_disk`.

use serde_json::json;
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Gate, Upstream};
use snaphook_tests::{Client, NodeOptions, NodeProcess, Response};

use crate::support::{ended, endpoint, node, ok, problem, until};

/// Lets a database take writes or not, and ends the connections that were made before, which would not know.
fn takes_writes(database: &str, takes: bool) {
    let change = if takes { "RESET default_transaction_read_only" } else { "SET default_transaction_read_only = on" };
    // From another database, which takes the change in any case.
    let sql = |statement: &str| Cluster::shared().sql("postgres", statement);
    sql(&format!("ALTER DATABASE {database} {change}"));
    sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"));
}

fn is_refused(answer: &Response) {
    assert_eq!((answer.status, problem(answer).0.as_str()), (503, "store-unavailable"), "{}", answer.text());
}

#[tokio::test]
async fn a_database_that_becomes_read_only_costs_nothing_that_was_acknowledged() {
    let url = Cluster::shared().database();
    let database = url.rsplit('/').next().unwrap();
    // Leases outlast the time without writes, as the default's do.
    let own = NodeProcess::start_with(node(), NodeOptions::on(&url).with("--lease-s", "60"));
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    let gate = Gate::closed();
    upstream.on("/held", ok().after(&gate)).on("/x", ok());
    endpoint(&tenant, &upstream, json!({}), json!({})).await;
    tenant.flow("f", json!({"steps": [{"url": upstream.url("/held"), "method": "GET"}]})).await;
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(tenant.start("f", json!(null)).await);
    }
    upstream.received(5).await;

    takes_writes(database, false);
    let anonymous = Client::new(own.url(), None);
    until("readyz says no", async || anonymous.get("/readyz").await.status == 503).await;
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    for _ in 0..3 {
        is_refused(&tenant.client.send("POST", "/v1/flows/f/runs", &headers, "{}".into()).await);
        is_refused(&tenant.client.put("/v1/flows/g", &json!({"steps": [{"url": upstream.url("/x"), "method": "GET"}]})).await);
    }
    let _ = tenant.client.get("/v1/flows/f").await.expect(200);
    let _ = anonymous.get("/healthz").await.expect(200);
    // What is answered meanwhile is recorded later; so is what the accepted runs hear.
    let called = tenant.call("api/x", json!({})).await.expect(200);
    gate.open();
    assert_eq!(anonymous.get("/readyz").await.status, 503);

    takes_writes(database, true);
    until("readyz says yes", async || anonymous.get("/readyz").await.status == 200).await;
    for run in &accepted {
        let record = ended(&tenant, run).await;
        assert_eq!(record["status"], "succeeded", "{record}");
    }
    let held = upstream.requests().iter().filter(|request| request.path == "/held").count();
    assert_eq!(held, 5, "nobody was asked twice, and what was refused did not run");
    let path = format!("/v1/runs/{}", called.header("x-run-id").unwrap());
    until("the call's record is written", async || tenant.client.get(&path).await.status == 200).await;
    assert_eq!(tenant.client.get("/v1/flows/g").await.status, 404, "what was refused is not there");
    let more = tenant.start("f", json!(null)).await;
    assert_eq!(ended(&tenant, &more).await["status"], "succeeded");
}
