//! What the upstream says to one request, well-formed or not.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Gate;

/// One answer. Built by the functions without `self`, changed by those with it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Waited for after the request was read and recorded, before a byte is sent.
    pub(crate) gate: Option<Gate>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Through the HTTP server: framing is right, and HTTP/2 works.
    Http { status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<Piece> },
    /// Bytes put on the socket as they are.
    Raw { bytes: Bytes, end: End },
}

#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Bytes(Bytes),
    Wait(Gate),
    Endless(Bytes),
    Pattern(u64),
    Break,
}

#[derive(Debug, Clone)]
pub(crate) enum End {
    Close,
    Reset,
    Wait(Gate),
}

impl Answer {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { gate: None, kind: Kind::Http { status, headers: Vec::new(), body: Vec::new() } }
    }

    /// 200 with these bytes and no content type.
    #[must_use]
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self::status(200).body(body)
    }

    /// 200 with a text.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self::bytes(body.to_owned()).header("content-type", "text/plain; charset=utf-8")
    }

    /// 200 with a JSON value.
    #[must_use]
    pub fn json(body: serde_json::Value) -> Self {
        Self::bytes(body.to_string()).header("content-type", "application/json")
    }

    /// A redirect, 302 unless [`Answer::with_status`] says otherwise.
    #[must_use]
    pub fn redirect(to: impl AsRef<str>) -> Self {
        Self::status(302).header("location", to.as_ref())
    }

    /// 200 with gzip that unpacks to this many zero bytes, about a thousandth of it on the wire.
    #[must_use]
    pub fn gzip_bomb(unpacked_bytes: usize) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = [0; 64 << 10];
        let mut left = unpacked_bytes;
        while left > 0 {
            let part = left.min(zeros.len());
            encoder.write_all(&zeros[..part]).expect("a vector takes every write");
            left -= part;
        }
        Self::bytes(encoder.finish().expect("a vector takes every write")).header("content-encoding", "gzip")
    }

    /// 200 with this text, packed with gzip.
    #[must_use]
    pub fn gzip(text: &str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("a vector takes every write");
        Self::bytes(encoder.finish().expect("a vector takes every write")).header("content-encoding", "gzip")
    }

    /// 200 whose body repeats these bytes until the client goes away.
    #[must_use]
    pub fn endless(chunk: impl Into<Bytes>) -> Self {
        Self { gate: None, kind: Kind::Http { status: 200, headers: Vec::new(), body: vec![Piece::Endless(chunk.into())] } }
    }

    /// 200 with so many bytes of [`crate::pattern`] and their length, made as they are sent.
    #[must_use]
    pub fn large(bytes: u64) -> Self {
        let headers = vec![("content-length".to_owned(), bytes.to_string().into_bytes())];
        Self { gate: None, kind: Kind::Http { status: 200, headers, body: vec![Piece::Pattern(bytes)] } }
    }

    /// No answer: the connection is reset (RST).
    #[must_use]
    pub fn reset() -> Self {
        Self::raw("").then_reset()
    }

    /// No answer: the connection is closed in good order (FIN).
    #[must_use]
    pub fn close() -> Self {
        Self::raw("")
    }

    /// These bytes on the socket, framed by nobody, then the connection is closed. Plain HTTP/1 only.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { gate: None, kind: Kind::Raw { bytes: bytes.into(), end: End::Close } }
    }

    /// After raw bytes: reset (RST) in place of an orderly close. The bytes may be lost with it.
    #[must_use]
    pub fn then_reset(self) -> Self {
        self.ending(End::Reset)
    }

    /// After raw bytes: nothing more, with the connection open, until the gate opens.
    #[must_use]
    pub fn then_wait(self, gate: &Gate) -> Self {
        self.ending(End::Wait(gate.clone()))
    }

    /// Nothing is sent before the gate opens. The request is recorded before.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Another status.
    ///
    /// # Panics
    /// On a raw answer, whose bytes hold the status already. The same goes for the functions below.
    #[must_use]
    pub fn with_status(mut self, wanted: u16) -> Self {
        match &mut self.kind {
            Kind::Http { status, .. } => *status = wanted,
            Kind::Raw { .. } => panic!("a raw answer has its status in its bytes"),
        }
        self
    }

    /// One more header; the value may hold bytes that are no UTF-8.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match &mut self.kind {
            Kind::Http { headers, .. } => headers.push((name.to_owned(), value.as_ref().to_vec())),
            Kind::Raw { .. } => panic!("a raw answer has its headers in its bytes"),
        }
        self
    }

    /// More of the body. A body of one piece is sent with its length, one of several in chunks.
    #[must_use]
    pub fn body(self, bytes: impl Into<Bytes>) -> Self {
        self.piece(Piece::Bytes(bytes.into()))
    }

    /// The rest of the body waits for the gate.
    #[must_use]
    pub fn body_waits(self, gate: &Gate) -> Self {
        self.piece(Piece::Wait(gate.clone()))
    }

    /// The connection is cut here, in the middle of the body.
    #[must_use]
    pub fn body_breaks(self) -> Self {
        self.piece(Piece::Break)
    }

    fn piece(mut self, piece: Piece) -> Self {
        match &mut self.kind {
            Kind::Http { body, .. } => body.push(piece),
            Kind::Raw { .. } => panic!("a raw answer has its body in its bytes"),
        }
        self
    }

    fn ending(mut self, wanted: End) -> Self {
        match &mut self.kind {
            Kind::Raw { end, .. } => *end = wanted,
            Kind::Http { .. } => panic!("only a raw answer has an ending of its own; see `body_breaks` and `body_waits`"),
        }
        self
    }
}
