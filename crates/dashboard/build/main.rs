//! Puts beside the dashboard's own files what others wrote: CodeMirror, made into one module, and the SDK's types, for its completion; and axe-core for
//! the browser's tests. A machine without npm, or without a network, builds all the same: its dashboard edits in plain text areas, and a warning says so.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What the bundle is made from; the lock file pins every package.
const SOURCES: [&str; 4] = ["package.json", "package-lock.json", "editor.js", "colours.js"];

/// The types that scripts are written against, below `guest-sdk/js`.
const TYPES: [&str; 4] = ["snaphook.d.ts", "patchworks.d.ts", "braincloud.d.ts", "prismatic.d.ts"];

/// Installs exactly what the lock file says and runs no package's scripts. A network that is not there is found out soon.
const INSTALL: [&str; 8] = [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-timeout=20000",
    "--prefer-offline",
];

/// Where the packages bring axe-core.
const AXE: &str = "node_modules/axe-core/axe.min.js";

/// The licence that CodeMirror's packages and those of its parser share.
const LICENCE: &str = "node_modules/@codemirror/state/LICENSE";

/// Stands for the bundle where it cannot be made.
const NO_EDITOR: &str = "// This node was built without npm.\nexport const create = null;\n";

/// What stops the build, or the bundle: a sentence without its end.
type Failure = String;

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
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gives every build script OUT_DIR")?);
    let types = here.join("../../guest-sdk/js");
    for watched in ["build", "assets", "vendor"].map(|name| here.join(name)) {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let served = out.join("vendor");
    // What an earlier build put there and this one does not would be served for ever.
    let _ = std::fs::remove_dir_all(&served);
    std::fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    for name in TYPES {
        println!("cargo::rerun-if-changed={}", types.join(name).display());
        copy(&types.join(name), &served.join(name))?;
    }
    let packages = out.join("packages");
    let editor = served.join("editor.js");
    match bundle(&here.join("vendor"), &packages).and_then(|bundle| copy(&bundle, &editor)) {
        Ok(()) => println!("cargo::rustc-env=SNAPHOOK_AXE={}", packages.join(AXE).display()),
        Err(failure) => {
            // A module that says that there is none: asking for one that is not there would be an error on every page.
            std::fs::write(&editor, NO_EDITOR).map_err(|error| format!("{}: {error}", editor.display()))?;
            println!(
                "cargo::warning=the dashboard's editor will be a plain text area: {}. With Node.js, npm and a network, `touch crates/dashboard/build/main.rs` and build again",
                failure.replace('\n', " ")
            );
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

/// Installs the packages in a folder of the build's own and bundles the editor there, unless it lies there, made from the same sources.
fn bundle(vendor: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    let (bundle, axe) = (folder.join("bundle.js"), folder.join(AXE));
    let same =
        |name: &&str| matches!((std::fs::read(vendor.join(name)), std::fs::read(folder.join(name))), (Ok(now), Ok(then)) if now == then);
    if SOURCES.iter().all(same) && bundle.is_file() && axe.is_file() {
        return Ok(bundle);
    }
    let _ = std::fs::remove_file(&bundle);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in SOURCES {
        copy(&vendor.join(name), &folder.join(name))?;
    }
    run(Command::new("npm").args(INSTALL).current_dir(folder))?;
    run(Command::new("npm").args(["run", "--silent", "bundle", "--", "--outfile=made.js"]).current_dir(folder))?;
    if !axe.is_file() {
        return Err(format!("npm brought no {}", axe.display()));
    }
    // What is bundled comes with its licence, as that asks.
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let text = format!("/*! CodeMirror and Lezer\n\n{}*/\n{}", read(LICENCE)?, read("made.js")?);
    std::fs::write(&bundle, text).map_err(|error| format!("{}: {error}", bundle.display()))?;
    Ok(bundle)
}

/// Runs a program in silence; where it fails, the first line of its complaint is the reason.
fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program} does not start ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(format!("{program} failed ({reason})"))
}
