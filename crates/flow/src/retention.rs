//! What runs leave behind goes when it has had its time: first payloads, then the whole record.
//!
//! Nearly all runs are kept for their tenant's usual times, and are gone through in the order of their ids, which are times: that costs them no index.
//! Runs for which that would be wrong say themselves how long they are kept.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use snaphook_model::{Fault, Retention, RunRecord, Tenant, TenantRetention};
use snaphook_store::{PageRequest, StoredTenant, Sweep, Swept};

use crate::prepared::PreparedFlow;
use crate::record;
use crate::runner::Inner;

/// Between two looks at all tenants; longer where a look takes long, so that looking is a twentieth of the time at most. While there is more than a
/// look removes, removing is half of the time: else what is left grows whenever a look is slow.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_PER_LOOK: u32 = 20;

/// Shortest usual time. Below it, what is said to be kept some seconds would be kept [`MARGIN`] longer.
const USUAL_S: u32 = 3600;

/// Longest usual run.
const USUAL_RUN: SignedDuration = SignedDuration::from_mins(1);

/// Between the beginning of a usual run and the moment from which its record is surely in the store: its time, and that of the store's queue.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// Longer than any idempotency key counts.
const KEYS: SignedDuration = SignedDuration::from_hours(25);

/// How much of a tenant goes before the next has its turn.
const ROUNDS: u32 = 20;

/// How long what a run leaves is kept; none where its tenant's usual times will do, since it ended soon after it began.
pub(crate) fn of_run(tenant: &Tenant, flow: Option<&PreparedFlow>, record: &RunRecord, outlives: bool) -> Option<Retention> {
    let retention = in_force(tenant, flow);
    let long = record.ended_at.is_some_and(|ended_at| ended_at.duration_since(record.started_at) > USUAL_RUN);
    let short = retention.logs_s.min(retention.payloads_s) < USUAL_S;
    (outlives || long || short || flow.is_some_and(|flow| !flow.record.is_empty())).then_some(retention)
}

/// Whether payloads are kept for any time.
pub(crate) fn keeps_payloads(tenant: &Tenant, flow: Option<&PreparedFlow>) -> bool {
    in_force(tenant, flow).payloads_s > 0
}

fn in_force(tenant: &Tenant, flow: Option<&PreparedFlow>) -> Retention {
    let usual = tenant.retention();
    flow.map_or(usual, |flow| flow.record.applied(usual))
}

/// Looks at all tenants again and again.
pub(crate) async fn sweep_always(inner: &Inner) {
    loop {
        let begun = Instant::now();
        let pause = match sweep(inner).await {
            Ok(true) => begun.elapsed(),
            Ok(false) => PAUSE.max(begun.elapsed() * PAUSE_PER_LOOK),
            Err(fault) => {
                tracing::warn!(detail = fault.detail, "what has had its time could not be removed; it is tried again");
                PAUSE.max(begun.elapsed() * PAUSE_PER_LOOK)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Removes what has had its time, of all tenants, so much of each; says whether there is more of some.
pub(crate) async fn sweep(inner: &Inner) -> Result<bool, Fault> {
    let (mut page, mut left) = (PageRequest::first(200), false);
    loop {
        let tenants = inner.parts.store.tenants(&page).await.map_err(record::store_fault)?;
        for tenant in tenants.items {
            // What is wrong with one tenant's runs keeps nobody else's.
            match sweep_tenant(inner, &tenant).await {
                Ok(more) => left |= more,
                Err(error) => drop(record::store_fault(error)),
            }
        }
        match tenants.next {
            Some(next) => page.after = Some(next),
            None => return Ok(left),
        }
    }
}

async fn sweep_tenant(inner: &Inner, tenant: &StoredTenant) -> Result<bool, snaphook_store::StoreError> {
    let retention = tenant.document.retention;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let Swept { payloads, runs, more, .. } = inner.parts.store.sweep(&tenant.name, due(retention, inner.parts.clock.now())).await?;
        if payloads + runs > 0 {
            tracing::debug!(tenant = %tenant.name, payloads, runs, "runs have had their time");
        }
        if !more {
            return Ok(false);
        }
        // Whoever writes meanwhile has the other half of the time.
        tokio::time::sleep(begun.elapsed()).await;
    }
    Ok(true)
}

fn due(document: TenantRetention, now: Timestamp) -> Sweep {
    let retention = document.of_runs();
    let before = |margin: SignedDuration, seconds: u32| {
        let ago = SignedDuration::from_secs(seconds.into()).saturating_add(margin);
        now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH)
    };
    Sweep {
        now,
        payloads_before: before(MARGIN, retention.payloads_s.min(retention.logs_s)),
        logs_before: before(MARGIN, retention.logs_s),
        keys_before: before(KEYS, 0),
        audit_before: before(SignedDuration::ZERO, document.audit_s()),
    }
}
