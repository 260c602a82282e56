//! What becomes of a claim: its run goes on, or ends where what it is made of is gone.

use std::sync::Arc;
use std::time::Instant;

use snaphook_model::{Code, Fault, Tenant};
use snaphook_store::{Claim, ClaimedRun, Recording};
use tokio_util::sync::CancellationToken;

use super::PAUSE;
use crate::definitions::Definitions;
use crate::drive::{self, Start};
use crate::prepared::PreparedFlow;
use crate::record;
use crate::runner::Inner;

/// A run and what it is made of.
struct Ready {
    claimed: ClaimedRun,
    tenant: Arc<Tenant>,
    flow: Result<Arc<PreparedFlow>, Fault>,
    recording: Option<Recording>,
}

/// Drives a claimed run to its end, or ends it where its flow or scripts are gone. Its lease is kept from the first moment on; one that is lost
/// meanwhile is not begun, since another node has it.
pub(super) async fn begin(inner: &Arc<Inner>, definitions: &dyn Definitions, claim: Claim, shutdown: &CancellationToken) {
    let lease = claim.lease();
    let entry = inner.driven.enter(&lease.tenant, lease.run, Some(lease.clone()));
    let ready = entry.abandoned().run_until_cancelled(made_ready(inner, definitions, claim, shutdown)).await;
    let Some(Some(Ready { claimed, tenant, flow, recording })) = ready else { return };
    if claimed.is_cancelled {
        entry.cancelled().cancel();
    }
    match flow {
        Ok(flow) => {
            let deadline = Instant::now() + inner.config.queued_deadline;
            let start = Start::claimed(claimed, recording, Some(entry));
            Box::pin(drive::run_flow(inner, &tenant, &flow, start, deadline)).await;
        }
        Err(fault) => {
            entry.ends();
            drive::refuse_run(inner, &tenant, claimed, fault).await;
        }
    }
}

/// Reads a run and what it is made of. A store that is away is waited for until shutdown. None where there is nothing to begin.
async fn made_ready(inner: &Inner, definitions: &dyn Definitions, claim: Claim, shutdown: &CancellationToken) -> Option<Ready> {
    // One that cannot be read was put aside, and said so.
    let claimed = inner.parts.store.claimed_run(claim).await.ok()?;
    loop {
        let fault = match made_of(definitions, &claimed).await {
            // Its runs went with it.
            Ok(None) => return None,
            Ok(Some((_, Err(fault)))) | Err(fault) if fault.code == Code::StoreUnavailable => fault,
            Ok(Some((tenant, flow))) => {
                let recording = recorded_before(inner, &tenant, &claimed).await;
                return Some(Ready { claimed, tenant, flow, recording });
            }
            // What the operator set is not valid any more. There is no tenant to end the run for.
            Err(fault) => {
                tracing::error!(tenant = %claimed.tenant, detail = fault.detail, "a tenant's document cannot be used");
                return None;
            }
        };
        tracing::warn!(run = %claimed.run.record.id, code = %fault.code, "a queued run could not begin; it is tried again");
        shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
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
