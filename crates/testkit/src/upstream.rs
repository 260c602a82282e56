//! The upstream as a test sees it: told what to answer, asked what it received.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::large::Skimmed;
use crate::{serve, tls};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// In capitals.
    pub method: String,
    /// With the query, as sent.
    pub path: String,
    /// In order, names in lower case. Bytes beyond ASCII are read as UTF-8, with losses shown as replacement characters.
    pub headers: Vec<(String, String)>,
    /// The whole body; empty where it was skimmed.
    pub body: Bytes,
    /// What is known of the body, on paths for which [`Upstream::skim`] said so.
    pub skimmed: Option<Skimmed>,
    /// Which connection brought it, from 1: two requests with the same number shared one.
    pub connection: usize,
    /// It came over HTTP/2.
    pub http2: bool,
}

impl Recorded {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{} {}: body is no JSON ({e}): {}", self.method, self.path, self.text()))
    }
}

/// An HTTP server on a free loopback port, which records every request. It ends when it is dropped.
///
/// Paths without answers get 404. Requests are recorded before they are answered.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    /// PEM of the certificate; absent over plain HTTP.
    certificate: Option<String>,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// Shared with the connections' tasks.
#[derive(Default)]
pub(crate) struct State {
    /// By path without query. Held for a look-up, never across an await.
    routes: Mutex<HashMap<String, Route>>,
    /// Answers for all other paths. Held for a look-up.
    others: Mutex<Option<Arc<Handler>>>,
    /// Paths whose requests' bodies are not kept. Held for a look-up.
    skimmed: Mutex<HashSet<String>>,
    /// Everything received; watched by those who wait for a number of requests.
    requests: watch::Sender<Vec<Recorded>>,
    /// Accepted so far.
    connections: watch::Sender<usize>,
}

type Handler = dyn Fn(&Recorded) -> Answer + Send + Sync;

#[derive(Clone)]
enum Route {
    Sequence(Vec<Answer>, usize),
    Handler(Arc<Handler>),
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sequence(answers, next) => write!(f, "answer {next} of {}", answers.len()),
            Self::Handler(_) => f.write_str("handler"),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("routes", &self.routes).field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Plain HTTP/1.1 on 127.0.0.1.
    pub async fn start() -> Self {
        Self::listen("127.0.0.1:0", None).await
    }

    /// Plain HTTP/1.1 on another address, such as `[::1]:0`.
    pub async fn start_at(address: &str) -> Self {
        Self::listen(address, None).await
    }

    /// HTTPS on 127.0.0.1 with HTTP/2 and HTTP/1.1 by ALPN. The certificate is for `names`, each a host name or an address, and signed by itself: a client
    /// has to be given [`Upstream::certificate`] as a root.
    pub async fn start_tls(names: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", Some(tls::acceptor(names, &["h2", "http/1.1"]))).await
    }

    async fn listen(address: &str, tls: Option<(TlsAcceptor, String)>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let (acceptor, certificate) = tls.unzip();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(serve::accept(listener, acceptor, state.clone()));
        Self { address, certificate, state, accepting }
    }

    /// Adds an answer for a path (without query), after those it has. The last one is repeated.
    pub fn on(&self, path: &str, answer: Answer) -> &Self {
        let mut routes = self.state.routes();
        match routes.entry(path.to_owned()).or_insert_with(|| Route::Sequence(Vec::new(), 0)) {
            Route::Sequence(answers, _) => answers.push(answer),
            route @ Route::Handler(_) => *route = Route::Sequence(vec![answer], 0),
        }
        drop(routes);
        self
    }

    /// Lets a closure answer a path (without query), in place of what it had.
    pub fn on_request(&self, path: &str, handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> &Self {
        self.state.routes().insert(path.to_owned(), Route::Handler(Arc::new(handler)));
        self
    }

    /// Lets a closure answer all paths that have no answer of their own.
    ///
    /// # Panics
    /// Never: the lock's holders do not panic.
    pub fn on_others(&self, handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> &Self {
        *self.state.others.lock().expect("no holder of the lock panics") = Some(Arc::new(handler));
        self
    }

    /// Bodies of requests to a path (without query) are not kept from now on; [`Recorded::skimmed`] says what they were.
    pub fn skim(&self, path: &str) -> &Self {
        self.state.skimmed.lock().expect("no holder of the lock panics").insert(path.to_owned());
        self
    }

    /// The absolute URL of a path, by the address listened on.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.url_at(&self.host(), path)
    }

    /// The absolute URL of a path under another name for the same host, such as `localhost`.
    #[must_use]
    pub fn url_at(&self, host: &str, path: &str) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.address.port())
    }

    fn host(&self) -> String {
        match self.address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        }
    }

    /// What is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// PEM of the certificate to trust.
    ///
    /// # Panics
    /// On an upstream without TLS.
    #[must_use]
    pub fn certificate(&self) -> &str {
        self.certificate.as_deref().expect("the upstream was started with `start_tls`")
    }

    /// Everything received so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests.borrow().clone()
    }

    /// The last request received.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn last(&self) -> Recorded {
        self.state.requests.borrow().last().cloned().expect("a request was received")
    }

    /// How many connections were accepted so far, used or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    /// Waits until so many requests were received in all, and gives them.
    ///
    /// # Panics
    /// After ten seconds without them.
    pub async fn received(&self, count: usize) -> Vec<Recorded> {
        let mut requests = self.state.requests.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, requests.wait_for(|requests| requests.len() >= count)).await;
        match arrived {
            Ok(requests) => requests.expect("the sender lives in `self`").clone(),
            Err(_) => panic!("waited for {count} requests, received {}", self.requests().len()),
        }
    }
}

/// Long enough for a loaded machine, short enough that a test that hangs says where.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for Upstream {
    fn drop(&mut self) {
        // Takes the connections' tasks with it.
        self.accepting.abort();
    }
}

impl State {
    fn routes(&self) -> MutexGuard<'_, HashMap<String, Route>> {
        self.routes.lock().expect("no holder of the lock panics")
    }

    /// Whether the body of a request to this path is looked at only.
    pub(crate) fn skims(&self, path: &str) -> bool {
        self.skimmed.lock().expect("no holder of the lock panics").contains(path)
    }

    /// The number of a new connection.
    pub(crate) fn connected(&self) -> usize {
        let mut number = 0;
        self.connections.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        number
    }

    /// Records a request and finds its answer.
    pub(crate) fn answer(&self, request: Recorded) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        self.requests.send_modify(|requests| requests.push(request.clone()));
        let route = {
            let mut routes = self.routes();
            match routes.get_mut(&path) {
                Some(Route::Sequence(answers, next)) => {
                    let answer = answers[(*next).min(answers.len() - 1)].clone();
                    *next += 1;
                    return answer;
                }
                Some(Route::Handler(handler)) => handler.clone(),
                None => match self.others.lock().expect("no holder of the lock panics").clone() {
                    Some(handler) => handler,
                    None => return Answer::text(&format!("the test set no answer for {path}")).with_status(404),
                },
            }
        };
        // Called without the lock, so that a handler may set answers itself.
        route(&request)
    }
}
