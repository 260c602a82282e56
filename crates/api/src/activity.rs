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
use tokio::sync::Notify;

use crate::taken::BYTES_PER_SECOND;

/// Requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests that ever began, and steps that answers made on their way out.
    steps: AtomicU64,
    /// Bytes that the peer took.
    taken: AtomicU64,
    /// Requests of HTTP/2 that we are at. Those of which only the peer has to take the answer are not among them.
    working: AtomicUsize,
    /// HTTP/1 puts idle connections out by itself: a head must come within the timeout. HTTP/2 has nothing of the kind.
    http2: AtomicBool,
    /// Told when the connection is to end with what is under way.
    ends: Notify,
}

/// A request in flight, until it is dropped.
pub(crate) struct InFlight {
    activity: Arc<Activity>,
    working: bool,
}

impl InFlight {
    fn works(&mut self, working: bool) {
        match (self.working, working) {
            (false, true) => drop(self.activity.working.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.activity.working.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        self.working = working;
        self.activity.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.works(false);
    }
}

/// A body of an answer, with the request that is in flight until it is out.
pub(crate) struct Answering {
    body: Body,
    in_flight: InFlight,
}

impl Answering {
    pub(crate) fn body(body: Body, mut in_flight: InFlight) -> Body {
        in_flight.works(false);
        Body::new(Self { body, in_flight })
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    /// Asked only when the peer has room for more, so what we wait for here is not the peer.
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.in_flight.works(polled.is_pending());
        polled
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
        self.steps.fetch_add(1, Ordering::Relaxed);
        (version == Version::HTTP_2).then(|| {
            self.http2.store(true, Ordering::Relaxed);
            let mut in_flight = InFlight { activity: Arc::clone(self), working: false };
            in_flight.works(true);
            in_flight
        })
    }

    /// The peer has taken so much.
    pub(crate) fn takes(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The connection is to end with what is under way.
    pub(crate) fn end(&self) {
        self.ends.notify_one();
    }

    /// Resolves when it is.
    pub(crate) async fn is_to_end(&self) {
        self.ends.notified().await;
    }

    /// Waits for the next request, or so long at most.
    pub(crate) async fn next_request(&self, patience: Duration) {
        /// Looked at again after this, so that requests themselves need not tell anybody.
        const LOOK: Duration = Duration::from_millis(10);
        let before = self.steps.load(Ordering::Relaxed);
        let asked_for = async {
            while self.steps.load(Ordering::Relaxed) == before {
                tokio::time::sleep(LOOK).await;
            }
        };
        // The time being up is as good.
        let _ = tokio::time::timeout(patience, asked_for).await;
    }

    /// Resolves when for a whole interval nothing has been asked for, no more was taken than pings and the like, and we are not at an answer.
    pub(crate) async fn idles(&self, interval: Duration) {
        // Whoever takes an answer more slowly is put out anyway.
        let least = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).saturating_mul(BYTES_PER_SECOND) / 1_000;
        let mut before = (0, 0);
        loop {
            tokio::time::sleep(interval).await;
            let (steps, taken) = (self.steps.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
            if steps == before.0 && taken - before.1 < least && self.working.load(Ordering::Relaxed) == 0 {
                return;
            }
            if !self.http2.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            before = (steps, taken);
        }
    }
}
