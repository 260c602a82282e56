//! How runs are written down and handed to the store when they end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use snaphook_model::{
    Code, DocumentRecord, Fault, RunEvent, RunId, RunRecord, RunStatus, RunUsage, StepRecord, StepStatus, Tenant, TenantName,
};
use snaphook_store::{ClaimedRun, Lease, QueuedRun, Recording, Store, StoreError};

use super::{Scope, Start};
use crate::events;
use crate::files::RunFiles;
use crate::machine::{End, Failure};
use crate::outcome::Outcome;
use crate::record;
use crate::runner::Inner;

/// How often the end of such a run is brought to the store, and how long lies between. A caller may be waiting for it.
const END_TRIES: u32 = 4;
const END_PAUSE: Duration = Duration::from_millis(500);

/// Puts the ended run into the store, with the run that repeats it; gives that one's id once it is durable.
pub(super) async fn finish_run(scope: Scope<'_>, record: RunRecord, delay: Option<Duration>) -> Option<RunId> {
    let Scope { inner, tenant, mut start, recorder, ledger, files, .. } = scope;
    start.lease = ledger.lease;
    start.events = ledger.written;
    finish(inner, tenant, (record, recorder.finish(), files), start, delay).await
}

/// The same for a run that may not have begun.
async fn finish(
    inner: &Inner,
    tenant: &Tenant,
    (mut record, recording, mut files): (RunRecord, Option<Recording>, RunFiles),
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
    if next.is_none() && lease.is_none() {
        files.close().await;
        return store.record_run(&tenant.name, &record, recording).await.map_err(record::store_fault).ok().and(None);
    }
    // A run that was answered in one go has its history in its record.
    let mut events = lease.as_ref().map_or_else(Vec::new, |_| events::of(&record));
    events.drain(..written.min(events.len()));
    let due = next.as_ref().map(|next| next.record.started_at);
    let end = RunsEnd { store: Arc::clone(store), tenant: tenant.name.clone(), lease, record, recording, events, next };
    match end.bring(END_TRIES).await {
        Ok(()) => {
            // Not before the end is durable: whoever goes on with the run if this process dies needs them.
            files.close().await;
            if let Some(due) = due {
                inner.due.at(due);
            }
            end.record.retry_run
        }
        Err(error) => {
            let keeps = end.lease.is_some() && error.may_pass();
            record::store_fault(error);
            if keeps {
                // Nobody else would end it before this process does, so it goes on trying when its caller has long been answered.
                inner.tasks.spawn(async move {
                    drop(end.bring(u32::MAX).await);
                    files.close().await;
                });
            }
            None
        }
    }
}

/// An ended run on its way to the store.
struct RunsEnd {
    store: Arc<dyn Store>,
    tenant: TenantName,
    lease: Option<Lease>,
    record: RunRecord,
    recording: Option<Recording>,
    events: Vec<RunEvent>,
    next: Option<QueuedRun>,
}

impl RunsEnd {
    /// Brings it there. A run that was written down or will be repeated must not be lost to a busy moment: it would do its work a second time.
    /// Where another node has taken it over, trying again would not make it ours.
    async fn bring(&self, tries: u32) -> Result<(), StoreError> {
        let Self { store, tenant, lease, record, recording, events, next } = self;
        let mut tried = 1;
        loop {
            match store.end_run(tenant, lease.as_ref(), record, recording.as_ref(), events, next.as_ref()).await {
                Err(error) if error.may_pass() && tried < tries => {}
                done => return done,
            }
            tokio::time::sleep(END_PAUSE.saturating_mul(tried.min(10))).await;
            tried = tried.saturating_add(1);
        }
    }
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
pub(crate) async fn refuse_run(inner: &Inner, tenant: &Arc<Tenant>, claimed: ClaimedRun, fault: Fault) {
    let (flow, version) = (claimed.run.record.flow.clone(), claimed.run.record.flow_version);
    let mut start = Start::claimed(claimed, None);
    let mut record = blank_record(&start, start.usage);
    record.trigger = start.trigger.take();
    record.steps = std::mem::take(&mut start.steps);
    (record.flow, record.flow_version) = (flow, version);
    close_record(&mut record, &Outcome::Failed { fault, reason_code: None, retry_run: None }, inner.parts.clock.now());
    record.document = Some(DocumentRecord::of(record.status));
    let (run, files) = (record.id, RunFiles::new(&inner.parts.files, tenant));
    finish(inner, tenant, (record, None, files), start, None).await;
    inner.parts.files.remove_kept(&tenant.name, run).await;
}

/// The last record of a run that no process is at, and everything that has happened in it.
pub(crate) fn end_where_it_is(mut record: RunRecord, outcome: &Outcome, now: Timestamp) -> (RunRecord, Vec<RunEvent>) {
    // Of a run that never began there is nothing but its record, as of one that was answered in one go.
    let begun = record.status != RunStatus::Queued;
    close_record(&mut record, outcome, now);
    record.document = record.document.as_ref().map(|_| DocumentRecord::of(record.status));
    if let Some(step) = record.steps.last_mut().filter(|step| matches!(step.status, StepStatus::Running | StepStatus::Waiting)) {
        step.waits.iter_mut().filter(|wait| wait.ended_at.is_none()).for_each(|wait| wait.ended_at = Some(now));
        if let Outcome::Failed { fault, .. } = outcome {
            close_step(step, &End::Failed(Failure::of(fault.clone())));
        }
    }
    let events = if begun { events::of(&record) } else { Vec::new() };
    (record, events)
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
