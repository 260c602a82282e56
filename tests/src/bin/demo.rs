//! `cargo xtask demo`: a node on a temporary directory, an upstream on loopback, every example deployed and called, each call shown as a timeline.
//!
//! usage: demo SNAPHOOK-BINARY [--stay]

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;
use snaphook_testkit::Upstream;
use snaphook_tests::examples::{self, Example, Script};
use snaphook_tests::{NodeProcess, Tenant};

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

/// An example that was shown, kept for `--stay`.
struct Kept {
    example: Example,
    tenant: Tenant,
    upstream: Upstream,
    script: Script,
}

async fn show(binary: &Path, stay: bool) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    println!("starting a node (the first start compiles the JavaScript interpreter)");
    let node = NodeProcess::start(binary);
    let mut surprises = 0;
    let mut kept = Vec::new();
    for example in examples::all(&root) {
        let guest = match example.has_guest().then(|| examples::guest(&root, &example.name)).transpose() {
            Ok(guest) => guest,
            Err(why) => {
                println!("\n── {} is left out, since its guest could not be built on this machine ({why})", example.name);
                continue;
            }
        };
        println!("\n── {}\n   {}", title(&example.document), example.document["story"].as_str().unwrap_or_default());
        println!("   examples/{}", example.name);
        // A tenant for each example: two of them have a connector of the same name.
        let tenant = node.tenant().await;
        let (upstream, script) = example.upstream().await;
        example.deploy(&tenant, &upstream, guest).await;
        let snaphook = Snaphook { binary, url: node.url(), token: token(&tenant) };
        for call in example.calls() {
            script.play(&call);
            let as_expected = match call["trigger"].as_str() {
                Some(address) => send_and_show(&snaphook, &tenant, &call, address).await,
                None => call_and_show(&snaphook, &call),
            };
            surprises += usize::from(!as_expected);
        }
        kept.push(Kept { example, tenant, upstream, script });
    }
    if stay {
        stays(binary, &node, &kept);
        drop(tokio::signal::ctrl_c().await);
    } else {
        next_steps(binary);
    }
    if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line, as one tenant.
struct Snaphook<'a> {
    binary: &'a Path,
    url: &'a str,
    token: &'a str,
}

impl Snaphook<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.binary);
        command.env("SNAPHOOK_URL", self.url).env("SNAPHOOK_TOKEN", self.token);
        command
    }
}

/// Makes a call with `snaphook call`, which draws its timeline. Whether the status was the one the example expects.
fn call_and_show(snaphook: &Snaphook<'_>, call: &Value) -> bool {
    println!("\n  {}", title(call));
    let mut command = snaphook.command();
    command.arg("call").args(call_arguments(call));
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

/// What `snaphook call` is given for a call of an example.
fn call_arguments(call: &Value) -> Vec<String> {
    match (call["call"].as_str(), call["flow"].as_str()) {
        (_, Some(flow)) => vec![flow.to_owned(), call["input"]["payload"].to_string(), "--flow".to_owned()],
        (endpoint, None) => vec![endpoint.unwrap_or_default().to_owned(), call["input"].to_string()],
    }
}

/// Sends what begins a flow to its address, as somebody outside would, and draws the timeline of the run. Whether the status was the one the
/// example expects.
async fn send_and_show(snaphook: &Snaphook<'_>, tenant: &Tenant, call: &Value, address: &str) -> bool {
    println!("\n  {}", title(call));
    let response = examples::make(tenant, call).await;
    println!("  POST /t/{}/{address}", tenant.name);
    if let Some(run) = response.header("x-run-id") {
        let output = snaphook.command().args(["run", run]).output().expect("the binary was built");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            println!("  {line}");
        }
    }
    println!("  answer {}\n  {}", response.status, response.text());
    let as_expected = call["expect"]["status"] == response.status;
    if !as_expected {
        println!("  expected: answer {}", call["expect"]["status"]);
    }
    as_expected
}

/// How to call what was deployed; the upstreams answer from now on whatever is asked for, however often.
fn stays(binary: &Path, node: &NodeProcess, kept: &[Kept]) {
    println!("\n── The node stays until Ctrl-C. In another terminal:\n   export SNAPHOOK_URL={}", node.url());
    for Kept { example, tenant, upstream, script } in kept {
        script.stand(example);
        println!("\n   {} (tenant {}, its upstream is {})", title(&example.document), tenant.name, upstream.url(""));
        println!("   export SNAPHOOK_TOKEN={}", token(tenant));
        let calls = example.calls();
        let Some(call) = calls.first() else { continue };
        match call["trigger"].as_str() {
            Some(address) => println!(
                "   curl -i -H 'content-type: application/json' -d '{}' '{}/t/{}/{address}'",
                call["input"],
                node.url(),
                tenant.name
            ),
            None => println!("   {} call {}", binary.display(), quoted(&call_arguments(call))),
        }
    }
    println!("\n   {} runs            lists what ran, `… run ID` shows it", binary.display());
}

fn next_steps(binary: &Path) {
    println!("\n── What to try next");
    println!("   cargo xtask demo --stay       leaves the node running and says how to call it yourself");
    println!("   {} dev examples/event-extra --origin http://game.example=http://127.0.0.1:9000", binary.display());
    println!("                                 change scripts/add-extra.js and watch it being deployed again");
    println!("   README.md                     write your own hook in five minutes");
}

/// Arguments as a shell takes them.
fn quoted(arguments: &[String]) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@".contains(c));
    let quote = |text: &String| if plain(text) { text.clone() } else { format!("'{}'", text.replace('\'', r"'\''")) };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn token(tenant: &Tenant) -> &str {
    tenant.client.token.as_deref().unwrap_or_default()
}

fn title(document: &Value) -> &str {
    document["title"].as_str().unwrap_or_default()
}
