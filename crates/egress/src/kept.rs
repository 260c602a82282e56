//! How many connections to upstreams are kept for further requests: of the node, and of one tenant.
//!
//! The HTTP client keeps idle connections for each host and bounds them for each host alone. So what it may have open is counted here, by the
//! requests that it is given: a host has about as many connections as it had requests at once, and none when none was sent for long enough.
//! Requests past the bounds go out over connections of their own, which are closed with their answers.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snaphook_model::TenantName;
use tokio::time::Instant;
use url::Url;

/// Between two looks for hosts whose connections are gone, so that who is at a bound does not pay for a look with each request.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Kept {
    of_node: usize,
    of_tenant: usize,
    /// After so long without a request, the client has closed a host's connections.
    gone: Duration,
    /// Hosts and tenants by their hashes: two that collide are counted as one, which harms nobody, and no text is copied per request.
    hasher: RandomState,
    /// Held for a look-up.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Each has a connection, so there are no more of them than connections may be.
    hosts: HashMap<u64, Host>,
    of: HashMap<u64, usize>,
    all: usize,
    looked: Option<Instant>,
}

/// What one tenant has open to one host and port.
struct Host {
    tenant: u64,
    in_flight: usize,
    /// At most.
    connections: usize,
    used: Instant,
}

/// A request under way.
pub(crate) struct Keeping<'a> {
    kept: &'a Kept,
    /// Of the host whose connections are kept; absent: not this request's.
    host: Option<u64>,
}

impl Kept {
    /// `idle` is how long the client keeps a connection that nobody uses.
    pub(crate) fn new(of_node: usize, of_tenant: usize, idle: Duration) -> Self {
        // The client looks for connections to close as often as it keeps one.
        Self { of_node, of_tenant, gone: idle * 2, hasher: RandomState::new(), state: Mutex::default() }
    }

    /// A request begins.
    pub(crate) fn enter(&self, tenant: &TenantName, url: &Url) -> Keeping<'_> {
        let (tenant, now) = (self.hasher.hash_one(tenant), Instant::now());
        let key = self.hasher.hash_one((tenant, url.scheme(), url.host_str(), url.port_or_known_default()));
        let mut state = self.state();
        let kept = state.begin(key, now) || {
            if self.is_full(&state, tenant) && state.looked.is_none_or(|looked| now >= looked + LOOK) {
                state.forget_gone(now, self.gone);
            }
            let room = !self.is_full(&state, tenant);
            if room {
                state.add(key, tenant, now);
            }
            room
        };
        Keeping { kept: self, host: kept.then_some(key) }
    }

    fn is_full(&self, state: &State, tenant: u64) -> bool {
        state.all >= self.of_node || state.of.get(&tenant).copied().unwrap_or_default() >= self.of_tenant
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins a request for which there is a connection already, or says that there is none.
    fn begin(&mut self, key: u64, now: Instant) -> bool {
        let Some(host) = self.hosts.get_mut(&key).filter(|host| host.in_flight < host.connections) else { return false };
        host.in_flight += 1;
        host.used = now;
        true
    }

    /// Begins a request with one more connection.
    fn add(&mut self, key: u64, tenant: u64, now: Instant) {
        let host = self.hosts.entry(key).or_insert(Host { tenant, in_flight: 0, connections: 0, used: now });
        host.in_flight += 1;
        host.connections += 1;
        host.used = now;
        self.all += 1;
        *self.of.entry(tenant).or_default() += 1;
    }

    fn forget_gone(&mut self, now: Instant, gone: Duration) {
        self.looked = Some(now);
        let (all, of) = (&mut self.all, &mut self.of);
        self.hosts.retain(|_, host| {
            let stays = host.in_flight > 0 || now < host.used + gone;
            if !stays {
                *all -= host.connections;
                give_back(of, host.tenant, host.connections);
            }
            stays
        });
    }
}

fn give_back(of: &mut HashMap<u64, usize>, tenant: u64, connections: usize) {
    if let Some(count) = of.get_mut(&tenant) {
        *count -= connections;
        if *count == 0 {
            of.remove(&tenant);
        }
    }
}

impl Keeping<'_> {
    /// Whether the request's connection may be kept.
    pub(crate) const fn is_kept(&self) -> bool {
        self.host.is_some()
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        let Some(key) = self.host else { return };
        if let Some(host) = self.kept.state().hosts.get_mut(&key) {
            host.in_flight -= 1;
            host.used = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(50);

    fn tenants() -> [TenantName; 3] {
        ["a", "b", "c"].map(|name| TenantName::new(name).unwrap())
    }

    fn host(name: &str) -> Url {
        Url::parse(&format!("http://{name}.example/")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_and_the_node_keep_so_many_and_no_more() {
        let kept = Kept::new(3, 2, IDLE);
        let [a, b, c] = tenants();
        let keeps = |tenant, name| kept.enter(tenant, &host(name)).is_kept();
        assert!(keeps(&a, "one") && keeps(&a, "one") && keeps(&a, "two"));
        assert!(!keeps(&a, "three"), "a tenant has its bound");
        assert!(keeps(&a, "one"), "what is open is used");
        assert!(keeps(&b, "one"));
        assert!(!keeps(&c, "one"), "the node has its bound");
        tokio::time::advance(IDLE).await;
        assert!(keeps(&a, "two") && !keeps(&c, "one"));
        tokio::time::advance(IDLE).await;
        assert!(keeps(&a, "three") && keeps(&a, "two") && !keeps(&a, "four"), "what nobody used is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_at_once_are_connections() {
        let kept = Kept::new(10, 2, IDLE);
        let [a, ..] = tenants();
        let enter = || kept.enter(&a, &host("one"));
        let (first, second, third) = (enter(), enter(), enter());
        assert_eq!([&first, &second, &third].map(Keeping::is_kept), [true, true, false]);
        drop(third);
        tokio::time::advance(IDLE * 3).await;
        assert!(!enter().is_kept(), "a request under way has its connection however long it takes");
        drop((first, second));
        assert!(enter().is_kept() && !kept.enter(&a, &host("two")).is_kept(), "they are there still");
        tokio::time::advance(IDLE * 2).await;
        assert!(kept.enter(&a, &host("three")).is_kept());
        let state = kept.state();
        assert_eq!((state.all, state.hosts.len(), state.of.len()), (1, 1, 1));
    }
}
