//! Bodies that are too large to be held whole: made as they are sent, and looked at as they come in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Of one piece of the pattern; each begins with its number, so that no two are alike.
const PIECE: usize = 64 << 10;

/// So many bytes that are the same every time, in pieces.
pub fn pattern(bytes: u64) -> impl Iterator<Item = Bytes> + Send + Sync {
    let mut number = 0_u64;
    std::iter::from_fn(move || {
        let left = bytes.saturating_sub(number * PIECE as u64);
        let size = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
        let mut piece = BytesMut::zeroed(PIECE);
        piece[..8].copy_from_slice(&number.to_be_bytes());
        number += 1;
        (size > 0).then(|| piece.freeze().slice(..size))
    })
}

/// What is known of a body that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skimmed {
    /// How long it was.
    pub bytes: u64,
    /// Its first kilobytes, at most four.
    pub head: Bytes,
    /// Its last kilobyte, or all of a shorter one.
    pub tail: Bytes,
    /// BLAKE3 of the whole, in hex.
    pub digest: String,
}

const HEAD: usize = 4 << 10;
const TAIL: usize = 1 << 10;

/// Reads a body to its end and keeps what is said above.
pub(crate) async fn skim(mut body: Incoming) -> Result<Skimmed, hyper::Error> {
    let mut hasher = blake3::Hasher::new();
    let (mut bytes, mut head, mut tail) = (0, BytesMut::new(), VecDeque::<u8>::new());
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        hasher.update(&chunk);
        bytes += chunk.len() as u64;
        head.extend_from_slice(&chunk[..chunk.len().min(HEAD - head.len())]);
        tail.extend(&chunk[chunk.len().saturating_sub(TAIL)..]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    Ok(Skimmed { bytes, head: head.freeze(), tail: Vec::from(tail).into(), digest: hasher.finalize().to_hex().to_string() })
}
