//! Connecting for as long as the request that asked for it goes on.
//!
//! When a kept connection comes free first, the HTTP client sends the request over that one and goes on connecting on the side. A host that is
//! slow to greet would so be given one more connection with every request; here such a connection is given up with the request.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tower::{Layer, Service};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    /// Ends with the request in whose task the HTTP client connects.
    static WANTED: watch::Receiver<()>;
}

/// Work whose connections are wanted until it ends.
pub(crate) async fn wanting<F: Future>(work: F) -> F::Output {
    let (_ends_with_this, wanted) = watch::channel(());
    WANTED.scope(wanted, work).await
}

/// Puts [`Connecting`] around a connector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WhileWanted;

/// A connector that gives up with the request.
#[derive(Debug, Clone)]
pub(crate) struct Connecting<S>(S);

impl<S> Layer<S> for WhileWanted {
    type Service = Connecting<S>;

    fn layer(&self, connector: S) -> Connecting<S> {
        Connecting(connector)
    }
}

impl<S, R> Service<R> for Connecting<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.0.call(target);
        let wanted = WANTED.try_with(Clone::clone);
        Box::pin(async move {
            let Ok(mut wanted) = wanted else { return connecting.await };
            tokio::select! {
                biased;
                connected = connecting => connected,
                // Nothing is ever sent; it fails when the sender is gone.
                _ = wanted.changed() => Err("the request went out over another connection".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connects to what says yes, and never to what says no.
    #[derive(Clone)]
    struct Answering;

    impl Service<bool> for Answering {
        type Response = ();
        type Error = BoxError;
        type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, answers: bool) -> Self::Future {
            Box::pin(async move { if answers { Ok(()) } else { std::future::pending().await } })
        }
    }

    #[tokio::test]
    async fn a_connection_is_given_up_with_its_request() {
        let mut connector = WhileWanted.layer(Answering);
        wanting(connector.call(true)).await.unwrap();
        // As the client does it: begun in the request's task and left to another.
        let mut left = None;
        wanting(async { left = Some(tokio::spawn(connector.call(false))) }).await;
        assert!(left.unwrap().await.unwrap().is_err());
    }
}
