//! What many runs cost, in a few numbers.

use std::collections::HashMap;

use serde::Serialize;
use snaphook_model::{NearLimit, RunCost, RunStatus};
use snaphook_store::OverviewBucket;

/// Flows and endpoints in one summary.
const MAX_FLOWS: usize = 100;
/// Limits in one summary.
const MAX_LIMITS: usize = 10;

/// The runs of a flow, or the direct calls of an endpoint.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct FlowSummary {
    /// The flow's name, or `connector/endpoint`.
    flow: String,
    runs: u64,
    failed: u64,
    /// Half of those that have ended took no longer; null where none has.
    p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    p99_ms: Option<f64>,
    /// Mean time of a run in hooks.
    hooks_ms: Option<f64>,
    /// Mean time of a run in requests to upstreams. Each is recorded in whole milliseconds.
    requests_ms: Option<f64>,
}

/// How near an invocation came to a limit.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct NearSummary {
    /// The flow's name, or `connector/endpoint`.
    flow: String,
    script: String,
    version: u32,
    hook: &'static str,
    /// As the tenant's limits name it, such as `fuel` or `memory_bytes`.
    limit: &'static str,
    /// In the limit's own unit; of what was stopped, what it wanted.
    used: u64,
    allowed: u64,
    /// In which run.
    run: String,
}

/// Runs of one flow, each with the number of runs that it stands for.
#[derive(Default)]
struct Runs<'a> {
    all: Vec<(&'a RunCost, f64)>,
}

/// Flows and endpoints, those with the most runs first.
pub(crate) fn flows(buckets: &[OverviewBucket]) -> Vec<FlowSummary> {
    let mut by_flow = HashMap::<&str, Runs<'_>>::new();
    for bucket in buckets {
        for cost in &bucket.costs {
            by_flow.entry(&cost.of).or_default().all.push((cost, bucket.weight));
        }
    }
    let mut flows: Vec<_> = by_flow.into_iter().map(|(flow, runs)| runs.summary(flow)).collect();
    flows.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.flow.cmp(&b.flow)));
    flows.truncate(MAX_FLOWS);
    flows
}

/// Limits that are nearly used up, worst first.
pub(crate) fn limits(buckets: &[OverviewBucket]) -> Vec<NearSummary> {
    let mut worst = HashMap::<_, (&RunCost, &NearLimit)>::new();
    for cost in buckets.iter().flat_map(|bucket| &bucket.costs) {
        for near in &cost.near {
            let place = worst.entry((&cost.of, &near.script, near.hook, near.limit)).or_insert((cost, near));
            if part(near) > part(place.1) {
                *place = (cost, near);
            }
        }
    }
    let mut worst: Vec<_> = worst.into_values().collect();
    // In an order that stays while nothing changes.
    worst.sort_by(|(a_run, a), (b_run, b)| part(b).total_cmp(&part(a)).then_with(|| (a_run.id, a.limit).cmp(&(b_run.id, b.limit))));
    worst.truncate(MAX_LIMITS);
    worst.into_iter().map(|(cost, near)| NearSummary::of(cost, near)).collect()
}

/// Which part of a limit was used.
fn part(near: &NearLimit) -> f64 {
    near.used as f64 / near.allowed.max(1) as f64
}

impl NearSummary {
    fn of(cost: &RunCost, near: &NearLimit) -> Self {
        let NearLimit { script, version, hook, limit, used, allowed } = near.clone();
        Self { flow: cost.of.clone(), script, version, hook: hook.as_str(), limit, used, allowed, run: cost.id.to_string() }
    }
}

impl Runs<'_> {
    fn summary(&self, flow: &str) -> FlowSummary {
        let mut took: Vec<_> = self.all.iter().filter_map(|(cost, weight)| Some((cost.duration_us()?, *weight))).collect();
        took.sort_unstable_by_key(|(us, _)| *us);
        FlowSummary {
            flow: flow.to_owned(),
            runs: self.count(|_| true),
            failed: self.count(|cost| cost.status == RunStatus::Failed),
            p50_ms: percentile(&took, 0.5),
            p99_ms: percentile(&took, 0.99),
            hooks_ms: self.mean(|cost| cost.hooks_us),
            requests_ms: self.mean(|cost| cost.requests_us),
        }
    }

    fn count(&self, which: impl Fn(&RunCost) -> bool) -> u64 {
        self.all.iter().filter(|(cost, _)| which(cost)).map(|(_, weight)| weight).sum::<f64>().round() as u64
    }

    /// Of those that have ended.
    fn mean(&self, of: impl Fn(&RunCost) -> u64) -> Option<f64> {
        let ended = self.all.iter().filter(|(cost, _)| cost.ended_at.is_some());
        let (sum, weights) = ended.fold((0.0, 0.0), |(sum, weights), (cost, weight)| (sum + of(cost) as f64 * weight, weights + weight));
        (weights > 0.0).then(|| ms(sum / weights))
    }
}

/// The least time that so great a part of them did not exceed. They are in order, and each stands for so many.
fn percentile(took: &[(u64, f64)], part: f64) -> Option<f64> {
    let wanted = took.iter().map(|(_, weight)| weight).sum::<f64>() * part;
    let mut sum = 0.0;
    let reached = took.iter().find(|(_, weight)| {
        sum += weight;
        sum >= wanted
    });
    // Where the last sum is rounded down, it is the last one.
    reached.or(took.last()).map(|(us, _)| ms(*us as f64))
}

/// Microseconds as milliseconds, to the whole microsecond.
fn ms(us: f64) -> f64 {
    us.round() / 1000.0
}

#[cfg(test)]
mod tests;
