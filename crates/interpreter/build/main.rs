//! Builds the interpreter's wasm: QuickJS-ng, the C glue and the JavaScript preludes of `guest-sdk/interpreter`, and the bindings of
//! `guest-sdk/wit`. A machine needs clang besides Rust, and nothing else: the sources come with a crate, the linker with the toolchain.

mod bindings;
mod patches;
mod sources;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What stops the build: a sentence for the person who builds.
type Failure = String;

/// Bytes of the guest's C stack. It bounds recursion in scripts, some 1,800 calls deep. Each of its bytes, but for a reserve of 24 KiB, comes
/// with up to 3.8 on the host's own stack for WebAssembly, of which the sandbox has 2 MiB. Pages that nobody touches cost nothing.
const STACK_BYTES: u32 = 504 * 1024;

/// Every C file of ours that is compiled on its own; the others are included by `engine.c`, which sees the engine's insides.
const OWN_FILES: &[&str] = &[
    "libc.c",
    "text.c",
    "headers.c",
    "payload.c",
    "message.c",
    "query.c",
    "given.c",
    "context.c",
    "state.c",
    "decisions.c",
    "dialects.c",
    "library.c",
    "faults.c",
    "waiting.c",
    "host.c",
    "start.c",
    "load.c",
    "invoke.c",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={}", message.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Failure> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gives every build script OUT_DIR")?);
    let glue = guest.join("interpreter");
    for watched in [&glue, &guest.join("wit"), &Path::new(env!("CARGO_MANIFEST_DIR")).join("build")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    println!("cargo::rerun-if-env-changed=PATH");

    let clang = tools::clang()?;
    let linker = tools::linker()?;
    let engine = sources::Engine::locate()?;
    bindings::generate(&guest.join("wit"), &out)?;
    bindings::embed_preludes(&glue, &out)?;
    patches::apply(&engine.quickjs, &out)?;

    let compiler = Compiler { clang, flags: flags(&engine, &glue, &out), out: out.clone() };
    let mut objects = vec![compiler.compile(&glue.join("engine.c"), "engine")?];
    for name in ["libregexp", "libunicode", "dtoa"] {
        objects.push(compiler.compile(&engine.quickjs.join(name).with_extension("c"), name)?);
    }
    objects.push(compiler.compile(&engine.shim, "shim")?);
    objects.push(compiler.compile(&out.join("hooks.c"), "hooks")?);
    for name in OWN_FILES {
        objects.push(compiler.compile(&glue.join(name), name.trim_end_matches(".c"))?);
    }
    link(&linker, &objects, &engine.libc, &out.join("interpreter.wasm"))
}

fn flags(engine: &sources::Engine, glue: &Path, out: &Path) -> Vec<String> {
    let mut flags: Vec<String> = [
        // -O2 measured the same as -O3 and is smaller. The features are those that every engine of the last years has.
        "--target=wasm32-unknown-unknown",
        "-O2",
        "-mmutable-globals",
        "-mbulk-memory",
        "-mnontrapping-fptoint",
        "-msign-ext",
        "-fno-strict-aliasing",
        "-D_GNU_SOURCE",
        "-DNDEBUG",
        // The engine has no settings for wasm32-unknown-unknown; Emscripten's are the ones without threads, signals and rounding modes.
        "-DEMSCRIPTEN=1",
        "-DFE_DOWNWARD=0",
        "-DFE_UPWARD=0",
        // The sources have these in good use.
        "-Wno-unused-function",
        "-Wno-unknown-warning-option",
    ]
    .map(String::from)
    .to_vec();
    flags.extend([format!("-isystem{}", engine.libc_include.display())]);
    flags.extend([out, glue, &engine.quickjs].map(|folder| format!("-I{}", folder.display())));
    flags
}

/// A C compiler with its settings.
struct Compiler {
    clang: PathBuf,
    flags: Vec<String>,
    out: PathBuf,
}

impl Compiler {
    fn compile(&self, source: &Path, name: &str) -> Result<PathBuf, Failure> {
        let object = self.out.join(name).with_extension("o");
        run(Command::new(&self.clang).args(&self.flags).arg("-c").arg(source).arg("-o").arg(&object))?;
        Ok(object)
    }
}

fn link(linker: &tools::Linker, objects: &[PathBuf], libc: &Path, target: &Path) -> Result<(), Failure> {
    let mut command = linker.command();
    command
        .args(["--no-entry", "--no-check-features", "--stack-first", "--gc-sections", "--strip-all", "--export=__stack_pointer"])
        .arg("-z")
        .arg(format!("stack-size={STACK_BYTES}"))
        .args(objects)
        .arg(libc)
        .arg("-o")
        .arg(target);
    run(&mut command)
}

/// Runs a tool; what it wrote is the failure's text.
fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!("{} ended with {}; its messages stand above", command.get_program().to_string_lossy(), output.status))
}
