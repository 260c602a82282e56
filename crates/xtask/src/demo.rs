//! `demo` and `bench`: build what they need, then hand over to the programs in `tests/src/bin`.

use crate::run::{cargo, root, run};
use crate::{guest, setup};

/// Shows every example on a real node. `--stay` leaves the node running.
pub(crate) fn demo(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.iter().find(|argument| *argument != "--stay") {
        return Err(format!("unknown argument `{unknown}`; there is --stay"));
    }
    setup::clang()?;
    // The Rust example needs a way to build for wasm32; the others can be shown without one.
    if let Err(reason) = guest::prepare().and_then(|()| guest::build_all()) {
        println!("note: the Rust example is left out: {reason}");
    }
    println!("building (the first time takes about ten minutes, most of it wasmtime)");
    // The whole workspace, as `test` builds it, so that neither builds the other's dependencies again with other features.
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let target = target_dir("debug");
    run(std::process::Command::new(target.join("demo")).arg(target.join("snaphook")).args(arguments).current_dir(root()))
}

/// Measures a release build and prints one table.
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    setup::clang()?;
    guest::prepare()?;
    guest::build_all()?;
    run(cargo().args(["build", "--release", "--workspace", "--bins", "--examples"]))?;
    let target = target_dir("release");
    let mut bench = std::process::Command::new(target.join("bench"));
    bench.arg(target.join("snaphook")).arg(target.join("examples/invocations")).arg(root().join("target/guests/contract.wasm"));
    run(bench.args(arguments).current_dir(root()))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(profile: &str) -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join(profile)
}
