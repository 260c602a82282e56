//! What is counted for every invocation. An invocation takes some ten microseconds, so its series are found once, and not by their names each time.

use std::array;
use std::sync::LazyLock;
use std::time::Duration;

use snaphook_model::{Blame, Code, Hook};

use crate::table::metrics;

/// An invocation that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Invoked {
    /// Which hook.
    pub hook: Hook,
    /// Why there is no decision; absent where there is one.
    pub fault: Option<Code>,
    /// From its call to its end.
    pub duration: Duration,
    /// What it spent.
    pub fuel: u64,
}

const OUTCOMES: [&str; 6] =
    ["decision", Blame::Caller.as_str(), Blame::Guest.as_str(), Blame::Upstream.as_str(), Blame::Platform.as_str(), Blame::Nobody.as_str()];

/// The series of one hook.
struct Series {
    duration: [prometheus::Histogram; OUTCOMES.len()],
    fuel: prometheus::Histogram,
}

static OF_HOOKS: LazyLock<[Series; Hook::ALL.len()]> = LazyLock::new(|| {
    let metrics = metrics();
    Hook::ALL.map(|hook| Series {
        duration: array::from_fn(|outcome| metrics.invocation_duration.series([hook.as_str(), OUTCOMES[outcome]])),
        fuel: metrics.invocation_fuel.series([hook.as_str()]),
    })
});

/// Counts an invocation.
pub fn invoked(invoked: Invoked) {
    let Invoked { hook, fault, duration, fuel } = invoked;
    let series = &OF_HOOKS[hook as usize];
    series.duration[outcome(fault)].observe(duration.as_secs_f64());
    series.fuel.observe(fuel as f64);
    if let Some(code) = fault {
        metrics().invocation_faults.count([hook.as_str(), code.as_str()]);
    }
}

fn outcome(fault: Option<Code>) -> usize {
    match fault.map(Code::blame) {
        None => 0,
        Some(Blame::Caller) => 1,
        Some(Blame::Guest) => 2,
        Some(Blame::Upstream) => 3,
        Some(Blame::Platform) => 4,
        Some(Blame::Nobody) => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use snaphook_model::{Code, Hook};

    use super::{Invoked, OUTCOMES, invoked, outcome};

    #[test]
    fn hooks_and_outcomes_are_where_they_belong() {
        for (at, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, at);
        }
        for code in Code::ALL {
            assert_eq!(OUTCOMES[outcome(Some(*code))], code.blame().as_str());
        }
    }

    /// An invocation takes some sixteen microseconds; what is counted of it must not be seen beside that. It takes some tens of nanoseconds, and has
    /// room here for a build for tests on a machine that does other things as well.
    #[test]
    fn counting_is_not_seen_beside_an_invocation() {
        const TIMES: u32 = 20_000;
        let one = Invoked { hook: Hook::Step, fault: None, duration: Duration::from_micros(16), fuel: 40_000 };
        invoked(one);
        let best = (0..20).map(|_| {
            let begun = Instant::now();
            (0..TIMES).for_each(|_| invoked(std::hint::black_box(one)));
            begun.elapsed() / TIMES
        });
        let best = best.min().expect("some rounds");
        println!("counting an invocation takes {best:?}");
        assert!(best < Duration::from_micros(10), "counting an invocation takes {best:?}");
    }
}
