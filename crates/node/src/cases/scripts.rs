//! Which script a case is about, and how its version comes to be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use snaphook_model::{Dialect, Language, Name};

use super::file::{Case, CaseFile};
use crate::client::Client;
use crate::deploy;
use crate::folder::{self, Item};
use crate::problem::CliError;
use crate::scripts::{self, Files};

/// Scripts of the cases, each uploaded once.
pub(super) struct Scripts<'a> {
    client: &'a Client,
    uploaded: HashMap<PathBuf, (Name, u64)>,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, uploaded: HashMap::new() }
    }

    /// The name and version to test. `name@3` is one that the node has; a path is a file, seen from the file of cases; a bare name is a file in
    /// the `scripts` folder beside the folder of the cases.
    pub(super) async fn version(&mut self, file: &CaseFile, index: usize, case: &Case) -> Result<(Name, u64), CliError> {
        let written = file.script_of(index, case)?;
        if let Some((name, version)) = written.split_once('@') {
            return match (Name::new(name), version.parse()) {
                (Ok(name), Ok(version)) => Ok((name, version)),
                _ => Err(file.wrong(index, "script", &format!("`{written}` is no `name@version`"))),
            };
        }
        let folder = file.path.parent().unwrap_or(Path::new(""));
        let source = if Language::of_file_name(written).is_some() {
            Some(folder.join(written)).filter(|path| path.is_file())
        } else {
            folder::entries(&folder.join("../scripts"))?.into_iter().find(|path| is_named(path, written))
        };
        let Some(source) = source else {
            let detail = format!(
                "there is no file `{written}` here and none of that name in `../scripts`; for a script that the node has, write `{written}@VERSION`"
            );
            return Err(file.wrong(index, "script", &detail));
        };
        if let Some(known) = self.uploaded.get(&source) {
            return Ok(known.clone());
        }
        self.upload_with_imports(&source).await
    }

    /// Uploads a script behind those of its folder that it imports, as `deploy` does: a case tests what lies there, and not what the node had.
    async fn upload_with_imports(&mut self, source: &Path) -> Result<(Name, u64), CliError> {
        let folder = source.parent().unwrap_or(Path::new(""));
        let files = folder::entries(folder)?;
        let (mut order, mut items, mut paths) = (vec![source.to_owned()], Vec::new(), HashMap::new());
        while let Some(path) = order.get(items.len()).cloned() {
            let item = read(&path).await?;
            for import in item.imports.iter().filter(|import| !import.pinned) {
                let file = files.iter().find(|path| is_named(path, import.script.as_str()));
                if let Some(file) = file.filter(|file| !order.contains(file)) {
                    order.push(file.clone());
                }
            }
            paths.insert(item.name.clone(), path);
            items.push(Ok(item));
        }
        for item in scripts::ordered(items) {
            let item = item?;
            let Some(path) = paths.get(&item.name).filter(|path| !self.uploaded.contains_key(*path)) else { continue };
            let version = self.upload(item).await?;
            self.uploaded.insert(path.clone(), version);
        }
        let uploaded = self.uploaded.get(source).cloned();
        uploaded.ok_or_else(|| CliError::Start(format!("{} was not uploaded", source.display())))
    }

    async fn upload(&self, mut item: Item) -> Result<(Name, u64), CliError> {
        if let Some(problem) = item.problem.take() {
            return Err(problem);
        }
        let items = [Ok(item)];
        let files = Files::of(&items);
        let [item] = items;
        let item = item?;
        let (_, document) = deploy::put(self.client, &item, &files).await?;
        let version = document["version"].as_u64().ok_or_else(|| CliError::Start("the node names no version".to_owned()))?;
        Ok((item.name, version))
    }
}

/// Reads a script's file, or the folder of a package.
async fn read(source: &Path) -> Result<Item, CliError> {
    if source.is_dir() {
        return scripts::package(source).await;
    }
    folder::read(source, &[]).await?.remove(0)
}

/// Whether `deploy` would upload a file, or the folder of a package, under this name.
fn is_named(path: &Path, name: &str) -> bool {
    if path.join("package.json").is_file() {
        return path.file_name().is_some_and(|folder| folder.to_string_lossy() == *name);
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Language::of_file_name(&path.to_string_lossy()).is_some() && Dialect::of_file_stem(&stem).0 == name
}
