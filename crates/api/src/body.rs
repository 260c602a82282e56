//! Reading a request's body inside its bounds: size, memory of the node, and time.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use snaphook_model::{Code, Fault, TenantName};
use zeroize::Zeroize as _;

use crate::problem::Problem;
use crate::room::BodyRoom;

/// How much a body may be, and what it is called when it is more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: u64,
    pub(crate) code: Code,
    /// What the limit is, as the end of a sentence.
    pub(crate) name: &'static str,
}

impl BodyLimit {
    /// The limit of ordinary requests.
    pub(crate) const fn request(bytes: u64) -> Self {
        Self { bytes, code: Code::TooLarge, name: "the tenant's limit `request_body_bytes`" }
    }

    fn exceeded(self, used: Option<u64>) -> Problem {
        Fault::new(self.code, format!("the body is larger than {} bytes, {}", self.bytes, self.name)).of_limit(self.bytes, used).into()
    }
}

/// A body in memory, with the room it takes.
#[derive(Debug)]
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    room: BodyRoom,
}

impl ReadBody {
    /// What it says shows that it comes from somebody of the tenant's.
    pub(crate) fn is_of(&mut self, tenant: &TenantName) -> Result<(), Problem> {
        self.room.is_of(tenant)
    }

    /// Overwrites a body that holds a secret. A copy in a buffer that the connection still uses is out of reach from here.
    pub(crate) fn wipe(self) {
        if let Ok(mut bytes) = self.bytes.try_into_mut() {
            bytes.zeroize();
        }
    }
}

/// Reads a body to its end.
pub(crate) async fn read<B>(body: B, limit: BodyLimit, room: BodyRoom, within: Duration) -> Result<ReadBody, Problem>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let announced = body.size_hint().lower();
    if announced > limit.bytes {
        return Err(limit.exceeded(Some(announced)));
    }
    match tokio::time::timeout(within, collect(body, limit, room)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(Code::Invalid, format!("the body did not arrive within {} s", within.as_secs()))),
    }
}

async fn collect<B>(body: B, limit: BodyLimit, mut room: BodyRoom) -> Result<ReadBody, Problem>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    // Only a body of several frames is copied; nearly all are one.
    let mut joined = BytesMut::new();
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(Code::Invalid, "the body did not arrive whole").because(error))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > limit.bytes {
            return Err(limit.exceeded(None));
        }
        room.grow_to(length)?;
        if first.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: if joined.is_empty() { first } else { joined.freeze() }, room })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use snaphook_model::Code;

    use super::{BodyLimit, read};
    use crate::room::{BodyMemory, BodyRoom, Sender};

    const LIMIT: BodyLimit = BodyLimit::request(8);

    fn room() -> BodyRoom {
        Arc::new(BodyMemory::new(1 << 20)).room(Sender::Operator)
    }

    fn pieces(pieces: &'static [&'static str]) -> impl http_body::Body<Data = Bytes, Error = Infallible> {
        StreamBody::new(stream::iter(pieces.iter().map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))))))
    }

    #[tokio::test]
    async fn the_limit_holds_for_announced_and_for_streamed_bodies() {
        let within = Duration::from_secs(5);
        let whole = read(pieces(&["ab", "cd", "efgh"]), LIMIT, room(), within).await.expect("8 bytes fit");
        assert_eq!(whole.bytes, "abcdefgh");
        let streamed = read(pieces(&["abcd", "efghi"]), LIMIT, room(), within).await.expect_err("9 do not");
        assert_eq!((streamed.code(), streamed.fault().limit), (Code::TooLarge, Some(8)));
        let announced = read(Full::new(Bytes::from_static(b"123456789")), LIMIT, room(), within).await.expect_err("nor when announced");
        assert_eq!(announced.fault().used, Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>());
        let error = read(never, LIMIT, room(), Duration::from_secs(30)).await.expect_err("nothing comes");
        assert_eq!(error.code(), Code::Invalid);
    }
}
