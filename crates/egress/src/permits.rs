//! How many requests, and so connections, may be under way: of the node, of one tenant, and of one tenant to one host.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use snaphook_model::{Code, Fault, TenantName};
use snaphook_shares::{Part, Place as PlaceOfTenant, Places};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::target;

/// How many may wait for each request that may be under way. Whoever comes later would spend the deadline in the queue.
const WAITING_PER_PERMIT: usize = 4;

pub(crate) struct Permits {
    /// Of all tenants, each of which has a part.
    tenants: Arc<Places>,
    per_host: usize,
    /// By the hash of tenant, host and port: two that collide share their permits, which harms nobody, and no text is copied per request.
    /// Held for a look-up.
    hosts: Mutex<HashMap<u64, Host>>,
    hasher: RandomState,
}

struct Host {
    permits: Arc<Semaphore>,
    /// Under way or waiting. The last one to leave takes the entry with it.
    users: usize,
}

/// The right to have one request under way.
pub(crate) struct Permit<'a> {
    // Fields are dropped in order: the permits go back before the place does.
    _of_tenant: PlaceOfTenant,
    _of_host: OwnedSemaphorePermit,
    _place: Place<'a>,
}

/// Being counted among a host's users.
struct Place<'a> {
    permits: &'a Permits,
    key: u64,
}

impl Permits {
    pub(crate) fn new(all: usize, per_tenant: usize, per_host: usize) -> Self {
        let (all, per_tenant) = (all as u64, per_tenant as u64);
        Self { tenants: Places::new(all, Part::of(per_tenant, all)), per_host, hosts: Mutex::default(), hasher: RandomState::new() }
    }

    /// Waits for a permit, at most until the deadline.
    ///
    /// # Errors
    /// `overloaded`, when the deadline comes first or the queue is full.
    pub(crate) async fn enter(&self, tenant: &TenantName, url: &Url, deadline: Instant) -> Result<Permit<'_>, Fault> {
        let key = self.hasher.hash_one((tenant, url.host_str(), url.port_or_known_default()));
        let (place, host) = self.take_place(key).ok_or_else(|| self.overloaded(url, "as many as may wait for one wait already"))?;
        // The host's permit first: whoever waits for a slow host holds nothing that others could use.
        let of_host = match timeout_at(deadline, host.acquire_owned()).await {
            Ok(permit) => permit.map_err(closed)?,
            Err(_) => return Err(self.overloaded(url, "none became free before the deadline")),
        };
        let tenant = self.tenants.holder(tenant);
        match timeout_at(deadline, self.tenants.take(tenant, 1)).await {
            Ok(of_tenant) => Ok(Permit { _of_tenant: of_tenant, _of_host: of_host, _place: place }),
            Err(_) => Err(self.too_many(self.tenants.held(tenant))),
        }
    }

    /// Why a tenant that has so many under way has no more.
    fn too_many(&self, held: u64) -> Fault {
        if self.tenants.free() == 0 {
            return Fault::new(Code::Overloaded, "the node has as many requests under way as it may, and none ended before the deadline");
        }
        let detail = format!("{held} requests of this tenant may be under way at once now, and none ended before the deadline");
        Fault::new(Code::Overloaded, detail).of_limit(held, None)
    }

    fn overloaded(&self, url: &Url, reason: &str) -> Fault {
        let host = target::label(url);
        Fault::new(
            Code::Overloaded,
            format!("{} requests of this tenant to `{host}` may be under way at once, and {reason}", self.per_host),
        )
    }

    fn take_place(&self, key: u64) -> Option<(Place<'_>, Arc<Semaphore>)> {
        let mut hosts = self.hosts();
        let host = hosts.entry(key).or_insert_with(|| Host { permits: Arc::new(Semaphore::new(self.per_host)), users: 0 });
        if host.users >= self.per_host * (1 + WAITING_PER_PERMIT) {
            return None;
        }
        host.users += 1;
        Some((Place { permits: self, key }, host.permits.clone()))
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<u64, Host>> {
        self.hosts.lock().expect("no holder of the lock panics")
    }
}

/// Nothing closes the permits while they can be asked for.
fn closed(_: AcquireError) -> Fault {
    Fault::new(Code::Internal, "egress is closed")
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut hosts = self.permits.hosts();
        if let Some(host) = hosts.get_mut(&self.key) {
            host.users -= 1;
            if host.users == 0 {
                hosts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names() -> (TenantName, TenantName, Url) {
        (TenantName::new("a").unwrap(), TenantName::new("b").unwrap(), Url::parse("http://u.example/").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_fills_a_host_leaves_it_to_others() {
        let (a, b, url) = names();
        let permits = Permits::new(8, 8, 1);
        let soon = || Instant::now() + Duration::from_secs(1);
        let held = permits.enter(&a, &url, soon()).await.unwrap();
        let fault = permits.enter(&a, &url, soon()).await.err().unwrap();
        assert_eq!(fault.code, Code::Overloaded);
        assert!(fault.detail.contains("`u.example`"), "{}", fault.detail);
        drop(permits.enter(&b, &url, soon()).await.unwrap());
        drop(held);
        drop(permits.enter(&a, &url, soon()).await.unwrap());
        assert!(permits.hosts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_with_many_hosts_leaves_the_node_to_others() {
        let (a, b, _) = names();
        let permits = Permits::new(8, 2, 8);
        let soon = || Instant::now() + Duration::from_secs(1);
        let host = |name: &str| Url::parse(&format!("http://{name}.example/")).unwrap();
        let held = [permits.enter(&a, &host("one"), soon()).await.unwrap(), permits.enter(&a, &host("two"), soon()).await.unwrap()];
        let fault = permits.enter(&a, &host("three"), soon()).await.err().unwrap();
        assert_eq!((fault.code, fault.limit), (Code::Overloaded, Some(2)), "{fault}");
        drop(permits.enter(&b, &host("three"), soon()).await.unwrap());
        drop(held);
        drop(permits.enter(&a, &host("three"), soon()).await.unwrap());
        assert!(permits.hosts().is_empty() && permits.tenants.free() == 8);
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_whose_upstreams_hang_leave_some_to_the_next() {
        let permits = Permits::new(32, 16, 32);
        let url = Url::parse("http://u.example/").unwrap();
        let mut held = Vec::new();
        for hog in 0..4 {
            let hog = TenantName::new(&format!("hog{hog}")).unwrap();
            while let Ok(permit) = permits.enter(&hog, &url, Instant::now() + Duration::from_secs(1)).await {
                held.push(permit);
            }
        }
        let begun = Instant::now();
        let next = permits.enter(&TenantName::new("next").unwrap(), &url, begun + Duration::from_secs(1)).await;
        assert!(next.is_ok() && Instant::now() == begun, "{} are held", held.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_at_once() {
        let (a, _, url) = names();
        let permits = Permits::new(8, 8, 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        let held = permits.enter(&a, &url, deadline).await.unwrap();
        let queue: Vec<_> = (0..WAITING_PER_PERMIT)
            .map(|_| permits.take_place(permits.hasher.hash_one((&a, url.host_str(), Some(80u16)))).unwrap())
            .collect();
        assert_eq!(permits.enter(&a, &url, deadline).await.err().unwrap().code, Code::Overloaded);
        assert!(Instant::now() < deadline);
        drop((queue, held));
        assert!(permits.hosts().is_empty());
    }
}
