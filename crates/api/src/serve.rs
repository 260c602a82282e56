//! The listener: connections, their bounds, and the way down.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Answering};
use crate::front::Api;
use crate::peers::{Holder, Peers};
use crate::routes::node::{METRICS, Peer};
use crate::shared::ApiConfig;
use crate::taken::Taken;
use crate::tls::Tls;
use crate::uses;

type Builder = auto::Builder<TokioExecutor>;

/// How long a connection that idles when the shutdown begins may bring one more request. What a balancer has sent on its way to a connection that
/// is being closed is lost, and it may not send it again; the answer to a last request tells it that the connection closes.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Serves until `shutdown` resolves, then drains: no new connections, answers under way are finished, each within `ApiConfig::drain`.
///
/// # Errors
/// When the listener itself breaks.
pub async fn serve(listener: TcpListener, api: Api, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let config = api.core.config.clone();
    let connections = config.max_connections.clamp(1, Semaphore::MAX_PERMITS);
    let (permits, peers) = (Arc::new(Semaphore::new(connections)), Peers::new(connections));
    let stopping = CancellationToken::new();
    let builder = Arc::new(protocol(config.head_timeout));
    let serve_one = |(stream, address): (TcpStream, SocketAddr), permit: OwnedSemaphorePermit| {
        let peer = address.ip();
        // Closed at once: left in the kernel's queue, it would keep back all who came after it.
        let Some(seat) = peers.seat(peer) else {
            tracing::debug!(%peer, "a connection is refused, since its peer has its part of all");
            return;
        };
        let connection = connection(stream, api.clone(), seat.holder(), Arc::clone(&builder), stopping.clone());
        api.core.tasks.spawn(async move {
            connection.await;
            // Before the permit, with which the next one is taken.
            drop(seat);
            drop(permit);
        });
    };
    tokio::spawn(note_uses(api.clone(), stopping.clone()));
    let mut shutdown = pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = shutdown.as_mut() => break,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Usually too many open files; a moment later some are closed.
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        serve_one(accepted, permit);
    }
    last_connections(listener, |accepted| {
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            serve_one(accepted, permit);
        }
    });
    api.core.draining.store(true, Ordering::Relaxed);
    api.core.tasks.close();
    stopping.cancel();
    // Connections are among the tasks.
    if tokio::time::timeout(config.drain, api.core.tasks.wait()).await.is_err() {
        tracing::warn!("work in flight did not end in time and is given up");
    }
    api.core.auth.write_uses().await;
    Ok(())
}

/// Writes down which tokens were used, again and again until the shutdown.
async fn note_uses(api: Api, stopping: CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(uses::PAUSE)).await.is_some() {
        api.core.auth.write_uses().await;
    }
}

/// Closes the listener. The kernel resets connections that it has made and nobody has accepted, so these are taken first: a balancer that has
/// chosen this node a moment ago would lose its request otherwise.
fn last_connections(listener: TcpListener, mut take: impl FnMut((TcpStream, SocketAddr))) {
    // The kernel is asked itself, since what the runtime knows of the listener may be older.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, address)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            take((stream, address));
        }
    }
}

fn protocol(head_timeout: Duration) -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).pipeline_flush(true);
    // A connection's streams share its permit; the bound on requests in flight holds for all. Pings find peers that have gone.
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(head_timeout)
        .keep_alive_timeout(head_timeout);
    builder
}

async fn connection(stream: TcpStream, api: Api, holder: Holder, builder: Arc<Builder>, stopping: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke at once");
        return;
    }
    let peer = stream.peer_addr().ok().map(|address| address.ip());
    let ApiConfig { head_timeout, write_timeout, ref tls, .. } = api.core.config;
    let activity = Arc::<Activity>::default();
    let Some(tls) = tls.clone() else {
        let answer = move |request| answer(api.clone(), peer, request);
        let stream = Taken::new(stream, write_timeout, Arc::clone(&activity));
        return exchange((stream, activity), answer, holder, &builder, head_timeout, stopping).await;
    };
    let opened = tokio::select! {
        opened = open(stream, &tls, &api, &activity) => opened,
        // On the way down a handshake has as long as a request that comes late.
        () = async { stopping.cancelled().await; tokio::time::sleep(LAST_REQUEST).await } => return,
    };
    match opened {
        Ok(Opened::Tls(stream)) => {
            let answer = move |request| answer(api.clone(), peer, request);
            exchange((stream, activity), answer, holder, &builder, head_timeout, stopping).await
        }
        Ok(Opened::Plain(stream)) => {
            let answer = move |request| refuse(api.clone(), request);
            exchange((stream, activity), answer, holder, &builder, head_timeout, stopping).await
        }
        Err(error) => tracing::debug!(%error, "a connection ended before its TLS handshake did"),
    }
}

/// What a client of an address with TLS turned out to speak.
enum Opened {
    Tls(Box<TlsStream<Taken<TcpStream>>>),
    /// HTTP without TLS, which is told so.
    Plain(Taken<TcpStream>),
}

/// The handshake, within its time.
async fn open(stream: TcpStream, tls: &Tls, api: &Api, activity: &Arc<Activity>) -> io::Result<Opened> {
    let config = &api.core.config;
    let handshake = async {
        let mut first = [0];
        let plain = stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase();
        let stream = Taken::new(stream, config.write_timeout, Arc::clone(activity));
        // No record of TLS begins with a letter, and every request of HTTP does.
        if plain { Ok(Opened::Plain(stream)) } else { Ok(Opened::Tls(Box::new(tls.accept(stream).await?))) }
    };
    tokio::time::timeout(config.handshake_timeout, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn answer(api: Api, peer: Option<IpAddr>, mut request: Request<Incoming>) -> Response<Body> {
    if let (Some(peer), METRICS) = (peer, request.uri().path()) {
        request.extensions_mut().insert(Peer(peer));
    }
    api.answer(request).await
}

async fn refuse(api: Api, request: Request<Incoming>) -> Response<Body> {
    api.refuse_plain(&request)
}

/// Requests and answers on a connection until it ends.
async fn exchange<S, A, F>(
    (stream, activity): (S, Arc<Activity>),
    answer: A,
    holder: Holder,
    builder: &Builder,
    head_timeout: Duration,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = {
        let activity = Arc::clone(&activity);
        service_fn(move |request: Request<Incoming>| {
            let in_flight = activity.begin(request.version());
            let answer = answer(request);
            let (activity, holder) = (Arc::clone(&activity), holder.clone());
            async move {
                let mut response = answer.await;
                if holder.is_to_end() {
                    end_with(&mut response, in_flight.is_some(), &activity);
                }
                Ok::<_, Infallible>(match in_flight {
                    Some(in_flight) => response.map(|body| Answering::body(body, in_flight)),
                    None => response,
                })
            }
        })
    };
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    // Telling the protocols apart has no timeout of its own: who sends nothing at all is put out here too.
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = activity.idles(head_timeout) => {
            served.as_mut().graceful_shutdown();
            // Nobody waits for anything any more; a peer that does not hear of it is not waited for either.
            match tokio::time::timeout(head_timeout, served).await {
                Ok(outcome) => outcome,
                Err(_) => return,
            }
        }
        () = activity.is_to_end() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                outcome = served.as_mut() => outcome,
                () = activity.idles(head_timeout) => return,
            }
        }
        () = stopping.cancelled() => {
            tokio::select! {
                outcome = served.as_mut() => outcome,
                () = activity.next_request(LAST_REQUEST) => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = crate::problem::chain(error.as_ref()), "a connection ended badly");
    }
}

/// Makes an answer the last one of its connection. HTTP/1 says so in the answer itself; HTTP/2 has other answers under way, which are finished.
fn end_with(response: &mut Response<Body>, is_http2: bool, activity: &Activity) {
    if is_http2 {
        activity.end();
    } else {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Failures of a peer that had gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
    )
}
