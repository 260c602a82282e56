//! Fills in templates. Nearly always that takes microseconds; what takes longer is done where it holds nobody.

use std::time::Instant;

use snaphook_model::{Code, Fault};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::template::Values;

/// What is spent before a filling counts as a long one, in units of a request's budget: less than a millisecond.
const AT_ONCE: u64 = 20_000;

/// Long fillings under way at once. Each keeps a core busy for up to some tenths of a second, and the cores have others to serve.
const LONG_ONES: usize = 2;

/// Places for long fillings.
#[derive(Debug)]
pub(crate) struct LongFillings(Semaphore);

impl Default for LongFillings {
    fn default() -> Self {
        Self(Semaphore::new(LONG_ONES))
    }
}

impl LongFillings {
    /// Fills in what `fill` fills in, with these values. It is pure, so a filling that turns out to be long is begun again elsewhere.
    pub(crate) async fn fill<T>(&self, values: &Values, deadline: Instant, fill: impl Fn(&Values) -> Result<T, Fault>) -> Result<T, Fault> {
        let short = values.within(AT_ONCE);
        match fill(&short) {
            Err(_) if short.are_spent() => {}
            filled => return filled,
        }
        let place = tokio::time::timeout_at(deadline.into(), self.0.acquire());
        let Ok(_place) = place.await else {
            return Err(Fault::new(
                Code::Timeout,
                "the run timed out: its time was over before the request's templates could be filled in",
            ));
        };
        let fill = || fill(values);
        match Handle::current().runtime_flavor() {
            // The worker's other tasks go on elsewhere.
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(fill),
            _ => fill(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_long_filling_is_done_again_with_the_whole_budget() {
        let (places, tries) = (LongFillings::default(), Cell::new(0));
        let fill = |work: u64| {
            let (places, tries) = (&places, &tries);
            async move {
                tries.set(0);
                let fill = |values: &Values| {
                    tries.set(tries.get() + 1);
                    values.spend_for_test(work)
                };
                let filled = places.fill(&Values::default(), Instant::now() + Duration::from_secs(60), fill).await;
                (filled.map_err(|fault| fault.code), tries.get())
            }
        };
        assert_eq!(fill(AT_ONCE).await, (Ok(()), 1));
        assert_eq!(fill(AT_ONCE + 1).await, (Ok(()), 2));
        assert_eq!(fill(u64::MAX).await, (Err(Code::TemplateLimit), 2));
    }

    #[tokio::test]
    async fn no_place_is_waited_for_beyond_the_runs_end() {
        let places = LongFillings::default();
        let _taken = places.0.acquire_many(2).await.unwrap();
        let filled = places.fill(&Values::default(), Instant::now(), |values| values.spend_for_test(AT_ONCE + 1)).await;
        assert_eq!(filled.unwrap_err().code, Code::Timeout);
    }
}
