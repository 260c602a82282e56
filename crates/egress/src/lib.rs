//! Sends one HTTP request under a tenant's policy and brings back a bounded answer. Alone owns the HTTP client, name resolution, and the plain
//! text of secrets.
//!
//! Every address is checked before it is connected to, and the address connected to is the one that was checked. Nothing is sent twice:
//! whether a request may be repeated is for the flow to decide.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod address;
mod clients;
mod connect;
mod fault;
mod kept;
mod keys;
mod message;
mod oauth;
mod permits;
mod resolve;
mod room;
mod sealed;
mod secrets;
mod send;
mod signature;
mod target;
mod upload;
mod vault;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use snaphook_model::{EgressPolicy, Fault, HttpRequest, TenantName};
use snaphook_shares::Places;
use snaphook_telemetry::TraceContext;

pub use keys::{MAX_SIGNED_BYTES, Mac};
pub use oauth::{Grant, Token, TokenFuture, TokenRequest, authorize_url, field_label, token_label, verifier_label};
pub use resolve::{Resolver, Resolving, SystemResolver};
pub use room::Room;
pub use sealed::{Credentials, SealedValue, SecretHost, Secrets};
pub use secrets::callback_label;
pub use upload::{Piece, Upload};
pub use vault::{MAX_SECRET_BYTES, Vault, VaultError};

use clients::Clients;
use kept::Kept;
use permits::Permits;
use room::BodyMemory;

/// Settings of the node's outbound traffic.
#[derive(Clone)]
pub struct EgressConfig {
    /// Of one connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Of a name's resolution.
    pub resolve_timeout: Duration,
    /// Requests of all tenants under way at once. Each takes a socket, so this stays below the process's limit of open files.
    pub max_requests: usize,
    /// Requests of one tenant under way at once, to all hosts together: as many for one alone, and fewer while others have many, so that whoever
    /// comes finds some left.
    pub max_requests_per_tenant: usize,
    /// Requests of one tenant to one host and port under way at once.
    pub max_requests_per_host: usize,
    /// Connections of all tenants that are kept open for further requests, those in use among them. Requests beyond them go out over
    /// connections of their own.
    pub max_kept_connections: usize,
    /// Those of one tenant.
    pub max_kept_connections_per_tenant: usize,
    /// Names of one tenant that are resolved at once: as many for one alone, and fewer while others have many.
    pub max_names_per_tenant: usize,
    /// Memory for the bodies of responses of all tenants together, from their arrival until nobody holds them any more. One tenant
    /// alone has at most half of it, and less while others have much.
    pub response_memory_bytes: u64,
    /// Certificates in PEM that are trusted beside the public ones.
    pub extra_roots: Vec<u8>,
    /// Asked for every name, `localhost` included.
    pub resolver: Arc<dyn Resolver>,
    /// Seals and opens secrets. Absent: under a key that is lost with this process.
    pub vault: Option<Arc<Vault>>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            // A server that does not answer the third of TCP's first packets (sent after 0, 1 and 3 seconds) is not there.
            connect_timeout: Duration::from_secs(10),
            // One lost packet and one name server that does not answer, with the waiting times that resolvers usually have.
            resolve_timeout: Duration::from_secs(8),
            max_requests: 4096,
            // A tenant's own calls at once are far fewer.
            max_requests_per_tenant: 1024,
            // More than a tenant's calls at once; so it bites only where scripts or many flows pile up on a host that hangs.
            max_requests_per_host: 256,
            // Together with requests, whose connections are not kept, and clients still below the open files that the node asks for.
            max_kept_connections: 4096,
            // More than a tenant has requests to one host, and few enough that eight of them take all their own before others have none.
            max_kept_connections_per_tenant: 512,
            // A quarter of what the system's resolver asks at once: names that nobody answers for leave the others theirs.
            max_names_per_tenant: 32,
            response_memory_bytes: 512 << 20,
            extra_roots: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
            vault: None,
        }
    }
}

/// One request to be sent.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// On whose behalf.
    pub tenant: &'a TenantName,
    /// What to send. Sent as it is, with `user-agent`, `accept` and `accept-encoding` added where it has none.
    pub request: HttpRequest,
    /// Where the tenant's requests may go.
    pub policy: &'a EgressPolicy,
    /// From now until the last byte of the body: waiting for a permit, resolving and every redirect included.
    pub timeout: Duration,
    /// Of the body after decompression.
    pub max_response_bytes: u64,
    /// What the request may use of the tenant's secrets.
    pub secrets: Option<&'a Secrets>,
    /// The span of the request, which the upstream is told of unless the request's own headers tell of another.
    pub trace: Option<&'a TraceContext>,
    /// Followed at most, for GET and HEAD only. With 0, and for other methods, a redirect is an answer like any other.
    pub redirects: u8,
}

/// What does not go through memory; by default, nothing.
#[derive(Default)]
pub struct Streams<'a> {
    /// Sent as the body in place of the request's own.
    pub upload: Option<Upload>,
    /// Takes the answer's body.
    pub sink: Option<&'a mut dyn Sink>,
}

/// Takes an answer's body as it comes in. After a failure it may have a part of one.
pub trait Sink: Send {
    /// Whether the body of an answer with this status comes here; else it is read into memory. Asked once per answer, before any byte.
    fn wants(&mut self, status: u16) -> bool;

    /// Takes more of the body, unpacked.
    ///
    /// # Errors
    /// What ends the request.
    fn write(&mut self, chunk: Bytes) -> SinkFuture<'_>;
}

/// A write that ends some time.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;

/// The node's way out. Cheap to share by reference; holds the pools of open connections.
pub struct Egress {
    clients: Clients,
    permits: Permits,
    kept: Kept,
    bodies: BodyMemory,
    vault: Arc<Vault>,
    /// For signatures with private keys.
    signing: Arc<Places>,
}

/// Egress cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// `extra_roots` holds something that is no certificate.
    #[error("the additional root certificates are not valid PEM or not usable as roots")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The TLS library refuses its own settings, or the HTTP client does.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no key for secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Egress {
    /// Sets up the client. Opens nothing and reads nothing from the system.
    ///
    /// # Errors
    /// When `extra_roots` is not valid.
    pub fn new(mut config: EgressConfig) -> Result<Self, EgressError> {
        let permits = Permits::new(config.max_requests, config.max_requests_per_tenant, config.max_requests_per_host);
        let kept = Kept::new(config.max_kept_connections, config.max_kept_connections_per_tenant, clients::IDLE);
        let bodies = BodyMemory::new(config.response_memory_bytes);
        let vault = match config.vault.take() {
            Some(vault) => vault,
            None => Arc::new(Vault::ephemeral()?),
        };
        Ok(Self { clients: Clients::new(config)?, permits, kept, bodies, vault, signing: keys::places() })
    }

    /// Room for copies of bodies, out of what the bodies themselves are counted in; to be enlarged before each copy.
    #[must_use]
    pub fn room(&self, tenant: &TenantName) -> Room {
        self.bodies.room(tenant)
    }
}
