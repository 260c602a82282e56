//! How runs are written down and handed to the store when they end.

use std::time::Duration;

use jiff::Timestamp;
use snaphook_model::{Code, DocumentRecord, Fault, RunId, RunRecord, RunStatus, RunUsage, StepRecord, StepStatus, Tenant};
use snaphook_store::{ClaimedRun, QueuedRun, Recording, StoreError};

use super::{Scope, Start};
use crate::events;
use crate::machine::{End, Failure};
use crate::outcome::Outcome;
use crate::record;
use crate::runner::Inner;

/// How often the end of such a run is brought to the store, and how long lies between. A caller may be waiting for it.
const END_TRIES: u32 = 4;
const END_PAUSE: Duration = Duration::from_millis(500);

/// Puts the ended run into the store, with the run that repeats it; gives that one's id once it is durable.
pub(super) async fn finish_run(scope: Scope<'_>, record: RunRecord, delay: Option<Duration>) -> Option<RunId> {
    let Scope { inner, tenant, mut start, recorder, ledger, .. } = scope;
    start.lease = ledger.lease;
    start.events = ledger.written;
    finish(inner, tenant, (record, recorder.finish()), start, delay).await
}

/// The same for a run that may not have begun.
async fn finish(
    inner: &Inner,
    tenant: &Tenant,
    (mut record, recording): (RunRecord, Option<Recording>),
    start: Start,
    delay: Option<Duration>,
) -> Option<RunId> {
    let store = &inner.parts.store;
    let Start { lease, events: written, input, writes, subject, .. } = start;
    let next = delay.map(|delay| {
        let record = next_run(&inner.parts.clock.run_id(), &record, delay);
        QueuedRun { record, input, writes, subject_values: subject.map(|subject| subject.values).unwrap_or_default() }
    });
    record.retry_run = next.as_ref().map(|next| next.record.id);
    let stored = if next.is_none() && lease.is_none() {
        store.record_run(&tenant.name, &record, recording).await
    } else {
        // A run that was answered in one go has its history in its record.
        let all = lease.as_ref().map_or_else(Vec::new, |_| events::of(&record));
        let new = all.get(written..).unwrap_or_default();
        // A run that was written down or will be repeated must not be lost to a busy moment: it would do its work a second time.
        let mut tries = 1;
        loop {
            let stored = store.end_run(&tenant.name, lease.as_ref(), &record, recording.as_ref(), new, next.as_ref()).await;
            // Whoever took the run over writes its end; trying again would not make it ours.
            if matches!(stored, Ok(()) | Err(StoreError::LeaseLost)) || tries == END_TRIES {
                break stored;
            }
            tries += 1;
            tokio::time::sleep(END_PAUSE).await;
        }
    };
    if let Err(error) = stored {
        record::store_fault(error);
        return None;
    }
    if let Some(next) = &next {
        inner.due.at(next.record.started_at);
    }
    record.retry_run
}

/// The run that repeats one: same input, same flow version, from the first step.
pub(super) fn next_run(id: &RunId, ended: &RunRecord, delay: Duration) -> RunRecord {
    let now = ended.ended_at.unwrap_or(ended.started_at);
    let due = now.checked_add(delay).unwrap_or(Timestamp::MAX);
    RunRecord {
        id: *id,
        flow: ended.flow.clone(),
        flow_version: ended.flow_version,
        call: None,
        subject: ended.subject.clone(),
        status: RunStatus::Queued,
        code: None,
        message: None,
        retry_of: Some(ended.id),
        retry_run: None,
        attempt: ended.attempt + 1,
        started_at: due,
        ended_at: None,
        document: Some(DocumentRecord::of(RunStatus::Queued)),
        usage: RunUsage::default(),
        trigger: None,
        steps: Vec::new(),
    }
}

/// Ends a queued run that cannot begin, or go on.
pub(crate) async fn refuse_run(inner: &Inner, tenant: &Tenant, claimed: ClaimedRun, fault: Fault) {
    let (flow, version) = (claimed.run.record.flow.clone(), claimed.run.record.flow_version);
    let mut start = Start::claimed(claimed, None);
    let mut record = blank_record(&start, start.usage);
    record.trigger = start.trigger.take();
    record.steps = std::mem::take(&mut start.steps);
    (record.flow, record.flow_version) = (flow, version);
    close_record(&mut record, &Outcome::Failed { fault, reason_code: None, retry_run: None }, inner.parts.clock.now());
    record.document = Some(DocumentRecord::of(record.status));
    finish(inner, tenant, (record, None), start, None).await;
}

pub(super) fn blank_record(start: &Start, usage: RunUsage) -> RunRecord {
    RunRecord {
        id: start.id,
        flow: None,
        flow_version: None,
        call: None,
        subject: start.subject.as_ref().map(|subject| subject.id.clone()),
        status: RunStatus::Running,
        code: None,
        message: None,
        retry_of: start.retry_of,
        retry_run: None,
        attempt: start.attempt,
        started_at: start.at,
        ended_at: None,
        document: None,
        usage,
        trigger: None,
        steps: Vec::new(),
    }
}

pub(super) fn close_step(step: &mut StepRecord, end: &End) {
    match end {
        End::Succeeded(_) | End::Responded(_) => {}
        End::Rejected(rejection) => {
            step.status = StepStatus::Failed;
            step.code = Some(Code::Rejected);
            step.message = Some(rejection.message.clone());
        }
        End::Failed(Failure { fault, .. }) | End::Ignored(Failure { fault, .. }, _) => {
            step.status = if fault.code == Code::Blocked { StepStatus::Blocked } else { StepStatus::Failed };
            step.code = Some(fault.code);
            step.message = Some(fault.detail.clone());
        }
    }
}

pub(super) fn close_record(record: &mut RunRecord, outcome: &Outcome, now: Timestamp) {
    record.ended_at = Some(now);
    (record.status, record.code, record.message) = match outcome {
        Outcome::Payload(_) | Outcome::Responded(_) | Outcome::Triggered { partial: false, .. } => (RunStatus::Succeeded, None, None),
        Outcome::Partial(_) | Outcome::Triggered { partial: true, .. } => (RunStatus::Partial, None, None),
        Outcome::Accepted => (RunStatus::Queued, None, None),
        Outcome::Waiting => (RunStatus::Waiting, None, None),
        Outcome::Rejected(rejection) => (RunStatus::Failed, Some(Code::Rejected), Some(rejection.message.clone())),
        Outcome::Failed { fault, .. } if fault.code == Code::Blocked => (RunStatus::Blocked, Some(fault.code), Some(fault.detail.clone())),
        Outcome::Failed { fault, .. } if fault.code == Code::Cancelled => {
            (RunStatus::Cancelled, Some(fault.code), Some(fault.detail.clone()))
        }
        Outcome::Failed { fault, .. } => (RunStatus::Failed, Some(fault.code), Some(fault.detail.clone())),
    };
}
