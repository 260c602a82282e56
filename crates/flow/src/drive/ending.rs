//! How runs are written down and handed to the store when they end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use snaphook_model::{
    Code, CorrelationId, DocumentRecord, Fault, RunEvent, RunId, RunRecord, RunState, RunStatus, RunUsage, StepRecord, StepStatus, Tenant,
    TenantName,
};
use snaphook_store::{ClaimedRun, EndedRun, Lease, QueuedRun, Recording, Store, StoreError};

use super::{Scope, Start, state};
use crate::awaiting;
use crate::events;
use crate::files::RunFiles;
use crate::machine::{End, Failure};
use crate::outcome::Outcome;
use crate::record;
use crate::retention;
use crate::runner::Inner;
use crate::watched;

/// How often the end of such a run is brought to the store, and how long lies between. A caller may be waiting for it.
const END_TRIES: u32 = 4;
const END_PAUSE: Duration = Duration::from_millis(500);

/// What became of an ended run in the store.
#[derive(Default)]
pub(super) struct Brought {
    /// The run that repeats it, which is durable.
    pub(super) retry_run: Option<RunId>,
    /// Why the run failed after all: what it wrote into state is not kept.
    pub(super) refused: Option<Fault>,
    /// Another node has the run, and ends it.
    pub(super) taken_over: bool,
}

/// Puts the ended run into the store, with the run that repeats it and what it wrote into state. Where it wrote any, that is durable then.
pub(super) async fn finish_run(scope: Scope<'_>, mut record: RunRecord, delay: Option<Duration>) -> Brought {
    record.retention = retention::of_run(scope.tenant, scope.flow, &record, delay.is_some() || scope.ledger.lease.is_some());
    let state = state::written(&scope, &record);
    if !retention::keeps_payloads(scope.tenant, scope.flow) {
        record.forget_payloads();
    }
    let Scope { inner, tenant, mut start, recorder, ledger, files, .. } = scope;
    start.lease = ledger.lease;
    start.events = ledger.written;
    start.heard = ledger.heard;
    finish(inner, tenant, (record, recorder.finish(), state, files), start, delay).await
}

/// The same for a run that may not have begun.
async fn finish(
    inner: &Inner,
    tenant: &Tenant,
    (mut record, recording, state, mut files): (RunRecord, Option<Recording>, Option<RunState>, RunFiles),
    start: Start,
    delay: Option<Duration>,
) -> Brought {
    let store = &inner.parts.store;
    let Start { lease, events: written, input, writes, subject, heard, .. } = start;
    let next = delay.map(|delay| {
        let record = next_run(&inner.parts.clock.run_id(), &record, delay);
        QueuedRun { record, input, writes, subject_values: subject.map(|subject| subject.values).unwrap_or_default() }
    });
    record.retry_run = next.as_ref().map(|next| next.record.id);
    if next.is_none() && lease.is_none() && state.is_none() {
        files.close().await;
        watched::run_ended(&tenant.name, &record);
        // The run has happened and its caller is answered; only the record would be lost.
        drop(store.record_run(&tenant.name, &record, recording).await.map_err(record::store_fault));
        return Brought::default();
    }
    let due = next.as_ref().map(|next| next.record.started_at);
    let end = RunsEnd {
        store: Arc::clone(store),
        tenant: tenant.name.clone(),
        lease,
        record,
        recording,
        written,
        next,
        state,
        heard,
        refused: None,
    };
    let brought = bring(inner, end, files).await;
    if let (Some(due), Some(_)) = (due, brought.retry_run) {
        inner.due.at(due);
    }
    brought
}

/// Brings an end to the store, for as long as its caller may wait. The files of the run go when its end is durable: whoever goes on with the
/// run if this process dies needs them.
async fn bring(inner: &Inner, mut end: RunsEnd, mut files: RunFiles) -> Brought {
    let Err(error) = end.bring(END_TRIES).await else {
        files.close().await;
        watched::run_ended(&end.tenant, &end.record);
        return Brought { retry_run: end.record.retry_run, refused: end.refused, taken_over: false };
    };
    if end.lease.is_some() && matches!(error, StoreError::LeaseLost) {
        tracing::warn!(run = %end.record.id, "the lease of a run was lost: another node goes on with it, or its tenant is gone");
        files.close().await;
        return Brought { taken_over: true, ..Brought::default() };
    }
    let keeps = end.lease.is_some() && error.may_pass();
    let fault = record::store_fault(error);
    if keeps {
        watched::run_ended(&end.tenant, &end.record);
        // Nobody else would end it before this process does, so it goes on trying when its caller has long been answered.
        inner.tasks.spawn(async move {
            drop(end.bring(u32::MAX).await);
            files.close().await;
        });
    } else if end.lease.is_none() && end.state.is_some() {
        // Nothing of it is in the store. Who is told of a success may build on the state that belongs to it.
        files.close().await;
        end.fail(fault);
        watched::run_ended(&end.tenant, &end.record);
        let recording = end.recording.take();
        drop(end.store.record_run(&end.tenant, &end.record, recording).await.map_err(record::store_fault));
        return Brought { refused: end.refused, ..Brought::default() };
    } else {
        watched::run_ended(&end.tenant, &end.record);
    }
    Brought::default()
}

/// An ended run on its way to the store.
struct RunsEnd {
    store: Arc<dyn Store>,
    tenant: TenantName,
    lease: Option<Lease>,
    record: RunRecord,
    recording: Option<Recording>,
    /// Events that are there already.
    written: usize,
    next: Option<QueuedRun>,
    state: Option<RunState>,
    heard: Option<CorrelationId>,
    /// Why its state is not kept.
    refused: Option<Fault>,
}

impl RunsEnd {
    /// Brings it there. A run that was written down or will be repeated must not be lost to a busy moment: it would do its work a second time.
    /// Where another node has taken it over, trying again would not make it ours. One whose state is too large is brought there as failed.
    async fn bring(&mut self, tries: u32) -> Result<(), StoreError> {
        let mut tried = 1;
        loop {
            match self.end().await {
                Err(error @ StoreError::StateSize { .. }) => {
                    self.fail(error.into());
                    continue;
                }
                Err(error) if error.may_pass() && tried < tries => {}
                // The connection may have broken after an earlier try was written and before that was said.
                Err(StoreError::LeaseLost) if tried > 1 && self.is_there().await => return Ok(()),
                done => return done,
            }
            tokio::time::sleep(END_PAUSE.saturating_mul(tried.min(10))).await;
            tried = tried.saturating_add(1);
        }
    }

    async fn end(&self) -> Result<(), StoreError> {
        // A run that was never written down in between has its history in its record.
        let mut events = if self.written == 0 { Vec::new() } else { events::of(&self.record) };
        events.drain(..self.written.min(events.len()));
        let ended = EndedRun {
            record: &self.record,
            recording: self.recording.as_ref(),
            events: &events,
            next: self.next.as_ref(),
            state: self.state.as_ref(),
            heard: self.heard.as_ref(),
        };
        self.store.end_run(&self.tenant, self.lease.as_ref(), ended).await
    }

    /// Makes it a run that failed in the end. It is not repeated: the same again would write as much.
    fn fail(&mut self, fault: Fault) {
        self.state = None;
        let now = self.record.ended_at.unwrap_or(self.record.started_at);
        close_record(&mut self.record, &Outcome::Failed { fault: fault.clone(), reason_code: None, retry_run: None }, now);
        if let Some(document) = &mut self.record.document {
            *document = DocumentRecord::of(RunStatus::Failed);
        }
        self.refused = Some(fault);
    }

    /// Whether the store has this very end.
    async fn is_there(&self) -> bool {
        let ours = &self.record;
        let stored = self.store.run(&self.tenant, ours.id).await.ok().flatten();
        stored.is_some_and(|stored| (stored.status, stored.ended_at) == (ours.status, ours.ended_at))
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
        retention: ended.retention,
        payloads_removed: false,
        trace: ended.trace.clone(),
        usage: RunUsage::default(),
        trigger: None,
        steps: Vec::new(),
    }
}

/// Ends a queued run that cannot begin, or go on.
pub(crate) async fn refuse_run(inner: &Inner, tenant: &Arc<Tenant>, claimed: ClaimedRun, fault: Fault) {
    let (flow, version) = (claimed.run.record.flow.clone(), claimed.run.record.flow_version);
    let is_awaited = claimed.is_awaited;
    let mut start = Start::claimed(claimed, None, None);
    let mut record = blank_record(&start, start.usage);
    record.trigger = start.trigger.take();
    record.steps = std::mem::take(&mut start.steps);
    (record.flow, record.flow_version) = (flow, version);
    let outcome = Outcome::Failed { fault, reason_code: None, retry_run: None };
    close_record(&mut record, &outcome, inner.parts.clock.now());
    record.document = Some(DocumentRecord::of(record.status));
    record.retention = Some(tenant.retention());
    let (run, files) = (record.id, RunFiles::new(&inner.parts.files, tenant));
    if finish(inner, tenant, (record, None, None, files), start, None).await.taken_over {
        return;
    }
    inner.parts.files.remove_kept(&tenant.name, run).await;
    awaiting::tell(inner, &tenant.name, run, &outcome, is_awaited).await;
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
        retention: None,
        payloads_removed: false,
        trace: start.trace.clone(),
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
