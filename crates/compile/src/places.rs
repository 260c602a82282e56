//! Who may start a child now: few at once, no tenant more than half of them, and one place for calls that wait for their script.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use snaphook_model::TenantName;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// On whose behalf something is compiled, and who waits for it.
#[derive(Debug, Clone, Copy)]
pub enum Turn<'a> {
    /// Somebody deploys.
    Upload(&'a TenantName),
    /// Somebody calls what is deployed.
    Call(&'a TenantName),
}

pub(crate) struct Places {
    all: Semaphore,
    /// Beyond those of all: uploads, however many, do not hold up what was deployed before.
    for_calls: Semaphore,
    per_tenant: usize,
    /// Each tenant's own line, which lives while somebody stands in it. Held for a look-up.
    lines: Mutex<HashMap<TenantName, Weak<Semaphore>>>,
}

/// The right to have one child at work.
pub(crate) struct Place<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_tenant: OwnedSemaphorePermit,
}

impl Places {
    /// So many children at once. Where there are two or more, one of them is for calls.
    pub(crate) fn new(children: usize) -> Self {
        let places = children.saturating_sub(1).max(1);
        let for_calls = children.saturating_sub(places);
        Self { all: Semaphore::new(places), for_calls: Semaphore::new(for_calls), per_tenant: (places / 2).max(1), lines: Mutex::default() }
    }

    /// Waits for a place, first in the tenant's own line and then among those who are first in theirs.
    pub(crate) async fn take(&self, turn: Turn<'_>) -> Result<Place<'_>, AcquireError> {
        let (Turn::Upload(tenant) | Turn::Call(tenant)) = turn;
        let of_tenant = self.line(tenant).acquire_owned().await?;
        let of_all = match turn {
            Turn::Upload(_) => self.all.acquire().await?,
            Turn::Call(_) => tokio::select! {
                biased;
                place = self.all.acquire() => place?,
                place = self.for_calls.acquire() => place?,
            },
        };
        Ok(Place { _of_all: of_all, _of_tenant: of_tenant })
    }

    fn line(&self, tenant: &TenantName) -> Arc<Semaphore> {
        // A panic while the lock was held leaves the map as it was.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(tenant).and_then(Weak::upgrade) {
            return line;
        }
        // As many as compile at this moment, so the look at all of them is nothing beside what follows.
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(self.per_tenant));
        lines.insert(tenant.clone(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use snaphook_model::TenantName;

    use super::{Places, Turn};

    #[tokio::test]
    async fn a_tenant_has_half_and_calls_have_one_of_their_own() {
        let [a, b, c] = ["a", "b", "c"].map(|name| TenantName::new(name).unwrap());
        let places = Places::new(5);
        let now = |turn| places.take(turn).now_or_never().map(Result::unwrap);
        let first = now(Turn::Upload(&a)).unwrap();
        let _second = now(Turn::Upload(&a)).unwrap();
        assert!(now(Turn::Upload(&a)).is_none() && now(Turn::Call(&a)).is_none(), "a tenant has half");
        let mut waiting = Box::pin(places.take(Turn::Upload(&a)));
        assert!((&mut waiting).now_or_never().is_none());
        let _third = now(Turn::Upload(&b)).unwrap();
        let _fourth = now(Turn::Call(&c)).unwrap();
        assert!(now(Turn::Upload(&b)).is_none(), "all are taken");
        let called = now(Turn::Call(&b)).expect("one is for calls only");
        assert!(now(Turn::Call(&c)).is_none());
        drop(called);
        assert!(now(Turn::Call(&c)).is_some());
        drop(first);
        assert!(waiting.now_or_never().is_some(), "whoever waited in the tenant's own line comes next");
        assert!(places.lines.lock().unwrap().len() <= 3);
    }

    #[tokio::test]
    async fn one_child_is_for_all() {
        let [a, b] = ["a", "b"].map(|name| TenantName::new(name).unwrap());
        let places = Places::new(1);
        let first = places.take(Turn::Upload(&a)).await.unwrap();
        let mut waiting = Box::pin(places.take(Turn::Call(&b)));
        assert!((&mut waiting).now_or_never().is_none(), "there is no second one");
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }
}
