//! What can be done with runs that outlive a request: start them without waiting, watch them, cancel them, make them again, call back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use snaphook_model::{AuditAction, Author, Callback, Code, CorrelationId, Fault, RunEvent, RunId, RunStatus, Tenant, TenantName};
use snaphook_store::{CalledBack, Cancelled};

use crate::outcome::{Finished, Outcome};
use crate::prepared::PreparedFlow;
use crate::runner::{Inner, RunInput, Runner};
use crate::{awaiting, callbacks, drive, events, record, replay, watched};

/// Events that one look gives.
const EVENTS_AT_ONCE: u32 = 1_000;

impl Runner {
    /// Runs a flow for a caller who waits so long at most: the run is queued as any that nobody waits for, so it is durable before it is
    /// answered and takes one of their places. Another node may run it, whose outcome comes by way of the store. The answer is
    /// [`crate::Outcome::Waiting`] when it has not ended by then.
    ///
    /// # Errors
    /// As [`Runner::accept_flow`].
    pub async fn run_flow_within(
        &self,
        tenant: &Arc<Tenant>,
        flow: &PreparedFlow,
        input: impl Into<RunInput>,
        patience: Duration,
    ) -> Result<Finished, Fault> {
        let store = &self.inner.parts.store;
        let start = drive::Start::new(&*self.inner.parts.clock, input.into());
        let run = start.id();
        let mut awaited = self.inner.driven.awaits(run);
        if store.lease_time().is_some() {
            let until = self.inner.parts.clock.now().checked_add(patience * 2).unwrap_or(Timestamp::MAX);
            store.await_run(&tenant.name, run, until).await.map_err(record::store_fault)?;
        }
        let accepted = drive::accept(&self.inner, tenant, flow, start, Instant::now()).await;
        let ended = async {
            tokio::select! {
                Some(outcome) = awaited.end() => outcome,
                outcome = awaiting::end_elsewhere(&self.inner, &tenant.name, run) => outcome,
            }
        };
        let outcome = match accepted {
            Ok(_) => Ok(tokio::time::timeout(patience, ended).await.unwrap_or(Outcome::Waiting)),
            Err(fault) => Err(fault),
        };
        if store.lease_time().is_some()
            && let Err(error) = store.forget_awaited(&tenant.name, run).await
        {
            // It is forgotten when its time is over.
            record::store_fault(error);
        }
        Ok(Finished { run, outcome: outcome? })
    }

    /// Takes a run whose caller does not wait: durable when this returns ([`crate::Outcome::Accepted`]).
    ///
    /// # Errors
    /// `overloaded` when too many runs of the tenant wait, `store-unavailable` when the store does not answer. No run is made then.
    pub async fn accept_flow(&self, tenant: &Arc<Tenant>, flow: &PreparedFlow, input: impl Into<RunInput>) -> Result<Finished, Fault> {
        let start = drive::Start::new(&*self.inner.parts.clock, input.into());
        drive::accept(&self.inner, tenant, flow, start, Instant::now()).await
    }

    /// Keeps a callback, sealed, and lets its run go on.
    ///
    /// # Errors
    /// `not-found` where nobody waits for it, `callback-used` for all but the first, `store-unavailable`, `internal` when it cannot be sealed.
    pub async fn call_back(&self, tenant: &TenantName, id: &CorrelationId, callback: &Callback) -> Result<RunId, Fault> {
        let now = self.inner.parts.clock.now();
        let kept = callbacks::kept(&self.inner, tenant, id, callback)?;
        match self.inner.parts.store.call_back(tenant, id, &kept, now).await.map_err(record::store_fault)? {
            CalledBack::Taken(run) => {
                self.inner.due.at(now);
                Ok(run)
            }
            CalledBack::Used => Err(Fault::new(Code::CallbackUsed, "a callback with this correlation id was taken before")),
            CalledBack::Unknown => Err(Fault::new(Code::NotFound, "no run waits for a callback with this correlation id")),
        }
    }

    /// Queues a run that does the same as one that has ended: its input, its flow version ([`crate::Outcome::Accepted`]).
    ///
    /// # Errors
    /// `not-found`; `conflict` for a run that has not ended, belongs to no flow, or whose input is not kept; as [`Runner::accept_flow`].
    pub async fn retry(&self, author: &Author, tenant: &Tenant, run: RunId) -> Result<Finished, Fault> {
        let (record, recorded) = replay::recorded(&self.inner, tenant, run).await?;
        drive::repeat(&self.inner, author, tenant, &record, recorded.opening).await
    }

    /// Cancels a run.
    ///
    /// # Errors
    /// `not-found`, `run-ended`, `store-unavailable`.
    pub async fn cancel(&self, author: &Author, tenant: &TenantName, run: RunId) -> Result<(), Fault> {
        // A run that this process is at may not be in the store yet.
        if self.inner.driven.cancel(tenant, run) {
            // Nothing of it is in the store until the run ends.
            let (store, run) = (&self.inner.parts.store, run.to_string());
            return store.note(tenant, author, AuditAction::RunCancel, &run).await.map_err(record::store_fault);
        }
        match cancel_in_store(&self.inner, Some(author), tenant, run).await? {
            Cancelled::Done | Cancelled::Asked => Ok(()),
            Cancelled::Ended => Err(Fault::new(Code::RunEnded, format!("run `{run}` has ended"))),
            Cancelled::Unknown => Err(Fault::new(Code::NotFound, format!("run `{run}` does not exist"))),
        }
    }

    /// What has happened in a run after the event number `after`; none for a run that is not there.
    ///
    /// # Errors
    /// `store-unavailable`.
    pub async fn events(&self, tenant: &TenantName, run: RunId, after: u32) -> Result<Option<(RunStatus, Vec<RunEvent>)>, Fault> {
        let store = &self.inner.parts.store;
        // Asked first: of a run that has ended by then, all events are there.
        let Some(status) = store.run_status(tenant, run).await.map_err(record::store_fault)? else { return Ok(None) };
        let kept = store.run_events(tenant, run, after, EVENTS_AT_ONCE).await.map_err(record::store_fault)?;
        if !kept.is_empty() || !status.has_ended() {
            return Ok(Some((status, kept)));
        }
        // Answered in one go: its history is its record.
        let record = store.run(tenant, run).await.map_err(record::store_fault)?;
        let all = record.as_ref().map(events::of).unwrap_or_default();
        Ok(Some((status, all.into_iter().filter(|event| event.seq > after).collect())))
    }
}

/// Cancels a run that no process is at: its record and history end with that, its files are removed, and whoever waits for its end is told.
pub(crate) async fn cancel_in_store(inner: &Inner, author: Option<&Author>, tenant: &TenantName, run: RunId) -> Result<Cancelled, Fault> {
    let fault = Fault::new(Code::Cancelled, "the run was cancelled");
    let outcome = Outcome::Failed { fault, reason_code: None, retry_run: None };
    let now = inner.parts.clock.now();
    let ended = Mutex::new(None);
    let end = |record| {
        let (record, events) = drive::end_where_it_is(record, &outcome, now);
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
        (record, events)
    };
    let store = &inner.parts.store;
    let cancelled = match author {
        Some(author) => store.by(author).cancel_run(tenant, run, &end).await,
        None => store.cancel_run(tenant, run, &end).await,
    };
    let cancelled = cancelled.map_err(record::store_fault)?;
    if cancelled == Cancelled::Done {
        if let Some(record) = ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
            watched::run_ended(tenant, &record);
        }
        inner.parts.files.remove_kept(tenant, run).await;
        awaiting::tell(inner, tenant, run, &outcome, true).await;
    }
    Ok(cancelled)
}
