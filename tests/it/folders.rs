//! `snaphook deploy` of folders: scripts in the order of their imports, packages bundled, failures in the file that they are about.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::{Value, json};
use snaphook_tests::Tenant;
use tempfile::TempDir;

use crate::support::{binary, node};

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), files);
    folder
}

pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// What `snaphook deploy` printed, and whether it succeeded.
fn deploy(tenant: &Tenant, folder: &Path, path: Option<&str>) -> (bool, String) {
    let mut command = Command::new(binary());
    command
        .arg("deploy")
        .arg(folder)
        .args(["--url", node().url(), "--token", tenant.client.token.as_deref().unwrap()])
        .env("NO_COLOR", "1");
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output: Output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

async fn step(tenant: &Tenant, script: &str, payload: Value) -> Value {
    let version = tenant.client.get(&format!("/v1/scripts/{script}")).await.expect(200).json()["version"].as_u64().unwrap();
    tenant.test(script, version, json!({"hook": "step", "payload": payload})).await
}

/// Holds for a text with line breaks and indents that a terminal's width put into it, also within a path.
fn says(printed: &str, text: &str) -> bool {
    let plain = |text: &str| text.replace(|c: char| c == '│' || c.is_whitespace(), "");
    plain(printed).contains(&plain(text))
}

#[tokio::test]
async fn scripts_are_deployed_behind_what_they_import() {
    let tenant = node().tenant().await;
    let folder = folder(&[
        ("scripts/a.js", "import { text } from 'script:m';\nexport default () => text;"),
        ("scripts/m.ts", "import { base } from 'script:z';\nexport const text: string = base + base;"),
        ("scripts/z.js", "export const base = 'x';"),
    ]);
    let (deployed, printed) = deploy(&tenant, folder.path(), None);
    assert!(deployed, "{printed}");
    let at = |text: &str| printed.find(text).unwrap_or_else(|| panic!("{text}: {printed}"));
    assert!(at("z version 1 (new; no hooks") < at("m version 1") && at("m version 1") < at("a version 1 (new; step"), "{printed}");
    assert!(printed.contains("imports m version 1"), "{printed}");
    assert_eq!(step(&tenant, "a", Value::Null).await["payload"], "xx");

    // A change below goes up to everybody who names no version.
    write(folder.path(), &[("scripts/z.js", "export const base = 'y';")]);
    let (deployed, printed) = deploy(&tenant, folder.path(), None);
    assert!(deployed && printed.contains("a version 2 (new") && printed.contains("imports m version 2"), "{printed}");
    assert_eq!(step(&tenant, "a", Value::Null).await["payload"], "yy");
    let (_, printed) = deploy(&tenant, folder.path(), None);
    assert!(printed.contains("a version 2 (same"), "{printed}");
}

#[tokio::test]
async fn what_is_wrong_in_a_folder_is_shown_in_its_file() {
    let tenant = node().tenant().await;
    let folder = folder(&[
        ("scripts/a.js", "import { text } from 'script:b';\nexport default () => text;"),
        ("scripts/b.js", "export const text = ;"),
        ("scripts/left.js", "import 'script:right';\nexport const x = 1;"),
        ("scripts/right.js", "import 'script:left';\nexport const x = 1;"),
        ("scripts/right-too.js", "export default () => 1;"),
    ]);
    let (deployed, printed) = deploy(&tenant, folder.path(), None);
    assert!(!deployed && printed.contains("4 of 5 could not be deployed"), "{printed}");
    assert!(says(&printed, "scripts/b.js:1:21"), "{printed}");
    assert!(says(&printed, "not deployed, since it imports `b`, which was not"), "{printed}");
    assert!(says(&printed, "left: scripts import each other in a circle: left → right → left"), "{printed}");
    let _ = tenant.client.get("/v1/scripts/a").await.expect(404);
    let _ = tenant.client.get("/v1/scripts/right-too").await.expect(200);

    // Top-level code of `b` fails only where `a` imports it: the file of `b` is shown.
    write(
        folder.path(),
        &[
            ("scripts/b.js", "export const text = 'b';\nif (globalThis.strict) {\n  throw new Error('too strict');\n}"),
            ("scripts/a.js", "import 'script:first';\nimport { text } from 'script:b';\nexport default () => text;"),
            ("scripts/first.js", "globalThis.strict = true;\nexport const x = 1;"),
        ],
    );
    let (_, printed) = deploy(&tenant, folder.path(), None);
    assert!(says(&printed, "scripts/b.js:3:") && says(&printed, "too strict") && says(&printed, "scripts/a.js:2:"), "{printed}");
}

/// Projects with a bundler and a package of their own, installed once. Need npm and its registry, as people who bundle do.
static ESBUILD: LazyLock<TempDir> = LazyLock::new(|| project(r#""esbuild": "0.25.12""#));
static ROLLDOWN: LazyLock<TempDir> = LazyLock::new(|| project(r#""rolldown": "1.3.2""#));

fn project(bundler: &str) -> TempDir {
    let manifest = format!(r#"{{"private": true, "dependencies": {{"words": "file:./words"}}, "devDependencies": {{{bundler}}}}}"#);
    let project = folder(&[
        ("package.json", &manifest),
        ("words/package.json", r#"{"name": "words", "version": "1.0.0", "main": "index.js"}"#),
        (
            "words/index.js",
            "exports.machine = () => require('os').hostname();\nexports.hello = (name) => name === 'machine' ? exports.machine() : `hello ${name}`;\n",
        ),
    ]);
    let mut npm = Command::new("timeout");
    npm.args(["55", "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts=false"]).current_dir(project.path());
    let output = npm.output().expect("coreutils are here");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "this test needs npm and its registry, and `npm install` failed: {printed}");
    project
}

/// A folder below a project, in which its packages are found.
fn in_project(project: &TempDir, files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new_in(project.path()).unwrap();
    write(folder.path(), files);
    folder
}

#[tokio::test]
async fn esbuild_bundles_packages_and_faults_name_their_files() {
    packages_are_bundled_and_faults_name_their_files(&ESBUILD).await;
}

#[tokio::test]
async fn rolldown_bundles_packages_and_faults_name_their_files() {
    packages_are_bundled_and_faults_name_their_files(&ROLLDOWN).await;
}

async fn packages_are_bundled_and_faults_name_their_files(project: &TempDir) {
    let tenant = node().tenant().await;
    let folder = in_project(
        project,
        &[
            ("scripts/signing.js", "export const sign = (text) => text + '!';"),
            ("scripts/greet/package.json", r#"{"name": "greet", "module": "./src/index.ts", "dependencies": {"words": "*"}}"#),
            (
                "scripts/greet/src/index.ts",
                "import { sign } from 'script:signing';\nimport { hello } from 'words';\nimport { shout } from './shout';\n\nexport default (name: string): string => sign(shout(hello(name)));\n",
            ),
            (
                "scripts/greet/src/shout.ts",
                "export function shout(text: string): string {\n  if (text.endsWith('nobody')) {\n    throw new Error('nobody is there');\n  }\n  return text.toUpperCase();\n}\nexport const unused = 1;\nif (Date.now() < 0) Buffer.from('');\n",
            ),
            (
                "scripts/loose.ts",
                "import { shout } from './greet/src/shout.ts';\nimport { hello } from 'words';\nexport default (name: string) => shout(hello(name));",
            ),
            ("scripts/notes/readme.js", "not a script: its folder has no package.json"),
        ],
    );
    let (deployed, printed) = deploy(&tenant, folder.path(), None);
    assert!(deployed, "{printed}");
    assert!(
        printed.contains("signing version 1") && printed.contains("greet version 1") && printed.contains("loose version 1"),
        "{printed}"
    );
    assert!(printed.contains("warning: src/shout.ts:8: `Buffer` does not exist in a sandbox"), "{printed}");
    assert!(printed.contains("`require(\"os\")` cannot work: there are no modules of Node in a sandbox"), "{printed}");
    assert_eq!(step(&tenant, "greet", json!("you")).await["payload"], "HELLO YOU!");
    assert_eq!(step(&tenant, "loose", json!("you")).await["payload"], "HELLO YOU");

    let fault = step(&tenant, "greet", json!("nobody")).await["fault"].clone();
    assert_eq!(
        (fault["code"].as_str(), &fault["origin"]["file"], &fault["origin"]["line"]),
        (Some("script-threw"), &json!("src/shout.ts"), &json!(3)),
        "{fault}"
    );
    let (_, printed) = deploy(&tenant, folder.path(), None);
    assert!(printed.contains("greet version 1 (same"), "the same files make the same bundle: {printed}");
}

#[tokio::test]
async fn what_a_bundle_of_esbuild_cannot_have_is_shown_in_its_source() {
    what_a_bundle_cannot_have_is_shown_in_its_source(&ESBUILD).await;
}

#[tokio::test]
async fn what_a_bundle_of_rolldown_cannot_have_is_shown_in_its_source() {
    what_a_bundle_cannot_have_is_shown_in_its_source(&ROLLDOWN).await;
}

async fn what_a_bundle_cannot_have_is_shown_in_its_source(project: &TempDir) {
    let tenant = node().tenant().await;
    let folder = in_project(
        project,
        &[
            (
                "scripts/reads.ts",
                "import { machine } from 'words';\nimport { readFileSync } from 'node:fs';\nexport default () => readFileSync(machine());",
            ),
            ("scripts/broken.ts", "import { machine } from 'words';\nimport { x } from './nowhere';\nexport default () => machine(x);"),
            ("scripts/absent.ts", "import { machine } from 'words';\n\nimport x from 'no-such-package';\nexport default () => machine(x);"),
            ("scripts/entry/package.json", r#"{"main": "dist/index.js"}"#),
        ],
    );
    let (deployed, printed) = deploy(&tenant, folder.path(), None);
    assert!(!deployed && printed.contains("4 of 4 could not be deployed"), "{printed}");
    assert!(says(&printed, "cannot import \"node:fs\"") && says(&printed, "scripts/reads.ts:2:"), "{printed}");
    // The one bundler quotes with two strokes, the other with one.
    let printed = printed.replace('\'', "\"");
    assert!(says(&printed, "Could not resolve \"./nowhere\"") && says(&printed, "scripts/broken.ts:2:"), "{printed}");
    assert!(says(&printed, "Could not resolve \"no-such-package\"") && says(&printed, "scripts/absent.ts:3:"), "{printed}");
    assert!(!printed.contains("    at "), "a bundler's own code is nobody's business: {printed}");
    assert!(says(&printed, "the entry `dist/index.js` does not exist"), "{printed}");
}

#[tokio::test]
async fn what_is_missing_for_a_bundle_is_asked_for() {
    let tenant = node().tenant().await;
    let folder = folder(&[
        ("scripts/greet/package.json", r#"{"dependencies": {"words": "*"}}"#),
        ("scripts/greet/index.js", "import { hello } from 'words';\nexport default hello;"),
        ("scripts/loose.js", "import { x } from './lib/x.js';\nexport default () => x;"),
        ("scripts/lib/x.js", "export const x = 1;"),
    ]);
    let (deployed, printed) = deploy(&tenant, folder.path(), Some("/nowhere"));
    assert!(!deployed, "{printed}");
    assert!(says(&printed, "its packages are not installed; run `npm install` in"), "{printed}");
    assert!(says(&printed, "no bundler is installed, neither esbuild nor rolldown; run `npm install --save-dev esbuild` in"), "{printed}");
}
