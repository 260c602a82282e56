//! Secrets, and the triggers whose callers sign with one.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use snaphook_tests::{Client, NodeProcess, Response, Tenant};
use standardwebhooks::Webhook;

use crate::support::{binary, node, problem};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const BODY: &[u8] = b"{\"type\": \"paid\", \"n\": 1}";

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

async fn put(tenant: &Tenant, name: &str, text: &str) -> Response {
    tenant.client.send("PUT", &format!("/v1/secrets/{name}"), &[("content-type", "text/plain")], text.to_owned().into()).await
}

/// A flow `f` whose callers sign with this secret; it gives back what it is given.
async fn signed_flow(tenant: &Tenant, secret: &str) {
    tenant.js("echo", "export default function (payload) { return payload; }").await;
    let trigger = json!({"auth": {"signature": {"secret": secret}}});
    let stored = tenant.flow("f", json!({"trigger": trigger, "steps": [{"script": "echo"}]})).await;
    assert_eq!(stored["trigger"], trigger);
}

async fn send(tenant: &Tenant, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    Client::new(node().url(), None).send("POST", &format!("/t/{}/f", tenant.name), &headers, Bytes::copy_from_slice(body)).await
}

fn sign(key: &str, id: &str, at: i64, body: &[u8]) -> String {
    Webhook::new(key).and_then(|webhook| webhook.sign(id, at, body)).expect("the key is one and the body is text")
}

/// Sends a body that was signed with a key at some time.
async fn signed(tenant: &Tenant, key: &str, at: i64, body: &[u8]) -> Response {
    let signature = sign(key, "msg_1", at, body);
    send(tenant, &[("webhook-id", "msg_1"), ("webhook-timestamp", &at.to_string()), ("webhook-signature", &signature)], body).await
}

#[tokio::test]
async fn signed_requests_begin_runs() {
    let tenant = node().tenant().await;
    let _ = put(&tenant, "HOOK", KEY).await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    let answer = signed(&tenant, KEY, now(), BODY).await.expect(200);
    assert_eq!(answer.json(), json!({"type": "paid", "n": 1}));
    assert_eq!(tenant.record(&answer).await["status"], "succeeded");
    // Clocks differ, both ways; the margin is for a slow machine.
    for at in [now() - 270, now() + 290] {
        let _ = signed(&tenant, KEY, at, BODY).await.expect(200);
    }
    // A sender that rotates its key signs with the old and the new one.
    let at = now();
    let both = [OTHER_KEY, KEY].map(|key| sign(key, "m", at, BODY)).join(" ");
    let time = at.to_string();
    let _ = send(&tenant, &[("webhook-id", "m"), ("webhook-timestamp", &time), ("webhook-signature", &both)], BODY).await.expect(200);
}

#[tokio::test]
async fn the_signature_is_over_the_bytes_as_they_came() {
    let tenant = node().tenant().await;
    let _ = put(&tenant, "HOOK", KEY).await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    let spaced = b" {\n\"a\":1 }  ";
    let _ = signed(&tenant, KEY, now(), spaced).await.expect(200);
    let (body, at) = ([0xff, 0x00, 0xfe, b'{'], now().to_string());
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &KEY[6..]).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("msg_2.{at}.").as_bytes());
    mac.update(&body);
    let signature = format!("v1,{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, mac.finalize().into_bytes()));
    let headers = [("webhook-id", "msg_2"), ("webhook-timestamp", &*at), ("webhook-signature", &*signature), ("content-type", "image/png")];
    let address = format!("/t/{}/f", tenant.name);
    let answer = Client::new(node().url(), None).send("POST", &address, &headers, Bytes::copy_from_slice(&body)).await.expect(200);
    assert_eq!(answer.body, body[..]);
}

#[tokio::test]
async fn what_is_not_signed_or_not_now_is_refused() {
    let tenant = node().tenant().await;
    let _ = put(&tenant, "HOOK", KEY).await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    let refused = async |answer: Response, says: &str| {
        let (code, detail) = problem(&answer.expect(401));
        assert!(code == "signature" && detail.contains(says), "{code}: {detail}, not {says}");
    };
    let (at, early, late) = (now(), now() - 330, now() + 330);
    refused(send(&tenant, &[], BODY).await, "`webhook-id` is missing").await;
    refused(signed(&tenant, OTHER_KEY, at, BODY).await, "fits the body").await;
    refused(signed(&tenant, KEY, early, BODY).await, "300 s").await;
    refused(signed(&tenant, KEY, late, BODY).await, "300 s").await;
    let signature = sign(KEY, "msg_1", at, BODY);
    let time = at.to_string();
    let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", &*time), ("webhook-signature", &*signature)];
    for missing in 0..3 {
        let some: Vec<_> = headers.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, header)| *header).collect();
        refused(send(&tenant, &some, BODY).await, "is missing").await;
    }
    refused(send(&tenant, &headers, b"{\"type\": \"paid\", \"n\": 2}").await, "fits the body").await;
    refused(send(&tenant, &[headers[0], ("webhook-timestamp", &(at + 1).to_string()), headers[2]], BODY).await, "fits the body").await;
    for signature in ["v1,", "v1", ",", "v2,AAAA", &signature[..20], "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        refused(send(&tenant, &[headers[0], headers[1], ("webhook-signature", signature)], BODY).await, "fits the body").await;
    }
    for time in ["soon", "-9223372036854775808", "9223372036854775807", "1e9"] {
        refused(send(&tenant, &[headers[0], ("webhook-timestamp", time), headers[2]], BODY).await, "seconds since 1970").await;
    }
    // The tenant's own token does not stand in for a signature.
    let bearer = format!("Bearer {}", tenant.client.token.as_deref().unwrap());
    refused(send(&tenant, &[("authorization", &bearer)], BODY).await, "is missing").await;
    assert_eq!(tenant.client.get("/v1/runs").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_flow_names_a_secret_that_can_sign() {
    let tenant = node().tenant().await;
    tenant.js("echo", "export default function (payload) { return payload; }").await;
    let document = |secret: &str| json!({"trigger": {"auth": {"signature": {"secret": secret}}}, "steps": [{"script": "echo"}]});
    let refused = async |secret: &str| {
        let body = tenant.client.put("/v1/flows/f", &document(secret)).await.expect(400).json();
        assert_eq!((body["code"].as_str(), body["path"].as_str()), (Some("invalid"), Some("trigger.auth.signature.secret")), "{body}");
        body["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("NONE").await, "there is no secret `NONE`");
    let _ = put(&tenant, "PASSWORD", "correct horse battery staple").await.expect(201);
    let detail = refused("PASSWORD").await;
    assert!(detail.contains("cannot sign") && !detail.contains("horse"), "{detail}");
    // Changed and deleted secrets count at once.
    let _ = put(&tenant, "HOOK", OTHER_KEY).await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    let _ = signed(&tenant, KEY, now(), BODY).await.expect(401);
    let _ = put(&tenant, "HOOK", KEY).await.expect(200);
    let _ = signed(&tenant, KEY, now(), BODY).await.expect(200);
    let _ = tenant.client.delete("/v1/secrets/HOOK").await.expect(204);
    let gone = signed(&tenant, KEY, now(), BODY).await.expect(401);
    assert_eq!(problem(&gone).0, "signature");
}

#[tokio::test]
async fn secrets_are_written_listed_by_name_and_never_shown() {
    let tenant = node().tenant().await;
    let listed = async || -> Vec<Value> { tenant.client.get("/v1/secrets").await.expect(200).json()["items"].as_array().unwrap().clone() };
    assert!(listed().await.is_empty());
    for (name, status) in [("b", 201), ("A_1", 201), ("_c", 201), ("b", 200)] {
        let answer = put(&tenant, name, "the text of a secret").await.expect(status);
        assert_eq!(answer.json()["name"], name);
    }
    let names: Vec<_> = listed().await.iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["A_1", "_c", "b"]);
    let all = tenant.client.get("/v1/secrets").await.text();
    assert!(!all.contains("the text"), "{all}");
    let page = tenant.client.get("/v1/secrets?limit=2").await.expect(200).json();
    let rest = tenant.client.get(&format!("/v1/secrets?cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((rest["items"][0]["name"].as_str(), &rest["next_cursor"]), (Some("b"), &Value::Null));
    assert_eq!(tenant.client.get("/v1/secrets/b").await.status, 405);
    for (name, text, code) in [("1a", "x", "name"), ("a-b", "x", "name"), ("a", "", "invalid"), ("a", &*"x".repeat(70_000), "invalid")] {
        assert_eq!(problem(&put(&tenant, name, text).await.expect(400)).0, code, "{name}");
    }
    let broken = tenant.client.send("PUT", "/v1/secrets/a", &[], Bytes::from_static(b"\xff")).await.expect(400);
    assert_eq!(problem(&broken).0, "invalid");
    let _ = tenant.client.delete("/v1/secrets/b").await.expect(204);
    let _ = tenant.client.delete("/v1/secrets/b").await.expect(404);
}

#[tokio::test]
async fn a_secret_belongs_to_its_tenant() {
    let (a, b) = (node().tenant().await, node().tenant().await);
    let _ = put(&a, "HOOK", KEY).await.expect(201);
    b.js("echo", "export default function (payload) { return payload; }").await;
    let document = json!({"trigger": {"auth": {"signature": {"secret": "HOOK"}}}, "steps": [{"script": "echo"}]});
    let _ = b.client.put("/v1/flows/f", &document).await.expect(400);
    assert_eq!(b.client.get("/v1/secrets").await.json()["items"], json!([]));
    let _ = b.client.delete("/v1/secrets/HOOK").await.expect(404);
    let _ = put(&b, "HOOK", OTHER_KEY).await.expect(201);
    signed_flow(&a, "HOOK").await;
    signed_flow(&b, "HOOK").await;
    let _ = signed(&a, KEY, now(), BODY).await.expect(200);
    let _ = signed(&b, KEY, now(), BODY).await.expect(401);
    let _ = signed(&b, OTHER_KEY, now(), BODY).await.expect(200);
}

#[tokio::test]
async fn a_key_that_is_made_is_told_of_once() {
    let mut own = NodeProcess::start_like(node());
    own.kill();
    let folder = own.data_dir().parent().unwrap().to_owned();
    let data = folder.join("new");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    // Compiling it once more would take seconds.
    std::fs::rename(own.data_dir().join("interpreter"), data.join("interpreter")).unwrap();
    let told = |log: &str| {
        let log = folder.join(log);
        let (mut child, _) = logged(&data, &log, &[]);
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = std::fs::read_to_string(&log).unwrap();
        lines.lines().filter(|line| line.contains("a key of secrets was made")).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = told("first");
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(first[0].contains("WARN") && first[0].contains(data.join("secrets.key").to_str().unwrap()), "{first:?}");
    assert!(told("second").is_empty());
}

/// A node of its own that says all it can say, and what it said.
pub(crate) fn logged(data_dir: &Path, log: &Path, environment: &[(&str, &str)]) -> (std::process::Child, String) {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--operator-token", snaphook_tests::node::OPERATOR, "--data-dir"]).arg(data_dir);
    let file = std::fs::File::create(log).expect("a directory of our own");
    let mut child = command
        .env("RUST_LOG", "trace")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .expect("the binary is there");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("listening on ")).expect("the node listens");
    let url = line.split("listening on ").nth(1).unwrap_or_default().trim().to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

#[tokio::test]
async fn no_file_and_no_log_holds_a_secrets_text() {
    let mut own = NodeProcess::start_like(node());
    own.kill();
    let log = own.data_dir().parent().unwrap().join("log");
    let (mut child, url) = logged(own.data_dir(), &log, &[]);
    let operator = Client::new(&url, Some(snaphook_tests::node::OPERATOR));
    let _ = operator.put("/v1/tenants/acme", &json!({})).await.expect(201);
    let token = operator.post("/v1/tenants/acme/tokens", &json!({"name": "t", "scopes": ["admin"]})).await.expect(201).json();
    let tenant = Tenant { name: "acme".to_owned(), client: Client::new(&url, token["token"].as_str()) };
    let _ = put(&tenant, "HOOK", KEY).await.expect(201);
    let _ = put(&tenant, "OTHER", "correct horse battery staple").await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    let at = now().to_string();
    let signature = sign(KEY, "m", at.parse().unwrap(), BODY);
    let headers = [("webhook-id", "m"), ("webhook-timestamp", &*at), ("webhook-signature", &*signature)];
    let outside = Client::new(&url, None);
    let _ = outside.send("POST", "/t/acme/f", &headers, Bytes::from_static(BODY)).await;
    let _ = outside.send("POST", "/t/acme/f", &headers, Bytes::from_static(b"{}")).await.expect(401);
    child.kill().unwrap();
    child.wait().unwrap();
    let plain: [&[u8]; 3] = [b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"correct horse", b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab"];
    // Searching texts is quick, and every byte is a character of Latin 1.
    let latin = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let mut searched = 0;
    let mut folders = vec![own.data_dir().to_owned()];
    let mut files = vec![log.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        searched += bytes.len();
        let held = latin(&bytes);
        for text in plain {
            assert!(!held.contains(&latin(text)), "{}", file.display());
        }
    }
    assert!(searched > 100_000 && std::fs::metadata(&log).unwrap().len() > 1000, "{searched}");
    let key = std::fs::metadata(own.data_dir().join("secrets.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_node_without_its_key_does_not_start() {
    let mut own = NodeProcess::start_like(node());
    let tenant = own.tenant().await;
    let _ = put(&tenant, "HOOK", KEY).await.expect(201);
    signed_flow(&tenant, "HOOK").await;
    own.restart();
    let at = now().to_string();
    let signature = sign(KEY, "m", at.parse().unwrap(), BODY);
    let headers =
        [("webhook-id", "m"), ("webhook-timestamp", &*at), ("webhook-signature", &*signature), ("content-type", "application/json")];
    let _ =
        Client::new(own.url(), None).send("POST", &format!("/t/{}/f", tenant.name), &headers, Bytes::from_static(BODY)).await.expect(200);
    own.kill();
    let key = own.data_dir().join("secrets.key");
    let good = std::fs::read(&key).unwrap();
    let start = || {
        let mut command = Command::new("timeout");
        command.arg("60").arg(binary()).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(own.data_dir()).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    std::fs::remove_file(&key).unwrap();
    let (code, said) = start();
    assert!(code == Some(1) && said.contains("is missing"), "{code:?}: {said}");
    assert!(!key.exists(), "no new key takes its place");
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let (code, said) = start();
    assert!(code == Some(1) && said.contains("another key"), "{code:?}: {said}");
    std::fs::write(&key, good).unwrap();
    own.restart();
    let _ = Client::new(own.url(), tenant.client.token.as_deref()).get("/v1/secrets").await.expect(200);
}
