//! The node's directory of runs' files, and how much of it is taken.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use snaphook_model::{Code, Fault, RunId, TenantName};
use snaphook_shares::{Ledger, Part};

/// What one tenant alone may have. It has less while others have much, so that whoever comes next finds room.
const PART: Part = Part::one_in(4);

/// Where a node keeps the files of its runs.
#[derive(Debug)]
pub struct FileSpace {
    directory: PathBuf,
    /// Of the files of runs that wait.
    kept: PathBuf,
    /// Of all files together.
    limit: u64,
    /// Held for an addition.
    taken: Mutex<Ledger<TenantName>>,
    /// Numbers the files.
    next: AtomicU64,
}

impl FileSpace {
    /// A directory that belongs to this node alone, for at most so many bytes. Makes it for its owner only, and removes what belongs to runs
    /// of a process that was killed. Files of runs that wait stay.
    ///
    /// # Errors
    /// When the directory cannot be made or emptied.
    pub fn open(directory: &Path, limit: u64) -> io::Result<Self> {
        let own = directory.join("open");
        match fs::remove_dir_all(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).recursive(true).create(&own)?;
        // Also where an earlier release, or somebody by hand, has made it for others to see.
        // By what is open: a node under its wall may change the rights of nothing by name.
        File::open(directory)?.set_permissions(fs::Permissions::from_mode(0o700))?;
        let kept = directory.join("kept");
        let space = Self { directory: own, kept, limit, taken: Mutex::new(Ledger::new(limit, PART)), next: AtomicU64::new(1) };
        for (tenant, _, directory) in space.all_kept() {
            space.taken().add(&tenant, super::kept::bytes_in(&directory));
        }
        Ok(space)
    }

    /// The directory for the files of a run that waits.
    pub(super) fn kept(&self, tenant: &TenantName, run: RunId) -> PathBuf {
        self.kept.join(tenant.as_str()).join(run.to_string())
    }

    /// Runs that have files here though no process is at them: tenant, run and directory.
    pub(crate) fn all_kept(&self) -> Vec<(TenantName, RunId, PathBuf)> {
        super::kept::all(&self.kept)
    }

    /// A path that no other file has.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Takes room for more of a tenant's bytes.
    ///
    /// # Errors
    /// `overloaded`, when the node or the tenant has as much as it may.
    fn take(&self, tenant: &TenantName, bytes: u64) -> Result<(), Fault> {
        let mut taken = self.taken();
        if taken.take(tenant, bytes) {
            return Ok(());
        }
        let (own, all) = (taken.held(tenant), self.limit - taken.free());
        let (limit, used, whose) = if taken.free() == 0 {
            (self.limit, all.saturating_add(bytes), "the files of all runs of the node")
        } else {
            (own + taken.room(tenant), own.saturating_add(bytes), "the files of this tenant's runs")
        };
        let detail =
            format!("{whose} may take {limit} bytes together (the node's `files_bytes`), and other runs have taken their part of it");
        Err(Fault::new(Code::Overloaded, detail).of_limit(limit, Some(used)))
    }

    pub(super) fn give_back(&self, tenant: &TenantName, bytes: u64) {
        self.taken().give_back(tenant, bytes);
    }

    /// Bytes that are taken now.
    #[cfg(test)]
    pub(super) fn taken_bytes(&self) -> u64 {
        self.limit - self.taken().free()
    }

    fn taken(&self) -> MutexGuard<'_, Ledger<TenantName>> {
        self.taken.lock().expect("no holder of the lock panics")
    }
}

/// A file on disk with the room it takes. Dropped, it gives the room back, and is removed unless it belongs to its run's directory.
#[derive(Debug)]
pub(super) struct OnDisk {
    space: Arc<FileSpace>,
    tenant: TenantName,
    path: Arc<Path>,
    taken: u64,
    /// It is removed with the directory that it lies in.
    in_directory: bool,
    /// Its content stays under another name, and the room stays taken.
    left: AtomicBool,
}

impl OnDisk {
    /// A path for a file that is not there yet.
    pub(super) fn new(space: &Arc<FileSpace>, tenant: &TenantName) -> Self {
        let (space, tenant, path) = (space.clone(), tenant.clone(), space.path().into());
        Self { space, tenant, path, taken: 0, in_directory: false, left: AtomicBool::new(false) }
    }

    /// A file in the directory of a run that waited. Its room has been taken all the time.
    pub(super) fn kept(space: &Arc<FileSpace>, tenant: &TenantName, path: Arc<Path>, bytes: u64) -> Self {
        let (space, tenant) = (space.clone(), tenant.clone());
        Self { space, tenant, path, taken: bytes, in_directory: true, left: AtomicBool::new(false) }
    }

    /// The content stays, for a run that waits.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Takes room for more bytes.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        self.space.take(&self.tenant, bytes)?;
        self.taken += bytes;
        Ok(())
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        if !self.in_directory
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, path = %self.path.display(), "a run's file cannot be removed; the next start does it");
        }
        if !self.left.load(Ordering::Relaxed) {
            self.space.give_back(&self.tenant, self.taken);
        }
    }
}
