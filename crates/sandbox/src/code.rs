//! Compiled code on disk, sealed so that only what this installation wrote is ever loaded.
//!
//! A file is a keyed BLAKE3 over its name and content, then the content. The key is random, made once per directory, and readable
//! by its owner only. A file that does not verify is removed and counts as absent: it can always be made again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::SandboxError;

/// Names a component by the BLAKE3 hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramKey([u8; 32]);

impl ProgramKey {
    /// The key of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The key with this hash.
    #[must_use]
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The key whose hash is written so, as [`std::fmt::Display`] does.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for ProgramKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl std::fmt::Debug for ProgramKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A directory of compiled code. Cheap to clone.
#[derive(Clone)]
pub struct CodeStore {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    /// Seals this directory's files. Whoever can read it can write code that we run; the file it came from is the owner's only.
    seal: [u8; 32],
    /// Tells temporary files of this process apart.
    next: AtomicU64,
}

const SEAL_LENGTH: usize = 32;
const SEAL_FILE: &str = "seal.key";
/// How names of files end: of code, and of code that is being written.
const CODE: &str = ".cwasm";
const UNFINISHED: &str = ".new";
/// Writing takes milliseconds; what is older than this is written by nobody any more.
const ABANDONED: Duration = Duration::from_secs(3600);

impl CodeStore {
    /// Opens a directory, and makes it and its key when they are missing.
    ///
    /// # Errors
    /// When the directory or the key cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::CodeDirectory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let seal = read_or_make_seal(directory).map_err(failed)?;
        Ok(Self { inner: Arc::new(Inner { directory: directory.to_owned(), seal, next: AtomicU64::new(0) }) })
    }

    /// The code under a key, or `None` when there is none that verifies.
    #[must_use]
    pub fn get(&self, key: &ProgramKey) -> Option<Vec<u8>> {
        let path = self.path(key);
        let mut file = fs::read(&path).ok()?;
        let verifies = file.len() >= SEAL_LENGTH && {
            let (seal, content) = file.split_at(SEAL_LENGTH);
            // Comparing BLAKE3 hashes takes the same time wherever they differ.
            let seal: [u8; SEAL_LENGTH] = seal.try_into().unwrap_or_default();
            self.seal(key, content) == blake3::Hash::from_bytes(seal)
        };
        if !verifies {
            tracing::warn!(%key, "compiled code does not verify; it is removed and made again");
            self.remove(key);
            return None;
        }
        file.drain(..SEAL_LENGTH);
        Some(file)
    }

    /// Keeps code under a key. A reader sees the old file or the new one, never a part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, key: &ProgramKey, code: &[u8]) -> Result<(), SandboxError> {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.inner.directory.join(format!("{key}.{}-{number}{UNFINISHED}", std::process::id()));
        let written = write_private(&temporary, &[self.seal(key, code).as_bytes(), code]).and_then(|()| {
            // No sync: after a power cut the file may be damaged, then it does not verify and is made again.
            fs::rename(&temporary, self.path(key))
        });
        written.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            SandboxError::CodeDirectory { path: temporary, source }
        })
    }

    /// Removes the code under a key, if there is any.
    pub fn remove(&self, key: &ProgramKey) {
        let _ = fs::remove_file(self.path(key));
    }

    /// Whether there is a file under a key; it may still not verify.
    #[must_use]
    pub fn has(&self, key: &ProgramKey) -> bool {
        self.path(key).exists()
    }

    /// The keys under which there are files. What a crash left half written is removed on the way.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn keys(&self) -> Result<Vec<ProgramKey>, SandboxError> {
        let failed = |source| SandboxError::CodeDirectory { path: self.inner.directory.clone(), source };
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.inner.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if let Some(key) = name.strip_suffix(CODE).and_then(ProgramKey::from_hex) {
                keys.push(key);
            } else if name.ends_with(UNFINISHED) && age(&entry).is_some_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(keys)
    }

    fn path(&self, key: &ProgramKey) -> PathBuf {
        self.inner.directory.join(format!("{key}{CODE}"))
    }

    /// The name is sealed too, so that one program's file cannot be put in another's place.
    fn seal(&self, key: &ProgramKey, content: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.inner.seal).update(key.as_bytes()).update(content).finalize()
    }
}

fn read_or_make_seal(directory: &Path) -> io::Result<[u8; 32]> {
    let path = directory.join(SEAL_FILE);
    for _ in 0..2 {
        match fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(seal) => return Ok(seal),
                // A torn file from a crash; nothing that was sealed with it is worth keeping.
                Err(_) => fs::remove_file(&path)?,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut seal = [0; 32];
        getrandom::fill(&mut seal).map_err(|error| io::Error::other(error.to_string()))?;
        let temporary = directory.join(format!("{SEAL_FILE}.{}", std::process::id()));
        write_private(&temporary, &[&seal])?;
        // A link fails when the name is taken, so two processes that start at once agree on one key.
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Ok(()) => return Ok(seal),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the key of the code directory changes while it is read"))
}

/// How long ago a file was written to; none where the system does not say.
fn age(entry: &fs::DirEntry) -> Option<Duration> {
    entry.metadata().ok()?.modified().ok()?.elapsed().ok()
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

/// Code as the engine takes it.
pub(crate) enum Loaded {
    Module(Module),
    Component(Component),
}

/// What compiled code is the code of.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Module,
    Component,
}

/// Makes compiled code ready to run. Fails when it was made with other settings or by another release.
#[expect(unsafe_code, reason = "wasmtime cannot check machine code; without this, every start would compile every script again")]
pub(crate) fn deserialize(engine: &Engine, code: &[u8], kind: Kind) -> wasmtime::Result<Loaded> {
    // SAFETY: the bytes must be what wasmtime itself serialized. Every caller hands in either what `precompile_module` or
    // `check_component` has just made, in this process or in the child that the node started from its own executable, or what
    // `CodeStore::get` has verified with a key that only this installation has. They are in memory, so nobody can change them
    // between the check and here, and wasmtime copies them. Other releases and settings are told apart by wasmtime's own header.
    unsafe {
        match kind {
            Kind::Module => Module::deserialize(engine, code).map(Loaded::Module),
            Kind::Component => Component::deserialize(engine, code).map(Loaded::Component),
        }
    }
}
