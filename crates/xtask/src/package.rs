//! `package`: the Debian package, with what the binary itself writes for it.

use std::fs;

use crate::demo::target_dir;
use crate::run::{cargo, root, run, works};
use crate::setup;

/// Shells, and the names that they look for.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "snaphook"), ("zsh", "_snaphook"), ("fish", "snaphook.fish")];

/// Builds the binary, has it write manual pages and completions, and packs all of it.
pub(crate) fn package() -> Result<(), String> {
    if !works("cargo", &["deb", "--version"]) {
        return Err("cargo-deb makes the package: `cargo install cargo-deb --locked`".to_owned());
    }
    setup::clang()?;
    run(cargo().args(["build", "--locked", "--release", "--package", "snaphook"]))?;
    written()?;
    run(cargo().args(["deb", "--no-build", "--package", "snaphook"]))
}

/// Manual pages and completions, in `target/package`.
fn written() -> Result<(), String> {
    let (target, folder) = (target_dir("release"), root().join("target/package"));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(folder.join("completions")).map_err(failed)?;
    let snaphook = target.join("snaphook");
    run(std::process::Command::new(&snaphook).arg("man").arg(folder.join("man")))?;
    for (shell, name) in COMPLETIONS {
        let file = fs::File::create(folder.join("completions").join(name)).map_err(failed)?;
        run(std::process::Command::new(&snaphook).args(["completions", shell]).stdout(file))?;
    }
    Ok(())
}
