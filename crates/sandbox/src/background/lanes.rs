//! What is there to run in the background, by tenant, and whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_task::Runnable;
use snaphook_aside::Busy;
use snaphook_model::{TenantName, Weight};

/// What a slice is taken to cost until it has ended: guests yield at every tick.
pub(super) const SLICE: Duration = Duration::from_millis(1);

/// Within this, a tenant's short invocations may have its part of the processors at any moment. Long enough that a burst of a quiet tenant's calls is
/// less than its part, and shorter than people notice.
pub(super) const WINDOW: Duration = Duration::from_millis(100);

/// What is there to run, by tenant.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) of: HashMap<TenantName, Lane>,
    /// What the lane that ran last had had then. Who comes anew begins there: being away saves nothing.
    pub(super) clock: u64,
    /// When the window began in which short invocations are counted.
    pub(super) window: Option<Instant>,
    /// Of all lanes.
    pub(super) weights: u64,
    /// While anybody has something to run here.
    pub(super) making_way: Option<Busy>,
    pub(super) closed: bool,
    /// Until then the threads that make way half go on with it all, since others kept those that make way wholly away.
    pub(super) kept_away_until: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Lane {
    pub(super) ready: VecDeque<Runnable>,
    /// What it has had of the processor, in nanoseconds by its weight, counted from where it began. Slices under way are in it.
    pub(super) had: u64,
    pub(super) weight: Weight,
    /// Its futures that have not ended.
    pub(super) futures: u32,
    /// Those that are on a thread.
    pub(super) running: u32,
    /// What its short invocations have had in this window.
    pub(super) short: Duration,
}

impl Lanes {
    pub(super) fn push(&mut self, tenant: &TenantName, runnable: Runnable) {
        let clock = self.clock;
        let lane = self.lane(tenant, None);
        lane.begin_at(clock);
        lane.ready.push_back(runnable);
    }

    /// A tenant's lane, with the weight that it has now if that is known.
    pub(super) fn lane(&mut self, tenant: &TenantName, weight: Option<Weight>) -> &mut Lane {
        // The name is copied only where there is no lane yet.
        if !self.of.contains_key(tenant) {
            self.weights += Lane::default().parts();
            self.of.insert(tenant.clone(), Lane::default());
        }
        let lane = self.of.get_mut(tenant).expect("it was just put there");
        if let Some(weight) = weight {
            let before = lane.parts();
            lane.weight = weight;
            self.weights = self.weights - before + lane.parts();
        }
        lane
    }

    /// For how long the threads that make way wholly leave everything to the others.
    pub(super) fn kept_away(&self) -> Option<Duration> {
        let left = self.kept_away_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.of.values().any(|lane| lane.futures > 0)
    }

    /// Lets go of lanes without futures, but for those that have had more than their turn, or something in this window: that is still counted when
    /// they come again.
    pub(super) fn forget_idle(&mut self) {
        let (clock, busy) = (self.clock, self.is_busy());
        self.of.retain(|_, lane| lane.futures > 0 || lane.running > 0 || (busy && (lane.had > clock || !lane.short.is_zero())));
        self.weights = self.of.values().map(Lane::parts).sum();
    }

    /// Begins the next window, if it is time.
    pub(super) fn turn_window(&mut self, now: Instant) {
        if self.window.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.window = Some(now);
            self.of.values_mut().for_each(|lane| lane.short = Duration::ZERO);
        }
    }

    pub(super) fn count_short(&mut self, tenant: &TenantName, weight: Weight, time: Duration, now: Instant) {
        self.turn_window(now);
        let clock = self.clock;
        let lane = self.lane(tenant, Some(weight));
        lane.begin_at(clock);
        lane.short += time;
        lane.had = lane.had.saturating_add(lane.cost(time));
    }

    /// Whether it has had as much in this window as all processors give in one, divided among the tenants that are here by their weights.
    pub(super) fn has_had_its_part(&mut self, tenant: &TenantName, now: Instant) -> bool {
        self.turn_window(now);
        let Some(lane) = self.of.get(tenant) else { return false };
        let others = self.of.values().any(|other| other.futures > 0 && !std::ptr::eq(other, lane));
        others && lane.short.as_nanos() * u128::from(self.weights) >= processors_in_window() * u128::from(lane.parts())
    }

    /// What runs next, counted as if it had run a whole slice already, so that the next thread chooses somebody else.
    pub(super) fn next(&mut self) -> Option<(TenantName, Runnable)> {
        let ready = self.of.iter_mut().filter(|(_, lane)| !lane.ready.is_empty());
        let (tenant, lane) = ready.min_by_key(|(_, lane)| lane.had)?;
        let runnable = lane.ready.pop_front()?;
        self.clock = self.clock.max(lane.had);
        lane.running += 1;
        lane.had = lane.had.saturating_add(lane.cost(SLICE));
        Some((tenant.clone(), runnable))
    }
}

impl Lane {
    /// Who comes anew begins where the others are.
    pub(super) fn begin_at(&mut self, clock: u64) {
        if self.ready.is_empty() && self.running == 0 {
            self.had = self.had.max(clock);
        }
    }

    pub(super) fn parts(&self) -> u64 {
        u64::from(self.weight.0.max(1))
    }

    pub(super) fn cost(&self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / self.parts()
    }
}

/// What all processors give in a window, in nanoseconds.
pub(super) fn processors_in_window() -> u128 {
    static PROCESSORS: OnceLock<u128> = OnceLock::new();
    let processors = PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, |processors| processors.get() as u128));
    processors * WINDOW.as_nanos()
}
