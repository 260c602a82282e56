//! Files of a run: responses that are kept on disk under names, until the run ends however it ends.
//!
//! [`FileSpace`] is the node's: one directory, a bound on the bytes in it, and a share of that for each tenant. [`RunFiles`] is one run's: names and
//! a bound of its own. A name never becomes a path: files on disk are numbered.

mod incoming;
mod kept;
mod space;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use snaphook_model::{Code, Fault, Payload, Tenant};

pub(crate) use incoming::{Incoming, Wanted};
pub(crate) use kept::Kept;
pub use space::FileSpace;
use space::OnDisk;

/// Files of a run may together be this many times the largest response, as its results may.
const FILES: u64 = 4;

/// Longest name of a file. File systems allow no longer ones, so whoever receives it can keep it under this name.
const MAX_NAME: usize = 255;

/// The files of one run, by name.
pub(crate) struct RunFiles {
    space: Arc<FileSpace>,
    tenant: Arc<Tenant>,
    by_name: BTreeMap<String, SavedFile>,
    /// The directory of those that outlive this process, once there are any.
    kept: Option<PathBuf>,
    /// Links in it that nothing needs once the run is written down again.
    stale: Vec<String>,
}

/// A file of a run.
#[derive(Debug, Clone)]
pub(crate) struct SavedFile {
    pub(crate) bytes: u64,
    /// As the upstream gave it; `application/octet-stream` where it gave none that fits into a header.
    pub(crate) content_type: String,
    /// BLAKE3 of the content.
    pub(crate) digest: [u8; 32],
    /// Its second name, where it has one.
    link: Option<String>,
    disk: Arc<OnDisk>,
}

impl RunFiles {
    pub(crate) fn new(space: &Arc<FileSpace>, tenant: &Arc<Tenant>) -> Self {
        Self { space: space.clone(), tenant: tenant.clone(), by_name: BTreeMap::new(), kept: None, stale: Vec::new() }
    }

    /// A file that is about to be written. It counts as the run's once it is kept.
    pub(crate) fn incoming(&self) -> Incoming {
        let held: u64 = self.by_name.values().map(|file| file.bytes).sum();
        let limit = self.tenant.limits.response_body_bytes.saturating_mul(FILES);
        Incoming::new(&self.space, &self.tenant.name, limit, held)
    }

    /// Gives a file its name. One that had it before is gone, but for what the run may have to go on with until it is written down again.
    pub(crate) async fn keep(&mut self, name: String, file: SavedFile) {
        if let Some(mut replaced) = self.by_name.insert(name, file) {
            self.stale.extend(replaced.link.take());
            off_thread(replaced).await;
        }
    }

    /// The file of this name.
    ///
    /// # Errors
    /// `file-unknown`, with the names that there are.
    pub(crate) fn get(&self, name: &str) -> Result<&SavedFile, Fault> {
        self.by_name.get(name).ok_or_else(|| {
            let known = match self.by_name.len() {
                0 => "this run has saved none".to_owned(),
                _ => format!("this run has saved {}", self.by_name.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            };
            Fault::new(Code::FileUnknown, format!("`{name}` is not a saved file; {known}"))
        })
    }

    /// Removes the files: the run has ended.
    pub(crate) async fn close(&mut self) {
        if !self.by_name.is_empty() {
            off_thread(std::mem::take(&mut self.by_name)).await;
        }
        if let Some(directory) = self.kept.take() {
            // What is left of it goes with the next look at such directories.
            drop(tokio::fs::remove_dir_all(directory).await);
        }
    }
}

impl Drop for RunFiles {
    /// A run whose caller is gone ends without [`RunFiles::close`]. Removing large files takes milliseconds, during which others would wait.
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.by_name);
        if left.is_empty() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| drop(left))),
            Err(_) => drop(left),
        }
    }
}

/// Drops what removes files on a thread where that may take its time.
async fn off_thread<T: Send + 'static>(files: T) {
    // A panic in there has been reported, and there is nothing to do about it here.
    drop(tokio::task::spawn_blocking(|| drop(files)).await);
}

impl SavedFile {
    pub(crate) fn path(&self) -> &Arc<Path> {
        self.disk.path()
    }

    /// What stands in records in place of the content.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("[file {name}, {} bytes]", self.bytes)
    }

    /// What a step that saved it hands on: a description, since the content may be larger than memory.
    pub(crate) fn payload(&self, name: &str) -> Payload {
        Payload::json(json!({"file": name, "bytes": self.bytes, "content_type": self.content_type}).to_string())
    }
}

/// Checks a name that a template may have given.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let wrong = match name {
        "" => return Err("the name of a file is empty".to_owned()),
        _ if name.len() > MAX_NAME => "is longer than 255 bytes",
        _ if name.chars().any(char::is_control) => "holds control characters",
        _ => return Ok(()),
    };
    Err(format!("the name of a file, `{}`, {wrong}", name.escape_debug().take(300).collect::<String>()))
}

#[cfg(test)]
mod tests;
