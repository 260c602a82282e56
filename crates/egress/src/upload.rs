//! A request's body in pieces: bytes, and files that are read from disk as they are sent, so that no file is ever in memory whole.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use hyper::body::{Body, Frame, SizeHint};
use snaphook_model::{Code, Fault};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::fault::Stopped;

/// A body whose length is known before its first byte is read. Cheap to clone; every clone is sent from its beginning.
#[derive(Debug, Clone, Default)]
pub struct Upload(Arc<[Piece]>);

/// A part of a body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// On disk, and not changed until the request has ended.
    File {
        /// Where.
        path: Arc<Path>,
        /// How much of it is sent, from its beginning.
        bytes: u64,
    },
}

/// Read at once. Each read is a hop to another thread, so a few for a megabyte; each request under way holds one or two of these.
const CHUNK: usize = 128 << 10;

impl Upload {
    /// These pieces, one after another.
    #[must_use]
    pub fn new(pieces: Vec<Piece>) -> Self {
        Self(pieces.into())
    }

    /// Sent as `content-length`.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File { bytes, .. } => *bytes,
        };
        self.0.iter().map(bytes).sum()
    }

    /// In order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The body for one request.
    pub(crate) fn body(&self) -> reqwest::Body {
        let reader = Reader { pieces: self.0.clone(), next: 0, file: None };
        let chunks =
            stream::try_unfold(reader, |mut reader| async move { Ok::<_, io::Error>(reader.read().await?.map(|chunk| (chunk, reader))) });
        reqwest::Body::wrap(Sending { chunks: Box::pin(chunks), left: self.bytes() })
    }
}

struct Sending {
    chunks: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>,
    left: u64,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        Poll::Ready(match ready!(self.chunks.as_mut().poll_next(cx)) {
            None => None,
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a file cannot be read while it is sent");
                Some(Err(Stopped(Fault::new(Code::Internal, "a file to be sent cannot be read"))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Reader {
    pieces: Arc<[Piece]>,
    next: usize,
    /// The file that is being read, and how much of it is still to come.
    file: Option<(File, u64)>,
}

impl Reader {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some((file, left)) = self.file.as_mut().filter(|(_, left)| *left > 0) {
                let mut chunk = BytesMut::with_capacity(CHUNK.min(usize::try_from(*left).unwrap_or(CHUNK)));
                let read = file.take(*left).read_buf(&mut chunk).await?;
                *left -= read as u64;
                return if read > 0 { Ok(Some(chunk.freeze())) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            self.file = None;
            let Some(piece) = self.pieces.get(self.next) else { return Ok(None) };
            self.next += 1;
            match piece {
                Piece::Bytes(bytes) if bytes.is_empty() => {}
                Piece::Bytes(bytes) => return Ok(Some(bytes.clone())),
                Piece::File { path, bytes } => self.file = Some((File::open(path).await?, *bytes)),
            }
        }
    }
}
