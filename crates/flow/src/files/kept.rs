//! Files of runs that wait: links beside the files themselves, which outlive the process that made them.
//!
//! Each run has a directory of its own, so that everything of it goes at once when it ends. A file that is replaced keeps its link until the run
//! is written down again: until then it is what the run would go on with. Files of runs that wait count as those of others do.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use snaphook_model::{Code, Fault, RunId, TenantName};

use super::space::{FileSpace, OnDisk};
use super::{RunFiles, SavedFile, off_thread};

/// A file of a run that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    name: String,
    /// In the run's directory.
    link: String,
    bytes: u64,
    content_type: String,
    digest: [u8; 32],
}

impl RunFiles {
    /// Makes sure that the run's files outlive this process, and says where they are.
    ///
    /// # Errors
    /// When the disk does not take a link.
    pub(crate) fn keep_on_disk(&mut self, run: RunId) -> Result<Vec<Kept>, Fault> {
        if self.by_name.is_empty() {
            return Ok(Vec::new());
        }
        let directory = self.space.kept(&self.tenant.name, run);
        let mut all = Vec::with_capacity(self.by_name.len());
        for (name, file) in &mut self.by_name {
            let link = match &file.link {
                Some(link) => link.clone(),
                None => link(&directory, file.path()).map_err(|error| failed(&error))?,
            };
            let SavedFile { bytes, content_type, digest, .. } = &*file;
            all.push(Kept { name: name.clone(), link: link.clone(), bytes: *bytes, content_type: content_type.clone(), digest: *digest });
            file.link = Some(link);
        }
        self.kept = Some(directory);
        Ok(all)
    }

    /// The run is written down: what only an earlier state of it needed goes.
    pub(crate) async fn saved(&mut self) {
        let Some(directory) = &self.kept else { return };
        for link in self.stale.drain(..) {
            // What is left of it goes with the directory.
            drop(tokio::fs::remove_file(directory.join(link)).await);
        }
    }

    /// Takes up the files of a run that goes on.
    ///
    /// # Errors
    /// `file-unknown` for one that is gone.
    pub(crate) async fn take_up(&mut self, run: RunId, kept: Vec<Kept>) -> Result<(), Fault> {
        if kept.is_empty() {
            return Ok(());
        }
        let directory = self.space.kept(&self.tenant.name, run);
        for Kept { name, link, bytes, content_type, digest } in kept {
            let path = directory.join(&link);
            if !tokio::fs::try_exists(&path).await.unwrap_or(false) {
                return Err(Fault::new(
                    Code::FileUnknown,
                    format!("the file `{name}` that the run has saved is not on this node any more"),
                ));
            }
            let disk = OnDisk::kept(&self.space, &self.tenant.name, path.into(), bytes);
            self.by_name.insert(name, SavedFile { bytes, content_type, digest, link: Some(link), disk: Arc::new(disk) });
        }
        self.kept = Some(directory);
        Ok(())
    }

    /// Lets go of the files of a run that waits; they stay on disk, and the room that they take stays taken.
    pub(crate) async fn let_go(&mut self) {
        self.kept = None;
        self.by_name.values().filter(|file| file.link.is_some()).for_each(|file| file.disk.leave());
        if !self.by_name.is_empty() {
            off_thread(std::mem::take(&mut self.by_name)).await;
        }
    }
}

impl FileSpace {
    /// Removes the files of a run that will not go on.
    pub(crate) async fn remove_kept(self: &Arc<Self>, tenant: &TenantName, run: RunId) {
        let (space, tenant) = (Arc::clone(self), tenant.clone());
        let removal = move || {
            let directory = space.kept(&tenant, run);
            let bytes = bytes_in(&directory);
            match fs::remove_dir_all(&directory) {
                Ok(()) => space.give_back(&tenant, bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!(%error, path = %directory.display(), "files of a run that has ended cannot be removed"),
            }
        };
        // A panic in there has been reported.
        drop(tokio::task::spawn_blocking(removal).await);
    }
}

/// How large the files of a directory are together.
pub(super) fn bytes_in(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A second name for a file, in the run's directory.
fn link(directory: &Path, file: &Path) -> io::Result<String> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    let mut number = 1_u32;
    loop {
        let name = number.to_string();
        match fs::hard_link(file, directory.join(&name)) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn failed(error: &io::Error) -> Fault {
    tracing::error!(%error, "a run's file cannot be kept");
    Fault::new(Code::Internal, "a file of the run cannot be kept")
}

/// Directories of runs that wait, for a look at which of them are still there: tenant and run.
pub(super) fn all(root: &Path) -> Vec<(TenantName, RunId, PathBuf)> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let of_tenant = |tenant: fs::DirEntry| {
        let name = TenantName::new(tenant.file_name().to_str()?).ok()?;
        Some(
            entries(&tenant.path())
                .filter_map(move |run| Some((name.clone(), run.file_name().to_str()?.parse().ok()?, run.path())))
                .collect::<Vec<_>>(),
        )
    };
    entries(root).filter_map(of_tenant).flatten().collect()
}
