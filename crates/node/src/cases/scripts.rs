//! Which script a case is about, and how its version comes to be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use snaphook_model::{Dialect, Language, Name};

use super::file::{Case, CaseFile};
use crate::client::Client;
use crate::deploy;
use crate::folder;
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
        let version = self.upload(&source).await?;
        self.uploaded.insert(source, version.clone());
        Ok(version)
    }

    async fn upload(&self, source: &Path) -> Result<(Name, u64), CliError> {
        let item = if source.is_dir() {
            Ok(scripts::package(source).await)
        } else {
            folder::read(source, &[]).await.map(|mut items| items.remove(0))
        };
        let items = [item?];
        let files = Files::of(&items);
        let [item] = items;
        let mut item = item?;
        if let Some(problem) = item.problem.take() {
            return Err(problem);
        }
        let (_, document) = deploy::put(self.client, &item, &files).await?;
        let version = document["version"].as_u64().ok_or_else(|| CliError::Start("the node names no version".to_owned()))?;
        Ok((item.name, version))
    }
}

/// Whether `deploy` would upload a file, or the folder of a package, under this name.
fn is_named(path: &Path, name: &str) -> bool {
    if path.join("package.json").is_file() {
        return path.file_name().is_some_and(|folder| folder.to_string_lossy() == *name);
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Language::of_file_name(&path.to_string_lossy()).is_some() && Dialect::of_file_stem(&stem).0 == name
}
