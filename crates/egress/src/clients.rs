//! The HTTP clients with their pools of connections, one for each list of special networks that a tenant may reach.
//!
//! A pooled connection is used without asking for its address again. So connections are only shared between policies that would have let
//! each other's through: those with the same `allow_private`. Lists of hosts are checked with each request and need no pool of their own.
//!
//! All of them speak HTTP/1.1 alone, whatever else an upstream would: a connection is one request's at a time. Over HTTP/2 tenants would share one
//! connection to a host, with the few streams at once that the host allows and one window for all that it sends, and one tenant's held requests would
//! keep another's waiting.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::{Client, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use snaphook_model::{Code, Fault, TenantName};
use snaphook_shares::{Part, Places};

use crate::connect::{self, WhileWanted};
use crate::resolve::{self, Checked};
use crate::{EgressConfig, EgressError};

pub(crate) struct Clients {
    config: EgressConfig,
    /// How many names are resolved at once, of all tenants and of one, whichever client asks.
    names: Arc<Places>,
    tls: ClientConfig,
    /// For tenants that reach public addresses only, as nearly all do.
    public: Pair,
    /// By `allow_private`. Held for a look-up or while clients are built, which takes microseconds.
    others: RwLock<HashMap<Vec<IpNet>, Pair>>,
}

/// Clients with the same rules.
#[derive(Clone)]
struct Pair {
    keeping: Client,
    /// Closes each connection after its request.
    closing: Client,
}

impl Pair {
    fn of(&self, kept: bool) -> Client {
        if kept { self.keeping.clone() } else { self.closing.clone() }
    }
}

/// Policies are the operator's and there are few different ones; past this number the pools of one that is there are given up.
const MAX_OTHERS: usize = 256;

/// Shorter than the minute after which common servers and balancers close an idle connection, so that few requests meet one that just closed.
pub(crate) const IDLE: Duration = Duration::from_secs(50);

impl Clients {
    pub(crate) fn new(config: EgressConfig) -> Result<Self, EgressError> {
        let tls = tls(&config.extra_roots)?;
        let names = resolve::MAX_QUESTIONS as u64;
        let names = Places::new(names, Part::of(config.max_names_per_tenant as u64, names));
        let public = build(&config, &names, &tls, &[]).map_err(|error| EgressError::Client(error.into()))?;
        Ok(Self { config, names, tls, public, others: RwLock::default() })
    }

    /// Work in which names are resolved, and connections made, on a tenant's behalf.
    pub(crate) fn asking<F: Future>(&self, tenant: &TenantName, work: F) -> impl Future<Output = F::Output> + use<F> {
        resolve::ASKER.scope(self.names.holder(tenant), connect::wanting(work))
    }

    /// The client for a list of special networks that are allowed all the same. It keeps its connections, or closes each after its request.
    ///
    /// # Errors
    /// `internal`, when a client cannot be built.
    pub(crate) fn of(&self, allowed: &[IpNet], kept: bool) -> Result<Client, Fault> {
        if allowed.is_empty() {
            return Ok(self.public.of(kept));
        }
        // A panic while the lock was held leaves the map as it was.
        if let Some(pair) = self.others.read().unwrap_or_else(PoisonError::into_inner).get(allowed) {
            return Ok(pair.of(kept));
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = others.get(allowed) {
            return Ok(pair.of(kept));
        }
        let pair = build(&self.config, &self.names, &self.tls, allowed).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the HTTP client cannot be built");
            Fault::new(Code::Internal, "the HTTP client cannot be set up")
        })?;
        if others.len() >= MAX_OTHERS
            && let Some(any) = others.keys().next().cloned()
        {
            others.remove(&any);
        }
        let client = pair.of(kept);
        others.insert(allowed.to_vec(), pair);
        Ok(client)
    }
}

fn build(config: &EgressConfig, names: &Arc<Places>, tls: &ClientConfig, allowed: &[IpNet]) -> Result<Pair, reqwest::Error> {
    let resolver =
        Checked { resolver: config.resolver.clone(), names: names.clone(), allowed: allowed.into(), timeout: config.resolve_timeout };
    let resolver = Arc::new(resolver);
    let of = |idle_per_host| {
        Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(resolver.clone())
            // The environment's proxies would be connected to without a check, and would connect to anything.
            .no_proxy()
            // Redirects are followed in `send`, where each hop is checked.
            .redirect(redirect::Policy::none())
            .referer(false)
            // A request may have been received even if its answer was not; only the flow knows whether it may go out twice.
            .retry(retry::never())
            .connect_timeout(config.connect_timeout)
            .connector_layer(WhileWanted)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle_per_host)
            // It keeps to 408 KiB and a hundred headers of a response by itself.
            .http1_only()
            .user_agent(concat!("snaphook/", env!("CARGO_PKG_VERSION")))
            .build()
    };
    Ok(Pair { keeping: of(config.max_requests_per_host)?, closing: of(0)? })
}

/// Trusts the public roots that come with the program, so that every node judges alike and an empty container can speak HTTPS; what an
/// operator has beyond them is added by the configuration.
fn tls(extra_roots: &[u8]) -> Result<ClientConfig, EgressError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(extra_roots) {
        let certificate = certificate.map_err(|error| EgressError::Roots(error.into()))?;
        roots.add(certificate).map_err(|error| EgressError::Roots(error.into()))?;
    }
    // Named here because a provider set for the process would be anybody's to set.
    let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| EgressError::Client(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
