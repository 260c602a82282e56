//! kill -9 at any moment: what was acknowledged is there afterwards, and the database is sound.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use snaphook_testkit::Upstream;
use snaphook_tests::NodeProcess;

use crate::support::{binary, node, ok};

#[tokio::test]
async fn acknowledged_uploads_survive_a_kill() {
    let mut own = NodeProcess::start_like(node());
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    for round in 0..4_usize {
        let upstream = Upstream::start().await;
        upstream.on("/x", ok());
        let tenant = own.tenant().await;
        tenant.js("caller", "export function preHook() {}").await;
        crate::support::endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "caller"}]}), json!({})).await;
        let calls = Arc::new(AtomicU64::new(0));
        let calling = tokio::spawn({
            let (tenant, calls) = (tenant.clone(), calls.clone());
            async move {
                while tenant.client.try_send("POST", "/v1/call/api/x", &[("content-type", "application/json")], "{}".into()).await.is_ok() {
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let (acknowledge, mut count) = tokio::sync::watch::channel(0);
        let uploading = tokio::spawn({
            let tenant = tenant.clone();
            async move {
                let mut done = Vec::new();
                for i in 0..1000 {
                    let source = format!("export function preHook() {{ return {{ round: {round}, i: {i} }}; }}");
                    let path = format!("/v1/scripts/s{i}");
                    let sent =
                        tenant.client.try_send("PUT", &path, &[("content-type", "application/javascript")], source.clone().into()).await;
                    match sent {
                        Ok(answer) if answer.status == 201 => {
                            done.push((format!("{path}/versions/1/source"), source));
                            acknowledge.send_replace(done.len());
                        }
                        _ => break,
                    }
                }
                done
            }
        });
        // In the middle of both: some calls are done, and the upload loop is far from its end.
        upstream.received(20).await;
        count.wait_for(|count| *count >= 3 + round).await.unwrap();
        own.kill();
        let done = uploading.await.unwrap();
        calling.await.unwrap();
        acknowledged = done;
        let findings = Command::new(binary()).args(["doctor", "--data-dir"]).arg(own.data_dir()).output().unwrap();
        assert!(findings.status.success(), "{}{}", String::from_utf8_lossy(&findings.stdout), String::from_utf8_lossy(&findings.stderr));
        own.restart();
        let client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
        for (path, source) in &acknowledged {
            assert_eq!(&client.get(path).await.expect(200).text(), source);
        }
        // What was bound before works again at once.
        let _ = client.post("/v1/call/api/x", &json!({})).await.expect(200);
    }
    assert!(!acknowledged.is_empty(), "no upload was acknowledged before the kill");
}

#[tokio::test]
async fn a_lost_code_cache_is_made_again() {
    let mut own = NodeProcess::start_like(node());
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let tenant = own.tenant().await;
    tenant.js("s", "export function preHook(call) { call.arguments.seen = 1; }").await;
    crate::support::endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    own.kill();
    // Half of the files are gone, the others are damaged: neither may be run.
    for (i, entry) in std::fs::read_dir(own.data_dir().join("code")).unwrap().flatten().enumerate() {
        if i % 2 == 0 {
            std::fs::remove_file(entry.path()).unwrap();
        } else {
            let mut bytes = std::fs::read(entry.path()).unwrap();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x55;
            }
            std::fs::write(entry.path(), bytes).unwrap();
        }
    }
    own.restart();
    let client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    let _ = client.post("/v1/call/api/x", &json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": 1}));
}
