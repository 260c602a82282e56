//! Bundles what a script takes from files and packages into one module, with the bundler that the project has.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::process::Command;

use crate::problem::CliError;

/// A module with a source map whose files lie below `folder`.
pub(crate) struct Bundle {
    pub(crate) text: Bytes,
    pub(crate) folder: PathBuf,
}

/// Bundling takes milliseconds; a bundler that has not ended by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// One ES module for a platform that is neither Node nor a page, which browser builds of packages come closest to. The map is for faults.
const SETTINGS: [&str; 13] = [
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--target=es2023",
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

/// Where entries of packages lie that do not say it.
const ENTRIES: [&str; 8] =
    ["index.ts", "index.mts", "index.js", "index.mjs", "src/index.ts", "src/index.mts", "src/index.js", "src/index.mjs"];

/// Bundles a folder with a `package.json`, from the entry that this names.
pub(crate) async fn package(folder: &Path) -> Result<Bundle, CliError> {
    let manifest = folder.join("package.json");
    let failed = |detail: String| CliError::Script { script: manifest.display().to_string(), detail };
    let text = std::fs::read(&manifest).map_err(|source| CliError::File { what: format!("cannot read {}", manifest.display()), source })?;
    let document: Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let entry = match entry(&document) {
        Some(entry) if folder.join(entry).is_file() => entry,
        Some(entry) => return Err(failed(format!("the entry `{entry}` does not exist; build the package first, or name its source"))),
        None => ENTRIES
            .into_iter()
            .find(|entry| folder.join(entry).is_file())
            .ok_or_else(|| failed(format!("no entry: give `exports`, `module` or `main`, or have one of {}", ENTRIES.join(", "))))?,
    };
    run(folder, Path::new(entry), Some(&document)).await
}

/// Bundles a file with what it imports.
pub(crate) async fn file(file: &Path) -> Result<Bundle, CliError> {
    let file = std::path::absolute(file).map_err(|source| CliError::File { what: format!("cannot find {}", file.display()), source })?;
    let parent = file.parent().unwrap_or(&file);
    let project = parent.ancestors().find(|folder| folder.join("package.json").is_file());
    let manifest = project.and_then(|folder| serde_json::from_slice(&std::fs::read(folder.join("package.json")).ok()?).ok());
    let folder = project.unwrap_or(parent);
    let entry = file.strip_prefix(folder).unwrap_or(&file);
    run(folder, entry, manifest.as_ref()).await
}

/// The entry that a manifest names. Of the conditions of `exports` those are read that fit a module which is no Node program.
fn entry(manifest: &Value) -> Option<&str> {
    fn target(value: &Value) -> Option<&str> {
        match value {
            Value::String(path) => Some(path),
            Value::Object(conditions) => ["browser", "module", "import", "default"].iter().find_map(|name| target(conditions.get(*name)?)),
            _ => None,
        }
    }
    let exports = &manifest["exports"];
    let exported = target(exports.get(".").unwrap_or(exports));
    let named = |key: &str| manifest[key].as_str();
    exported.or_else(|| named("module")).or_else(|| named("main")).map(|path| path.trim_start_matches("./"))
}

async fn run(folder: &Path, entry: &Path, manifest: Option<&Value>) -> Result<Bundle, CliError> {
    let folder = folder.canonicalize().map_err(|source| CliError::File { what: format!("cannot find {}", folder.display()), source })?;
    let failed = |detail: String| CliError::Script { script: folder.join(entry).display().to_string(), detail };
    let has_dependencies = manifest.is_some_and(|manifest| manifest["dependencies"].as_object().is_some_and(|list| !list.is_empty()));
    let installed = folder.ancestors().any(|folder| folder.join("node_modules").is_dir());
    if has_dependencies && !installed {
        return Err(failed(format!("its packages are not installed; run `npm install` in {}", folder.display())));
    }
    let local = folder.ancestors().map(|folder| folder.join("node_modules/.bin/esbuild")).find(|path| path.is_file());
    let program = local.unwrap_or_else(|| PathBuf::from("esbuild"));
    let mut externals = Vec::new();
    // What only Node has stays an import, which the deploy then names with its place: packages often import what they can do without.
    loop {
        let output = esbuild(&program, &folder, entry, &externals).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed(format!(
                "it imports files or packages, and the bundler esbuild is not installed; run `npm install --save-dev esbuild` in {}",
                folder.display()
            )),
            _ => failed(format!("esbuild cannot be run: {error}")),
        })?;
        if output.status.success() {
            return Ok(Bundle { text: output.stdout.into(), folder });
        }
        let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let before = externals.len();
        externals.extend(nodes_own(&errors).filter(|name| !externals.contains(name)).collect::<Vec<_>>());
        if externals.len() == before {
            return Err(failed(format!("it cannot be bundled:\n{errors}")));
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

async fn esbuild(program: &Path, folder: &Path, entry: &Path, externals: &[String]) -> std::io::Result<std::process::Output> {
    let mut command = Command::new(program);
    command.current_dir(folder).arg(entry).args(SETTINGS).args(externals.iter().map(|name| format!("--external:{name}")));
    command.stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| std::io::Error::other(format!("it did not end within {} s", PATIENCE.as_secs())))?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{entry, nodes_own};

    #[test]
    fn entries_are_read_as_packages_have_them() {
        let cases = [
            (json!({"main": "./lib/a.js"}), Some("lib/a.js")),
            (json!({"main": "a.cjs", "module": "a.mjs"}), Some("a.mjs")),
            (json!({"main": "a.js", "exports": "./b.js"}), Some("b.js")),
            (
                json!({"exports": {".": {"types": "./t.d.ts", "node": "./n.js", "import": {"default": "./i.js"}, "require": "./r.js"}}}),
                Some("i.js"),
            ),
            (json!({"exports": {"browser": "./b.js", "default": "./d.js"}}), Some("b.js")),
            (json!({"exports": {"./sub": "./s.js"}}), None),
            (json!({}), None),
        ];
        for (manifest, expected) in cases {
            assert_eq!(entry(&manifest), expected, "{manifest}");
        }
    }

    #[test]
    fn what_is_nodes_own_is_read_off_the_errors() {
        let errors = "✘ [ERROR] Could not resolve \"fs\"\n\n  The package \"fs\" wasn't found on the file system but is built into node. Are you\n\n  You can mark the path \"x\" as external\n  The package \"node:os\" wasn't found on the file system but is built into node.";
        assert_eq!(nodes_own(errors).collect::<Vec<_>>(), ["fs", "node:os"]);
    }
}
