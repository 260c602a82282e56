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

/// So many requests that only look, or call back, for each that the rate of a tenant's quota is for: they cost a tenth or less, and who watches runs or
/// has a page open makes many.
const LOOKS: u32 = 10;
/// So many of them may begin at once, however low the rate is: a page of the dashboard asks for tens of things.
const BURST_OF_LOOKS: u32 = 100;

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
    rate_looks: DefaultDirectRateLimiter,
    /// Counted apart, so that who reads too fast holds up none of the runs that wait.
    rate_callbacks: DefaultDirectRateLimiter,
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
    /// It reads or manages tokens.
    Look,
    /// It resumes what was begun before, which must not fail because much was.
    CallBack,
}

impl Kind {
    pub(crate) const fn of(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Deploy | TokenScope::Invoke => Self::Work,
            TokenScope::Read | TokenScope::Admin => Self::Look,
            TokenScope::Callback => Self::CallBack,
        }
    }

    /// Whether the quota's own numbers are for it.
    const fn is_work(self) -> bool {
        matches!(self, Self::Work | Self::Outside)
    }

    /// Requests of it that may begin in a second.
    const fn rate(self, quota: &Quota) -> u32 {
        if self.is_work() { quota.rate_per_s } else { quota.rate_per_s.saturating_mul(LOOKS) }
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
        let most = if kind.is_work() { tenant.quota.concurrency } else { self.looks };
        let place = Place::take(&share.in_flight, kind, most).ok_or_else(|| too_many_at_once(kind, most))?;
        let rate = match kind {
            Kind::Work => &share.rate,
            Kind::Outside => &share.rate_outside,
            Kind::Look => &share.rate_looks,
            Kind::CallBack => &share.rate_callbacks,
        };
        rate.check().map_err(|until| too_fast(kind, &tenant.quota, until.wait_time_from(rate.clock().now())))?;
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
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let limiter = |kind: Kind| {
            let per_s = at_least_one(kind.rate(&quota));
            let burst = if kind.is_work() { per_s } else { per_s.max(at_least_one(BURST_OF_LOOKS)) };
            RateLimiter::direct(governor::Quota::per_second(per_s).allow_burst(burst))
        };
        let [rate, rate_outside, rate_looks, rate_callbacks] = [Kind::Work, Kind::Outside, Kind::Look, Kind::CallBack].map(limiter);
        Self { quota, in_flight, rate, rate_outside, rate_looks, rate_callbacks }
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
            Kind::Look | Kind::CallBack => &self.in_flight.looks,
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
        Kind::Look | Kind::CallBack => {
            format!("the tenant has {most} requests in flight that read or call back, which is all that a node gives to one tenant")
        }
    };
    refused(Fault::new(Code::QuotaConcurrency, detail).of_limit(most.into(), None), SOON_S)
}

fn too_fast(kind: Kind, quota: &Quota, wait: Duration) -> Problem {
    let rate = kind.rate(quota);
    let detail = match kind {
        Kind::Work | Kind::Outside => format!("the tenant sends more than the {rate} requests a second that its quota `rate_per_s` allows"),
        Kind::Look => format!("the tenant reads more than {rate} times a second, which is {LOOKS} times its quota `rate_per_s`"),
        Kind::CallBack => {
            format!("the tenant is called back more than {rate} times a second, which is {LOOKS} times its quota `rate_per_s`")
        }
    };
    // Headers have whole seconds; who comes a moment too early is refused again.
    let wait_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    refused(Fault::new(Code::QuotaRate, detail).of_limit(rate.into(), None), wait_s)
}

fn refused(fault: Fault, after_s: u64) -> Problem {
    Problem::from(fault).with_header(header::RETRY_AFTER, HeaderValue::from(after_s))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use snaphook_model::{Code, Tenant, TenantName};

    use super::{BURST_OF_LOOKS, Kind, Quotas};

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

    #[test]
    fn looks_have_a_rate_of_their_own() {
        let quotas = Quotas::new(16);
        // One look each tenth of a second, beyond a hundred at once.
        let slow = tenant("slow", json!({"rate_per_s": 1}));
        for kind in [Kind::Look, Kind::CallBack] {
            for number in 1..=BURST_OF_LOOKS {
                assert!(quotas.admit(&slow, kind).is_ok(), "look {number}");
            }
            let problem = quotas.admit(&slow, kind).expect_err("one more");
            assert_eq!((problem.code(), problem.fault().limit), (Code::QuotaRate, Some(10)));
            assert_eq!(problem.render("x").headers()["retry-after"], "1");
        }
        drop(quotas.admit(&slow, Kind::Work).expect("work is no look"));
        drop(quotas.admit(&tenant("other", json!({"rate_per_s": 1})), Kind::Look).expect("another tenant's"));
        // A high rate is a burst of its own.
        let fast = tenant("fast", json!({"rate_per_s": 100_000}));
        for _ in 0..10 * BURST_OF_LOOKS {
            drop(quotas.admit(&fast, Kind::Look).expect("less than a million"));
        }
    }
}
