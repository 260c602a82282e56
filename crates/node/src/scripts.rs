//! Scripts of a folder: bundled where they import files or packages, and put into the order in which they import each other.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use snaphook_compile::ImportStatement;
use snaphook_model::{Dialect, Language, Name, Origin};

use crate::bundle::{self, Bundle};
use crate::folder::Item;
use crate::problem::CliError;

/// What a script of the folder imports of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) script: Name,
    /// Whether it names a version; then a newer one of the folder changes nothing for it.
    pub(crate) pinned: bool,
}

const SCHEME: &str = "script:";
const BUILT_IN: &str = "snaphook";

/// A script with what it imports, bundled when that is more than scripts.
pub(crate) async fn complete(mut item: Item, dialect: Dialect, file: &Path) -> Item {
    let Some(language) = Language::of_content_type(item.content_type).filter(|language| *language != Language::Wasm) else { return item };
    let found = snaphook_compile::imports(&item.body, language, dialect);
    let foreign = |import: &ImportStatement| import.specifier != BUILT_IN && !import.specifier.starts_with(SCHEME);
    if found.iter().any(foreign) {
        return bundled(item, bundle::file(file).await);
    }
    item.imports = imported(&found);
    item
}

/// A folder with a `package.json` as a script.
pub(crate) async fn package(folder: &Path) -> Result<Item, CliError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = Name::new(&name).map_err(|error| CliError::Usage(format!("{}: {error}", folder.display())))?;
    let made = bundle::package(folder).await;
    let item = Item {
        file: folder.display().to_string(),
        kind: "script",
        path: format!("/v1/scripts/{name}"),
        name,
        content_type: Language::JavaScript.content_type(),
        body: bytes::Bytes::new(),
        written: None,
        imports: Vec::new(),
        sources: None,
        problem: None,
    };
    Ok(bundled(item, made))
}

fn bundled(mut item: Item, made: Result<Bundle, CliError>) -> Item {
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            item.problem = Some(error);
            return item;
        }
    };
    item.imports = imported(&snaphook_compile::imports(&made.text, Language::JavaScript, Dialect::Native));
    item.content_type = Language::JavaScript.content_type();
    item.body = made.text;
    item.sources = Some(made.folder);
    item
}

fn imported(found: &[ImportStatement]) -> Vec<Imported> {
    let scripts = found.iter().filter_map(|import| {
        let name = import.specifier.strip_prefix(SCHEME)?;
        let (name, pinned) = name.split_once('@').map_or((name, false), |(name, _)| (name, true));
        Some(Imported { script: Name::new(name).ok()?, pinned })
    });
    scripts.collect()
}

/// Puts scripts behind those of the same folder that they import. Circles are errors of all who are in them.
pub(crate) fn ordered(items: Vec<Result<Item, CliError>>) -> Vec<Result<Item, CliError>> {
    let (mut scripts, mut done): (Vec<Item>, Vec<Result<Item, CliError>>) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => scripts.push(item),
            Err(error) => done.push(Err(error)),
        }
    }
    // Versions that are written down may be there already, so they order scripts only while that is possible.
    for pinned_count in [true, false] {
        loop {
            let left: HashSet<Name> = scripts.iter().map(|script| script.name.clone()).collect();
            let is_free = |script: &Item| !script.imports.iter().any(|import| waits(script, import, &left, pinned_count));
            let Some(free) = scripts.iter().position(is_free) else { break };
            done.push(Ok(scripts.remove(free)));
        }
    }
    let first_circle = done.len();
    // Who only imports somebody in a circle has no problem of its own; it waits for one that has.
    let circles: Vec<_> = scripts.iter().map(|script| circle(script, &scripts)).collect();
    for (mut script, circle) in scripts.into_iter().zip(circles) {
        if let Some(chain) = circle {
            let detail = format!("scripts import each other in a circle: {chain}");
            script.problem = Some(CliError::Script { script: script.name.to_string(), detail });
            done.insert(first_circle, Ok(script)); // Before those who wait for it.
        } else {
            done.push(Ok(script));
        }
    }
    done
}

fn waits(script: &Item, import: &Imported, left: &HashSet<Name>, pinned_count: bool) -> bool {
    (pinned_count || !import.pinned) && import.script != script.name && left.contains(&import.script)
}

/// The circle that a script is part of, as `a → b → a`.
fn circle(start: &Item, scripts: &[Item]) -> Option<String> {
    let mut paths = vec![vec![start]];
    let mut seen = HashSet::new();
    while let Some(path) = paths.pop() {
        let last = path.last()?;
        for import in last.imports.iter().filter(|import| !import.pinned && import.script != last.name) {
            if import.script == start.name {
                let names: Vec<&str> = path.iter().map(|script| script.name.as_str()).chain([start.name.as_str()]).collect();
                return Some(names.join(" → "));
            }
            if let Some(next) = scripts.iter().find(|script| script.name == import.script)
                && seen.insert(&next.name)
            {
                paths.push([&path[..], &[next]].concat());
            }
        }
    }
    None
}

/// Where the scripts of a folder lie, to show the file that a failure is really about.
pub(crate) struct Files(Vec<(Name, PathBuf, Option<PathBuf>)>);

impl Files {
    pub(crate) fn of(items: &[Result<Item, CliError>]) -> Self {
        let scripts = items.iter().flatten().filter(|item| item.kind == "script");
        Self(scripts.map(|item| (item.name.clone(), PathBuf::from(&item.file), item.sources.clone())).collect())
    }

    /// The file of a place, when it is one of the folder: a bundled file of `script`, or one of a script that it imports.
    pub(crate) fn find(&self, script: &Name, origin: &Origin) -> Option<PathBuf> {
        let entry = |name: &str| self.0.iter().find(|(known, ..)| known.as_str() == name);
        let path = match origin.file.split_once('@').and_then(|(name, rest)| Some((entry(name)?, rest))) {
            Some(((_, file, folder), rest)) => match rest.split_once('/') {
                Some((_, path)) => folder.as_ref()?.join(path),
                None => file.clone(),
            },
            None => entry(script.as_str())?.2.as_ref()?.join(&origin.file),
        };
        path.is_file().then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use snaphook_model::{Name, Origin};

    use super::{Files, Imported, ordered};
    use crate::folder::Item;

    fn script(name: &str, imports: &[&str]) -> Item {
        let imports = imports.iter().map(|text| {
            let (script, pinned) = text.split_once('@').map_or((*text, false), |(script, _)| (script, true));
            Imported { script: Name::new(script).unwrap(), pinned }
        });
        Item {
            file: format!("scripts/{name}.js"),
            kind: "script",
            name: Name::new(name).unwrap(),
            path: String::new(),
            content_type: "",
            body: bytes::Bytes::new(),
            written: None,
            imports: imports.collect(),
            sources: None,
            problem: None,
        }
    }

    fn order(scripts: &[(&str, &[&str])]) -> Vec<String> {
        let items = ordered(scripts.iter().map(|(name, imports)| Ok(script(name, imports))).collect());
        let shown = |item: Item| item.problem.map_or_else(|| item.name.to_string(), |problem| problem.to_string());
        items.into_iter().map(|item| item.map_or_else(|error| error.to_string(), shown)).collect()
    }

    #[test]
    fn what_is_imported_comes_first() {
        assert_eq!(order(&[("a", &["c", "b@1"]), ("b", &["c"]), ("c", &["a-script-elsewhere"])]), ["c", "b", "a"]);
        assert_eq!(order(&[("a", &["b@1"]), ("b", &["a"])]), ["a", "b"], "a version may be there already");
        assert_eq!(order(&[("a", &["a"])]), ["a"], "the node says what is wrong with it");
    }

    #[test]
    fn circles_are_named() {
        let refused = order(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(refused.len(), 4);
        assert_eq!((refused[0].as_str(), refused[3].as_str()), ("d", "a"), "{refused:?}");
        assert!(refused[1].contains("c → b → c") && refused[2].contains("b → c → b"), "{refused:?}");
    }

    #[test]
    fn files_of_places_are_found() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut main = script("main", &[]);
        (main.file, main.sources) = (here.join("Cargo.toml").display().to_string(), Some(here.clone()));
        let files = Files::of(&[Ok(main)]);
        let origin = |file: &str| Origin { file: file.to_owned(), line: 1, column: 1 };
        let (main, other) = (Name::new("main").unwrap(), Name::new("other").unwrap());
        assert_eq!(files.find(&main, &origin("src/main.rs")), Some(here.join("src/main.rs")));
        assert_eq!(files.find(&other, &origin("main@3/src/main.rs")), Some(here.join("src/main.rs")));
        assert_eq!(files.find(&other, &origin("main@3")), Some(here.join("Cargo.toml")));
        for missing in ["src/none.rs", "none@1", "main@3/none"] {
            assert_eq!(files.find(&main, &origin(missing)), None, "{missing}");
        }
    }
}
