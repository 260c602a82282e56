//! A storage that speaks as much of S3's protocol as a node asks of it: put, get, head and delete of one object, and lists in pages.
//!
//! It runs on a thread of its own, so that it also works while the test's own thread waits for a process that needs it. Objects are in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::{Gate, tls};

const BUCKET: &str = "objects";
const ACCESS_KEY: &str = "access-key-of-the-tests";
const SECRET_KEY: &str = "secret-key-of-the-tests";

/// So few that a list of some hundred objects has several pages.
const KEYS_ON_A_PAGE: usize = 40;

/// A storage on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    /// PEM of the certificate; absent over plain HTTP.
    certificate: Option<String>,
    state: Arc<State>,
    ended: watch::Sender<bool>,
    running: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Held for a look.
    objects: Mutex<BTreeMap<String, Object>>,
    /// Where answers to puts wait that were done. Held for a look.
    gate: Mutex<Option<Gate>>,
    /// Where reading waits. Held for a look.
    gate_of_gets: Mutex<Option<Gate>>,
    /// How many reads came.
    gets: watch::Sender<u64>,
    /// How many puts were done.
    puts: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    written_at: Timestamp,
}

impl S3 {
    /// An empty storage with one bucket.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// The same over HTTPS. Its certificate is signed by itself: a client has to be given [`S3::certificate`].
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start_tls() -> Self {
        Self::listen(Some(tls::acceptor(&["127.0.0.1"], &["http/1.1"])))
    }

    fn listen(tls: Option<(TlsAcceptor, String)>) -> Self {
        let (acceptor, certificate) = tls.unzip();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (state, ended) = (Arc::<State>::default(), watch::Sender::new(false));
        let (shared, mut end) = (Arc::clone(&state), ended.subscribe());
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime can be made");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, acceptor, shared) => {}
                    _ = end.wait_for(|end| *end) => {}
                }
            });
        });
        Self { address, certificate, state, ended, running: Some(running) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// PEM of the certificate, where it has one.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// A place in the bucket, as a node is told of it.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The settings with which a node reaches it, by way of this address.
    #[must_use]
    pub fn settings(&self, by: SocketAddr) -> Vec<(String, String)> {
        let is_plain = self.certificate.is_none();
        let endpoint = format!("http{}://{by}", if is_plain { "" } else { "s" });
        let settings = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", "eu-test-1"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_ALLOW_HTTP", if is_plain { "true" } else { "" }),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The keys of all objects, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state.objects().keys().cloned().collect()
    }

    /// What lies under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.state.objects().get(key).map(|object| object.bytes.clone())
    }

    /// Puts something under a key behind the back of those who use the storage.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.state.put(key, bytes.into());
    }

    /// Takes it away.
    pub fn remove(&self, key: &str) {
        self.state.objects().remove(key);
    }

    /// Makes an object look as if it had been written so much earlier.
    pub fn age(&self, key: &str, by: Duration) {
        if let Some(object) = self.state.objects().get_mut(key) {
            object.written_at = object.written_at.checked_sub(by).expect("tests go back some days");
        }
    }

    /// From now on, what is put is there at once, and its answer comes when the gate opens.
    pub fn answer_puts_after(&self, gate: &Gate) {
        *self.state.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
    }

    /// From now on, who reads an object waits until the gate opens.
    pub fn answer_gets_after(&self, gate: &Gate) {
        *self.state.gate_of_gets.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
    }

    /// How many reads of objects ever came, answered or not.
    #[must_use]
    pub fn gets(&self) -> u64 {
        *self.state.gets.borrow()
    }

    /// Waits until so many came.
    pub async fn have_been_asked_for(&self, number: u64) {
        let mut gets = self.state.gets.subscribe();
        // The sender lives in `self`.
        let _ = gets.wait_for(|gets| *gets >= number).await;
    }

    /// How many objects were ever put over the network.
    #[must_use]
    pub fn puts(&self) -> u64 {
        *self.state.puts.borrow()
    }

    /// Waits until so many were.
    pub async fn have_been_put(&self, number: u64) {
        let mut puts = self.state.puts.subscribe();
        // The sender lives in `self`.
        let _ = puts.wait_for(|puts| *puts >= number).await;
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.ended.send_replace(true);
        if let Some(running) = self.running.take() {
            // Its panic was shown when it happened.
            let _ = running.join();
        }
    }
}

impl State {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &str, bytes: Bytes) {
        self.objects().insert(key.to_owned(), Object { bytes, written_at: Timestamp::now() });
    }
}

async fn accept(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes sockets");
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            match tls {
                None => serve(socket, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    // An error is the client going away.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !authorization.contains(&format!("Credential={ACCESS_KEY}/")) {
        return error(StatusCode::FORBIDDEN, "InvalidAccessKeyId");
    }
    let path = decoded(request.uri().path().trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    if bucket != BUCKET {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    match (request.method(), key) {
        (&Method::GET, "") => list(request.uri().query().unwrap_or_default(), state),
        (&Method::GET | &Method::HEAD, key) => {
            state.gets.send_modify(|gets| *gets += 1);
            wait_at(&state.gate_of_gets).await;
            match state.objects().get(key) {
                Some(object) => done(object.bytes.clone()),
                None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
            }
        }
        (&Method::PUT, key) => {
            let key = key.to_owned();
            // A client that goes away has put nothing.
            let Ok(body) = request.into_body().collect().await else { return error(StatusCode::BAD_REQUEST, "IncompleteBody") };
            state.put(&key, body.to_bytes());
            state.puts.send_modify(|puts| *puts += 1);
            wait_at(&state.gate).await;
            done(Bytes::new())
        }
        (&Method::DELETE, key) => {
            state.objects().remove(key);
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

async fn wait_at(gate: &Mutex<Option<Gate>>) {
    let gate = gate.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(gate) = gate {
        gate.passed().await;
    }
}

/// The second version of lists, without what a node does not ask for, such as delimiters.
fn list(query: &str, state: &State) -> Response<Full<Bytes>> {
    let parameter = |name: &str| {
        let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| decoded(value))
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let after = parameter("continuation-token").or_else(|| parameter("start-after")).unwrap_or_default();
    let objects = state.objects();
    let mut rest = objects.range((Bound::Excluded(after), Bound::Unbounded)).filter(|(key, _)| key.starts_with(&prefix));
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    let mut last = None;
    for (key, object) in rest.by_ref().take(KEYS_ON_A_PAGE) {
        let (size, written_at) = (object.bytes.len(), object.written_at);
        let item =
            format!("<Contents><Key>{key}</Key><LastModified>{written_at}</LastModified><ETag>\"e\"</ETag><Size>{size}</Size></Contents>");
        text += &item;
        last = Some(key.clone());
    }
    let goes_on = rest.next().is_some();
    if let Some(last) = last.filter(|_| goes_on) {
        write!(text, "<NextContinuationToken>{last}</NextContinuationToken>").expect("a String takes every text");
    }
    write!(text, "<IsTruncated>{goes_on}</IsTruncated></ListBucketResult>").expect("a String takes every text");
    done(text.into())
}

fn done(body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert("etag", http::HeaderValue::from_static("\"e\""));
    answer
}

fn error(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
}

/// Text of a URL; what is encoded wrongly stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code =
            others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &others[2..];
            }
            (first, _) => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
