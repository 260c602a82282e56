//! `deny`: licences, sources and doubled crates, as `deny.toml` has them; by cargo-deny where it is installed, which knows advisories too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use spdx::{Expression, ParseMode};
use toml::{Table, Value};

use crate::run::{cargo, output, root, run, works};

/// Checks everything that can be checked on this machine, and says what was not, in its last line.
pub(crate) fn deny() -> Result<(), String> {
    let left_out = by_cargo_deny()?;
    // Also where cargo-deny has looked: the list of what is doubled is kept short here only.
    let checked = own();
    match left_out {
        Some(why) => println!("advisories were LEFT OUT: {why}"),
        None => println!("advisories: there are none about these crates, but for those that deny.toml ignores"),
    }
    checked
}

/// Everything that cargo-deny can check; where that leaves out advisories, why.
fn by_cargo_deny() -> Result<Option<&'static str>, String> {
    if !works("cargo", &["deny", "--version"]) {
        return Ok(Some("cargo-deny is not installed (cargo install cargo-deny --locked)"));
    }
    run(cargo().args(["deny", "--locked", "check", "--allow", "unmatched-skip", "licenses", "bans", "sources"]).current_dir(root()))?;
    if run(cargo().args(["deny", "fetch", "db"]).current_dir(root())).is_err() {
        return Ok(Some("their database cannot be had here"));
    }
    run(cargo().args(["deny", "--locked", "check", "--disable-fetch", "advisories"]).current_dir(root()))?;
    Ok(None)
}

/// The same by `cargo metadata` alone, but for advisories. What the file allows and nobody needs is a complaint as well.
fn own() -> Result<(), String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).map_err(|error| format!("deny.toml: {error}"))?;
    let policy = Policy::read(&text)?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &policy.target];
    let metadata = output(cargo().args(arguments).current_dir(root()))?;
    let packages = packages(&serde_json::from_str(&metadata).map_err(|error| error.to_string())?);
    let complaints = policy.complaints(&packages);
    match complaints.as_slice() {
        [] => {
            println!("{} crates: licences, sources and versions are as deny.toml has them", packages.len());
            Ok(())
        }
        complaints => Err(format!("\n  {}", complaints.join("\n  "))),
    }
}

/// What of a crate is judged.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    version: String,
    /// As the manifest has it.
    license: String,
    /// Absent for ours.
    source: Option<String>,
}

impl Package {
    fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Those of the metadata that the platform has.
fn packages(metadata: &Json) -> Vec<Package> {
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let used: BTreeSet<_> = list(&metadata["resolve"]["nodes"]).iter().map(|node| node["id"].to_string()).collect();
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let package = |package: &Json| Package {
        name: text(&package["name"]).unwrap_or_default(),
        version: text(&package["version"]).unwrap_or_default(),
        license: text(&package["license"]).unwrap_or_default(),
        source: text(&package["source"]),
    };
    list(&metadata["packages"]).iter().filter(|found| used.contains(&found["id"].to_string())).map(package).collect()
}

/// What `deny.toml` says.
struct Policy {
    target: String,
    licenses: BTreeSet<String>,
    registries: BTreeSet<String>,
    /// Crates of which another version may be there, as `name@version`.
    doubled: BTreeSet<String>,
}

impl Policy {
    fn read(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
        let list = |section: &str, key: &str| {
            let found = table.get(section).and_then(|section| section.get(key)).and_then(Value::as_array);
            found.cloned().ok_or_else(|| format!("deny.toml has no list {section}.{key}"))
        };
        let texts = |section, key| Ok::<Vec<_>, String>(list(section, key)?.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let doubled = list("bans", "skip")?.into_iter().map(|entry| match (entry.get("crate"), entry.get("reason")) {
            (Some(Value::String(name)), Some(Value::String(_))) => Ok(name.clone()),
            _ => Err(format!("deny.toml: {entry:?} is no crate with a reason")),
        });
        Ok(Self {
            target: texts("graph", "targets")?.into_iter().next().ok_or("deny.toml names no target")?,
            licenses: texts("licenses", "allow")?.into_iter().collect(),
            registries: texts("sources", "allow-registry")?.into_iter().collect(),
            doubled: doubled.collect::<Result<_, String>>()?,
        })
    }

    fn complaints(&self, packages: &[Package]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut needed = BTreeSet::new();
        for package in packages {
            complaints.extend(self.license(package, &mut needed));
            let registry = package.source.as_deref().map(|source| source.trim_start_matches("registry+"));
            if let Some(source) = registry.filter(|source| !self.registries.contains(*source)) {
                complaints.push(format!("{} comes from {source}, which is no source of ours", package.id()));
            }
        }
        complaints.extend(self.licenses.difference(&needed).map(|license| format!("nobody needs the licence {license} any more")));
        complaints.extend(self.versions(packages));
        complaints
    }

    fn license(&self, package: &Package, needed: &mut BTreeSet<String>) -> Option<String> {
        let expression = match Expression::parse_mode(&package.license, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("the licence of {} cannot be read: {:?}: {}", package.id(), package.license, error.reason)),
        };
        needed.extend(expression.requirements().map(|found| found.req.to_string()));
        let allowed = expression.evaluate(|asked| self.licenses.contains(&asked.to_string()));
        (!allowed).then(|| format!("{} is under {}, which deny.toml does not allow", package.id(), package.license))
    }

    /// Crates that are there more than once, but for one version of each that need not be named.
    fn versions(&self, packages: &[Package]) -> Vec<String> {
        let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for package in packages {
            versions.entry(&package.name).or_default().push(package.id());
        }
        let doubled: Vec<&Vec<String>> = versions.values().filter(|versions| versions.len() > 1).collect();
        let too_many = doubled.iter().filter_map(|versions| {
            let unnamed: Vec<_> = versions.iter().filter(|id| !self.doubled.contains(*id)).cloned().collect();
            (unnamed.len() > 1).then(|| format!("there are {}; take one of them, or say in deny.toml why not", unnamed.join(" and ")))
        });
        let unneeded = self.doubled.iter().filter(|id| !doubled.iter().any(|versions| versions.contains(id)));
        too_many.chain(unneeded.map(|id| format!("deny.toml need not name {id} any more"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Package, Policy};

    const POLICY: &str = r#"
        graph.targets = ["x86_64-unknown-linux-gnu"]
        licenses.allow = ["MIT", "Apache-2.0 WITH LLVM-exception"]
        sources.allow-registry = ["https://github.com/rust-lang/crates.io-index"]
        bans.skip = [{ crate = "old@1.0.0", reason = "b" }]
    "#;

    fn package(name: &str, version: &str, license: &str, source: Option<&str>) -> Package {
        Package { name: name.to_owned(), version: version.to_owned(), license: license.to_owned(), source: source.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_allowed_is_named_and_so_is_what_nobody_needs() {
        let registry = Some("registry+https://github.com/rust-lang/crates.io-index");
        let fine = [
            package("ours", "0.1.0", "MIT", None),
            package("old", "1.0.0", "MIT/GPL-3.0-only", registry),
            package("old", "2.0.0", "Apache-2.0 WITH LLVM-exception", registry),
        ];
        let policy = Policy::read(POLICY).unwrap();
        assert_eq!(policy.complaints(&fine), Vec::<String>::new());
        let with = |more: Package| policy.complaints(&[fine.as_slice(), &[more]].concat());
        assert_eq!(
            with(package("a", "1.0.0", "GPL-3.0-only", registry)),
            ["a@1.0.0 is under GPL-3.0-only, which deny.toml does not allow"]
        );
        assert_eq!(with(package("a", "1.0.0", "Apache-2.0", registry)).len(), 1);
        assert!(with(package("a", "1.0.0", "", registry))[0].contains("cannot be read"));
        let elsewhere = with(package("a", "1.0.0", "MIT", Some("git+https://example.com/a")));
        assert_eq!(elsewhere, ["a@1.0.0 comes from git+https://example.com/a, which is no source of ours"]);
        let thrice = with(package("old", "3.0.0", "MIT", registry));
        assert_eq!(thrice, ["there are old@2.0.0 and old@3.0.0; take one of them, or say in deny.toml why not"]);
        assert_eq!(
            policy.complaints(&fine[..1]),
            ["nobody needs the licence Apache-2.0 WITH LLVM-exception any more", "deny.toml need not name old@1.0.0 any more"]
        );
        assert!(Policy::read(&POLICY.replace(", reason = \"b\"", "")).is_err());
    }
}
