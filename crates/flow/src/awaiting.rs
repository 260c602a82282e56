//! Ends of runs, for those who wait for them at another node than the one that brings them about.
//!
//! Where several nodes share a store, whoever waits notes so in it first. Who ends a run that nobody waits for in the same process says there how
//! it ended, and who waits looks again and again, for as long as it would wait at all.

use std::time::Duration;

use snaphook_model::{RunId, TenantName};

use crate::outcome::Outcome;
use crate::record;
use crate::runner::Inner;

/// Between two looks: short at first, since most runs that somebody waits for are short.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_millis(400);

/// Looks at a run that has ended until nobody can be expected to say how any more: whoever ended it was killed at that moment.
const LOOKS_AFTER_ITS_END: u32 = 5;

/// Tells whoever waits for a run how it ended, in this process or through the store, where somebody may wait elsewhere. Who does has noted so before
/// the run was queued, so that whoever claims the run knows.
pub(crate) async fn tell(inner: &Inner, tenant: &TenantName, run: RunId, outcome: &Outcome, is_awaited: bool) {
    let store = &inner.parts.store;
    if inner.driven.ended(run, outcome) || !is_awaited || store.lease_time().is_none() {
        return;
    }
    if matches!(outcome, Outcome::Accepted | Outcome::Waiting) {
        return;
    }
    let told = match rmp_serde::to_vec_named(outcome) {
        Ok(told) => told,
        Err(error) => return tracing::error!(error = &error as &dyn std::error::Error, "an outcome cannot be written"),
    };
    if let Err(error) = store.tell_end(tenant, run, &told).await {
        // Who waits sees from the record that the run has ended.
        record::store_fault(error);
    }
}

/// Waits until a run has ended on another node; for ever where there is none. Answers [`Outcome::Waiting`] where nobody says how it ended.
pub(crate) async fn end_elsewhere(inner: &Inner, tenant: &TenantName, run: RunId) -> Outcome {
    let store = &inner.parts.store;
    if store.lease_time().is_none() {
        return std::future::pending().await;
    }
    let (mut pause, mut left) = (FIRST_LOOK, LOOKS_AFTER_ITS_END);
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
        match store.awaited_end(tenant, run).await {
            Ok(Some(end)) => {
                if let Some(outcome) = end.outcome.and_then(|told| rmp_serde::from_slice(&told).ok()) {
                    return outcome;
                }
                left = left.saturating_sub(end.has_ended.into());
            }
            // Its tenant was deleted.
            Ok(None) => return Outcome::Waiting,
            // The store may come back before the patience is at its end.
            Err(error) => drop(record::store_fault(error)),
        }
        if left == 0 {
            return Outcome::Waiting;
        }
    }
}
