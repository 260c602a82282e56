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

/// Between two looks at all tenants; longer where looking at those that have nothing to remove takes long, so that this is a twentieth of the time at
/// most. Time in which something was removed makes no pause longer: the more there was, the more would gather until the next look. While there is more
/// than a look removes, looks follow each other after half of the time.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_PER_LOOK: u32 = 20;

/// Shortest usual time. Below it, what is said to be kept some seconds would be kept [`MARGIN`] longer.
const USUAL_S: u32 = 3600;

/// Longest usual run.
const USUAL_RUN: SignedDuration = SignedDuration::from_mins(1);

/// Between the beginning of a usual run and the moment from which its record is surely in the store: its time, and that of the store's queue.
pub(crate) const MARGIN: SignedDuration = SignedDuration::from_mins(5);

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
        let look = sweep(inner).await.unwrap_or_else(|fault| {
            tracing::warn!(detail = fault.detail, "what has had its time could not be removed; it is tried again");
            Look::default()
        });
        tokio::time::sleep(look.pause(begun.elapsed())).await;
    }
}

/// What a look found.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Look {
    /// Whether there is more than was removed.
    left: bool,
    /// How much of its time went where there was something to remove.
    removing: Duration,
}

impl Look {
    /// Until the next look, after one that took so long.
    fn pause(self, took: Duration) -> Duration {
        if self.left { took } else { PAUSE.max(took.saturating_sub(self.removing) * PAUSE_PER_LOOK) }
    }
}

/// Removes what has had its time, of all tenants, so much of each.
pub(crate) async fn sweep(inner: &Inner) -> Result<Look, Fault> {
    let (mut page, mut look) = (PageRequest::first(200), Look::default());
    loop {
        let tenants = inner.parts.store.tenants(&page).await.map_err(record::store_fault)?;
        for tenant in tenants.items {
            // What is wrong with one tenant's runs keeps nobody else's.
            match sweep_tenant(inner, &tenant).await {
                Ok(of_tenant) => look = Look { left: look.left | of_tenant.left, removing: look.removing + of_tenant.removing },
                Err(error) => drop(record::store_fault(error)),
            }
        }
        match tenants.next {
            Some(next) => page.after = Some(next),
            None => return Ok(look),
        }
    }
}

async fn sweep_tenant(inner: &Inner, tenant: &StoredTenant) -> Result<Look, snaphook_store::StoreError> {
    let retention = tenant.document.retention;
    let mut look = Look { left: true, removing: Duration::ZERO };
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let Swept { payloads, runs, more, .. } = inner.parts.store.sweep(&tenant.name, due(retention, inner.parts.clock.now())).await?;
        look.left = more;
        if payloads + runs > 0 {
            tracing::debug!(tenant = %tenant.name, payloads, runs, "runs have had their time");
            look.removing += begun.elapsed();
        }
        if !more {
            break;
        }
        // Whoever writes meanwhile has the other half of the time.
        let took = begun.elapsed();
        tokio::time::sleep(took).await;
        look.removing += took;
    }
    Ok(look)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The store removes what is from before these moments, and not what is of them.
    #[test]
    fn usual_times_are_counted_to_the_second() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let ago = |seconds: i64| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap();
        let usual = due(TenantRetention::default(), now);
        let margin = MARGIN.as_secs();
        assert_eq!((usual.payloads_before, usual.logs_before), (ago(259_200 + margin), ago(604_800 + margin)));
        assert_eq!((usual.now, usual.audit_before), (now, ago(31_536_000)));
    }

    #[test]
    fn removing_makes_no_pause_longer_and_looking_does() {
        let second = Duration::from_secs(1);
        let look = |left, removing| Look { left, removing };
        assert_eq!(look(false, 60 * second).pause(60 * second), PAUSE, "what was removed in a minute gathers no longer than elsewhere");
        assert_eq!(look(false, 58 * second).pause(60 * second), 40 * second);
        assert_eq!(look(false, Duration::ZERO).pause(2 * second), 40 * second);
        assert_eq!(look(true, 2 * second).pause(3 * second), 3 * second);
    }
}
