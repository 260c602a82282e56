//! A connection whose peer must take what is written to it, at some speed: who asks and never reads, or reads a byte now and then, does not hold a
//! connection for ever.
//!
//! The kernel's own timeouts do not see such a peer: one whose window is closed answers every probe.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::activity::Activity;

/// Bytes that pay for a second of waiting. Slower than any line that people still use, and fast enough that an answer of the usual limit is over
/// within two hours.
pub(crate) const BYTES_PER_SECOND: u64 = 4 << 10;

/// A stream that breaks when writes have waited for this long, and for no more than what was taken meanwhile pays for.
pub(crate) struct Taken<S> {
    stream: S,
    patience: Duration,
    /// Made when a write waits for the first time, which on most connections none ever does.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Since when a write waits.
    waiting: Option<Instant>,
    /// Waited so far, less what was paid for.
    owed: Duration,
    activity: Arc<Activity>,
}

impl<S> Taken<S> {
    pub(crate) const fn new(stream: S, patience: Duration, activity: Arc<Activity>) -> Self {
        Self { stream, patience, deadline: None, waiting: None, owed: Duration::ZERO, activity }
    }

    /// What came of trying to write; a wait that takes too long becomes an error.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = tried {
            if let Some(since) = self.waiting.take() {
                self.owed += since.elapsed();
            }
            if let Ok(done) = &done {
                let bytes = taken(done);
                self.activity.takes(bytes);
                self.owed = self.owed.saturating_sub(Duration::from_micros(bytes as u64 * 1_000_000 / BYTES_PER_SECOND));
            }
            return Poll::Ready(done);
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        if self.waiting.is_none() {
            let now = Instant::now();
            self.waiting = Some(now);
            deadline.as_mut().reset(now + patience.saturating_sub(self.owed));
        }
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read, or too slowly"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, tried, |taken| *taken)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, tried, |taken| *taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, tried, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, tried, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, sleep};

    use super::Taken;

    /// Writes to a peer who reads `bytes` after each pause, `times` times, and then no more: the outcome, and after how many seconds it came.
    async fn written(all: usize, bytes: usize, pause: Duration, times: usize) -> (std::io::Result<()>, u64) {
        let (ours, mut theirs) = tokio::io::duplex(bytes);
        let mut ours = Taken::new(ours, Duration::from_secs(30), std::sync::Arc::default());
        let began = Instant::now();
        let written = async { (ours.write_all(&vec![0; all]).await, began.elapsed().as_secs()) };
        let read = async {
            for _ in 0..times {
                sleep(pause).await;
                theirs.read_exact(&mut vec![0; bytes]).await.expect("something was written");
            }
            // Open, so that the writer finds no closed stream.
            theirs
        };
        tokio::select! {
            written = written => written,
            _theirs = async { let theirs = read.await; sleep(Duration::from_secs(3600)).await; theirs } => panic!("it goes on for ever"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_reading_is_put_out() {
        let (outcome, after) = written(64, 8, Duration::ZERO, 3).await;
        assert_eq!((outcome.expect_err("he stopped").kind(), after), (ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_a_byte_now_and_then_is_put_out() {
        let (outcome, after) = written(64, 1, Duration::from_secs(4), 64).await;
        assert_eq!((outcome.expect_err("that is no reading").kind(), after), (ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_but_steadily_is_not() {
        // Twice the slowest speed, for longer than anybody's patience.
        let (outcome, after) = written(1 << 20, 8 << 10, Duration::from_secs(1), 200).await;
        outcome.expect("all of it was taken");
        assert_eq!(after, 127, "a minute and more");
    }
}
