//! Runs and the queue of those that wait.

use std::ops::ControlFlow;

use jiff::Timestamp;
use snaphook_model::{AuditAction, RunId, RunRecord, RunStatus, RunSummary, TenantName};

use super::audit::note;
use super::claims::{self, Claim, Whose};
use super::objects::{Held, keys_of};
use super::queue::PendingRun;
use super::recordings::PackedRecording;
use super::room::Load;
use super::rows::{form, from_json, tenant_name, text, time, to_json};
use super::together::{Brought, Ending, Queueing, Work, Written};
use super::waiting::{add_events, event_texts, hear};
use super::{OnSql, Parts, recordings, run_lists, state};
use crate::database::{Row, Transaction, made_query, query};
use crate::objects::ObjectKind;
use crate::sql::runs as sql;
use crate::{
    ClaimedRun, EndedRun, Lease, Page, PageRequest, QueueRoom, QueuedRun, Recording, Renewed, RunFilter, RunStore, StoreError, StoreFuture,
};

/// What a record is called in a [`StoreError::Form`].
pub(super) const RECORD: &str = "a run";
pub(super) const VALUES: &str = "a subject's values";

/// What the writes of a queued run are called in one.
pub(super) const WRITES: &str = "a queued run's variables";

/// The longest summary that is worth keeping beside its record; a usual one has some two hundred bytes.
const SUMMARY_BYTES: usize = 4096;

/// Before the writes of a queued run that has objects. A release that knows none cannot read this, and puts the run aside instead of running it
/// with nothing.
pub(super) const WITH_OBJECTS: &str = "objects:";

impl<S: OnSql> RunStore for S {
    fn record_run<'a>(&'a self, tenant: &'a TenantName, record: &'a RunRecord, recording: Option<Recording>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let pending = PendingRun {
                tenant: tenant.clone(),
                id: record.id,
                flow: record.flow.clone(),
                status: record.status,
                started_at: record.started_at,
                kept_until: kept_until(record),
                record: to_json(RECORD, record)?.into(),
                summary: summary_text(record)?,
                recording,
            };
            self.queue().push(pending).await
        })
    }

    fn end_run<'a>(&'a self, tenant: &'a TenantName, lease: Option<&'a Lease>, ended: EndedRun<'a>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let parts = self.parts();
            let (recording, next) = tokio::join!(recordings::beside(parts, tenant, ended.recording), async {
                match ended.next {
                    Some(next) => Some((next, hold_input(parts, tenant, next).await)),
                    None => None,
                }
            });
            let new = [recording.as_ref().and_then(PackedRecording::object), next.as_ref().and_then(|(_, input)| input.key())];
            match end(parts, tenant, lease, ended, recording.as_ref(), next.as_ref()).await {
                Ok(had) => parts.let_go(&had).await,
                Err(error) => {
                    parts.abandon(new.into_iter().flatten().map(str::to_owned).collect(), &error).await;
                    return Err(error);
                }
            }
            Ok(())
        })
    }

    fn queue_run<'a>(
        &'a self,
        tenant: &'a TenantName,
        run: &'a QueuedRun,
        recording: Option<&'a Recording>,
        most: QueueRoom,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let parts = self.parts();
            let more = Load { runs: 1, bytes: queue_bytes(run)? };
            if let Some(refused) = parts.together.counts().refusal(tenant, more, most) {
                return Err(refused);
            }
            let (recording, input) = tokio::join!(recordings::beside(parts, tenant, recording), hold_input(parts, tenant, run));
            let new = [recording.as_ref().and_then(PackedRecording::object), input.key()].map(|key| key.map(str::to_owned));
            let written = queue(self, tenant, run, recording, input, most).await;
            match &written {
                Ok(()) => self.database().hint_queued(run.record.started_at.as_microsecond()),
                Err(error) => parts.abandon(new.into_iter().flatten().collect(), error).await,
            }
            written
        })
    }

    fn claim_due_runs(&self, now: Timestamp, limit: u32) -> StoreFuture<'_, Vec<Claim>> {
        Box::pin(claims::claim(self.parts(), Whose::All(limit), now))
    }

    fn claim_due_runs_of<'a>(&'a self, shares: &'a [(TenantName, u32)], now: Timestamp) -> StoreFuture<'a, Vec<Claim>> {
        Box::pin(claims::claim(self.parts(), Whose::Of(shares), now))
    }

    fn claimed_run(&self, claim: Claim) -> StoreFuture<'_, ClaimedRun> {
        Box::pin(claims::claimed_run(self.parts(), claim))
    }

    fn due_tenants<'a>(&'a self, now: Timestamp, after: Option<&'a TenantName>, limit: u32) -> StoreFuture<'a, Vec<TenantName>> {
        Box::pin(async move {
            let due = query(sql::DUE_TENANTS).bind(now.as_microsecond()).bind(after.map_or("", TenantName::as_str)).bind(limit);
            let mut tenants = Vec::new();
            let take = |row: &Row| {
                tenants.push(tenant_name(row, 0)?);
                Ok(ControlFlow::Continue(()))
            };
            due.read_each(self.database(), take).await?;
            Ok(tenants)
        })
    }

    fn renew_leases<'a>(&'a self, leases: &'a [Lease]) -> StoreFuture<'a, Renewed> {
        Box::pin(claims::renew(self.database(), leases))
    }

    fn requeue_claimed(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let ended = self.database().leases_ended(&mut transaction).await?;
            let gone = query(sql::DEQUEUE_ENDED).bind(ended).fetch_all(&mut transaction).await?;
            let released = query(sql::RELEASE).bind(ended).fetch_all(&mut transaction).await?;
            for row in &released {
                query(sql::SET_QUEUED).bind(text(row, 0)?).bind(text(row, 1)?).execute(&mut transaction).await?;
            }
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            self.parts().let_go(&keys_of(&gone, 2)?).await;
            Ok(released.len() as u64)
        })
    }

    fn run<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<RunRecord>> {
        Box::pin(async move {
            self.queue().flush().await?;
            let query = query(sql::GET).bind(tenant.as_str()).bind(id.to_string());
            query.read_optional(self.database()).await?.map(|row| run_record(&row)).transpose()
        })
    }

    fn run_status<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<RunStatus>> {
        Box::pin(async move {
            self.queue().flush().await?;
            let query = query(sql::STATUS).bind(tenant.as_str()).bind(id.to_string());
            query.read_optional(self.database()).await?.map(|row| status(&row, 0)).transpose()
        })
    }

    fn recording<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<Recording>> {
        Box::pin(async move {
            self.queue().flush().await?;
            recordings::recording(self.parts(), tenant, id).await
        })
    }

    fn runs<'a>(&'a self, tenant: &'a TenantName, filter: &'a RunFilter, request: &'a PageRequest) -> StoreFuture<'a, Page<RunRecord>> {
        Box::pin(async move {
            self.queue().flush().await?;
            run_lists::list(self.database(), tenant, filter, request).await
        })
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.queue().flush())
    }
}

/// Puts the input of a run that is to be queued beside the database, where it is large.
async fn hold_input(parts: &Parts, tenant: &TenantName, run: &QueuedRun) -> Held {
    parts.hold_or_leave(tenant, ObjectKind::Input, &run.input.bytes).await
}

/// Queues a run whose objects are written already.
async fn queue(
    store: &impl OnSql,
    tenant: &TenantName,
    run: &QueuedRun,
    recording: Option<PackedRecording>,
    input: Held,
    most: QueueRoom,
) -> Result<(), StoreError> {
    let more = Load { runs: 1, bytes: queue_bytes(run)? };
    let counts = store.parts().together.counts();
    let written = Written::of(tenant, &run.record, recording.clone())?;
    // With its record, where somebody asked for it; then it is none of the many that come at once.
    let alone = store.author().is_some();
    if !alone && store.parts().bring(Work::Queue(Queueing::of(written, run, input.clone(), (more, most))?)).await? != Brought::Apart {
        return Ok(());
    }
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin().await?;
    counts.take(&mut transaction, tenant, more, most).await??;
    enqueue(&mut transaction, tenant, run, &input).await?;
    if let Some(recording) = recording {
        recording.put(&mut transaction, tenant, run.record.id).await?;
    }
    note(store.author(), &mut transaction, tenant, AuditAction::RunRetry, (&run.record.id.to_string(), None)).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await
}

/// Ends a run whose objects are written already; gives those that it had before.
async fn end(
    parts: &Parts,
    tenant: &TenantName,
    lease: Option<&Lease>,
    ended: EndedRun<'_>,
    recording: Option<&PackedRecording>,
    next: Option<&(&QueuedRun, Held)>,
) -> Result<Vec<String>, StoreError> {
    let EndedRun { record, events, state: written, heard, .. } = ended;
    if let (Some(lease), None, None) = (lease, next, written) {
        let run = Written::of(tenant, record, recording.cloned())?;
        let ending = Work::End(Ending::of(run, lease, event_texts(events)?, heard));
        if let Brought::Done(had) = parts.bring(ending).await? {
            return Ok(had);
        }
    }
    let (text, events) = (to_json(RECORD, record)?, event_texts(events)?);
    let mut writer = parts.database.write().await?;
    let mut transaction = writer.begin().await?;
    let id = record.id.to_string();
    if let Some(heard) = heard {
        hear(&mut transaction, tenant, &heard.0).await?;
    }
    let dequeue = query(sql::DEQUEUE).bind(tenant.as_str()).bind(id.as_str());
    let dequeued = dequeue.fetch_optional(&mut transaction).await?;
    may_end(dequeued.as_ref(), lease)?;
    let had = keys_of(dequeued.as_slice(), sql::OBJECTS)?;
    put(&mut transaction, tenant, record, text).await?;
    if let Some(recording) = recording {
        recording.put(&mut transaction, tenant, record.id).await?;
    }
    add_events(&mut transaction, tenant, record.id, &events).await?;
    if let Some((next, input)) = next {
        enqueue(&mut transaction, tenant, next, input).await?;
    }
    if let Some(written) = written {
        state::put(&mut transaction, tenant, written).await?;
    }
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    if let Some((next, _)) = next {
        parts.database.hint_queued(next.record.started_at.as_microsecond());
    }
    Ok(had)
}

/// Whether a run may end, given its row of the queue, which holds the token that it was claimed by. Whoever lost the lease changes nothing.
fn may_end(dequeued: Option<&Row>, lease: Option<&Lease>) -> Result<(), StoreError> {
    let claimed_by = match dequeued {
        Some(row) => row.get::<Option<String>>(sql::OBJECTS)?,
        None => None,
    };
    // A run that was never queued, or never claimed, has no token here and none there.
    if claimed_by == lease.map(|lease| lease.token.to_string()) { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// Puts one record, with its text; unlike a batch it must have a tenant.
pub(super) async fn put(
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    record: &RunRecord,
    text: String,
) -> Result<(), StoreError> {
    let query = made_query(sql::put(1, transaction.keep_tenant()).into()).bind(tenant.as_str()).bind(record.id.to_string());
    let query = query.bind(record.flow.as_ref().map(|flow| flow.as_str())).bind(record.status.as_str());
    let [payloads_until, logs_until] = kept_until(record);
    let query = query.bind(record.started_at.as_microsecond()).bind(text).bind(payloads_until).bind(logs_until);
    let query = query.bind(summary_text(record)?);
    match query.execute(transaction).await? {
        0 => Err(StoreError::UnknownTenant(tenant.clone())),
        _ => Ok(()),
    }
}

/// What is kept of a run for lists and overviews; none of one that has not ended, and none where it would not be short.
pub(super) fn summary_text(record: &RunRecord) -> Result<Option<String>, StoreError> {
    let summary = record.status.has_ended().then(|| to_json(RECORD, &RunSummary::of(record))).transpose()?;
    Ok(summary.filter(|text| text.len() <= SUMMARY_BYTES))
}

/// When payloads and record of a run go that says so itself.
pub(super) fn kept_until(record: &RunRecord) -> [Option<i64>; 2] {
    let Some((ended_at, retention)) = record.ended_at.zip(record.retention) else { return [None; 2] };
    [retention.payloads_until(ended_at), retention.logs_until(ended_at)].map(|until| Some(until.as_microsecond()))
}

async fn enqueue(transaction: &mut Transaction<'_>, tenant: &TenantName, run: &QueuedRun, input: &Held) -> Result<(), StoreError> {
    put(transaction, tenant, &run.record, to_json(RECORD, &run.record)?).await?;
    let query = made_query(sql::enqueue(1).into()).bind(tenant.as_str()).bind(run.record.id.to_string());
    let query = query.bind(run.record.started_at.as_microsecond());
    let query = query.bind(run.input.content_type.as_str()).bind(input.column()).bind(input.key());
    let query = query.bind(run.record.flow.as_ref().map(|flow| flow.as_str())).bind(run.record.flow_version.map(i64::from));
    let insert = query.bind(writes_text(run, input.key().is_some())?).bind(values_text(run)?);
    insert.execute(transaction).await.map(drop).map_err(|error| insert_error(run, error))
}

/// The failure of putting a run into the queue.
fn insert_error(run: &QueuedRun, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => StoreError::Exists(format!("run {}", run.record.id)),
        _ => error.into(),
    }
}

/// What a run takes in the queue, beside its record.
pub(super) fn queue_bytes(run: &QueuedRun) -> Result<u64, StoreError> {
    let texts = [writes_text(run, false)?, values_text(run)?];
    Ok(texts.iter().flatten().fold(run.input.bytes.len(), |bytes, text| bytes + text.len()) as u64)
}

/// What a run's trigger wrote, as its column holds it; see [`WITH_OBJECTS`].
pub(super) fn writes_text(run: &QueuedRun, with_objects: bool) -> Result<Option<String>, StoreError> {
    if with_objects {
        return Ok(Some(format!("{WITH_OBJECTS}{}", to_json(WRITES, &run.writes)?)));
    }
    (!run.writes.is_empty()).then(|| to_json(WRITES, &run.writes)).transpose()
}

/// The same for its subject's values.
pub(super) fn values_text(run: &QueuedRun) -> Result<Option<String>, StoreError> {
    (!run.subject_values.0.is_empty()).then(|| to_json(VALUES, &run.subject_values)).transpose()
}

pub(super) fn status(row: &Row, column: usize) -> Result<RunStatus, StoreError> {
    RunStatus::parse(text(row, column)?).ok_or_else(|| form(RECORD, "its status is unknown"))
}

/// The record with status and start as they are now.
pub(super) fn run_record(row: &Row) -> Result<RunRecord, StoreError> {
    Ok(RunRecord { status: status(row, 1)?, started_at: time(row, 2)?, ..from_json(RECORD, text(row, 3)?)? })
}
