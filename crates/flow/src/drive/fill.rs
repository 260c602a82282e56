//! Fills in templates. Nearly always that takes microseconds; what takes longer is done where it holds nobody.

use std::sync::Arc;
use std::time::Instant;

use snaphook_model::{Code, Fault, Tenant, TenantName};
use snaphook_shares::{Part, Places};

use crate::runner::Inner;
use crate::template::Values;

/// What is spent before a filling counts as a long one, in units of a request's budget: less than a millisecond.
const AT_ONCE: u64 = 20_000;

/// Long fillings under way at once. Each keeps a core busy for up to some tenths of a second, and the cores have others to serve.
const LONG_ONES: u64 = 2;

/// Places for long fillings. One tenant has half of them, and who waits comes in turn, one tenant after the other.
#[derive(Debug)]
pub(crate) struct LongFillings(Arc<Places>);

impl Default for LongFillings {
    fn default() -> Self {
        Self(Places::new(LONG_ONES, Part::HALF))
    }
}

impl Inner {
    /// Fills in what `fill` fills in, with these values. The time that it takes is the tenant's, as that of its short invocations is.
    pub(crate) async fn fill<T: Send + 'static>(
        &self,
        tenant: &Tenant,
        values: &Values,
        deadline: Instant,
        fill: impl Fn(&Values) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (sandbox, name, weight) = (self.parts.sandbox.clone(), tenant.name.clone(), tenant.weight);
        let counted = move |values: &Values| sandbox.counted(&name, weight, || fill(values));
        self.fillings.fill(&tenant.name, values, deadline, counted).await
    }
}

impl LongFillings {
    /// Fills in. It is pure, so a filling that turns out to be long is begun again aside, where it holds nobody.
    async fn fill<T: Send + 'static>(
        &self,
        tenant: &TenantName,
        values: &Values,
        deadline: Instant,
        fill: impl Fn(&Values) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let short = values.within(AT_ONCE);
        match fill(&short) {
            Err(_) if short.are_spent() => {}
            filled => return filled,
        }
        let values = values.clone();
        let filled = async {
            let place = self.0.take(self.0.holder(tenant), 1).await;
            let fill = move || {
                // It is taken until this is done, also where nobody waits for it any more.
                let _place = place;
                fill(&values)
            };
            snaphook_aside::run(fill).await.unwrap_or_else(|error| Err(Fault::new(Code::Internal, error.to_string())))
        };
        tokio::time::timeout_at(deadline.into(), filled).await.unwrap_or_else(|_| {
            Err(Fault::new(Code::Timeout, "the run timed out: its time was over before the request's templates were filled in"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn tenant(name: &str) -> TenantName {
        TenantName::new(name).unwrap()
    }

    #[tokio::test]
    async fn a_long_filling_is_done_again_with_the_whole_budget() {
        let (places, tries, acme) = (LongFillings::default(), Arc::new(AtomicU32::new(0)), tenant("acme"));
        let fill = |work: u64| {
            let (places, tries, acme) = (&places, Arc::clone(&tries), &acme);
            async move {
                tries.store(0, Ordering::Relaxed);
                let counted = Arc::clone(&tries);
                let fill = move |values: &Values| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    values.spend_for_test(work)
                };
                let filled = places.fill(acme, &Values::default(), Instant::now() + Duration::from_secs(60), fill).await;
                (filled.map_err(|fault| fault.code), tries.load(Ordering::Relaxed))
            }
        };
        assert_eq!(fill(AT_ONCE).await, (Ok(()), 1));
        assert_eq!(fill(AT_ONCE + 1).await, (Ok(()), 2));
        assert_eq!(fill(u64::MAX).await, (Err(Code::TemplateLimit), 2));
    }

    #[tokio::test]
    async fn one_tenant_has_half_of_the_places_and_waits_for_no_other_beyond_its_runs_end() {
        let places = LongFillings::default();
        let taken = places.0.try_take(places.0.holder(&tenant("many")), 1).expect("nobody has any");
        let now = Instant::now();
        let long = |values: &Values| values.spend_for_test(AT_ONCE + 1);
        let filled = places.fill(&tenant("many"), &Values::default(), now, long).await;
        assert_eq!(filled.unwrap_err().code, Code::Timeout, "the other place is for others");
        places.fill(&tenant("few"), &Values::default(), now + Duration::from_secs(60), long).await.expect("it is free");
        drop(taken);
        places.fill(&tenant("many"), &Values::default(), now + Duration::from_secs(60), long).await.expect("its own is free again");
    }
}
