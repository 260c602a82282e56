//! Who makes an overview now. Each holds one of the few readers of the store for a while, so that two are made at once, and one of each tenant:
//! whoever asks for many waits behind their own, and nobody's look-ups wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use snaphook_model::TenantName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// At once on this node, of all tenants.
const AT_ONCE: usize = 2;

/// How long one waits for its place.
const PATIENCE: Duration = Duration::from_secs(10);

/// Entries at which those that nobody uses any more are looked for.
const SWEEP_AT: usize = 64;

pub(crate) struct Overviews {
    node: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantName, Weak<Semaphore>>>,
}

impl Default for Overviews {
    fn default() -> Self {
        Self { node: Arc::new(Semaphore::new(AT_ONCE)), tenants: Mutex::default() }
    }
}

impl Overviews {
    /// A place among the tenant's own and then among all, given back when dropped.
    ///
    /// # Errors
    /// `overloaded` when there is none in time.
    pub(crate) async fn place(&self, tenant: &TenantName) -> Result<[OwnedSemaphorePermit; 2], Problem> {
        let (own, node) = (self.of(tenant), Arc::clone(&self.node));
        let places = async { Some([own.acquire_owned().await.ok()?, node.acquire_owned().await.ok()?]) };
        let places = tokio::time::timeout(PATIENCE, places).await.ok().flatten();
        places.ok_or_else(|| Problem::overloaded("too many overviews are being made"))
    }

    fn of(&self, tenant: &TenantName) -> Arc<Semaphore> {
        // A panic while the lock was held leaves the map as it was.
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = tenants.get(tenant).and_then(Weak::upgrade) {
            return own;
        }
        if tenants.len() >= SWEEP_AT {
            tenants.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(1));
        tenants.insert(tenant.clone(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;
    use snaphook_model::TenantName;

    use super::Overviews;

    #[tokio::test]
    async fn a_tenant_waits_behind_its_own() {
        let overviews = Overviews::default();
        let [greedy, other, third] = ["greedy", "other", "third"].map(|name| TenantName::new(name).unwrap());
        let first = overviews.place(&greedy).await.unwrap();
        let mut second = Box::pin(overviews.place(&greedy));
        assert!(matches!(poll!(&mut second), Poll::Pending));
        let others = overviews.place(&other).await.unwrap();
        let mut thirds = Box::pin(overviews.place(&third));
        assert!(matches!(poll!(&mut thirds), Poll::Pending), "there are two places");
        drop(others);
        let _ = thirds.await.unwrap();
        assert!(matches!(poll!(&mut second), Poll::Pending));
        drop(first);
        let _ = second.await.unwrap();
    }
}
