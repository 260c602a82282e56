//! Rust guests: finding a way to build for wasm32 on this machine, and building the examples' and the tests' guests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, output, root, run, works};
use crate::setup;

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's Rust of the `-web` packages carries the standard library's source, so it can build it for any target.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Folders of guests: each is a package of its own whose library becomes `target/guests/NAME.wasm`.
fn folders() -> Vec<(String, PathBuf)> {
    let mut folders = vec![("contract".to_owned(), root().join("tests/contract/rust"))];
    for entry in std::fs::read_dir(root().join("examples")).into_iter().flatten().flatten() {
        folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path().join("guest")));
    }
    folders.retain(|(_, folder)| folder.join("Cargo.toml").is_file());
    folders.sort();
    folders
}

/// Makes sure that guests can be built, installing what is missing where we may.
pub(crate) fn prepare() -> Result<(), String> {
    if rustup_has_target() || debian_can() {
        return Ok(());
    }
    if works("rustup", &["target", "add", TARGET]) && rustup_has_target() {
        return Ok(());
    }
    setup::install(&DEBIAN_PACKAGES, "building Rust guests needs the wasm32 target, which rustup does not offer here")
}

/// Builds every guest.
pub(crate) fn build_all() -> Result<(), String> {
    let guests = root().join("target/guests");
    for (name, folder) in folders() {
        let mut command = if rustup_has_target() { rustup_build() } else { debian_build()? };
        command.current_dir(&folder).env("CARGO_TARGET_DIR", guests.join("build"));
        run(&mut command).map_err(|error| format!("guest {}: {error}", folder.display()))?;
        let built = guests.join("build").join(TARGET).join("release").join(format!("{}.wasm", library_name(&folder)?));
        std::fs::copy(&built, guests.join(format!("{name}.wasm"))).map_err(|error| format!("{}: {error}", built.display()))?;
    }
    Ok(())
}

/// Tests of the guest SDK and the guests that run natively.
pub(crate) fn native_tests() -> Vec<Command> {
    native(&["test", "--no-fail-fast"])
}

/// Lints of the same; warnings are errors.
pub(crate) fn lint() -> Result<(), String> {
    run_each(native(&["clippy", "--all-targets", "--", "-D", "warnings"]))
}

/// Rewrites the sources of the workspace and of all that is outside it; with `--check` fails on what would be rewritten.
pub(crate) fn format(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = ["fmt", "--all"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let mut workspace = cargo();
    workspace.current_dir(root()).args(&arguments);
    run_each([workspace].into_iter().chain(native(&arguments)))
}

fn run_each(commands: impl IntoIterator<Item = Command>) -> Result<(), String> {
    commands.into_iter().try_for_each(|mut command| run(&mut command))
}

/// Cargo in each of the packages that are no members of the workspace, on this machine's own target.
fn native(arguments: &[&str]) -> Vec<Command> {
    let folders = folders().into_iter().map(|(_, folder)| folder).chain([root().join("guest-sdk/rust")]);
    let in_folder = |folder: PathBuf| {
        let mut command = cargo();
        command.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", root().join("target/guests/native"));
        command
    };
    folders.map(in_folder).collect()
}

fn rustup_build() -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", TARGET]);
    command
}

/// Debian's cargo builds the standard library along; it has no linker for wasm, so the one that rustup ships or LLVM's is named.
fn debian_build() -> Result<Command, String> {
    let linker = linker()?;
    let mut command = Command::new("/usr/bin/cargo");
    command
        .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env("PATH", format!("/usr/bin:{}", std::env::var("PATH").unwrap_or_default()))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    Ok(command)
}

fn linker() -> Result<PathBuf, String> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()))?;
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]).current_dir(root()))?;
    let shipped = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
    if shipped.is_file() {
        return Ok(shipped);
    }
    if works("wasm-ld", &["--version"]) { Ok("wasm-ld".into()) } else { Err("no wasm linker: install the package lld".to_owned()) }
}

fn rustup_has_target() -> bool {
    let Ok(sysroot) = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root())) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// `build-std` came with 1.85 in a form that works here; older Debian toolchains lack the source in the right place.
fn debian_can() -> bool {
    let Ok(sysroot) = output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").exists() && works("/usr/bin/cargo", &["--version"])
}

fn library_name(folder: &Path) -> Result<String, String> {
    let manifest = output(Command::new("cargo").args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(folder))?;
    let metadata: serde_json::Value = serde_json::from_str(&manifest).map_err(|error| error.to_string())?;
    let targets = metadata["packages"][0]["targets"].as_array().cloned().unwrap_or_default();
    let library = targets.iter().find(|target| target["crate_types"].to_string().contains("cdylib"));
    let name = library.and_then(|target| target["name"].as_str()).ok_or_else(|| format!("{} has no cdylib", folder.display()))?;
    Ok(name.replace('-', "_"))
}
