//! What is packed and published: that it holds what it needs, and names nothing that is not there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a program prints, without the network; none where the program is not there.
fn printed(program: &str, arguments: &[&str], folder: &str) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(root().join(folder)).output().ok()?;
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Instructions of the Dockerfile, each with its continued lines.
fn instructions() -> Vec<(String, String)> {
    let joined = text("Dockerfile").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').expect("an instruction and what it is for"))
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn the_image_is_built_from_files_that_are_there_and_runs_as_nobody_in_particular() {
    let instructions = instructions();
    let of = |word: &str| instructions.iter().filter(|(found, _)| found == word).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>();
    let ignored = text(".dockerignore");
    let mut copied = Vec::new();
    for copy in of("COPY").iter().filter(|copy| !copy.starts_with("--from=")) {
        let mut words: Vec<&str> = copy.split_whitespace().collect();
        words.pop();
        for source in words {
            assert!(root().join(source).exists(), "{source} is not there");
            assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is left out by .dockerignore");
            copied.push(source);
        }
    }
    // Everything that the workspace is made of, and that its sources name outside of it.
    for needed in ["Cargo.toml", "Cargo.lock", "crates", "guest-sdk", "tests"] {
        assert!(copied.contains(&needed), "{needed} is not copied");
    }
    let manifest = text("Cargo.toml");
    assert!(manifest.contains(r#"members = ["crates/*", "tests"]"#), "the image copies the members of the workspace by name");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(of("FROM")[0].starts_with(&format!("rust:{rust}-")), "the compiler is the one of Cargo.toml, {rust}");
    // The binary that is built is the one that is copied, started, and asked whether it is well.
    assert!(of("RUN").iter().any(|run| run.contains("cargo build --release --locked --package snaphook")));
    assert!(of("COPY").contains(&"--from=build /src/target/release/snaphook /usr/local/bin/snaphook"));
    let user = instructions.iter().position(|(word, user)| word == "USER" && user == "snaphook").expect("it is not root");
    assert!(instructions[user..].iter().all(|(word, _)| word != "RUN") && of("RUN")[2].contains("useradd --system --uid 10001"));
    let program = r#"["/usr/local/bin/snaphook"]"#;
    assert_eq!((of("ENTRYPOINT"), of("CMD")), (vec![program], vec![r#"["serve"]"#]));
    assert!(of("HEALTHCHECK")[0].ends_with(r#"CMD ["/usr/local/bin/snaphook", "health"]"#));
    let settings = of("ENV").join(" ");
    assert!(settings.contains("SNAPHOOK_LISTEN=0.0.0.0:7070") && settings.contains("SNAPHOOK_DATA_DIR=/var/lib/snaphook"), "{settings}");
    for variable in settings.split_whitespace().filter_map(|pair| pair.split('=').next()) {
        assert!(text("docs/configuration.md").contains(&format!("`{variable}`")), "{variable} is read by nobody");
    }
}

#[test]
fn the_unit_names_what_the_package_brings_and_leaves_the_wall_what_it_needs() {
    let (unit, manifest) = (text("packaging/snaphook.service"), text("crates/node/Cargo.toml"));
    let value = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect::<Vec<_>>();
    assert_eq!(value("ExecStart"), ["/usr/bin/snaphook serve --config /etc/snaphook/snaphook.toml"]);
    for (source, target) in [("target/release/snaphook", "usr/bin/"), ("../../packaging/snaphook.toml", "etc/snaphook/")] {
        assert!(manifest.contains(&format!(r#"["{source}", "{target}""#)), "{source}");
    }
    let user = value("User")[0];
    assert!(text("packaging/snaphook.sysusers").contains(&format!("u {user} - ")), "{user}");
    assert_eq!(
        (value("StateDirectory"), value("NoNewPrivileges"), value("ProtectSystem")),
        (vec!["snaphook"], vec!["yes"], vec!["strict"])
    );
    // Machine code is made of scripts; a node looks at the machine's memory; its own wall is made of these.
    assert!(value("MemoryDenyWriteExecute").is_empty() && value("ProcSubset").is_empty());
    let calls = value("SystemCallFilter").join(" ");
    for call in ["@system-service", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(calls.split(' ').any(|known| known == call), "{call}");
    }
    if let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(root().join("packaging/snaphook.service")).output() {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        // The program and its manual are where the package puts them, which is not here.
        let complaints: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("snaphook.service") && !line.contains("/usr/bin/snaphook") && !line.contains("man snaphook"))
            .collect();
        assert_eq!(complaints, Vec::<&str>::new());
    }
}

#[test]
fn the_package_is_made_of_files_that_are_there() {
    let manifest = text("crates/node/Cargo.toml");
    let assets = manifest.split("assets = [").nth(1).and_then(|rest| rest.split("\n]").next()).expect("a list of assets");
    let sources: Vec<&str> = assets.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next()).collect();
    // What is built, and what `cargo xtask package` has the binary write.
    let made = |source: &&str| source.starts_with("target/") || source.starts_with("../../target/package/");
    assert!(sources.iter().any(made) && sources.len() > 8, "{sources:?}");
    for source in sources.iter().filter(|source| !made(source)) {
        let folder = source.trim_end_matches("*.md");
        assert!(root().join("crates/node").join(folder).exists(), "{source}");
    }
    // The example of a file has settings that there are, with their names and values as a node reads them.
    let example = text("packaging/snaphook.toml");
    let settings: Vec<&str> = example.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" = ")).map(|(key, _)| key).collect();
    assert!(settings.len() > 5, "{settings:?}");
    for key in settings {
        assert!(text("docs/configuration.md").contains(&format!("| `{key}` |")), "{key}");
    }
}

#[test]
fn the_rust_sdk_is_packed_with_the_contract_and_the_licence() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let listed = printed(&cargo, &["package", "--list", "--allow-dirty", "--offline"], "guest-sdk/rust").expect("cargo runs the tests");
    for file in ["README.md", "LICENSE", "src/lib.rs", "src/bindings.rs", "wit/hooks.wit", "wit/host.wit", "wit/types.wit"] {
        assert!(listed.lines().any(|line| line == file), "{file}: {listed}");
    }
    let manifest = text("guest-sdk/rust/Cargo.toml");
    for key in ["description = ", "license = \"Apache-2.0\"", "readme = ", "keywords = ", "categories = "] {
        assert!(manifest.contains(key), "{key}");
    }
    assert!(!manifest.contains("publish = false") && !manifest.contains("path = \".."), "it can be published");
    assert!(!text("guest-sdk/rust/src/bindings.rs").contains("../"), "the contract is read from the package");
    assert_eq!(text("guest-sdk/rust/wit/hooks.wit"), text("guest-sdk/wit/hooks.wit"));
}

#[test]
fn the_types_are_packed_for_every_dialect() {
    let manifest: Value = serde_json::from_str(&text("guest-sdk/js/package.json")).unwrap();
    assert_eq!(text("guest-sdk/js/LICENSE"), text("LICENSE"), "npm packs no links, so this is a copy");
    let exported = manifest["exports"].as_object().unwrap().values().filter_map(|value| value["types"].as_str().or(value.as_str()));
    let exported: Vec<&str> = exported.map(|path| path.trim_start_matches("./")).collect();
    let Some(packed) = printed("npm", &["pack", "--dry-run", "--json", "--offline"], "guest-sdk/js") else {
        println!("left out: npm is not installed");
        return;
    };
    let packed: Value = serde_json::from_str(&packed).unwrap();
    let packed: Vec<&str> = packed[0]["files"].as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    for file in exported.iter().chain(&["README.md", "LICENSE"]) {
        assert!(packed.contains(file), "{file}: {packed:?}");
    }
    let declarations = std::fs::read_dir(root().join("guest-sdk/js")).unwrap().flatten().map(|entry| entry.file_name());
    for file in declarations.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".d.ts")) {
        assert!(exported.contains(&file.as_str()), "{file} is not exported");
    }
}
