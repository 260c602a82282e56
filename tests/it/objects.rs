//! Components of scripts and large payloads beside the database: in a folder, and in a storage that speaks S3's protocol and goes away now and then.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{Answer, Link, S3, Upstream};
use snaphook_tests::{Client, NodeOptions, NodeProcess, Response, Tenant};

use crate::support::{binary, ended, endpoint, files_below, node, ok, problem};

const SCRIPT: &str = "export function preHook(call) { call.arguments.seen = 1; }";

/// The options of a node whose objects lie in the storage, reached by way of this address.
fn with_objects(options: NodeOptions, s3: &S3, by: std::net::SocketAddr) -> NodeOptions {
    NodeOptions { environment: s3.settings(by), ..options }.with("--objects", &s3.url("p"))
}

fn start(options: NodeOptions) -> NodeProcess {
    NodeProcess::start_with(node(), options)
}

/// The tenant as a client of another node sees it.
fn at(node: &NodeProcess, tenant: &Tenant) -> Tenant {
    Tenant { name: tenant.name.clone(), client: Client::new(node.url(), tenant.client.token.as_deref()) }
}

/// Asks again until it is so: thirty seconds at most.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn of_kind(s3: &S3, kind: &str) -> Vec<String> {
    s3.keys().into_iter().filter(|key| key.contains(&format!("/{kind}/"))).collect()
}

/// Text that no compression makes smaller by more than half.
fn noise(bytes: usize) -> String {
    let digests = (0..bytes as u64 / 64).map(|number| Sha256::digest(number.to_le_bytes()));
    digests.flatten().map(|byte| format!("{byte:02x}")).collect()
}

/// An endpoint `api/x` with the script `s` before it.
async fn bound(tenant: &Tenant) -> Upstream {
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    tenant.js("s", SCRIPT).await;
    endpoint(tenant, &upstream, json!({"pre-hook": [{"script": "s", "version": 1}]}), json!({})).await;
    upstream
}

#[tokio::test]
async fn scripts_in_a_storage_outlive_the_node() {
    let s3 = S3::start();
    let mut own = start(with_objects(NodeOptions::default(), &s3, s3.address()));
    assert!(own.printed().lines().any(|line| line.starts_with("objects") && line.contains(&s3.url("p"))), "{}", own.printed());
    let tenant = own.tenant().await;
    let upstream = bound(&tenant).await;
    assert_eq!(of_kind(&s3, "components").len(), 1);
    let component = tenant.client.get("/v1/scripts/s/versions/1/component").await.expect(200).body;
    assert_eq!(s3.get(&of_kind(&s3, "components")[0]), Some(component));
    own.kill();
    // Nothing but the storage has it now.
    std::fs::remove_dir_all(own.data_dir().join("code")).unwrap();
    own.restart();
    let _ = at(&own, &tenant).call("api/x", json!({})).await.expect(200);
    assert_eq!(upstream.last().json(), json!({"seen": 1}));
}

#[tokio::test]
async fn a_storage_proves_who_it_is() {
    let s3 = S3::start_tls();
    let directory = tempfile::tempdir().unwrap();
    let (arguments, settings) = (["--data-dir", "/nowhere", "--objects", &s3.url("p")], s3.settings(s3.address()));
    let (sound, said) = doctor(&arguments, &settings);
    assert!(!sound && said.contains("writing an object failed"), "nobody vouches for it: {said}");
    assert_eq!(s3.puts(), 0);
    let authorities = directory.path().join("authorities.pem");
    std::fs::write(&authorities, s3.certificate().unwrap()).unwrap();
    let trusted = [settings, vec![("SSL_CERT_FILE".to_owned(), authorities.display().to_string())]].concat();
    let (_, said) = doctor(&arguments, &trusted);
    assert!(said.contains("objects can be written, read and deleted in"), "{said}");
    assert_eq!((s3.puts(), s3.keys().len()), (1, 0));
}

#[tokio::test]
async fn nodes_on_one_database_share_a_storage() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let options = with_objects(NodeOptions::on(&url), &s3, s3.address());
    let (here, there) = (start(options.clone()), start(options));
    let tenant = here.tenant().await;
    let upstream = bound(&tenant).await;
    let other = at(&there, &tenant);
    until("the other node uses the script", async || other.call("api/x", json!({})).await.status == 200).await;
    assert_eq!(upstream.last().json(), json!({"seen": 1}));
    let in_rows = "SELECT coalesce(sum(length(component)), 0) FROM script_bytes";
    assert_eq!(Cluster::shared().sql(url.rsplit('/').next().unwrap(), in_rows), "0", "no component is in the database");
    // What one deletes is gone for both.
    let _ = tenant.client.delete("/v1/connectors/api").await.expect(204);
    let _ = tenant.client.delete("/v1/scripts/s/versions/1").await.expect(204);
    assert_eq!(of_kind(&s3, "components"), Vec::<String>::new());
}

/// Uploads one script after another until the node is gone; gives the paths of those that were acknowledged.
async fn upload_until_the_end(tenant: Tenant, round: usize, task: usize, acknowledged: tokio::sync::watch::Sender<usize>) -> Vec<String> {
    let mut done = Vec::new();
    for number in 0..1000 {
        let source = format!("export function preHook() {{ return {{ at: '{round}-{task}-{number}' }}; }}");
        let path = format!("/v1/scripts/s-{round}-{task}-{number}");
        match tenant.client.try_send("PUT", &path, &[("content-type", "application/javascript")], source.into()).await {
            Ok(answer) if answer.status == 201 => {
                done.push(path);
                acknowledged.send_modify(|count| *count += 1);
            }
            _ => break,
        }
    }
    done
}

#[tokio::test]
async fn acknowledged_uploads_are_there_after_a_kill() {
    let s3 = S3::start();
    let mut own = start(with_objects(NodeOptions::default(), &s3, s3.address()));
    let tenant = own.tenant().await;
    let mut acknowledged = Vec::new();
    for round in 0..3_usize {
        let tenant = at(&own, &tenant);
        let (send, mut count) = tokio::sync::watch::channel(0);
        let uploading: Vec<_> = (0..3).map(|task| tokio::spawn(upload_until_the_end(tenant.clone(), round, task, send.clone()))).collect();
        count.wait_for(|count| *count >= 4 + round).await.unwrap();
        own.kill();
        for uploading in uploading {
            acknowledged.extend(uploading.await.unwrap());
        }
        std::fs::remove_dir_all(own.data_dir().join("code")).unwrap();
        own.restart();
    }
    let client = Client::new(own.url(), tenant.client.token.as_deref());
    for path in &acknowledged {
        let component = client.get(&format!("{path}/versions/1/component")).await.expect(200).body;
        assert!(component.starts_with(b"\0asm"), "{path}");
        let tested = client.post(&format!("{path}/versions/1/test"), &json!({"hook": "pre-hook", "arguments": {}})).await;
        assert_eq!(tested.status, 200, "{path}: {}", tested.text());
    }
    assert!(acknowledged.len() >= 12, "{}", acknowledged.len());
}

fn refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, problem(answer).0.as_str()), (status, code), "{}", answer.text());
}

#[tokio::test]
async fn a_storage_that_goes_and_comes_back_costs_nothing_that_was_acknowledged() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let link = Link::to(s3.address());
    let options = with_objects(NodeOptions::on(&url), &s3, link.address());
    let (here, there) = (start(options.clone()), start(options));
    let tenant = here.tenant().await;
    let upstream = bound(&tenant).await;
    let body = noise(200_000);
    link.take_down();
    refused(&tenant.upload("s", "javascript", "export function preHook() {}").await, 503, "store-unavailable");
    refused(&tenant.client.get("/v1/scripts/s/versions/1/component").await, 503, "store-unavailable");
    // What has its code here runs; who has not says so.
    let answered = tenant.call("api/x", json!({ "body": body })).await.expect(200);
    let other = at(&there, &tenant);
    refused(&other.call("api/x", json!({})).await, 503, "store-unavailable");
    assert_eq!(Client::new(here.url(), None).get("/readyz").await.status, 200, "a node without it is of use");
    let asked = upstream.requests().len();
    link.mend();
    let _ = other.call("api/x", json!({})).await.expect(200);
    let created = tenant.upload("s", "javascript", "export function preHook() {}").await.expect(201);
    assert_eq!(created.json()["version"], 2, "what was refused is not there");
    assert_eq!(upstream.requests().len(), asked + 1);
    // The run of that time replays, from the database.
    let run = answered.header("x-run-id").unwrap();
    let replayed = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).json();
    assert_eq!(replayed["same"], true, "{replayed:#}");
    assert_eq!(replayed["invocations"][0]["before"]["arguments"]["body"], body);
}

#[tokio::test]
async fn an_altered_component_is_not_run() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let options = with_objects(NodeOptions::on(&url), &s3, s3.address());
    let (here, there) = (start(options.clone()), start(options));
    let tenant = here.tenant().await;
    let _upstream = bound(&tenant).await;
    let key = of_kind(&s3, "components").remove(0);
    let bytes = s3.get(&key).unwrap();
    let other = at(&there, &tenant);
    let mut altered = bytes.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    s3.put(&key, altered);
    let answer = other.call("api/x", json!({})).await;
    refused(&answer, 500, "object-damaged");
    assert!(answer.text().contains(key.strip_prefix("p/").unwrap()) && answer.json()["blame"] == "platform", "{}", answer.text());
    s3.remove(&key);
    refused(&other.call("api/x", json!({})).await, 500, "object-damaged");
    s3.put(&key, bytes);
    let _ = other.call("api/x", json!({})).await.expect(200);
}

/// Files of a tenant's objects in a data directory.
fn files(node: &NodeProcess, tenant: &Tenant, kind: &str) -> BTreeSet<String> {
    let folder = node.data_dir().join("objects/t").join(&tenant.name).join(kind);
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_large_recording_replays_to_the_last_byte() {
    let (tenant, upstream) = (node().tenant().await, Upstream::start().await);
    let (sent, answered) = (noise(150_000), noise(250_000));
    upstream.on("/x", Answer::json(json!({ "text": answered })));
    tenant.js("s", "export function postRequest(response) { return { kept: response.json().text }; }").await;
    endpoint(&tenant, &upstream, json!({"post-request": [{"script": "s"}]}), json!({})).await;
    let run = tenant.call("api/x", json!({ "text": sent })).await.expect(200).header("x-run-id").unwrap().to_owned();
    let replayed = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200).json();
    assert_eq!(replayed["same"], true);
    assert_eq!(replayed["invocations"][0]["after"]["payload"], json!({ "kept": answered }));
    let recordings = files(node(), &tenant, "recordings");
    assert_eq!(recordings.len(), 1, "{recordings:?}");
    // A small one has no file.
    upstream.on("/x", Answer::json(json!({"text": "short"})));
    let run = tenant.call("api/x", json!({})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let _ = tenant.client.post(&format!("/v1/runs/{run}/replay"), &json!({})).await.expect(200);
    assert_eq!(files(node(), &tenant, "recordings"), recordings);

    // The first with another byte at its end.
    let folder = node().data_dir().join("objects/t").join(&tenant.name).join("recordings");
    let path = folder.join(recordings.first().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let runs = tenant.client.get("/v1/runs").await.expect(200).json();
    let first = runs["items"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    refused(&tenant.client.post(&format!("/v1/runs/{first}/replay"), &json!({})).await, 500, "object-damaged");
}

/// Starts a run with two megabytes that waits for its second attempt, kills the node meanwhile, and lets the run go on. `waiting` is what is looked
/// at beside the keys of its objects, which `kept` gives.
async fn waits_with_a_large_input(
    mut own: NodeProcess,
    kept: impl Fn(&NodeProcess, &str) -> Vec<String>,
    waiting: impl Fn(&NodeProcess, &str),
) {
    let mut tenant = own.tenant().await;
    let upstream = Upstream::start().await;
    upstream.on("/x", Answer::status(503)).on("/x", ok());
    let retry = json!({"attempts": 3, "delay_s": 3, "backoff": 1});
    let endpoints = json!({"x": {"method": "POST", "path": "/x", "retry": retry}});
    tenant.connector("c", json!({"base_url": upstream.url(""), "endpoints": endpoints})).await;
    tenant.flow("f", json!({"steps": [{"call": "c/x"}]})).await;
    let input = json!({ "text": noise(2_000_000) });
    let run = tenant.start("f", input.clone()).await;
    let is_waiting = async || tenant.record_of(&run).await["status"] == "waiting";
    until("the run waits for its second attempt", is_waiting).await;
    // What a later checkpoint has taken the place of goes a moment after it.
    let held_once = |kind: &str| kept(&own, &tenant.name).iter().filter(|key| key.contains(kind)).count() == 1;
    until("its input and where it is are there once", async || held_once("inputs") && held_once("checkpoints")).await;
    own.kill();
    waiting(&own, input["text"].as_str().unwrap());
    own.restart();
    tenant.client = Client::new(own.url(), tenant.client.token.as_deref());
    let record = ended(&tenant, &run).await;
    assert_eq!((&record["status"], upstream.requests().len()), (&json!("succeeded"), 2), "{record}");
    assert_eq!(upstream.last().json(), input);
    let is_over = || kept(&own, &tenant.name).iter().all(|key| key.contains("recordings"));
    until("nothing is left but its recording", async || is_over()).await;
    assert!(kept(&own, &tenant.name).len() <= 1, "{:?}", kept(&own, &tenant.name));
}

#[tokio::test]
async fn a_large_input_waits_in_a_folder_and_outlives_a_kill() {
    let kept = |own: &NodeProcess, tenant: &str| {
        let below = |prefix: &str| own.data_dir().join("objects").join(prefix).join(tenant);
        let folders = [below("q"), below("t")].into_iter().filter(|folder| folder.is_dir());
        folders.flat_map(|folder| files_below(&folder)).map(|path| path.display().to_string()).collect()
    };
    let waiting = |own: &NodeProcess, text: &str| {
        // The record shows the beginning of it.
        let part = &text.as_bytes()[1_000_000..1_000_064];
        for file in ["snaphook.db", "snaphook.db-wal"] {
            let bytes = std::fs::read(own.data_dir().join(file)).unwrap();
            assert!(!bytes.windows(part.len()).any(|window| window == part), "the input is in {file}");
        }
    };
    waits_with_a_large_input(start(NodeOptions::default()), kept, waiting).await;
}

#[tokio::test]
async fn a_large_input_waits_in_a_storage_and_outlives_a_kill() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let own = start(with_objects(NodeOptions::on(&url), &s3, s3.address()));
    let kept = |_: &NodeProcess, tenant: &str| s3.keys().into_iter().filter(|key| key.contains(&format!("/{tenant}/"))).collect();
    let waiting = |_: &NodeProcess, _: &str| {
        let in_rows =
            "SELECT (SELECT sum(length(input) + length(checkpoint)) FROM run_queue) + (SELECT count(recording) FROM run_recordings)";
        assert_eq!(Cluster::shared().sql(url.rsplit('/').next().unwrap(), in_rows), "0", "nothing of it is in the database");
    };
    waits_with_a_large_input(own, kept, waiting).await;
}

#[tokio::test]
async fn tenants_and_retention_leave_no_object() {
    let s3 = S3::start();
    let own = start(with_objects(NodeOptions::default(), &s3, s3.address()));
    let allowed = json!({"allow_private": ["127.0.0.0/8"]});
    let brief = own.tenant_with(json!({"egress": allowed, "retention": {"payloads_s": 1, "logs_s": 3600}})).await;
    let gone = own.tenant_with(json!({ "egress": allowed })).await;
    let body = noise(200_000);
    let mut upstreams = Vec::new();
    for tenant in [&brief, &gone] {
        upstreams.push(bound(tenant).await);
        let run = tenant.call("api/x", json!({ "body": body })).await.expect(200).header("x-run-id").unwrap().to_owned();
        let _ = tenant.client.get(&format!("/v1/runs/{run}")).await.expect(200);
    }
    let recordings = || of_kind(&s3, "recordings").into_iter().map(|key| key.split('/').nth(2).unwrap().to_owned()).collect::<Vec<_>>();
    assert!(recordings().contains(&gone.name));
    until("payloads that had their time are gone", async || recordings() == [gone.name.clone()]).await;
    assert_eq!(of_kind(&s3, "components").len(), 2);
    for tenant in [&gone, &brief] {
        let _ = own.operator().delete(&format!("/v1/tenants/{}", tenant.name)).await.expect(204);
    }
    assert_eq!(s3.keys(), ["p/place"]);
}

#[tokio::test]
async fn objects_of_nobody_go_at_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, interpreter) = (directory.path().join("data"), node().data_dir().join("interpreter"));
    let components = data_dir.join("objects/t/acme/components");
    std::fs::create_dir_all(&components).unwrap();
    std::fs::create_dir(data_dir.join("interpreter")).unwrap();
    for entry in std::fs::read_dir(interpreter).unwrap().flatten() {
        std::fs::copy(entry.path(), data_dir.join("interpreter").join(entry.file_name())).unwrap();
    }
    let put = |name: &str, days: u64| {
        let file = std::fs::File::create(components.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3600)).unwrap();
    };
    for (name, days) in [("of-nobody", 3), ("unfinished#1", 3), ("under-way", 0), ("under-way#1", 0)] {
        put(name, days);
    }
    let _own = NodeProcess::start_at(binary(), &data_dir, NodeOptions::default());
    let left = || std::fs::read_dir(&components).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let wanted = ["under-way", "under-way#1"].map(str::to_owned).into();
    until("what is old and nobody's is gone", async || BTreeSet::<String>::from_iter::<Vec<_>>(left()) == wanted).await;
}

fn doctor(arguments: &[&str], settings: &[(String, String)]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        Command::new(binary()).arg("doctor").args(arguments).envs(settings.iter().cloned()).output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// Starts a node that is to refuse; gives what it says, in one line.
fn refusal(options: &NodeOptions, data_dir: &Path) -> String {
    let output = options.command(binary(), data_dir).stderr(std::process::Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).replace(['│', '×', '╰', '─', '▶', '├'], " ");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_node_with_another_place_does_not_start_and_says_what_to_do() {
    let (url, s3) = (Cluster::shared().database(), S3::start());
    let options = with_objects(NodeOptions::on(&url), &s3, s3.address());
    let own = start(options.clone());
    let directory = tempfile::tempdir().unwrap();
    let key = std::fs::copy(own.data_dir().join("secrets.key"), directory.path().join("secrets.key"));
    key.unwrap();
    let folder = directory.path().join("folder").display().to_string();
    let here = format!("file://{folder}");
    for (options, parts) in [
        (NodeOptions::on(&url), [s3.url("p").as_str(), "given no place for objects", "--objects"]),
        (options.clone().with("--objects", &s3.url("q")), ["are not in", s3.url("p").as_str(), "--objects"]),
        (options.clone().with("--objects", &here), ["are not in", folder.as_str(), "copy all of it"]),
        (options.clone().with("--objects", "/var/objects"), ["/var/objects", "file:///a/folder", "s3://bucket/prefix"]),
        (with_objects(NodeOptions::default(), &s3, s3.address()), ["another database", s3.url("p").as_str(), "a place of its own"]),
    ] {
        let said = refusal(&options, directory.path());
        // A narrow terminal breaks lines within names too.
        let solid = |text: &str| text.replace(' ', "");
        assert!(parts.iter().all(|part| solid(&said).contains(&solid(part))), "{said}");
    }

    let data_dir = own.data_dir().to_str().unwrap();
    let shared = ["--data-dir", data_dir, "--database", url.as_str()];
    let (sound, said) = doctor(&[&shared[..], &["--objects", &s3.url("p")]].concat(), &s3.settings(s3.address()));
    assert!(sound && said.contains("can be written, read and deleted") && said.contains("where the database's objects are"), "{said}");
    let (sound, said) = doctor(&shared, &[]);
    assert!(!sound && said.contains("given no place for objects"), "{said}");
    let (sound, said) = doctor(&[&shared[..], &["--objects", &s3.url("q")]].concat(), &s3.settings(s3.address()));
    assert!(!sound && said.contains("are not in"), "{said}");
    let wrong: Vec<_> =
        s3.settings(s3.address()).into_iter().map(|(name, value)| (name, value.replace("access-key", "other-key"))).collect();
    let (sound, said) = doctor(&[&shared[..], &["--objects", &s3.url("p")]].concat(), &wrong);
    assert!(!sound && said.contains("writing an object failed") && !said.contains("secret-key"), "{said}");
    assert!(s3.keys().iter().all(|key| !key.contains("probe")), "{:?}", s3.keys());
}

#[tokio::test]
async fn doctor_looks_at_the_folder_of_a_data_directory() {
    let mut own = start(NodeOptions::default());
    let tenant = own.tenant().await;
    tenant.js("s", SCRIPT).await;
    own.kill();
    let data_dir = own.data_dir().to_str().unwrap().to_owned();
    let (sound, said) = doctor(&["--data-dir", &data_dir], &[]);
    assert!(sound && said.contains("can be written, read and deleted") && said.contains("where the database's objects are"), "{said}");
    std::fs::remove_file(own.data_dir().join("objects/place")).unwrap();
    let (sound, said) = doctor(&["--data-dir", &data_dir], &[]);
    assert!(!sound && said.contains("are not in"), "{said}");
    let said: Value = json!(refusal(&NodeOptions::default(), own.data_dir()));
    assert!(said.as_str().unwrap().contains("the object `place` says"), "{said}");
}
