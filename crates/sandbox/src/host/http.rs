//! The guest's own HTTP requests, where they were granted. Started apart from waiting, so that they overlap.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use snaphook_model::{Code, Fault, Headers, HttpRequest, HttpResponse};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::abi::{HttpFailureIn, HttpRequestOut, HttpResponseIn};
use crate::check;
use crate::data::{Data, Stop};

/// A request on its way.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, Fault>> + Send>>;

/// Sends the requests of guests that were granted them. What a guest may reach is the implementation's to decide.
pub trait GuestHttp: Send + Sync {
    /// Starts a request. The URL is what the guest gave: `connector:/path`, or absolute. Header names and values are
    /// valid, and none frames the request. The future is dropped when the invocation ends before it.
    fn start(&self, request: HttpRequest) -> HttpFuture;
}

type Outcome = Result<HttpResponse, Fault>;

/// A request under way, with its ticket.
type Running = Pin<Box<dyn Future<Output = (u32, Outcome)> + Send>>;

/// The requests of one invocation.
pub(crate) struct Requests {
    granted: Option<Arc<dyn GuestHttp>>,
    /// Started so far; also the last ticket.
    started: u32,
    /// Requests that the limit allows.
    limit: u32,
    /// Made at the first request.
    running: Option<Box<FuturesUnordered<Running>>>,
    /// Done, but not asked for yet.
    done: BTreeMap<u32, Outcome>,
    /// Handed out and not answered yet.
    open: Vec<u32>,
}

impl Requests {
    pub(crate) const fn new(granted: Option<Arc<dyn GuestHttp>>, limit: u32) -> Self {
        Self { granted, started: 0, limit, running: None, done: BTreeMap::new(), open: Vec::new() }
    }

    /// Requests started so far.
    pub(crate) const fn started(&self) -> u32 {
        self.started
    }

    /// Starts a request, and sees that it makes its first step now and not when it is waited for.
    async fn start(&mut self, request: HttpRequestOut) -> Result<Result<u32, Fault>, Stop> {
        let Some(granted) = &self.granted else {
            let why = "HTTP requests are not granted to this invocation; the operator can grant `fetch` to the tenant's script steps";
            return Ok(Err(Fault::new(Code::EgressRefused, why)));
        };
        if self.started >= self.limit {
            return Err(Stop::HostCalls);
        }
        self.started += 1;
        let ticket = self.started;
        let headers = Headers(request.headers);
        if let Err(fault) = check::method(&request.method).and_then(|()| check::headers(&headers)) {
            return Ok(Err(fault));
        }
        let request = HttpRequest { method: request.method, url: request.url, headers, body: request.body.unwrap_or_default() };
        let sending = granted.start(request);
        let running = self.running.get_or_insert_default();
        running.push(Box::pin(async move { (ticket, sending.await) }));
        self.open.push(ticket);
        let first_step = std::future::poll_fn(|context| {
            if let Poll::Ready(Some((ticket, outcome))) = running.poll_next_unpin(context) {
                self.done.insert(ticket, outcome);
            }
            Poll::Ready(())
        });
        first_step.await;
        Ok(Ok(ticket))
    }

    /// Waits for the first of some requests.
    async fn wait(&mut self, tickets: &[u32]) -> Result<(u32, Outcome), Stop> {
        if tickets.is_empty() {
            return Err(Stop::Contract("`http.wait` was called without a ticket".to_owned()));
        }
        // Bounds the look-ups below, which no fuel is paid for.
        if tickets.len() > self.open.len() {
            return Err(Stop::Contract("`http.wait` was called with more tickets than are open".to_owned()));
        }
        if let Some(unknown) = tickets.iter().find(|ticket| !self.open.contains(ticket)) {
            return Err(Stop::Contract(format!("`http.wait` was called with {unknown}, which is no ticket or was answered already")));
        }
        loop {
            if let Some(ticket) = tickets.iter().find(|ticket| self.done.contains_key(ticket))
                && let Some(outcome) = self.done.remove(ticket)
            {
                self.open.retain(|open| open != ticket);
                return Ok((*ticket, outcome));
            }
            let next = match &mut self.running {
                Some(running) => running.next().await,
                None => None,
            };
            match next {
                Some((ticket, outcome)) => self.done.insert(ticket, outcome),
                // An open ticket is running or done, so there is always one that comes.
                None => return Err(Stop::Contract("`http.wait` waits for nothing".to_owned())),
            };
        }
    }
}

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut http = linker.instance("snaphook:hook/http@0.1.0")?;
    http.func_wrap_async("start", |mut store: StoreContextMut<'_, Data>, (request,): (HttpRequestOut,)| {
        Box::new(async move {
            let started = store.data_mut().requests.start(request).await?;
            Ok((started.map_err(HttpFailureIn::from),))
        })
    })?;
    http.func_wrap_async("wait", |mut store: StoreContextMut<'_, Data>, (tickets,): (Vec<u32>,)| {
        Box::new(async move {
            let data = store.data_mut();
            // Waiting counts: the guest is stopped here, where its own stack still says what it waited for.
            let waited = tokio::time::timeout_at(data.deadline.into(), data.requests.wait(&tickets)).await;
            let (ticket, outcome) = waited.map_err(|_| Stop::Deadline)??;
            Ok(((ticket, outcome.map(HttpResponseIn::from).map_err(HttpFailureIn::from)),))
        })
    })
}
