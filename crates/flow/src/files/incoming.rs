//! A file that is being written.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use snaphook_egress::{Sink, SinkFuture};
use snaphook_model::{Code, Fault, TenantName};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;

use super::SavedFile;
use super::space::{FileSpace, OnDisk};
use crate::machine::Accept;

/// A response on its way into a file. Removed when it is dropped before it was finished.
pub(crate) struct Incoming {
    /// Until it is finished.
    disk: Option<OnDisk>,
    /// Made with the first byte.
    file: Option<File>,
    hasher: blake3::Hasher,
    bytes: u64,
    /// Of the run's files together, and what those have that are there.
    limit: u64,
    held: u64,
}

/// An incoming file for the answers with some statuses only.
pub(crate) struct Wanted<'a> {
    pub(crate) incoming: &'a mut Incoming,
    pub(crate) accept: &'a Accept,
    /// Whether an answer came that was wanted.
    pub(crate) came: bool,
}

impl Incoming {
    pub(super) fn new(space: &Arc<FileSpace>, tenant: &TenantName, limit: u64, held: u64) -> Self {
        Self { disk: Some(OnDisk::new(space, tenant)), file: None, hasher: blake3::Hasher::new(), bytes: 0, limit, held }
    }

    async fn append(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        let bytes = chunk.len() as u64;
        let all = self.held.saturating_add(self.bytes).saturating_add(bytes);
        if all > self.limit {
            let detail = format!("the files of the run take more than {} bytes together, four times `response_body_bytes`", self.limit);
            return Err(Fault::new(Code::ResponseSize, detail).of_limit(self.limit, Some(all)));
        }
        self.disk()?.take(bytes)?;
        self.open().await?.write_all(chunk).await.map_err(failed)?;
        self.hasher.update(chunk);
        self.bytes += bytes;
        Ok(())
    }

    fn disk(&mut self) -> Result<&mut OnDisk, Fault> {
        self.disk.as_mut().ok_or_else(|| Fault::new(Code::Internal, "a file of the run is written to after its end"))
    }

    async fn open(&mut self) -> Result<&mut File, Fault> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let path = self.disk()?.path().clone();
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await.map_err(failed)?
            }
        };
        Ok(self.file.insert(file))
    }

    /// The file, with every byte where readers find it.
    pub(crate) async fn finish(mut self, content_type: Option<&str>) -> Result<SavedFile, Fault> {
        // Writes go on behind the caller's back until they are waited for.
        self.open().await?.flush().await.map_err(failed)?;
        let fits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let content_type = content_type.filter(fits).unwrap_or("application/octet-stream").to_owned();
        let disk = self.disk.take().ok_or_else(|| Fault::new(Code::Internal, "a file of the run ended twice"))?;
        Ok(SavedFile { bytes: self.bytes, content_type, digest: self.hasher.finalize().into(), link: None, disk: Arc::new(disk) })
    }
}

/// Removing more than this takes long enough to be done where nobody waits for it.
const QUICK: u64 = 1 << 20;

impl Drop for Incoming {
    fn drop(&mut self) {
        if let (Some(disk), true, Ok(runtime)) = (self.disk.take(), self.bytes > QUICK, Handle::try_current()) {
            drop(runtime.spawn_blocking(|| drop(disk)));
        }
    }
}

impl Sink for Incoming {
    fn wants(&mut self, _status: u16) -> bool {
        true
    }

    fn write(&mut self, chunk: Bytes) -> SinkFuture<'_> {
        Box::pin(async move { self.append(&chunk).await })
    }
}

impl Sink for Wanted<'_> {
    fn wants(&mut self, status: u16) -> bool {
        self.came = self.accept.allows(status);
        self.came
    }

    fn write(&mut self, chunk: Bytes) -> SinkFuture<'_> {
        self.incoming.write(chunk)
    }
}

/// The disk is ours, whoever filled it.
fn failed(error: io::Error) -> Fault {
    tracing::error!(%error, "a run's file cannot be written");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::new(Code::Overloaded, "the node's disk is full"),
        _ => Fault::new(Code::Internal, "a file of the run cannot be written"),
    }
}
