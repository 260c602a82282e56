//! What a connection is doing, for judging whether it idles.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};

/// Requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests that ever began.
    begun: AtomicU64,
    /// Requests of HTTP/2 whose answer's body is not out yet.
    in_flight: AtomicUsize,
    /// HTTP/1 puts idle connections out by itself: a head must come within the timeout. HTTP/2 has nothing of the kind.
    http2: AtomicBool,
}

/// A request in flight, until it is dropped.
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body of an answer, with the request that is in flight until it is out.
pub(crate) struct Answering {
    body: Body,
    _in_flight: InFlight,
}

impl Answering {
    pub(crate) fn body(body: Body, in_flight: InFlight) -> Body {
        Body::new(Self { body, _in_flight: in_flight })
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Activity {
    /// A request begins. Over HTTP/2 it is in flight until what this gives is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Option<InFlight> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        (version == Version::HTTP_2).then(|| {
            self.http2.store(true, Ordering::Relaxed);
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            InFlight(Arc::clone(self))
        })
    }

    /// Resolves when nothing has been asked for a whole interval, and nothing is being answered.
    pub(crate) async fn idles(&self, interval: Duration) {
        let mut before = 0;
        loop {
            tokio::time::sleep(interval).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && self.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            if !self.http2.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            before = begun;
        }
    }
}
