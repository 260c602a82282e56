//! What a machine must have besides Rust: clang for the interpreter; PostgreSQL and Chromium for tests, and npm and cargo-deny where they can be had; for
//! Rust guests some way to build for wasm32.

use std::process::Command;

use crate::guest;
use crate::run::{cargo, output, run, works};

/// Everything that `test` needs.
pub(crate) fn everything() -> Result<(), String> {
    clang()?;
    postgres()?;
    chromium()?;
    if std::env::var_os("CI").is_some() {
        balancers();
        npm();
        cargo_deny();
    }
    guest::prepare()
}

/// The server's programs, with which tests run one of their own.
fn postgres() -> Result<(), String> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    if works("initdb", &["--version"]) || packaged.into_iter().any(|version| version.path().join("bin/initdb").is_file()) {
        return Ok(());
    }
    install(&["postgresql"], "tests of several nodes run a PostgreSQL of their own")
}

/// The browser that walks through the dashboard, and the driver that a test tells where to go.
fn chromium() -> Result<(), String> {
    if works("chromium", &["--version"]) && works("chromedriver", &["--version"]) {
        return Ok(());
    }
    install(&["chromium", "chromium-driver"], "tests walk through the dashboard with a browser")
}

/// The balancers of docs/many-nodes.md. Only where everything must be tested: their packages start servers of the machine's. Without them, the
/// tests that need them fail there, and elsewhere say that they were left out.
fn balancers() {
    for (program, package) in [("nginx", "nginx-light"), ("haproxy", "haproxy")] {
        if works(program, &["-v"]) || works(&format!("/usr/sbin/{program}"), &["-v"]) {
            continue;
        }
        if let Err(message) = install(&[package], "a test runs the balancer of docs/many-nodes.md") {
            println!("{message}");
        }
    }
}

/// npm, which brings the dashboard's editor and axe-core. Only where everything must be tested: Debian's package takes hundreds of others along, and
/// a node is built without. Tests say what they left out for lack of it.
fn npm() {
    if works("npm", &["--version"]) {
        return;
    }
    if let Err(message) = install(&["npm"], "npm brings the dashboard's editor, and what tests find barriers in its pages with") {
        println!("{message}");
    }
}

/// Where advisories are kept that cargo-deny looks at.
const ADVISORIES: &str = "https://github.com/rustsec/advisory-db";

/// cargo-deny, which `deny` looks at advisories with. Only where everything must be checked, and where the database can be had: it takes minutes to
/// build, and `deny` checks all the rest without it.
fn cargo_deny() {
    if works("cargo", &["deny", "--version"]) || !works("timeout", &["20", "git", "ls-remote", ADVISORIES, "HEAD"]) {
        return;
    }
    println!("`deny` looks at advisories with cargo-deny: installing it");
    if let Err(message) = run(cargo().args(["install", "cargo-deny", "--locked"])) {
        println!("{message}");
    }
}

/// clang with its wasm32 target, which Debian's package has.
pub(crate) fn clang() -> Result<(), String> {
    if works("clang", &["--version"]) {
        return Ok(());
    }
    install(&["clang"], "clang compiles the JavaScript interpreter to WebAssembly")
}

/// Installs Debian packages where we may, or says the exact command.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<(), String> {
    let command = format!("apt-get install -y {}", packages.join(" "));
    if !works("apt-get", &["--version"]) {
        return Err(format!("{why}; install {} with this machine's package manager and try again", packages.join(", ")));
    }
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root && !works("sudo", &["-n", "true"]) {
        return Err(format!("{why}; run `sudo apt-get update && sudo {command}` and try again"));
    }
    println!("{why}: installing {}", packages.join(", "));
    let apt = |arguments: &[&str]| {
        let mut apt = if is_root { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root {
            apt.args(["-n", "apt-get"]);
        }
        run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}
