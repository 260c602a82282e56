//! Where a run of a flow is, so that this process or another one can go on with it.
//!
//! A run that is answered in one go is never written down before its end. One that waits, that was accepted before it began, or whose upstream
//! may call back, is: before each request and after its answer, and when it begins to wait. What was answered is not asked again, and a request
//! of which only the beginning is known is repeated only where its endpoint is idempotent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{
    Callback, Code, CorrelationId, DocumentRecord, Fault, Invocation, Payload, RunRecord, RunStatus, StepRecord, StepStatus, Variables,
};
use snaphook_store::{Lease, QueuedRun, SavedRun, StoreError, Wake};
use uuid::Uuid;

use super::ending::blank_record;
use super::{Scope, cancelled};
use crate::machine::call::SoFar;
use crate::machine::{End, ScriptStep};
use crate::mask::Masks;
use crate::record::store_fault;
use crate::retention;
use crate::template::RunValues;
use crate::{callbacks, events, files};

/// How long a run that is to wait is brought to the store while its caller waits; one that is durable tries as long as it may take. And how long
/// lies between two tries.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(500);

/// What of a run of a flow is known beside what its steps see.
#[derive(Default)]
pub(super) struct Ledger {
    /// By what the run is held, once it is written down.
    pub(super) lease: Option<Lease>,
    /// The trigger's invocation.
    pub(super) trigger: Option<Invocation>,
    /// Steps that have ended.
    pub(super) steps: Vec<StepRecord>,
    pub(super) at: At,
    /// The callback that the step under way waits for, or will; one for all of its requests.
    pub(super) correlation: Option<CorrelationId>,
    /// The callback that was heard since the run was written down last: the store keeps it until then.
    pub(super) heard: Option<CorrelationId>,
    /// What a callback said of the document.
    pub(super) document: Option<DocumentRecord>,
    /// The step under way when the run was taken up again, until it goes on.
    pub(super) resumed: Option<(UnderWay, StepRecord)>,
    /// Events that are in the store.
    pub(super) written: usize,
}

/// Between which steps a run is, and with what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) step: usize,
    pub(super) payload: Payload,
    /// Whether a step before failed and was ignored.
    pub(super) partial: bool,
    /// Bytes of results that are kept.
    pub(super) results: u64,
}

/// How far the step under way is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum UnderWay {
    /// It has not begun.
    No,
    /// A call, perhaps with a request of which nobody knows what became.
    Call(Box<SoFar>, Option<Sending>),
    /// A script step.
    Script(Box<ScriptStep>),
}

/// A request that was about to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sending {
    /// By which the upstream knows it again, where it heeds `Idempotency-Key`.
    pub(super) key: String,
}

/// The checkpoint as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    at: At,
    under_way: UnderWay,
    correlation: Option<CorrelationId>,
    variables: Variables,
    values: RunValues,
    files: Vec<files::Kept>,
}

impl Scope<'_> {
    /// Writes down where the run is. `step` is the step under way, as far as it has come.
    pub(super) async fn save(
        &mut self,
        under_way: UnderWay,
        step: Option<&StepRecord>,
        wake: Wake<'_>,
        expects: Option<&CorrelationId>,
    ) -> Result<(), Fault> {
        let waits = !matches!(wake, Wake::Held);
        let record = self.record_so_far(step, if waits { RunStatus::Waiting } else { RunStatus::Running });
        let all = events::of(&record);
        let new = all.get(self.ledger.written..).unwrap_or_default();
        let checkpoint = self.checkpoint(under_way)?;
        let run = QueuedRun {
            record,
            input: self.start.input.clone(),
            writes: self.start.writes.clone(),
            subject_values: self.start.subject.as_ref().map(|subject| subject.values.clone()).unwrap_or_default(),
        };
        let recording = self.recorder.so_far();
        let token = Uuid::now_v7();
        // Nothing saves between the callback and the end of its step, so what is written down now goes on from behind it.
        let heard = self.ledger.heard.clone();
        let saved = SavedRun {
            run: &run,
            checkpoint: &checkpoint,
            recording: recording.as_ref(),
            events: new,
            wake,
            expects,
            heard: heard.as_ref(),
            token,
        };
        let patience = if self.ledger.lease.is_some() { Duration::MAX } else { PATIENCE };
        let until = Instant::now().checked_add(patience).map_or(self.deadline, |end| end.min(self.deadline));
        let done = loop {
            match self.inner.parts.store.save_run(&self.tenant.name, self.ledger.lease.as_ref(), saved).await {
                Ok(done) => break done,
                Err(StoreError::LeaseLost) => return self.abandon().await,
                Err(error) if Instant::now() + PAUSE >= until || !error.may_pass() => return Err(store_fault(error)),
                Err(_) => {}
            }
            if self.cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return Err(cancelled().fault);
            }
        };
        self.files.saved().await;
        self.recorder.saved();
        self.inner.driven.hold(self.start.id, done.lease.clone());
        self.ledger.lease = done.lease;
        self.ledger.written = all.len();
        self.ledger.heard = None;
        if done.cancelled {
            // Whoever drives the run sees it at the next wait.
            self.inner.driven.cancel(&self.tenant.name, self.start.id);
        }
        Ok(())
    }

    /// Another node has the run. Whoever drives it here lets go of it, so this never returns.
    pub(super) async fn abandon(&self) -> Result<(), Fault> {
        tracing::warn!(run = %self.start.id, "the lease of a run was lost: another node goes on with it, or its tenant is gone");
        if let Some(lease) = &self.ledger.lease {
            self.inner.driven.abandon(lease);
        }
        std::future::pending().await
    }

    /// The record of a run that has not ended.
    fn record_so_far(&self, step: Option<&StepRecord>, status: RunStatus) -> RunRecord {
        let mut record = blank_record(&self.start, self.usage);
        record.status = status;
        record.retention = retention::of_run(self.tenant, self.flow, &record, true);
        if let Some(flow) = self.flow {
            record.flow = Some(flow.name.clone());
            record.flow_version = Some(flow.version);
        }
        record.trigger.clone_from(&self.ledger.trigger);
        record.document = Some(DocumentRecord::of(status));
        record.steps.clone_from(&self.ledger.steps);
        if let Some(mut step) = step.cloned() {
            step.status = if status == RunStatus::Waiting { StepStatus::Waiting } else { StepStatus::Running };
            // It has not ended; there is nothing of its end to hide.
            Masks::of(&self.values, &self.shown).hide(&mut step, &mut End::Succeeded(Payload::default()));
            record.steps.push(step);
        }
        if !retention::keeps_payloads(self.tenant, self.flow) {
            record.forget_payloads();
        }
        record
    }

    fn checkpoint(&mut self, under_way: UnderWay) -> Result<Bytes, Fault> {
        let checkpoint = Checkpoint {
            at: self.ledger.at.clone(),
            under_way,
            correlation: self.ledger.correlation.clone(),
            variables: (**self.variables.values()).clone(),
            values: (*self.values).clone(),
            files: self.files.keep_on_disk(self.start.id)?,
        };
        let written = rmp_serde::to_vec_named(&checkpoint).map_err(|error| internal(&error))?;
        Ok(written.into())
    }

    /// Takes a run up again where it was written down.
    pub(super) async fn resume(&mut self, checkpoint: &[u8]) -> Result<(), Fault> {
        let Checkpoint { at, under_way, correlation, variables, values, files } =
            rmp_serde::from_slice(checkpoint).map_err(|error| internal(&error))?;
        let mut steps = std::mem::take(&mut self.start.steps);
        self.ledger.written = self.start.events;
        let step = (steps.len() > at.step).then(|| steps.pop()).flatten();
        self.ledger.steps = steps;
        self.ledger.at = at;
        self.ledger.correlation = correlation;
        self.ledger.resumed = step.map(|step| (under_way, StepRecord { status: StepStatus::Succeeded, ..step }));
        self.variables.replace(variables);
        self.values = values.into();
        self.files.take_up(self.start.id, files).await
    }

    /// The callback that the step waits for, where it has come.
    pub(super) async fn callback(&self) -> Result<Option<Callback>, Fault> {
        let Some(correlation) = &self.ledger.correlation else { return Ok(None) };
        let parts = &self.inner.parts;
        let kept = loop {
            match parts.store.callback(&self.tenant.name, correlation).await {
                Ok(kept) => break kept,
                Err(error) => self.pause_after(store_fault(error)).await?,
            }
        };
        kept.map(|kept| callbacks::opened(&parts.egress, &self.tenant.name, correlation, kept)).transpose()
    }

    /// Waits before something is tried again that a run needs to begin, or to go on. One that is written down waits for a store that is away, or
    /// for room, as long as it may take: it would end for a busy moment otherwise. One that a caller waits for does not.
    ///
    /// # Errors
    /// What it failed with, where it is not tried again; `cancelled`.
    pub(super) async fn pause_after(&self, fault: Fault) -> Result<(), Fault> {
        let passes = matches!(fault.code, Code::StoreUnavailable | Code::Overloaded);
        if self.ledger.lease.is_none() || !passes || Instant::now() + PAUSE >= self.deadline {
            return Err(fault);
        }
        let pause = tokio::time::sleep(PAUSE);
        self.cancel.run_until_cancelled(pause).await.ok_or_else(|| cancelled().fault)
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    tracing::error!(error, "a run's checkpoint has another form");
    Fault::new(Code::Internal, "internal error")
}
