//! rolldown, of version 1 or later. What is external can be said to its command line by whole names only, and the map's paths not at all, so it
//! gets a configuration.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use snaphook_model::{Dialect, Language};
use tokio::process::Command;

use super::{Bundler, Failure, PLATFORM, TARGET, output, refused};

/// One ES module with a map for faults, whose paths are below the folder. What only Node has stays as it is, since packages often name what they
/// can do without; where each stands is noted, as the map does not know it. Everything else that is not found is an error, and not the warning
/// that it is to rolldown.
const CONFIGURATION: &str = r#"import { appendFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
const { folder, entry, file, notes, platform, target } = SETTINGS;
export default {
  cwd: folder,
  input: path.resolve(folder, entry),
  platform,
  external: (id) => id === "snaphook" || id.startsWith("script:"),
  transform: { target, define: { "process.env.NODE_ENV": '"production"' } },
  onLog(level, log, next) {
    if (log.code !== "UNRESOLVED_IMPORT") return next(level, log);
    if (isBuiltin(log.exporter)) {
      const place = log.loc && `${path.relative(folder, log.loc.file)}:${log.loc.line}:${log.loc.column + 1}`;
      return appendFileSync(notes, JSON.stringify([log.exporter, place]) + "\n");
    }
    next("error", { ...log, message: log.message.replace(", treating it as an external dependency", "") });
  },
  output: {
    file,
    format: "esm",
    sourcemap: "inline",
    sourcemapExcludeSources: true,
    sourcemapPathTransform: (source, map) => path.relative(folder, path.resolve(path.dirname(map), source)),
    codeSplitting: false,
  },
};
"#;

pub(super) async fn bundle(program: &Path, folder: &Path, entry: &Path) -> Result<Bytes, Failure> {
    let cannot = |error: std::io::Error| Failure::Other(format!("a place for the bundle cannot be made: {error}"));
    let place = tempfile::tempdir().map_err(cannot)?;
    let [configuration, file, notes] = ["rolldown.config.mjs", "bundle.mjs", "notes"].map(|name| place.path().join(name));
    let settings = json!({"folder": folder, "entry": entry, "file": file, "notes": notes, "platform": PLATFORM, "target": TARGET});
    std::fs::write(&configuration, CONFIGURATION.replace("SETTINGS", &settings.to_string())).map_err(cannot)?;
    let mut command = Command::new(program);
    command.current_dir(folder).arg("--config").arg(&configuration);
    let output = output(Bundler::Rolldown, command).await?;
    let text = match std::fs::read(&file) {
        Ok(text) if output.status.success() => Bytes::from(text),
        _ => return Err(refused(&without_traces(&String::from_utf8_lossy(&output.stderr)))),
    };
    match nodes_own(&text, &std::fs::read_to_string(&notes).unwrap_or_default()) {
        Some(detail) => Err(Failure::Other(detail)),
        None => Ok(text),
    }
}

/// What a bundle imports although only Node has it, with where that stands in the sources. A node refuses it, but could not say where.
fn nodes_own(bundle: &[u8], notes: &str) -> Option<String> {
    let imports = snaphook_compile::imports(bundle, Language::JavaScript, Dialect::Native);
    let notes = notes.lines().filter_map(|line| serde_json::from_str::<[Value; 2]>(line).ok());
    let mut left = notes.filter(|[module, _]| imports.iter().any(|import| *module == *import.specifier));
    let [module, place] = left.next()?;
    let at = place.as_str().map(|place| format!(", as {place} does")).unwrap_or_default();
    Some(format!("a script cannot import {module}{at}: there are no modules of Node in a sandbox"))
}

/// What rolldown says, without where in its own code it was when it said so.
fn without_traces(errors: &str) -> String {
    errors.lines().filter(|line| !line.starts_with("    at ")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{nodes_own, without_traces};

    #[test]
    fn what_is_left_of_nodes_own_is_named() {
        let notes = "[\"os\",\"node_modules/x/a.js:1:2\"]\n[\"node:fs\",\"src/a.ts:3:4\"]\n[\"node:fs\",null]\n";
        let left = b"import { sign } from \"script:signing\";\nimport \"node:fs\";\nexport default () => __require(\"os\");\n";
        let detail = "a script cannot import \"node:fs\", as src/a.ts:3:4 does: there are no modules of Node in a sandbox";
        assert_eq!(nodes_own(left, notes).as_deref(), Some(detail));
        assert_eq!(nodes_own(b"export default () => __require(\"os\");\n", notes), None);
        assert_eq!(nodes_own(left, ""), None);
    }

    #[test]
    fn traces_are_left_out() {
        let errors = "\n ERROR  Build failed with 1 error:\n\n[X] no\n 2 │ import y\n    at a (b.mjs:1:2)\n    at async c (d.mjs:3:4)\n";
        assert_eq!(without_traces(errors), "\n ERROR  Build failed with 1 error:\n\n[X] no\n 2 │ import y");
    }
}
