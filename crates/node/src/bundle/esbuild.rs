//! esbuild, which takes everything on its command line and gives the bundle on its standard output.

use std::path::Path;

use bytes::Bytes;
use tokio::process::Command;

use super::{Bundler, Failure, PLATFORM, TARGET, output, refused};

/// One ES module. Its map is for faults.
const SETTINGS: [&str; 11] = [
    "--bundle",
    "--format=esm",
    "--charset=utf8",
    "--external:snaphook",
    "--external:script:*",
    "--define:process.env.NODE_ENV=\"production\"",
    "--sourcemap=inline",
    "--sources-content=false",
    "--log-level=warning",
    "--log-limit=0",
    "--color=false",
];

pub(super) async fn bundle(program: &Path, folder: &Path, entry: &Path) -> Result<Bytes, Failure> {
    let mut externals: Vec<String> = Vec::new();
    // What only Node has stays an import, which the deploy then names with its place: packages often import what they can do without.
    loop {
        let mut command = Command::new(program);
        command.current_dir(folder).arg(entry).args(SETTINGS);
        command.args([format!("--platform={PLATFORM}"), format!("--target={TARGET}")]);
        command.args(externals.iter().map(|name| format!("--external:{name}")));
        let output = output(Bundler::Esbuild, command).await?;
        if output.status.success() {
            return Ok(output.stdout.into());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let before = externals.len();
        externals.extend(nodes_own(&errors).filter(|name| !externals.contains(name)).collect::<Vec<_>>());
        if externals.len() == before {
            return Err(refused(&errors));
        }
    }
}

/// Modules that esbuild says are Node's own.
fn nodes_own(errors: &str) -> impl Iterator<Item = String> + '_ {
    errors.lines().filter_map(|line| {
        let (name, rest) = line.trim_start().strip_prefix("The package \"")?.split_once('"')?;
        rest.contains("built into node").then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::nodes_own;

    #[test]
    fn what_is_nodes_own_is_read_off_the_errors() {
        let errors = "✘ [ERROR] Could not resolve \"fs\"\n\n  The package \"fs\" wasn't found on the file system but is built into node. Are you\n\n  You can mark the path \"x\" as external\n  The package \"node:os\" wasn't found on the file system but is built into node.";
        assert_eq!(nodes_own(errors).collect::<Vec<_>>(), ["fs", "node:os"]);
    }
}
