//! Finds the C sources that come inside the crate `rquickjs-sys`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The parts of the source crate that we compile.
pub(crate) struct Engine {
    /// QuickJS-ng.
    pub(crate) quickjs: PathBuf,
    /// What the engine needs of an operating system, without one.
    pub(crate) shim: PathBuf,
    /// wasi-libc's headers.
    pub(crate) libc_include: PathBuf,
    /// wasi-libc's archive.
    pub(crate) libc: PathBuf,
}

impl Engine {
    /// Asks cargo where the pinned version lies; cargo fetches it where it is missing.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let root = package_root("rquickjs-sys")?;
        let engine = Self {
            quickjs: root.join("quickjs"),
            shim: root.join("wasm-shim/shim.c"),
            libc_include: root.join("vendor/wasi-libc/include"),
            libc: root.join("vendor/wasi-libc/lib/libc.a"),
        };
        for path in [&engine.quickjs, &engine.shim, &engine.libc_include, &engine.libc] {
            if !path.exists() {
                return Err(format!("the sources of the interpreter lack {}", path.display()));
            }
            println!("cargo::rerun-if-changed={}", path.display());
        }
        Ok(engine)
    }
}

fn package_root(name: &str) -> Result<PathBuf, Failure> {
    let offline = metadata(&["--offline"]).and_then(|text| find(&text, name));
    let manifest = match offline {
        Ok(manifest) => manifest,
        Err(_) => find(&metadata(&[])?, name)?,
    };
    manifest.parent().map(Path::to_path_buf).ok_or_else(|| format!("cargo says that {name} lies at {}", manifest.display()))
}

fn metadata(extra: &[&str]) -> Result<Vec<u8>, Failure> {
    let cargo = std::env::var_os("CARGO").ok_or("cargo gives every build script CARGO")?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(manifest).args(extra);
    let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn find(metadata: &[u8], name: &str) -> Result<PathBuf, Failure> {
    let metadata: serde_json::Value = serde_json::from_slice(metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let package = packages.iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).map(PathBuf::from);
    manifest.filter(|path| path.is_file()).ok_or_else(|| format!("cargo does not know the package {name}"))
}
