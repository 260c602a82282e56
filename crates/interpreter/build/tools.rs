//! The two tools of the build: clang from the machine, the linker from the Rust toolchain.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;

/// clang, checked to know wasm32.
pub(crate) fn clang() -> Result<PathBuf, Failure> {
    println!("cargo::rerun-if-env-changed=CLANG");
    let given = std::env::var_os("CLANG").map(PathBuf::from);
    let names = given.into_iter().chain(["clang".into()]).chain((14..=24).rev().map(|version| format!("clang-{version}").into()));
    for name in names {
        let probe = Command::new(&name).args(["--target=wasm32-unknown-unknown", "-E", "-x", "c", "/dev/null"]).output();
        if probe.is_ok_and(|output| output.status.success()) {
            return Ok(name);
        }
    }
    Err("the JavaScript interpreter is compiled with clang, and none was found; install it, for example with `apt install clang`"
        .to_owned())
}

/// A wasm linker: rustup's `rust-lld`, or a `wasm-ld`.
pub(crate) struct Linker {
    program: PathBuf,
    is_lld: bool,
}

impl Linker {
    /// The linker, ready to be given objects.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_lld {
            command.args(["-flavor", "wasm"]);
        }
        command
    }
}

/// Finds the linker beside the compiler that builds us, or on the path.
pub(crate) fn linker() -> Result<Linker, Failure> {
    let rustc = std::env::var_os("RUSTC").ok_or("cargo gives every build script RUSTC")?;
    let host = std::env::var("HOST").map_err(|error| error.to_string())?;
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().map_err(|error| error.to_string())?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let program = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if program.is_file() {
        return Ok(Linker { program, is_lld: true });
    }
    let names = ["wasm-ld".to_owned()].into_iter().chain((14..=24).rev().map(|version| format!("wasm-ld-{version}")));
    for name in names {
        if Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Ok(Linker { program: name.into(), is_lld: false });
        }
    }
    Err("no linker for wasm was found: neither rustup's `rust-lld` nor `wasm-ld`; install one, for example with `apt install lld`"
        .to_owned())
}
