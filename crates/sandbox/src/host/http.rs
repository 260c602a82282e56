//! The guest's own HTTP requests, where they were granted. Started apart from waiting, so that they overlap.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use snaphook_model::{Code, Exchange, Fault, Headers, HttpRequest, HttpResponse, Limits, Told};
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

/// What is kept of an invocation's own requests and their answers: as much as a recording may hold. Beyond it nothing of them is kept.
pub const MAX_EXCHANGE_BYTES: usize = 8 << 20;

type Outcome = Result<HttpResponse, Fault>;

/// A request under way, with its ticket.
type Running = Pin<Box<dyn Future<Output = (u32, Outcome)> + Send>>;

/// What answers the requests of an invocation.
pub(crate) enum Source {
    /// Nobody: they were not granted.
    Refused,
    /// The world.
    Granted(Arc<dyn GuestHttp>),
    /// An earlier run of the same invocation; nobody is called.
    Recorded(Vec<Exchange>),
}

/// The requests of one invocation.
pub(crate) struct Requests {
    source: Source,
    /// Those that were started, in order, with what the guest was told of them; nothing once they were too large.
    exchanges: Option<Vec<Exchange>>,
    /// Bytes of what was kept of them.
    kept: usize,
    /// Bytes of all requests.
    sent: u64,
    /// Bytes that the limit allows.
    output_limit: u64,
    /// Answers that the guest has heard.
    told: u32,
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
    pub(crate) const fn new(source: Source, limits: &Limits) -> Self {
        Self {
            source,
            exchanges: Some(Vec::new()),
            kept: 0,
            sent: 0,
            output_limit: limits.output_bytes,
            told: 0,
            started: 0,
            limit: limits.host_calls,
            running: None,
            done: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// What was asked and told, in the order of asking; nothing when it was more than [`MAX_EXCHANGE_BYTES`].
    pub(crate) fn into_exchanges(self) -> Option<Vec<Exchange>> {
        self.exchanges
    }

    /// Keeps a request that is about to be sent.
    fn keep(&mut self, ticket: u32, request: &HttpRequest) {
        if let Some(exchanges) = self.room(size(request)) {
            exchanges.push(Exchange { ticket, request: request.clone(), told: None });
        }
    }

    /// Keeps what the guest is told of one.
    fn keep_told(&mut self, ticket: u32, outcome: &Outcome) {
        let order = self.told;
        self.told += 1;
        let bytes = outcome.as_ref().map_or(0, |response| headers_size(&response.headers) + response.body.len());
        let exchanges = self.room(bytes);
        if let Some(exchange) = exchanges.and_then(|all| all.iter_mut().find(|exchange| exchange.ticket == ticket)) {
            exchange.told = Some(Told { order, answer: outcome.clone() });
        }
    }

    /// The exchanges, if there is room for so much more.
    fn room(&mut self, bytes: usize) -> Option<&mut Vec<Exchange>> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MAX_EXCHANGE_BYTES {
            self.exchanges = None;
        }
        self.exchanges.as_mut()
    }

    /// Requests started so far.
    pub(crate) const fn started(&self) -> u32 {
        self.started
    }

    /// Starts a request, and sees that it makes its first step now and not when it is waited for.
    async fn start(&mut self, request: HttpRequestOut) -> Result<Result<u32, Fault>, Stop> {
        if matches!(self.source, Source::Refused) {
            let why = "HTTP requests are not granted to this invocation; the operator can grant `fetch` to the tenant's script steps";
            return Ok(Err(Fault::new(Code::EgressRefused, why)));
        }
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
        self.sent = self.sent.saturating_add(size(&request) as u64);
        if self.sent > self.output_limit {
            return Err(Stop::Output { sent: self.sent });
        }
        let sending = match &self.source {
            Source::Refused => return Ok(Err(Fault::new(Code::EgressRefused, "HTTP requests are not granted to this invocation"))),
            Source::Granted(http) => http.start(request.clone()),
            Source::Recorded(recorded) => {
                as_recorded(recorded, ticket, &request)?;
                self.keep(ticket, &request);
                self.open.push(ticket);
                return Ok(Ok(ticket));
            }
        };
        self.keep(ticket, &request);
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
        let (ticket, outcome) = match &self.source {
            Source::Recorded(recorded) => first_told(recorded, tickets)?,
            Source::Refused | Source::Granted(_) => self.first_done(tickets).await?,
        };
        self.open.retain(|open| *open != ticket);
        self.keep_told(ticket, &outcome);
        Ok((ticket, outcome))
    }

    /// Waits for the first of some open requests to end.
    async fn first_done(&mut self, tickets: &[u32]) -> Result<(u32, Outcome), Stop> {
        loop {
            if let Some(ticket) = tickets.iter().find(|ticket| self.done.contains_key(ticket))
                && let Some(outcome) = self.done.remove(ticket)
            {
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

/// Bytes that a request takes on its way out.
fn size(request: &HttpRequest) -> usize {
    request.method.len() + request.url.len() + headers_size(&request.headers) + request.body.len()
}

fn headers_size(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// A replay asks for what was asked then, in the same order, or it ends here: an answer to another request would be an invention.
fn as_recorded(recorded: &[Exchange], ticket: u32, request: &HttpRequest) -> Result<(), Stop> {
    let shown = |request: &HttpRequest| check::excerpt(&format!("{} {}", request.method, request.url));
    let then = recorded.iter().find(|exchange| exchange.ticket == ticket).map(|exchange| &exchange.request);
    let what = match then {
        Some(then) if then == request => return Ok(()),
        None => "the recorded invocation made no further request".to_owned(),
        Some(then) if (&then.method, &then.url) != (&request.method, &request.url) => format!("recorded is {}", shown(then)),
        Some(then) if then.body != request.body => "its body is not the recorded one".to_owned(),
        Some(_) => "its headers are not the recorded ones".to_owned(),
    };
    Err(Stop::Diverged(format!("request {ticket}, {}, was not sent: a replay calls nobody, and {what}", shown(request))))
}

/// The one of these requests that the guest heard of first then. One that it never heard of had not ended when the invocation did.
fn first_told(recorded: &[Exchange], tickets: &[u32]) -> Result<(u32, Outcome), Stop> {
    let told = |exchange: &'_ Exchange| exchange.told.as_ref().map(|told| (told.order, exchange.ticket, told.answer.clone()));
    let of_tickets = recorded.iter().filter(|exchange| tickets.contains(&exchange.ticket));
    let first = of_tickets.filter_map(told).min_by_key(|(order, ..)| *order);
    first.map(|(_, ticket, answer)| (ticket, answer)).ok_or(Stop::Deadline)
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
