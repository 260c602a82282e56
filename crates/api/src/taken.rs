//! A connection whose peer must take what is written to it: who asks and never reads does not hold a connection for ever.
//!
//! The kernel's own timeouts do not see such a peer: one whose window is closed answers every probe.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream that breaks when a write finds no room for this long.
pub(crate) struct Taken<S> {
    stream: S,
    patience: Duration,
    /// Made when a write waits for the first time, which on most connections none ever does.
    deadline: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<S> Taken<S> {
    pub(crate) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: None, waiting: false }
    }

    /// What came of trying to write; a wait that takes too long becomes an error.
    fn in_time<T>(&mut self, context: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.waiting = false;
            return tried;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        if !self.waiting {
            self.waiting = true;
            deadline.as_mut().reset(Instant::now() + patience);
        }
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))),
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
        self.in_time(context, tried)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, tried)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, sleep};

    use super::Taken;

    #[tokio::test(start_paused = true)]
    async fn who_reads_a_little_now_and_then_is_waited_for() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut ours = Taken::new(ours, Duration::from_secs(30));
        let began = Instant::now();
        let written = async { ours.write_all(&[0; 64]).await };
        let read = async {
            for _ in 0..5 {
                sleep(Duration::from_secs(29)).await;
                theirs.read_exact(&mut [0; 8]).await.expect("something was written");
            }
        };
        let (written, ()) = tokio::join!(written, read);
        assert_eq!(written.expect_err("he stopped reading").kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 5 * 29 + 30);
    }
}
