//! Bundles what a script takes from files and packages into one module, with the bundler that the project has: esbuild or rolldown.

mod esbuild;
mod rolldown;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
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

/// What a bundle is for; both bundlers have the word. Neither Node nor a page, but the builds of packages for browsers come closest.
const PLATFORM: &str = "browser";

/// The newest syntax that a bundle may have.
const TARGET: &str = "es2023";

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
    for (bundler, program) in candidates(&folder) {
        match bundler.run(&program, &folder, entry).await {
            Ok(text) => return Ok(Bundle { text, folder }),
            Err(Failure::NotThere) => {}
            Err(Failure::Other(detail)) => return Err(failed(detail)),
        }
    }
    Err(failed(format!(
        "it imports files or packages, and no bundler is installed, neither esbuild nor rolldown; run `npm install --save-dev esbuild` in {}",
        folder.display()
    )))
}

/// A program that bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bundler {
    Esbuild,
    Rolldown,
}

/// Why there is no bundle.
enum Failure {
    /// The program does not exist.
    NotThere,
    /// In words.
    Other(String),
}

impl Bundler {
    /// In the order in which they are looked for: esbuild starts faster.
    const ALL: [Self; 2] = [Self::Esbuild, Self::Rolldown];

    const fn name(self) -> &'static str {
        match self {
            Self::Esbuild => "esbuild",
            Self::Rolldown => "rolldown",
        }
    }

    async fn run(self, program: &Path, folder: &Path, entry: &Path) -> Result<Bytes, Failure> {
        match self {
            Self::Esbuild => esbuild::bundle(program, folder, entry).await,
            Self::Rolldown => rolldown::bundle(program, folder, entry).await,
        }
    }
}

/// What to try: the bundler that the nearest project brings along, else those of the machine.
fn candidates(folder: &Path) -> Vec<(Bundler, PathBuf)> {
    let mut own = folder.ancestors().flat_map(|folder| {
        let bin = folder.join("node_modules/.bin");
        Bundler::ALL.map(|bundler| (bundler, bin.join(bundler.name())))
    });
    match own.find(|(_, path)| path.is_file()) {
        Some(own) => vec![own],
        None => Bundler::ALL.map(|bundler| (bundler, PathBuf::from(bundler.name()))).to_vec(),
    }
}

/// Runs a bundler to its end.
async fn output(bundler: Bundler, mut command: Command) -> Result<Output, Failure> {
    command.env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    let cannot = |detail: String| Failure::Other(format!("{} cannot be run: {detail}", bundler.name()));
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::NotThere),
        Ok(Err(error)) => Err(cannot(error.to_string())),
        Err(_) => Err(cannot(format!("it did not end within {} s", PATIENCE.as_secs()))),
    }
}

/// What a bundler says is wrong with the sources.
fn refused(errors: &str) -> Failure {
    Failure::Other(format!("it cannot be bundled:\n{}", errors.trim()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Bundler, candidates, entry};

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
    fn the_nearest_bundler_is_taken() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("scripts/greet");
        let install = |below: &str, name: &str| {
            let bin = project.path().join(below).join("node_modules/.bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join(name), "").unwrap();
            bin.join(name)
        };
        std::fs::create_dir_all(&folder).unwrap();
        // A machine's own folders above the project may have one.
        let above = project.path().ancestors().skip(1).any(|folder| folder.join("node_modules/.bin").is_dir());
        if !above {
            let machine = [(Bundler::Esbuild, "esbuild".into()), (Bundler::Rolldown, "rolldown".into())];
            assert_eq!(candidates(&folder), machine);
        }
        let rolldown = install("", "rolldown");
        assert_eq!(candidates(&folder), [(Bundler::Rolldown, rolldown.clone())]);
        let esbuild = install("", "esbuild");
        assert_eq!(candidates(&folder), [(Bundler::Esbuild, esbuild)]);
        let nearer = install("scripts", "rolldown");
        assert_eq!(candidates(&folder), [(Bundler::Rolldown, nearer)]);
    }
}
