//! `cargo xtask demo`: a node on a temporary directory, an upstream on loopback, every example deployed and called, each call shown as a timeline.
//!
//! usage: demo SNAPHOOK-BINARY [--stay]

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;
use snaphook_tests::{NodeProcess, Tenant, examples};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(binary) = arguments.first() else {
        eprintln!("usage: demo SNAPHOOK-BINARY [--stay]");
        return ExitCode::from(2);
    };
    let stay = arguments.iter().any(|argument| argument == "--stay");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(show(Path::new(binary), stay))
}

async fn show(binary: &Path, stay: bool) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    println!("starting a node (the first start compiles the JavaScript interpreter)");
    let node = NodeProcess::start(binary);
    let tenant = node.tenant().await;
    let mut surprises = 0;
    let mut upstreams = Vec::new();
    for example in examples::all(&root) {
        let guest = example.has_guest().then(|| examples::guest(&root, &example.name));
        if guest == Some(None) {
            println!("\n── {}: left out, its guest could not be built on this machine", example.name);
            continue;
        }
        println!("\n── {}\n   {}", title(&example.document), example.document["story"].as_str().unwrap_or_default());
        println!("   examples/{}", example.name);
        // A tenant for each example: two of them have a connector of the same name.
        let tenant = node.tenant().await;
        let (upstream, script) = example.upstream().await;
        example.deploy(&tenant, &upstream, guest.flatten()).await;
        for call in example.calls() {
            script.play(&call);
            let as_expected = match call["trigger"].as_str() {
                Some(address) => send_and_show(&tenant, &call, address).await,
                None => call_and_show(binary, &node, &tenant, &call),
            };
            surprises += usize::from(!as_expected);
        }
        // Kept, so that `--stay` leaves something to call.
        upstreams.push((upstream, script));
    }
    next_steps(&node, &tenant, stay);
    if stay {
        drop(tokio::signal::ctrl_c().await);
    }
    if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a call with `snaphook call`, which draws its timeline. Whether the status was the one the example expects.
fn call_and_show(binary: &Path, node: &NodeProcess, tenant: &Tenant, call: &Value) -> bool {
    println!("\n  {}", title(call));
    let mut command = Command::new(binary);
    command.arg("call").env("SNAPHOOK_URL", node.url()).env("SNAPHOOK_TOKEN", tenant.client.token.as_deref().unwrap_or_default());
    match (call["call"].as_str(), call["flow"].as_str()) {
        (_, Some(flow)) => command.args([flow, &call["input"]["payload"].to_string(), "--flow"]),
        (endpoint, None) => command.args([endpoint.unwrap_or_default(), &call["input"].to_string()]),
    };
    // What a failed call says of itself on standard error is in the timeline already.
    let output = command.output().expect("the binary was built");
    let shown = String::from_utf8_lossy(&output.stdout);
    for line in shown.lines() {
        println!("  {line}");
    }
    let expected = format!("answer {}", call["expect"]["status"]);
    let as_expected = shown.lines().any(|line| line == expected);
    if !as_expected {
        println!("  expected: {expected}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    as_expected
}

/// Sends what begins a flow to its address, as somebody outside would. Whether the status was the one the example expects.
async fn send_and_show(tenant: &Tenant, call: &Value, address: &str) -> bool {
    println!("\n  {}", title(call));
    let response = examples::make(tenant, call).await;
    println!("  POST /t/{}/{address}\n  answer {}\n  {}", tenant.name, response.status, response.text());
    let as_expected = call["expect"]["status"] == response.status;
    if !as_expected {
        println!("  expected: answer {}", call["expect"]["status"]);
    }
    as_expected
}

fn next_steps(node: &NodeProcess, tenant: &Tenant, stay: bool) {
    println!("\n── What to try next");
    if stay {
        println!("   The node stays until Ctrl-C. In another terminal:");
        println!("     export SNAPHOOK_URL={} SNAPHOOK_TOKEN={}", node.url(), tenant.client.token.as_deref().unwrap_or_default());
        println!("     target/debug/snaphook deploy examples/event-extra --origin http://game.example=http://127.0.0.1:9000");
        println!("     curl -s $SNAPHOOK_URL/v1/scripts -H \"authorization: Bearer $SNAPHOOK_TOKEN\"");
    } else {
        println!("   cargo xtask demo --stay       leave the node running and call it yourself");
        println!("   target/debug/snaphook dev examples/event-extra      change scripts/add-extra.js and watch it being deployed again");
    }
    println!("   README.md                     write your own hook in five minutes");
}

fn title(document: &Value) -> &str {
    document["title"].as_str().unwrap_or_default()
}
