//! What becomes of a claim: its run goes on, or ends where what it is made of is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snaphook_model::{Code, Fault, Tenant};
use snaphook_store::{Claim, ClaimedRun, Recording};
use tokio_util::sync::CancellationToken;

use super::PAUSE;
use crate::definitions::Definitions;
use crate::drive::{self, Start};
use crate::prepared::PreparedFlow;
use crate::record;
use crate::runner::Inner;

/// Drives a claimed run to its end, or ends it where its tenant, flow or scripts are gone. A store that is away is waited for, unless the run's
/// lease may run out meanwhile: whoever takes the run up then goes on with it.
pub(super) async fn begin(inner: &Arc<Inner>, definitions: &dyn Definitions, claim: Claim, shutdown: &CancellationToken) {
    let store = &inner.parts.store;
    let patience = store.lease_time().map_or(Duration::MAX, |time| time / 2);
    let begun = Instant::now();
    // One that cannot be read was put aside, and said so.
    let Ok(Ok(claimed)) = tokio::time::timeout(patience, store.claimed_run(claim)).await else { return };
    loop {
        let fault = match made_of(definitions, &claimed).await {
            // Its runs went with it.
            Ok(None) => return,
            Ok(Some((tenant, Ok(flow)))) => {
                let deadline = Instant::now() + inner.config.queued_deadline;
                let recording = recorded_before(inner, &tenant, &claimed).await;
                Box::pin(drive::run_flow(inner, &tenant, &flow, Start::claimed(claimed, recording), deadline)).await;
                return;
            }
            Ok(Some((_, Err(fault)))) if fault.code == Code::StoreUnavailable => fault,
            Ok(Some((tenant, Err(fault)))) => return drive::refuse_run(inner, &tenant, claimed, fault).await,
            Err(fault) if fault.code == Code::StoreUnavailable => fault,
            // What the operator set is not valid any more. There is no tenant to end the run for.
            Err(fault) => return tracing::error!(tenant = %claimed.tenant, detail = fault.detail, "a tenant's document cannot be used"),
        };
        tracing::warn!(run = %claimed.run.record.id, code = %fault.code, "a queued run could not begin; it is tried again");
        if begun.elapsed().saturating_add(PAUSE) >= patience {
            return;
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// The tenant of a run, if there is one, and what its flow is.
async fn made_of(
    definitions: &dyn Definitions,
    claimed: &ClaimedRun,
) -> Result<Option<(Arc<Tenant>, Result<Arc<PreparedFlow>, Fault>)>, Fault> {
    let Some(tenant) = definitions.tenant(&claimed.tenant).await? else { return Ok(None) };
    let record = &claimed.run.record;
    let flow = match (&record.flow, record.flow_version) {
        (Some(flow), Some(version)) => definitions.flow(&tenant.name, flow, version).await,
        _ => Err(Fault::new(Code::NotFound, "a queued run belongs to no flow")),
    };
    Ok(Some((tenant, flow)))
}

/// What was recorded of a run before it was queued, or written down.
async fn recorded_before(inner: &Inner, tenant: &Tenant, claimed: &ClaimedRun) -> Option<Recording> {
    if !claimed.has_recording {
        return None;
    }
    match inner.parts.store.recording(&tenant.name, claimed.run.record.id).await {
        Ok(recording) => recording,
        Err(error) => {
            // The run matters more than its replay, which then lacks what came before.
            record::store_fault(error);
            None
        }
    }
}
