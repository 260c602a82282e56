//! What each tenant has in flight, and how fast it begins more.
//!
//! Nobody queues here: who is over its quota is told when to come again, and nobody else notices.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, RateLimiter};
use http::{HeaderValue, header};
use moka::sync::Cache;
use snaphook_model::{Code, Fault, Quota, Tenant, TenantName, TokenScope};

use crate::problem::Problem;

/// Tenants whose counts are kept: some hundred bytes each.
const KEPT: u64 = 100_000;
/// A tenant that was quiet for longer has nothing in flight, and its rate is whole again.
const QUIET: Duration = Duration::from_hours(1);
/// When to come again who has too much in flight. Nobody knows when something ends; a second is what a node that is full says.
const SOON_S: u64 = 1;

/// All tenants' counts on this node.
pub(crate) struct Quotas {
    kept: Cache<TenantName, Arc<Share>>,
    /// Requests of one tenant at once that only look or call back.
    looks: u32,
}

/// One tenant's.
struct Share {
    quota: Quota,
    in_flight: Arc<InFlight>,
    rate: DefaultDirectRateLimiter,
    /// Of those who have shown nothing yet.
    rate_outside: DefaultDirectRateLimiter,
}

#[derive(Debug, Default)]
struct InFlight {
    work: AtomicU32,
    outside: AtomicU32,
    looks: AtomicU32,
}

/// What a request does to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It calls, runs, compiles or writes: the tenant's quota is for these.
    Work,
    /// It says that it comes for a flow whose callers sign, and has not shown that yet: as much as work, but counted apart, so that strangers do not
    /// use up what is the tenant's.
    Outside,
    /// It reads, manages tokens, or resumes what was begun before, which must not fail because much was.
    Look,
}

impl Kind {
    pub(crate) const fn of(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Deploy | TokenScope::Invoke => Self::Work,
            TokenScope::Read | TokenScope::Callback | TokenScope::Admin => Self::Look,
        }
    }
}

/// A place among the tenant's requests, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    in_flight: Arc<InFlight>,
    kind: Kind,
}

impl Quotas {
    /// For a node that takes so many requests at once.
    pub(crate) fn new(max_requests: usize) -> Self {
        // Looks are short; an eighth of the node is far more than they need, and leaves the rest to others.
        let looks = u32::try_from(max_requests / 8).unwrap_or(u32::MAX).max(1);
        Self { kept: Cache::builder().max_capacity(KEPT).time_to_idle(QUIET).build(), looks }
    }

    /// A place for one request.
    pub(crate) fn admit(&self, tenant: &Tenant, kind: Kind) -> Result<Place, Problem> {
        let share = self.share(tenant);
        let most = if kind == Kind::Look { self.looks } else { tenant.quota.concurrency };
        let place = Place::take(&share.in_flight, kind, most).ok_or_else(|| too_many_at_once(kind, most))?;
        let rate = match kind {
            Kind::Work => &share.rate,
            Kind::Outside => &share.rate_outside,
            Kind::Look => return Ok(place),
        };
        rate.check().map_err(|until| too_fast(&tenant.quota, until.wait_time_from(rate.clock().now())))?;
        Ok(place)
    }

    /// Requests of a tenant that are at work on this node now.
    pub(crate) fn at_work(&self, tenant: &TenantName) -> u32 {
        self.kept.get(tenant).map_or(0, |share| share.in_flight.work.load(Ordering::Relaxed))
    }

    fn share(&self, tenant: &Tenant) -> Arc<Share> {
        if let Some(share) = self.kept.get(&tenant.name).filter(|share| share.quota == tenant.quota) {
            return share;
        }
        // One after the other for a tenant, so that all who come count in the same place.
        let entry = self.kept.entry_by_ref(&tenant.name).and_upsert_with(|kept| match kept.map(moka::Entry::into_value) {
            Some(share) if share.quota == tenant.quota => share,
            other => Arc::new(Share::new(tenant.quota, other.map_or_else(Arc::default, |share| Arc::clone(&share.in_flight)))),
        });
        entry.into_value()
    }
}

impl Share {
    /// A quota that has not been used yet, but for what is in flight already.
    fn new(quota: Quota, in_flight: Arc<InFlight>) -> Self {
        let per_s = NonZeroU32::new(quota.rate_per_s).unwrap_or(NonZeroU32::MIN);
        let [rate, rate_outside] = [(); 2].map(|()| RateLimiter::direct(governor::Quota::per_second(per_s)));
        Self { quota, in_flight, rate, rate_outside }
    }
}

impl Place {
    fn take(in_flight: &Arc<InFlight>, kind: Kind, most: u32) -> Option<Self> {
        let place = Self { in_flight: Arc::clone(in_flight), kind };
        let before = place.count().fetch_add(1, Ordering::Relaxed);
        // Dropped, the place gives back what it took.
        (before < most).then_some(place)
    }

    fn count(&self) -> &AtomicU32 {
        match self.kind {
            Kind::Work => &self.in_flight.work,
            Kind::Outside => &self.in_flight.outside,
            Kind::Look => &self.in_flight.looks,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count().fetch_sub(1, Ordering::Relaxed);
    }
}

fn too_many_at_once(kind: Kind, most: u32) -> Problem {
    let detail = match kind {
        Kind::Work | Kind::Outside => format!("the tenant has {most} requests in flight, which is all that its quota `concurrency` allows"),
        Kind::Look => format!("the tenant has {most} requests in flight that read, which is all that a node gives to one tenant"),
    };
    refused(Fault::new(Code::QuotaConcurrency, detail).of_limit(most.into(), None), SOON_S)
}

fn too_fast(quota: &Quota, wait: Duration) -> Problem {
    let detail = format!("the tenant sends more than the {} requests a second that its quota `rate_per_s` allows", quota.rate_per_s);
    // Headers have whole seconds; who comes a moment too early is refused again.
    let wait_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    refused(Fault::new(Code::QuotaRate, detail).of_limit(quota.rate_per_s.into(), None), wait_s)
}

fn refused(fault: Fault, after_s: u64) -> Problem {
    Problem::from(fault).with_header(header::RETRY_AFTER, HeaderValue::from(after_s))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use snaphook_model::{Code, Tenant, TenantName};

    use super::{Kind, Quotas};

    fn tenant(name: &str, quota: Value) -> Tenant {
        let document = serde_json::from_value(json!({"quota": quota})).expect("a document");
        Tenant::new(TenantName::new(name).expect("a name"), document).expect("a tenant")
    }

    #[test]
    fn places_are_a_tenants_own_and_are_given_back() {
        let quotas = Quotas::new(16);
        let (one, other) = (tenant("one", json!({"concurrency": 2})), tenant("other", json!({"concurrency": 1})));
        let held = [quotas.admit(&one, Kind::Work).expect("first"), quotas.admit(&one, Kind::Work).expect("second")];
        assert_eq!(quotas.admit(&one, Kind::Work).expect_err("third").code(), Code::QuotaConcurrency);
        let _other = quotas.admit(&other, Kind::Work).expect("another tenant's");
        let looks = [quotas.admit(&one, Kind::Look).expect("a look"), quotas.admit(&one, Kind::Look).expect("a look")];
        assert_eq!(quotas.admit(&one, Kind::Look).expect_err("an eighth of sixteen").code(), Code::QuotaConcurrency);
        drop((held, looks));
        assert_eq!(quotas.at_work(&one.name), 0);
        quotas.admit(&one, Kind::Work).expect("again");
    }

    #[test]
    fn a_changed_quota_counts_what_is_in_flight() {
        let quotas = Quotas::new(16);
        let _held = quotas.admit(&tenant("one", json!({"concurrency": 5})), Kind::Work).expect("first");
        let less = tenant("one", json!({"concurrency": 1}));
        assert_eq!(quotas.admit(&less, Kind::Work).expect_err("one is there").code(), Code::QuotaConcurrency);
    }

    #[test]
    fn a_rate_is_refused_beyond_its_burst_and_costs_no_place() {
        let quotas = Quotas::new(16);
        let slow = tenant("slow", json!({"rate_per_s": 3}));
        for _ in 0..3 {
            drop(quotas.admit(&slow, Kind::Work).expect("within a second's worth"));
        }
        let problem = quotas.admit(&slow, Kind::Work).expect_err("a fourth at once");
        assert_eq!(problem.code(), Code::QuotaRate);
        assert_eq!(problem.render("x").headers()["retry-after"], "1");
        assert_eq!(quotas.at_work(&slow.name), 0);
        drop(quotas.admit(&slow, Kind::Outside).expect("what strangers do is counted apart"));
        drop(quotas.admit(&slow, Kind::Look).expect("looking is not work"));
    }
}
