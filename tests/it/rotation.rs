//! A new key for everything that is sealed: what was sealed before still opens, the old key opens nothing any more, and a wrong one changes nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Gate, Upstream};
use snaphook_tests::{NodeOptions, NodeProcess, Tenant};

use crate::connections::tokens;
use crate::support::{binary, ended, files_below, node, ok};

/// The command.
fn rotation(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["secrets", "rotate", "--data-dir"]).arg(data_dir).args(arguments).env_remove("SNAPHOOK_SECRETS_KEY");
    command
}

/// What the command said, and whether it did what it should.
fn rotate(data_dir: &Path, arguments: &[&str]) -> (bool, String) {
    let output = rotation(data_dir, arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).replace(['│', '×', '╰', '─', '▶', '├'], " ");
    (output.status.success(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn key_of(data_dir: &Path) -> PathBuf {
    data_dir.join("secrets.key")
}

/// Connectors whose requests need a field, a secret and a token.
async fn prepared(tenant: &Tenant, upstream: &Upstream) {
    upstream.on("/x", ok());
    let put = async |name: &str, connection: Value| {
        let _ = tenant.client.put(&format!("/v1/connections/{name}"), &connection).await.expect(201);
        let endpoint = json!({"method": "POST", "path": "/x", "headers": {"x-named": "{{ secrets.NAMED }}"}});
        tenant.connector(name, json!({"base_url": upstream.url(""), "connection": name, "endpoints": {"x": endpoint}})).await;
    };
    secret(tenant, "NAMED", "n4med-text").await;
    put("basic", json!({"kind": "bearer", "fields": {"token": "t0ken-text"}})).await;
    let fields = json!({"token_url": upstream.url("/token"), "client_id": "id", "client_secret": "cl1ent-text"});
    put("oauth", json!({"kind": "oauth2-client-credentials", "fields": fields})).await;
}

async fn secret(tenant: &Tenant, name: &str, text: &'static str) {
    let put = tenant.client.send("PUT", &format!("/v1/secrets/{name}"), &[], Bytes::from_static(text.as_bytes())).await;
    assert!(matches!(put.status, 200 | 201), "{}", put.text());
}

/// Everything still opens.
async fn works(tenant: &Tenant, upstream: &Upstream) {
    for (name, authorization) in [("basic", "Bearer t0ken-text"), ("oauth", "Bearer token-number-1")] {
        let _ = tenant.call(&format!("{name}/x"), json!({})).await.expect(200);
        let request = upstream.last();
        assert_eq!((request.header("authorization"), request.header("x-named")), (Some(authorization), Some("n4med-text")));
    }
}

#[tokio::test]
async fn a_new_key_takes_the_old_ones_place() {
    let mut own = NodeProcess::start_like(node());
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    let fetched = tokens(&upstream, |_| json!({}));
    prepared(&tenant, &upstream).await;
    works(&tenant, &upstream).await;
    let data = own.data_dir().to_owned();
    let (done, said) = rotate(&data, &[]);
    assert!(!done && said.contains("in use"), "{said}");
    own.kill();
    let old = std::fs::read_to_string(key_of(&data)).unwrap();

    // A wrong key is refused, and no new one is made.
    std::fs::write(key_of(&data), "ab".repeat(32)).unwrap();
    let (done, said) = rotate(&data, &[]);
    assert!(!done && said.contains("nothing was changed"), "{said}");
    assert!(!data.join("secrets.key.new").exists());
    std::fs::write(key_of(&data), &old).unwrap();
    own.restart();
    let at = |own: &NodeProcess| Tenant {
        name: tenant.name.clone(),
        client: snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref()),
    };
    works(&at(&own), &upstream).await;
    own.kill();

    let (done, said) = rotate(&data, &[]);
    assert!(done && said.contains("3 secrets, connections, authorizations and callbacks"), "{said}");
    let new = std::fs::read_to_string(key_of(&data)).unwrap();
    assert_ne!(new, old);
    let kept: Vec<_> = files_below(&data).into_iter().filter(|file| file.display().to_string().contains("secrets.key.old-")).collect();
    assert_eq!(kept.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<Vec<_>>(), std::slice::from_ref(&old));
    assert!(!said.contains(old.trim()) && !said.contains(new.trim()), "{said}");
    own.restart();
    works(&at(&own), &upstream).await;
    assert_eq!(fetched.load(Ordering::SeqCst), 1, "the token is the one that was fetched before");
    own.kill();

    // Once more, which leaves nothing of the first time: and the first key is none any more.
    let (done, said) = rotate(&data, &[]);
    assert!(done && said.contains("3 secrets, connections, authorizations and callbacks"), "{said}");
    let newest = std::fs::read_to_string(key_of(&data)).unwrap();
    for stale in [&old, &new] {
        std::fs::write(key_of(&data), stale).unwrap();
        let (done, said) = rotate(&data, &[]);
        assert!(!done && said.contains("nothing was changed"), "{said}");
        let mut command = Command::new("timeout");
        command.arg("60").arg(binary()).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
        let output = command.output().unwrap();
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("another key"));
    }
    std::fs::write(key_of(&data), newest).unwrap();
    own.restart();
    works(&at(&own), &upstream).await;
}

#[tokio::test]
async fn a_callback_that_came_before_the_new_key_is_heard_after_it() {
    let mut own = NodeProcess::start_like(node());
    let (mut tenant, upstream) = (own.tenant().await, Upstream::start().await);
    // The first request is never answered, so its run cannot hear that it was called back until it is sent again.
    upstream.on("/ask", ok().after(&Gate::closed())).on("/ask", ok()).on("/after", ok());
    let steps = json!([
        {"name": "Ask", "url": upstream.url("/ask"), "method": "POST", "data": "{{ payload }}", "idempotent": true, "async": {}},
        {"name": "After", "url": upstream.url("/after"), "method": "POST", "data": "{{ payload }}"},
    ]);
    tenant.flow("f", json!({ "steps": steps })).await;
    let run = tenant.start("f", json!({"n": 1})).await;
    let correlation = upstream.received(1).await[0].header("x-link-correlation-id").unwrap().to_owned();
    let headers = [("x-link-correlation-id", correlation.as_str()), ("x-link-status", "Ok"), ("content-type", "application/json")];
    let _ = tenant.call_back(&headers, r#"{"called": "back"}"#).await.expect(200);
    own.kill();
    let data = own.data_dir().to_owned();
    let (done, said) = rotate(&data, &[]);
    assert!(done && said.contains("1 secrets, connections, authorizations and callbacks"), "{said}");
    own.restart();
    tenant.client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    assert_eq!(ended(&tenant, &run).await["status"], "succeeded");
    let requests = upstream.requests();
    let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!((paths, requests[2].json()), (vec!["/ask", "/ask", "/after"], json!({"called": "back"})));
    own.kill();
    let (done, said) = rotate(&data, &[]);
    assert!(done && said.contains("0 secrets, connections, authorizations and callbacks"), "what was heard is kept no more: {said}");
}

#[tokio::test]
async fn a_rotation_that_is_killed_loses_nothing_and_can_be_given_again() {
    const KILLS: u32 = 12;
    let mut own = NodeProcess::start_like(node());
    let (tenant, upstream) = (own.tenant().await, Upstream::start().await);
    let _ = tokens(&upstream, |_| json!({}));
    prepared(&tenant, &upstream).await;
    for number in 0..100 {
        secret(&tenant, &format!("MORE_{number}"), "m0re-text").await;
    }
    works(&tenant, &upstream).await;
    let data = own.data_dir().to_owned();
    own.kill();
    let begun = Instant::now();
    let (done, said) = rotate(&data, &[]);
    assert!(done, "{said}");
    let whole = begun.elapsed();
    let first = std::fs::read_to_string(key_of(&data)).unwrap();
    for kill in 0..KILLS {
        let mut child = rotation(&data, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Where a kill finds it is chance, and is meant to be.
        tokio::time::sleep(whole * kill / KILLS).await;
        child.kill().unwrap();
        let _ = child.wait().unwrap();
        own.restart();
        let client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
        works(&Tenant { name: tenant.name.clone(), client }, &upstream).await;
        own.kill();
    }
    let (done, said) = rotate(&data, &[]);
    if !done {
        assert!(said.contains("--finish"), "{said}");
        let (done, said) = rotate(&data, &["--finish"]);
        assert!(done, "{said}");
    }
    assert_ne!(std::fs::read_to_string(key_of(&data)).unwrap(), first);
    own.restart();
    let client = snaphook_tests::Client::new(own.url(), tenant.client.token.as_deref());
    works(&Tenant { name: tenant.name.clone(), client }, &upstream).await;
}

#[tokio::test]
async fn nodes_that_run_open_what_is_sealed_under_either_key() {
    let url = Cluster::shared().database();
    let first = NodeProcess::start_with(node(), NodeOptions::on(&url));
    let mut second = NodeProcess::start_with(&first, NodeOptions::on(&url));
    let (tenant, upstream) = (first.tenant().await, Upstream::start().await);
    let at = |node: &NodeProcess| Tenant {
        name: tenant.name.clone(),
        client: snaphook_tests::Client::new(node.url(), tenant.client.token.as_deref()),
    };
    let _ = tokens(&upstream, |_| json!({}));
    prepared(&tenant, &upstream).await;
    works(&tenant, &upstream).await;
    let old = std::fs::read_to_string(key_of(first.data_dir())).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (new, other) = (files.path().join("new.key"), files.path().join("other.key"));
    let with = |file: &Path| ["--database", &url, "--new-key-file", file.to_str().unwrap()].map(str::to_owned);
    let run = |file: &Path| rotate(first.data_dir(), &with(file).each_ref().map(String::as_str));

    let (done, said) = run(&new);
    assert!(done && said.contains("give every node the key"), "{said}");
    for node in [&first, &second] {
        works(&at(node), &upstream).await;
    }
    // What nodes with the old key write now is sealed under the new one; given again, the command finds nothing to do.
    secret(&at(&first), "LATER", "l4ter-text").await;
    let (done, said) = run(&new);
    assert!(done && said.contains("0 secrets, connections, authorizations and callbacks"), "{said}");
    let (done, said) = run(&other);
    assert!(!done && said.contains("a change to another key"), "{said}");

    // A node that starts now may have either key.
    second.restart();
    works(&at(&second), &upstream).await;
    std::fs::copy(&new, key_of(second.data_dir())).unwrap();
    second.restart();
    works(&at(&second), &upstream).await;
    let finish = |data_dir: &Path| rotate(data_dir, &["--database", &url, "--finish"]);
    let (done, said) = finish(first.data_dir());
    assert!(!done && said.contains("give the new key"), "{said}");
    let (done, said) = finish(second.data_dir());
    assert!(done && said.contains("the old key opens nothing"), "{said}");
    for node in [&first, &second] {
        works(&at(node), &upstream).await;
    }
    let database = url.rsplit('/').next().unwrap();
    let left = Cluster::shared().sql(database, "SELECT count(*) FROM meta WHERE name = 'secrets-key-handover'");
    assert_eq!(left.split_whitespace().next(), Some("0"), "{left}");
    second.kill();
    std::fs::write(key_of(second.data_dir()), old).unwrap();
    let refused = NodeOptions::on(&url).command(binary(), second.data_dir()).stderr(std::process::Stdio::piped()).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("another key"));
}
