//! What a node has given up. That everything still works under it is what all other tests show, whose nodes have it as well.

use std::process::{Command, Stdio};

use serde_json::json;
use snaphook_testkit::postgres::Cluster;
use snaphook_testkit::{S3, Upstream};
use snaphook_tests::{NodeOptions, NodeProcess};

use crate::support::{binary, endpoint, node, ok};

const WALL: &str = "wall      ";

/// What the node says of its wall.
fn said(node: &NodeProcess) -> &str {
    node.printed().lines().find_map(|line| line.strip_prefix(WALL)).expect("a node says what it has given up")
}

/// Whether every thread of the node has its system calls filtered, and may gain no privileges.
fn confined(node: &NodeProcess) -> Vec<(bool, bool)> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap().flatten();
    let statuses = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok());
    let mut states: Vec<_> = statuses.map(|status| (status.contains("Seccomp:\t2"), status.contains("NoNewPrivs:\t1"))).collect();
    states.sort_unstable();
    states.dedup();
    states
}

/// A script is compiled, by the child; it runs; a request goes out to a name that must be looked up; the run's record is written and read.
async fn a_call_goes_through(node: &NodeProcess) {
    let (tenant, upstream) = (node.tenant().await, Upstream::start().await);
    upstream.on("/x", ok());
    tenant.js("s", "export function preHook(call) { call.arguments.seen = true; }").await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let named = upstream.url("").replace("127.0.0.1", "localhost");
    let hooks = json!({"pre-hook": [{"script": "s"}]});
    let named = json!({"base_url": named, "endpoints": {"x": {"method": "POST", "path": "/x", "hooks": hooks}}});
    tenant.connector("named", named).await;
    for call in ["api/x", "named/x"] {
        let answer = tenant.call(call, json!({})).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"seen": true}));
        assert_eq!(tenant.record(&answer).await["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_node_gives_up_what_it_does_not_need_and_says_so() {
    let whole = !said(node()).contains("missing");
    if whole {
        assert_eq!(said(node()), "no new privileges, files, the port to listen on, no signals to others, no needless system calls");
        assert_eq!(confined(node()), [(true, true)]);
    }
    a_call_goes_through(node()).await;

    let required = NodeOptions::default().with("--second-wall", "require");
    if whole {
        let own = NodeProcess::start_with(node(), required);
        assert_eq!(confined(&own), [(true, true)]);
        a_call_goes_through(&own).await;
    }
    let own = NodeProcess::start_with(node(), NodeOptions::default().with("--second-wall", "off"));
    assert_eq!(said(&own), "none (missing: it is switched off)");
    assert_eq!(confined(&own), [(false, false)]);
    a_call_goes_through(&own).await;
}

#[tokio::test]
async fn what_a_node_is_told_to_use_is_within_its_wall() {
    // A database over its socket, and objects in a folder beside the data directory.
    let cluster = Cluster::shared();
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let options = NodeOptions::on(cluster.over_socket(&cluster.database()));
    let own = NodeProcess::start_with(node(), options.with("--objects", &format!("file://{}", objects.display())));
    a_call_goes_through(&own).await;
    assert!(!crate::support::files_below(&objects).is_empty(), "no component lies in the folder");

    // Objects at a storage that is asked over the network.
    let s3 = S3::start();
    let mut options = NodeOptions::default().with("--objects", &s3.url("wall"));
    options.environment = s3.settings(s3.address());
    let own = NodeProcess::start_with(node(), options);
    a_call_goes_through(&own).await;

    // The key of secrets in a file of its own, which the next start reads as well.
    let key = folder.path().join("key");
    let kept = NodeOptions::default().with("--secrets-key-file", key.to_str().unwrap());
    std::fs::copy(node().data_dir().join("secrets.key"), &key).unwrap();
    let mut own = NodeProcess::start_with(node(), kept);
    own.restart();
    a_call_goes_through(&own).await;
}

#[test]
fn a_wall_that_there_is_not_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = NodeOptions::default().with("--second-wall", "high");
    let output = options.command(binary(), &directory.path().join("data")).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("second_wall"), "{said}");
}

#[test]
fn the_doctor_says_what_this_kernel_has() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).args(["doctor", "--data-dir"]).arg(directory.path().join("data")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the second wall is"), "{said}");
}
