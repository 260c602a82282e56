//! Summaries of made-up runs.

use jiff::{SignedDuration, Timestamp};
use snaphook_model::{Hook, RunId};
use uuid::Uuid;

use super::*;

fn cost(of: &str, number: u128, took_us: Option<i64>) -> RunCost {
    let status = if took_us.is_some() { RunStatus::Succeeded } else { RunStatus::Running };
    RunCost {
        id: RunId(Uuid::from_u128(number)),
        of: of.to_owned(),
        status,
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: took_us.map(|us| Timestamp::UNIX_EPOCH + SignedDuration::from_micros(us)),
        hooks_us: 10,
        requests_us: 1000,
        near: Vec::new(),
    }
}

fn bucket(costs: Vec<RunCost>, weight: f64) -> OverviewBucket {
    OverviewBucket { costs, weight, ..OverviewBucket::default() }
}

#[test]
fn a_run_stands_for_those_that_were_not_looked_at() {
    let quick = (1..=99).map(|number| cost("a", number, Some(1_500))).chain([cost("a", 100, Some(9_000)), cost("b", 101, None)]).collect();
    let mut slow = cost("a", 200, Some(20_000));
    slow.status = RunStatus::Failed;
    slow.hooks_us = 1_110;
    let flows = flows(&[bucket(quick, 1.0), bucket(vec![slow], 100.0)]);
    let [a, b] = flows.as_slice() else { panic!("{flows:?}") };
    assert_eq!((a.flow.as_str(), a.runs, a.failed), ("a", 200, 100));
    // The hundredth of two hundred, the hundred-and-ninety-eighth, and half of ten and of 1,110 microseconds.
    assert_eq!((a.p50_ms, a.p99_ms, a.hooks_ms, a.requests_ms), (Some(9.0), Some(20.0), Some(0.56), Some(1.0)));
    assert_eq!((b.runs, b.failed, b.p50_ms, b.p99_ms, b.hooks_ms), (1, 0, None, None, None), "it has not ended");
}

#[test]
fn of_each_script_the_worst_is_told() {
    let near =
        |script: &str, limit, used| NearLimit { script: script.to_owned(), version: 1, hook: Hook::PreHook, limit, used, allowed: 100 };
    let mut costs = Vec::new();
    for number in 0..20 {
        let mut cost = cost("a", u128::from(number), Some(1));
        cost.near = vec![near("one", "fuel", 80 + number), near("one", "wall_ms", 81), near(&format!("s{number}"), "fuel", 80)];
        costs.push(cost);
    }
    let limits = limits(&[bucket(costs, 1.0)]);
    assert_eq!(limits.len(), MAX_LIMITS);
    let told = |index: usize| (limits[index].script.as_str(), limits[index].limit, limits[index].used);
    assert_eq!((told(0), told(1), told(2)), (("one", "fuel", 99), ("one", "wall_ms", 81), ("s0", "fuel", 80)));
    assert_eq!(limits[0].run, Uuid::from_u128(19).to_string());
}
