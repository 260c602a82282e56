//! Large files go through a node without staying in its memory.

use std::path::PathBuf;

use serde_json::json;
use snaphook_testkit::{Answer, Upstream, pattern};
use snaphook_tests::NodeProcess;

use crate::support::node;

const LARGE: u64 = 200 << 20;

/// What a node's memory may grow by meanwhile.
const ROOM: u64 = 32 << 20;

/// Bytes of a process's memory, by the kernel's name for them.
fn memory(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the node lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Lets the kernel count the highest mark anew.
fn forget_peak(pid: u32) {
    std::fs::write(PathBuf::from(format!("/proc/{pid}/clear_refs")), "5").expect("the node is ours");
}

#[tokio::test]
async fn a_download_and_an_upload_of_200_mb_do_not_stay_in_memory() {
    let own = NodeProcess::start_like(node());
    let limits = json!({"response_body_bytes": LARGE});
    let tenant = own.tenant_with(json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "limits": limits})).await;
    let upstream = Upstream::start().await;
    upstream.on("/small", Answer::large(100_000)).on("/large", Answer::large(LARGE)).on("/up", Answer::json(json!("thanks"))).skim("/up");
    for (flow, path) in [("small", "/small"), ("large", "/large")] {
        let steps = json!([
            {"url": upstream.url(path), "method": "GET", "save_as_file": "f"},
            {"url": upstream.url("/up"), "method": "POST", "files": {"file": "f"}},
        ]);
        tenant.flow(flow, json!({"steps": steps})).await;
    }
    // What every first run brings into memory is there before anything is measured.
    let _ = tenant.run("small", json!({})).await.expect(200);
    forget_peak(own.pid());
    let before = memory(own.pid(), "VmRSS");
    let answer = tenant.run("large", json!({})).await.expect(200);
    let peak = memory(own.pid(), "VmHWM");
    assert_eq!(answer.json(), json!("thanks"));
    assert!(peak <= before + ROOM, "resident memory went from {before} to {peak} bytes");

    // And all of it arrived: the form is its head, the file, and its end.
    let sent = upstream.last();
    let body = sent.skimmed.as_ref().expect("bodies to this path are skimmed");
    let head_end = body.head.windows(4).position(|window| window == b"\r\n\r\n").expect("a part has headers") + 4;
    let boundary = sent.header("content-type").and_then(|text| text.split("boundary=").nth(1)).expect("a form has a boundary");
    let end = format!("\r\n--{boundary}--\r\n");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&body.head[..head_end]);
    for chunk in pattern(LARGE) {
        hasher.update(&chunk);
    }
    hasher.update(end.as_bytes());
    assert_eq!(body.digest, hasher.finalize().to_hex().to_string());
    assert_eq!(body.bytes, head_end as u64 + LARGE + end.len() as u64);
    assert_eq!(sent.header("content-length"), Some(body.bytes.to_string().as_str()));
}

#[tokio::test]
async fn what_unpacks_without_end_is_cut_and_does_not_stay_in_memory() {
    const UNPACKED: usize = 256 << 20;
    let own = NodeProcess::start_like(node());
    let document = json!({"egress": {"allow_private": ["127.0.0.0/8"]}, "limits": {"response_body_bytes": 1 << 20}});
    let tenant = own.tenant_with(document).await;
    let upstream = Upstream::start().await;
    upstream.on("/small", Answer::gzip("small")).on("/bomb", Answer::gzip_bomb(UNPACKED));
    // Into memory, and into a file.
    for (flow, path, file) in [("small", "/small", None), ("read", "/bomb", None), ("saved", "/bomb", Some("f"))] {
        let mut step = json!({"url": upstream.url(path), "method": "GET"});
        if let Some(file) = file {
            step["save_as_file"] = file.into();
        }
        tenant.flow(flow, json!({"steps": [step]})).await;
    }
    let _ = tenant.run("small", json!({})).await.expect(200);
    forget_peak(own.pid());
    let before = memory(own.pid(), "VmRSS");
    for flow in ["read", "saved"] {
        let answer = tenant.run(flow, json!({})).await.expect(502).json();
        assert_eq!((answer["code"].as_str(), answer["limit"].as_u64()), (Some("response-size"), Some(1 << 20)), "{flow}: {answer}");
    }
    let peak = memory(own.pid(), "VmHWM");
    assert!(peak <= before + ROOM, "resident memory went from {before} to {peak} bytes");
}
