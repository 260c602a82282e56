//! The server behind [`crate::Upstream`]: hyper for what is well-formed, the bare socket for what is not.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, End, Kind, Piece};
use crate::large::{pattern, skim};
use crate::upstream::{Recorded, State};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves connections until the task is aborted.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    // Dropped with this future, which ends every connection.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let number = state.connected();
        let (state, tls) = (state.clone(), tls.clone());
        connections.spawn(async move {
            let Ok((socket, raw)) = twin(socket) else { return };
            match tls {
                None => serve(socket, raw, number, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        serve(stream, raw, number, state).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A second handle to the same socket, by which raw answers get past the HTTP server.
fn twin(socket: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    socket.set_nodelay(true)?;
    let socket = socket.into_std()?;
    let raw = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, TcpStream::from_std(raw)?))
}

async fn serve<S>(stream: S, raw: TcpStream, number: usize, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let raw = Arc::new(tokio::sync::Mutex::new(raw));
    let service = service_fn(|request| {
        let (state, raw) = (state.clone(), raw.clone());
        async move {
            let recorded = record(request, number, &state).await?;
            respond(state.answer(recorded), &raw).await
        }
    });
    // An error is the client going away, or an answer that was meant to break.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn record(request: Request<Incoming>, connection: usize, state: &State) -> io::Result<Recorded> {
    let (head, body) = request.into_parts();
    let (body, skimmed) = match state.skims(head.uri.path()) {
        false => (body.collect().await.map_err(io::Error::other)?.to_bytes(), None),
        true => (Bytes::new(), Some(skim(body).await.map_err(io::Error::other)?)),
    };
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Ok(Recorded {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        headers: headers.collect(),
        body,
        skimmed,
        connection,
        http2: head.version == Version::HTTP_2,
    })
}

async fn respond(answer: Answer, raw: &tokio::sync::Mutex<TcpStream>) -> io::Result<Response<Body>> {
    if let Some(gate) = &answer.gate {
        gate.passed().await;
    }
    match answer.kind {
        Kind::Http { status, headers, body } => {
            let mut response = Response::new(body_of(body));
            *response.status_mut() = status.try_into().expect("the test gave a status");
            for (name, value) in headers {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("the test gave a header name");
                response.headers_mut().append(name, HeaderValue::from_bytes(&value).expect("the test gave a header value"));
            }
            Ok(response)
        }
        Kind::Raw { bytes, end } => {
            let mut raw = raw.lock().await;
            raw.write_all(&bytes).await?;
            match end {
                End::Close => raw.shutdown().await?,
                // Takes effect when hyper's handle is dropped too, which the error below brings about.
                End::Reset => raw.set_zero_linger()?,
                End::Wait(gate) => gate.passed().await,
            }
            Err(io::Error::other("the answer went out by the socket itself"))
        }
    }
}

fn body_of(mut pieces: Vec<Piece>) -> Body {
    let infallible = |never: Infallible| match never {};
    if pieces.is_empty() {
        return Empty::new().map_err(infallible).boxed_unsync();
    }
    if let [Piece::Bytes(bytes)] = pieces.as_mut_slice() {
        return Full::new(std::mem::take(bytes)).map_err(infallible).boxed_unsync();
    }
    let frames = stream::iter(pieces).flat_map(|piece| match piece {
        Piece::Bytes(bytes) => stream::once(async { Ok(Frame::data(bytes)) }).boxed(),
        Piece::Pattern(bytes) => stream::iter(pattern(bytes).map(|chunk| Ok(Frame::data(chunk)))).boxed(),
        Piece::Endless(chunk) => stream::repeat_with(move || Ok(Frame::data(chunk.clone()))).boxed(),
        Piece::Break => stream::once(broken()).boxed(),
        Piece::Wait(gate) => stream::once(async move { gate.passed().await }).filter_map(|()| async { None }).boxed(),
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Pending once, so that hyper sends what came before.
async fn broken() -> io::Result<Frame<Bytes>> {
    tokio::task::yield_now().await;
    Err(io::Error::other("the body was meant to break"))
}
