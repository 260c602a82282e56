//! What is counted often: what is in use now, while it is held, and look-ups in memory. Their series are found once.

use crate::metric::Gauge;
use crate::table::metrics;

/// One more of a gauge, until it is dropped.
#[derive(Debug)]
pub struct Held(prometheus::IntGauge);

/// Counts one more until what is given back is dropped.
#[must_use]
pub fn held(gauge: &Gauge<0>) -> Held {
    let gauge = gauge.series([]);
    gauge.inc();
    Held(gauge)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts a cache's look-ups.
#[derive(Debug, Clone)]
pub struct Lookups {
    hits: prometheus::IntCounter,
    misses: prometheus::IntCounter,
}

impl Lookups {
    /// Those of the cache with this name.
    #[must_use]
    pub fn of(cache: &'static str) -> Self {
        let counter = &metrics().cache_lookups;
        Self { hits: counter.series([cache, "hit"]), misses: counter.series([cache, "miss"]) }
    }

    /// One look-up.
    pub fn count(&self, found: bool) {
        if found { self.hits.inc() } else { self.misses.inc() }
    }
}

/// The class of an HTTP status, which is what labels tell of it.
#[must_use]
pub const fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let gauge = &crate::metrics().compile_running;
        let (one, two) = (super::held(gauge), super::held(gauge));
        assert_eq!(gauge.series([]).get(), 2);
        drop((one, two));
        assert_eq!(gauge.series([]).get(), 0);
    }
}
