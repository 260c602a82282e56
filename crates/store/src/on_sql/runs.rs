//! Runs and the queue of those that wait.

use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use snaphook_model::{AuditAction, Payload, RunId, RunRecord, RunStatus, RunSummary, SubjectValues, TenantName};
use uuid::Uuid;

use super::audit::note;
use super::queue::PendingRun;
use super::recordings::PackedRecording;
use super::rows::{form, from_json, tenant_name, text, time, to_json};
use super::together::{Brought, Ending, Queueing, Work, Written};
use super::waiting::{add_events, event_texts};
use super::{OnSql, Parts, recordings, run_lists, state};
use crate::database::{Database, Query, Row, Transaction, made_query, query};
use crate::sql::runs as sql;
use crate::{ClaimedRun, EndedRun, Lease, Page, PageRequest, QueuedRun, Recording, RunFilter, RunStore, StoreError, StoreFuture};

/// What a record is called in a [`StoreError::Form`].
pub(super) const RECORD: &str = "a run";
const VALUES: &str = "a subject's values";

/// What the writes of a queued run are called in one.
const WRITES: &str = "a queued run's variables";
/// Leases that one transaction renews: it holds their rows until it ends, and others want them.
const RENEWED_AT_ONCE: usize = 16;

/// The longest summary that is worth keeping beside its record; a usual one has some two hundred bytes.
const SUMMARY_BYTES: usize = 4096;

/// A run that cannot be read is looked at again after this long, by when a release that can may have been put in place.
const ASIDE: SignedDuration = SignedDuration::from_hours(1);

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
            let recording = match ended.recording {
                Some(recording) => Some(PackedRecording::of(recording).beside(self.parts().objects(), tenant).await),
                None => None,
            };
            let written = end(self.parts(), tenant, lease, ended, recording.as_ref()).await;
            if let (Err(error), Some(key)) = (&written, recording.as_ref().and_then(PackedRecording::object)) {
                self.parts().abandon(vec![key.to_owned()], error).await;
            }
            written
        })
    }

    fn queue_run<'a>(
        &'a self,
        tenant: &'a TenantName,
        run: &'a QueuedRun,
        recording: Option<&'a Recording>,
        most: u32,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            // In its row, however large: another takes its place when the run ends.
            let recording = recording.map(PackedRecording::of);
            let written = Written::of(tenant, &run.record, recording.clone())?;
            // With its record, where somebody asked for it; then it is none of the many that come at once.
            let alone = self.author().is_some();
            if !alone && self.parts().bring(Work::Queue(Queueing::of(written, run, most)?)).await? == Brought::Done {
                self.database().hint_queued(run.record.started_at.as_microsecond());
                return Ok(());
            }
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let waiting = query(sql::WAITING).bind(tenant.as_str()).bind(i64::from(most)).fetch_one(&mut transaction).await?;
            if waiting.get::<i64>(0)? >= i64::from(most) {
                return Err(StoreError::Full(most));
            }
            enqueue(&mut transaction, tenant, run).await?;
            if let Some(recording) = recording {
                recording.put(&mut transaction, tenant, run.record.id).await?;
            }
            note(self.author(), &mut transaction, tenant, AuditAction::RunRetry, (&run.record.id.to_string(), None)).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            self.database().hint_queued(run.record.started_at.as_microsecond());
            Ok(())
        })
    }

    fn claim_due_runs(&self, now: Timestamp, limit: u32) -> StoreFuture<'_, Vec<ClaimedRun>> {
        Box::pin(claim(self.database(), None, now, limit))
    }

    fn claim_due_runs_of<'a>(&'a self, tenant: &'a TenantName, now: Timestamp, limit: u32) -> StoreFuture<'a, Vec<ClaimedRun>> {
        Box::pin(claim(self.database(), Some(tenant), now, limit))
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

    fn renew_leases<'a>(&'a self, leases: &'a [Lease]) -> StoreFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            // Rows that somebody is writing are passed over rather than waited for: who holds many and waits for one more, while another does the
            // same in another order, waits for ever.
            let renew = self.database().renew();
            let mut passed_over = Vec::new();
            for some in leases.chunks(RENEWED_AT_ONCE) {
                let mut writer = self.database().write().await?;
                let mut transaction = writer.begin_batch().await?;
                let until = self.database().lease_until(&mut transaction).await?;
                for lease in some {
                    if of_lease(renew, lease).bind(until).execute(&mut transaction).await? == 0 {
                        passed_over.push(lease);
                    }
                }
                let committed = transaction.commit().await?;
                writer.finish(committed).await?;
            }
            // Those that are there all the same are being saved or ended under this very lease.
            let mut lost = Vec::new();
            for lease in passed_over {
                if of_lease(sql::HELD, lease).read_optional(self.database()).await?.is_none() {
                    lost.push(lease.clone());
                }
            }
            Ok(lost)
        })
    }

    fn requeue_claimed(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let ended = self.database().leases_ended(&mut transaction).await?;
            query(sql::DEQUEUE_ENDED).bind(ended).execute(&mut transaction).await?;
            let released = query(sql::RELEASE).bind(ended).fetch_all(&mut transaction).await?;
            for row in &released {
                query(sql::SET_QUEUED).bind(text(row, 0)?).bind(text(row, 1)?).execute(&mut transaction).await?;
            }
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
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

/// Ends a run whose recording is made already.
async fn end(
    parts: &Parts,
    tenant: &TenantName,
    lease: Option<&Lease>,
    ended: EndedRun<'_>,
    recording: Option<&PackedRecording>,
) -> Result<(), StoreError> {
    let EndedRun { record, events, next, state: written, .. } = ended;
    if let (Some(lease), None, None) = (lease, next, written) {
        let run = Written::of(tenant, record, recording.cloned())?;
        let ending = Work::End(Ending::of(run, lease, event_texts(events)?));
        if parts.bring(ending).await? == Brought::Done {
            return Ok(());
        }
    }
    let (text, events) = (to_json(RECORD, record)?, event_texts(events)?);
    let mut writer = parts.database.write().await?;
    let mut transaction = writer.begin().await?;
    let id = record.id.to_string();
    let dequeue = query(sql::DEQUEUE).bind(tenant.as_str()).bind(id.as_str());
    let dequeued = dequeue.fetch_optional(&mut transaction).await?;
    may_end(dequeued.as_ref(), lease)?;
    put(&mut transaction, tenant, record, text).await?;
    if let Some(recording) = recording {
        recording.put(&mut transaction, tenant, record.id).await?;
    }
    add_events(&mut transaction, tenant, record.id, events).await?;
    if let Some(next) = next {
        enqueue(&mut transaction, tenant, next).await?;
    }
    if let Some(written) = written {
        state::put(&mut transaction, tenant, written).await?;
    }
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    if let Some(next) = next {
        parts.database.hint_queued(next.record.started_at.as_microsecond());
    }
    Ok(())
}

/// Moves a run that cannot be read out of the way of those behind it. What hinders that hinders none of the others.
async fn put_aside(database: &Database, row: &Row, now: Timestamp, token: Uuid, why: &StoreError) {
    let done = async {
        let (tenant, id) = (text(row, 0)?, text(row, 6)?);
        tracing::error!(
            tenant,
            run = id,
            error = why as &dyn std::error::Error,
            "a queued run cannot be read and is put aside for an hour"
        );
        let later = now.checked_add(ASIDE).unwrap_or(now).as_microsecond();
        let mut writer = database.write().await?;
        let mut transaction = writer.begin().await?;
        let aside = query(sql::PUT_ASIDE).bind(tenant).bind(id).bind(later).bind(token.to_string());
        aside.execute(&mut transaction).await?;
        query(sql::SET_QUEUED).bind(tenant).bind(id).execute(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await
    };
    if let Err(error) = done.await {
        tracing::error!(error = &error as &dyn std::error::Error, "a queued run that cannot be read stays claimed until it is given back");
    }
}

fn of_lease<'q>(sql: &'static str, lease: &'q Lease) -> Query<'q> {
    query(sql).bind(lease.tenant.as_str()).bind(lease.run.to_string()).bind(lease.token.to_string())
}

/// Whether a run may end, given its row of the queue, which holds the token that it was claimed by. Whoever lost the lease changes nothing.
fn may_end(dequeued: Option<&Row>, lease: Option<&Lease>) -> Result<(), StoreError> {
    let claimed_by = match dequeued {
        Some(row) => row.get::<Option<String>>(0)?,
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

async fn enqueue(transaction: &mut Transaction<'_>, tenant: &TenantName, run: &QueuedRun) -> Result<(), StoreError> {
    put(transaction, tenant, &run.record, to_json(RECORD, &run.record)?).await?;
    let query = made_query(sql::enqueue(1).into()).bind(tenant.as_str()).bind(run.record.id.to_string());
    let query = query.bind(run.record.started_at.as_microsecond());
    let query = query.bind(run.input.content_type.as_str()).bind(run.input.bytes.as_ref());
    let query = query.bind(run.record.flow.as_ref().map(|flow| flow.as_str())).bind(run.record.flow_version.map(i64::from));
    let insert = query.bind(writes_text(run)?).bind(values_text(run)?);
    insert.execute(transaction).await.map(drop).map_err(|error| insert_error(run, error))
}

/// The failure of putting a run into the queue.
pub(super) fn insert_error(run: &QueuedRun, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => StoreError::Exists(format!("run {}", run.record.id)),
        _ => error.into(),
    }
}

/// What a run's trigger wrote, as its column holds it.
pub(super) fn writes_text(run: &QueuedRun) -> Result<Option<String>, StoreError> {
    (!run.writes.is_empty()).then(|| to_json(WRITES, &run.writes)).transpose()
}

/// The same for its subject's values.
pub(super) fn values_text(run: &QueuedRun) -> Result<Option<String>, StoreError> {
    (!run.subject_values.0.is_empty()).then(|| to_json(VALUES, &run.subject_values)).transpose()
}

/// Claims what is due, of one tenant or of all.
async fn claim(database: &Database, tenant: Option<&TenantName>, now: Timestamp, limit: u32) -> Result<Vec<ClaimedRun>, StoreError> {
    // Whoever claimed in another round, on another node or here, has another token.
    let token = Uuid::now_v7();
    let rows = database.claim(tenant, now.as_microsecond(), limit, token).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        match claimed_run(row, now, token) {
            Ok(run) => claimed.push(run),
            Err(error) => put_aside(database, row, now, token, &error).await,
        }
    }
    Ok(claimed)
}

fn claimed_run(row: &Row, now: Timestamp, token: Uuid) -> Result<ClaimedRun, StoreError> {
    let mut record: RunRecord = from_json(RECORD, text(row, 1)?)?;
    let checkpoint = row.get::<Option<Vec<u8>>>(7)?.map(Bytes::from);
    record.status = RunStatus::Running;
    if checkpoint.is_none() {
        record.started_at = now;
    }
    let input = Payload { content_type: row.get(2)?, bytes: row.get::<Vec<u8>>(3)?.into() };
    let writes = row.get::<Option<&str>>(4)?.map_or_else(|| Ok(Vec::new()), |text| from_json(WRITES, text))?;
    let subject_values = row.get::<Option<&str>>(5)?.map_or_else(|| Ok(SubjectValues::default()), |text| from_json(VALUES, text))?;
    let tenant = tenant_name(row, 0)?;
    let lease = Lease { tenant: tenant.clone(), run: record.id, token };
    Ok(ClaimedRun { tenant, lease, run: QueuedRun { record, input, writes, subject_values }, checkpoint })
}

pub(super) fn status(row: &Row, column: usize) -> Result<RunStatus, StoreError> {
    RunStatus::parse(text(row, column)?).ok_or_else(|| form(RECORD, "its status is unknown"))
}

/// The record with status and start as they are now.
pub(super) fn run_record(row: &Row) -> Result<RunRecord, StoreError> {
    Ok(RunRecord { status: status(row, 1)?, started_at: time(row, 2)?, ..from_json(RECORD, text(row, 3)?)? })
}
