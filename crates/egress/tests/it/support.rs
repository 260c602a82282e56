//! Few words for what every test here does: one tenant, one request, names that mean what the test says.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snaphook_egress::{Egress, EgressConfig, Outbound, Resolver, Resolving, Streams};
use snaphook_model::{Code, EgressPolicy, Fault, Headers, HostRule, HttpRequest, HttpResponse, TenantName};
use snaphook_testkit::Upstream;

/// An egress and the policy that its requests have.
pub(crate) struct Sender {
    pub(crate) egress: Arc<Egress>,
    pub(crate) tenant: TenantName,
    pub(crate) policy: EgressPolicy,
    pub(crate) timeout: Duration,
    pub(crate) max_response_bytes: u64,
    pub(crate) redirects: u8,
}

impl Sender {
    /// With the default configuration, and public addresses only.
    pub(crate) fn new() -> Self {
        Self::with(EgressConfig::default())
    }

    pub(crate) fn with(config: EgressConfig) -> Self {
        Self::sharing(&Arc::new(Egress::new(config).expect("the test gives a configuration")))
    }

    /// Another policy over the same pools.
    pub(crate) fn sharing(egress: &Arc<Egress>) -> Self {
        let timeout = Duration::from_secs(20);
        let tenant = TenantName::new("acme").expect("a name");
        Self { egress: egress.clone(), tenant, policy: EgressPolicy::default(), timeout, max_response_bytes: 1 << 20, redirects: 5 }
    }

    /// The same for another tenant.
    pub(crate) fn of_tenant(&self, name: &str) -> Self {
        let tenant = TenantName::new(name).expect("a name");
        Self { egress: self.egress.clone(), tenant, policy: self.policy.clone(), ..*self }
    }

    pub(crate) fn allowing_private(mut self, nets: &[&str]) -> Self {
        self.policy.allow_private = nets.iter().map(|net| net.parse().expect("the test gives networks")).collect();
        self
    }

    /// What most tests need to reach their upstream.
    pub(crate) fn on_loopback(self) -> Self {
        self.allowing_private(&["127.0.0.0/8", "::1/128"])
    }

    pub(crate) fn allowing(mut self, rules: &[&str]) -> Self {
        self.policy.allow = Some(rules.iter().map(|rule| HostRule::parse(rule).expect("the test gives rules")).collect());
        self
    }

    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        self.send_streaming(request, Streams::default()).await
    }

    pub(crate) async fn send_streaming(&self, request: HttpRequest, streams: Streams<'_>) -> Result<HttpResponse, Fault> {
        let outbound = Outbound {
            tenant: &self.tenant,
            request,
            policy: &self.policy,
            timeout: self.timeout,
            max_response_bytes: self.max_response_bytes,
            secrets: None,
            trace: None,
            redirects: self.redirects,
        };
        self.egress.send_streaming(outbound, streams).await
    }

    pub(crate) async fn get(&self, url: &str) -> Result<HttpResponse, Fault> {
        self.send(get(url)).await
    }

    /// The fault that a GET must end with.
    pub(crate) async fn refusal(&self, url: &str, code: Code) -> Fault {
        let fault = self.get(url).await.expect_err(url);
        assert_eq!(fault.code, code, "{url}: {fault}");
        fault
    }
}

pub(crate) fn get(url: &str) -> HttpRequest {
    request("GET", url)
}

pub(crate) fn request(method: &str, url: &str) -> HttpRequest {
    HttpRequest { method: method.to_owned(), url: url.to_owned(), ..HttpRequest::default() }
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().copied().collect()
}

/// Names that mean what the test says: each a list of answers, of which the last is repeated.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<HashMap<String, usize>>,
}

impl Names {
    pub(crate) fn with(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().expect("the test gives addresses")).collect();
        self.answers.entry(name.to_owned()).or_default().push(addresses);
        self
    }

    pub(crate) fn config(self) -> EgressConfig {
        EgressConfig { resolver: Arc::new(self), ..EgressConfig::default() }
    }
}

impl Resolver for Names {
    fn resolve(&self, name: &str) -> Resolving {
        let mut asked = self.asked.lock().expect("no holder panics");
        let count = asked.entry(name.to_owned()).or_default();
        let answer = self.answers.get(name).map(|answers| answers[(*count).min(answers.len() - 1)].clone());
        *count += 1;
        Box::pin(async { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// That nothing at all arrived: not even a connection.
pub(crate) fn untouched(upstream: &Upstream) {
    assert_eq!(upstream.connections(), 0, "a connection was made");
}
