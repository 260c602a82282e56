//! What runs that have ended take is bounded: beyond its tenant's quota the oldest goes before its time.
//!
//! Payloads go first, but only those of the older half: else a tenant whose logs alone are at the bound would have no payload at all. Where that
//! is not enough, whole runs go.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::Fault;
use snaphook_store::{HistoryLook, PageRequest, Relief, Relieved, RunPart, StoreError, StoredTenant};

use crate::record;
use crate::retention::MARGIN;
use crate::runner::Inner;

/// Between two looks at all tenants; longer where a look takes long, so that looking is a twentieth of the time at most.
const PAUSE: Duration = Duration::from_secs(10);
const PAUSE_PER_LOOK: u32 = 20;

/// How much of a tenant goes before the next has its turn.
const STEPS: u32 = 100;

/// So much of the quota is made free at once, as one part of so many: all of a tenant's runs are counted for it.
const FREED: u64 = 16;

/// Looks at all tenants again and again.
pub(crate) async fn bound_always(inner: &Inner) {
    loop {
        let begun = Instant::now();
        let removing = bound(inner).await.unwrap_or_else(|fault| {
            tracing::warn!(detail = fault.detail, "what runs take could not be bounded; it is tried again");
            Duration::ZERO
        });
        tokio::time::sleep(PAUSE.max(begun.elapsed().saturating_sub(removing) * PAUSE_PER_LOOK)).await;
    }
}

/// Looks at all tenants, and removes what is more than each may keep. Says how long removing took.
pub(crate) async fn bound(inner: &Inner) -> Result<Duration, Fault> {
    let (mut page, mut removing) = (PageRequest::first(200), Duration::ZERO);
    loop {
        let tenants = inner.parts.store.tenants(&page).await.map_err(record::store_fault)?;
        for tenant in tenants.items {
            // What is wrong with one tenant's runs keeps nobody else's.
            match bound_tenant(inner, &tenant).await {
                Ok(took) => removing += took,
                Err(error) => drop(record::store_fault(error)),
            }
        }
        match tenants.next {
            Some(next) => page.after = Some(next),
            None => return Ok(removing),
        }
    }
}

async fn bound_tenant(inner: &Inner, tenant: &StoredTenant) -> Result<Duration, StoreError> {
    let most = tenant.document.quota.applied().history_bytes;
    let now = inner.parts.clock.now();
    let look = HistoryLook { now, settled_before: settled(now), most };
    let Some(excess) = inner.parts.store.look_at_history(&tenant.name, look).await? else { return Ok(Duration::ZERO) };
    let begun = Instant::now();
    let mut wanted = excess.kept - (most - most / FREED);
    let mut steps = 0;
    for (part, until) in [(RunPart::Payloads, Some(excess.middle)), (RunPart::Whole, None)] {
        let mut after = None;
        while wanted > 0 && steps < STEPS {
            steps += 1;
            let (step, at) = (Instant::now(), inner.parts.clock.now());
            let relief = Relief { part, after, until, usual_before: settled(at), bytes: wanted, now: at };
            let relieved = match inner.parts.store.relieve(&tenant.name, relief).await {
                Ok(relieved) => relieved,
                // Whole runs can go all the same.
                Err(error) if part == RunPart::Payloads => {
                    drop(record::store_fault(error));
                    break;
                }
                Err(error) => return Err(error),
            };
            let Relieved { runs, bytes, last, more } = relieved;
            tracing::debug!(tenant = %tenant.name, ?part, runs, bytes, "runs go before their time");
            (wanted, after) = (wanted.saturating_sub(bytes), last);
            if !more {
                break;
            }
            // Whoever writes meanwhile has the other half of the time.
            tokio::time::sleep(step.elapsed()).await;
        }
    }
    Ok(begun.elapsed())
}

/// Usual runs that began before are surely in the store.
fn settled(now: Timestamp) -> Timestamp {
    now.checked_sub(MARGIN).unwrap_or(Timestamp::UNIX_EPOCH)
}
