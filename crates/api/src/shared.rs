//! What all routes share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use snaphook_flow::Runner;
use snaphook_model::{Tenant, TokenScope};
use snaphook_store::{Store, TokenHash};
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::auth::{Auth, Known};
use crate::body::{self, BodyLimit, ReadBody};
use crate::definitions::Definitions;
use crate::overviews::Overviews;
use crate::problem::Problem;
use crate::programs::Programs;
use crate::quotas::Kind;
use crate::room::Sender;
use crate::tls::Tls;

/// Bounds of the front end. All of them are promises to the node: what is beyond is refused, not queued.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// BLAKE3 of the operator's token.
    pub operator: TokenHash,
    /// Begins the addresses by which the outside world knows this node, without a slash at the end. Absent: they begin as a request says.
    pub public_url: Option<String>,
    /// The same where there is none: this node's own address. Browsers are sent back there.
    pub base_url: String,
    /// The certificate that clients are shown. Absent: HTTP without TLS.
    pub tls: Option<Tls>,
    /// How long a client may take for the TLS handshake.
    pub handshake_timeout: Duration,
    /// Connections open at once; further ones wait in the listener's own queue. One peer alone has at most half of them, and when it has most of that,
    /// or all peers most of them together, a connection ends with its answer.
    pub max_connections: usize,
    /// Requests in flight at once; further ones are answered `overloaded`.
    pub max_requests: usize,
    /// Memory for the bodies of requests in flight, beyond the first 16 KiB of each. One tenant has at most half of it, and those who have
    /// shown neither token nor signature a quarter.
    pub body_memory_bytes: u64,
    /// How long a client may take for the head of a request, and a connection may idle.
    pub head_timeout: Duration,
    /// How long a client may take for a body.
    pub body_timeout: Duration,
    /// How long a client may let an answer wait in all, beyond what the bytes that it takes pay for.
    pub write_timeout: Duration,
    /// How long a call or a run that somebody waits for may take.
    pub run_deadline: Duration,
    /// How long work in flight may go on after the shutdown began.
    pub drain: Duration,
}

impl ApiConfig {
    /// The defaults, for a small node.
    #[must_use]
    pub const fn new(operator: TokenHash) -> Self {
        Self {
            operator,
            public_url: None,
            base_url: String::new(),
            tls: None,
            // Far more than two round trips over the worst of networks, and less than what makes holding connections open cheap.
            handshake_timeout: Duration::from_secs(10),
            // A connection costs some tens of kilobytes; 4,096 of them stay below the usual limit of open files with room for upstreams.
            max_connections: 4_096,
            // Far more than the cores can use: most requests in flight wait for an upstream.
            max_requests: 1_024,
            // Forty bodies of the default limit at once.
            body_memory_bytes: 256 << 20,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            run_deadline: Duration::from_mins(15),
            drain: Duration::from_secs(30),
        }
    }
}

/// What the front end works with.
pub struct ApiParts {
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// Deploys and loads scripts.
    pub programs: Arc<Programs>,
    /// Drives calls and runs.
    pub runner: Runner,
}

pub(crate) type Shared = Arc<Core>;

pub(crate) struct Core {
    pub(crate) config: ApiConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) programs: Arc<Programs>,
    pub(crate) runner: Runner,
    pub(crate) auth: Auth,
    pub(crate) definitions: Definitions,
    pub(crate) admission: Admission,
    pub(crate) overviews: Overviews,
    /// Work whose client has gone; drained at shutdown.
    pub(crate) tasks: TaskTracker,
    /// Set when the shutdown begins, so that `readyz` turns a balancer away.
    pub(crate) draining: AtomicBool,
}

impl Core {
    pub(crate) fn new(config: ApiConfig, parts: ApiParts) -> Self {
        let ApiParts { store, programs, runner } = parts;
        Self {
            auth: Auth::new(Arc::clone(&store), config.operator),
            definitions: Definitions::new(Arc::clone(&store), runner.clone()),
            admission: Admission::new(config.max_requests, config.body_memory_bytes),
            overviews: Overviews::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            config,
            store,
            programs,
            runner,
        }
    }

    /// The tenant behind a request, if its token has a scope and its quota a place.
    pub(crate) async fn caller(&self, request: &Parts, scope: TokenScope) -> Result<Arc<Tenant>, Problem> {
        self.known_caller(request, scope).await.map(|(_, tenant)| tenant)
    }

    /// The same with the token.
    pub(crate) async fn known_caller(&self, request: &Parts, scope: TokenScope) -> Result<(Arc<Known>, Arc<Tenant>), Problem> {
        let known = self.auth.tenant(&request.headers, scope).await?;
        let tenant = self.admitted(&known, Kind::of(scope), request).await?;
        Ok((known, tenant))
    }

    /// The token behind a request, if it is anybody's and its tenant's quota has a place; none for the operator's.
    pub(crate) async fn any_caller(&self, request: &Parts) -> Result<Option<Arc<Known>>, Problem> {
        let known = self.auth.anyone(&request.headers).await?;
        if let Some(known) = &known {
            self.admitted(known, Kind::Look, request).await?;
        }
        Ok(known)
    }

    /// The tenant of a token, if its quota has a place.
    pub(crate) async fn admitted(&self, known: &Known, kind: Kind, request: &Parts) -> Result<Arc<Tenant>, Problem> {
        let tenant = self.programs.tenants().get(&known.tenant).await?;
        // The token went with its tenant; it was known a moment ago.
        let tenant = tenant.ok_or_else(|| Problem::new(snaphook_model::Code::Unauthorized, "the token is unknown or has expired"))?;
        self.admission.admit_for(&tenant, kind, &request.extensions).await?;
        Ok(tenant)
    }

    /// Reads a body inside its bounds.
    pub(crate) async fn read<B>(&self, body: B, limit: BodyLimit, sender: Sender) -> Result<ReadBody, Problem>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        body::read(body, limit, self.admission.room(sender), self.config.body_timeout).await
    }

    /// How the addresses of this node begin, as a client sees them that asks it directly.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.config.tls.is_some() { "https" } else { "http" }
    }

    /// When a run that begins now must have ended.
    pub(crate) fn run_deadline(&self) -> Instant {
        Instant::now() + self.config.run_deadline
    }
}
