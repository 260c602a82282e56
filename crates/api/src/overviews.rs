//! Who makes an overview now. Each holds one of the few readers of the store for a while, so that two are made at once, and one of each tenant:
//! whoever asks for many waits behind their own, and nobody's look-ups wait for them. Whoever waits comes before those who have just had one.

use std::sync::Arc;
use std::time::Duration;

use snaphook_model::TenantName;
use snaphook_shares::{Part, Place, Places};

use crate::problem::Problem;

/// At once on this node, of all tenants.
const AT_ONCE: u64 = 2;

/// How long one waits for its place.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Overviews(Arc<Places>);

impl Default for Overviews {
    fn default() -> Self {
        Self(Places::new(AT_ONCE, Part::HALF))
    }
}

impl Overviews {
    /// A place, given back when dropped.
    ///
    /// # Errors
    /// `overloaded` when there is none in time.
    pub(crate) async fn place(&self, tenant: &TenantName) -> Result<Place, Problem> {
        let place = tokio::time::timeout(PATIENCE, self.0.take(self.0.holder(tenant), 1)).await;
        place.map_err(|_| Problem::overloaded("too many overviews are being made"))
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
        let second = second.await.unwrap();
        // Two who make one after the other let a third in as soon as one of theirs ends.
        let _held = overviews.place(&other).await.unwrap();
        let mut next_of_greedy = Box::pin(overviews.place(&greedy));
        let mut thirds = Box::pin(overviews.place(&third));
        assert!(poll!(&mut next_of_greedy).is_pending() && poll!(&mut thirds).is_pending());
        drop(second);
        assert!(poll!(&mut next_of_greedy).is_ready() || poll!(&mut thirds).is_ready());
    }
}
