//! One request, from its head to its answer: id, admission, route, panics, problems.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, Version, header};
use snaphook_flow::Definitions;
use snaphook_model::Code;
use snaphook_telemetry::within;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::admission::Permit;
use crate::answer::REQUEST_ID;
use crate::author::RequestId;
use crate::finish::Finish;
use crate::problem::Problem;
use crate::shared::{ApiConfig, ApiParts, Core, Shared};
use crate::watch::Watch;
use crate::{ambient, routes};

/// The front end. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Api {
    pub(crate) core: Shared,
    router: Router,
    ids: Arc<RequestIds>,
}

impl Api {
    /// A front end over these parts.
    #[must_use]
    pub fn new(config: ApiConfig, parts: ApiParts) -> Self {
        let core = Arc::new(Core::new(config, parts));
        Self { router: routes::router(Arc::clone(&core)), core, ids: Arc::new(RequestIds::new()) }
    }

    /// What queued runs are made of, kept as that of calls is.
    #[must_use]
    pub fn definitions(&self) -> Arc<dyn Definitions> {
        self.core.clone()
    }

    /// Answers one request. Never fails and never panics: whatever goes wrong is an answer.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Into<axum::BoxError>,
    {
        let (id, watch) = (self.ids.next(), Watch::begin(&request));
        let (context, logged) = (watch.context(), watch.logged(&id));
        let answered = match self.admit(&request) {
            // What only reads may be given up with its client; what changes something is finished, with its permit.
            Ok(permit) if request.method().is_safe() && !comes_from_outside(&request) => {
                let work = within(context, Box::pin(self.clone().route(request, permit, &id))).instrument(logged);
                AssertUnwindSafe(work).catch_unwind().await
            }
            Ok(permit) => {
                let (api, id) = (self.clone(), id.clone());
                let work = within(context, async move { api.route(request, permit, &id).await }).instrument(logged);
                Finish::new(&self.core.tasks, AssertUnwindSafe(work).catch_unwind()).await
            }
            Err(problem) => Ok(Err(problem)),
        };
        let answered = answered.unwrap_or_else(|panic| Err(Problem::internal(panic_text(panic.as_ref()))));
        let id_text = id.to_str().unwrap_or_default();
        let mut code = answered.as_ref().err().map(Problem::code);
        let mut response = answered.unwrap_or_else(|problem| problem.render(id_text));
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            code = Some(problem.code());
            let allow = response.headers_mut().remove(header::ALLOW);
            let mut rendered = problem.render(id_text);
            rendered.headers_mut().extend(allow.map(|methods| (header::ALLOW, methods)));
            *rendered.extensions_mut() = std::mem::take(response.extensions_mut());
            response = rendered;
        }
        watch.end(&mut response, &id, code);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Answers HTTP that came without TLS to an address where TLS is spoken. What the request asks for is not looked at: it went over the network
    /// for all to read, and so would its answer.
    pub(crate) fn refuse_plain<B>(&self, request: &Request<B>) -> Response<Body> {
        let id = self.ids.next();
        let problem = Problem::new(Code::Invalid, "this address speaks TLS; begin it with https://");
        let mut response = problem.render(id.to_str().unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        if request.version() < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Room for the request. Probes and documentation need none: they must answer when the node is full.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<Permit>, Problem> {
        if is_work(request) { self.core.admission.admit().map(Some) } else { Ok(None) }
    }

    async fn route<B>(self, mut request: Request<B>, permit: Option<Permit>, id: &HeaderValue) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Into<axum::BoxError>,
    {
        // Held until the answer is there, and known to whoever finds out whose request it is.
        let Some(permit) = permit.map(Arc::new) else { return self.find(request, id).await };
        request.extensions_mut().insert(Arc::clone(&permit));
        let answered = permit.turn().during(self.find(request, id)).await;
        let refused = match &answered {
            Ok(response) => response.extensions().get::<Problem>(),
            Err(problem) => Some(problem),
        };
        permit.before_answer(refused.map(Problem::code)).await;
        answered
    }

    /// Finds whose route it is, and has it answered there.
    async fn find<B>(&self, mut request: Request<B>, id: &HeaderValue) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Into<axum::BoxError>,
    {
        // The hot path goes around the router, which boxes and copies on the way.
        if routes::calls::is_ordinary(&request) {
            return routes::calls::answer(&self.core, request).await;
        }
        request.extensions_mut().insert(RequestId(id.clone()));
        let response = self.router.clone().oneshot(request.map(Body::new)).await;
        Ok(response.unwrap_or_else(|never| match never {}))
    }
}

/// Whether a request is about what tenants have and do. Others are probes, metrics and documentation.
pub(crate) fn is_work<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/v1/") || comes_from_outside(request)
}

/// A trigger runs its flow whatever the method, and a browser that comes back brings a token about.
fn comes_from_outside<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    path.starts_with(routes::triggers::PREFIX) || path == routes::connections::CALLBACK
}

/// Names requests: chance of this process, then a count, which costs nothing and sorts in the log.
#[derive(Debug)]
struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        Self { process: u64::from_le_bytes(ambient::random()), count: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}-{count:08x}", self.process);
        HeaderValue::try_from(text).expect("hexadecimal digits are fit for a header")
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "of an unknown kind".to_owned()))
}
