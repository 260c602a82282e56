//! Runs and the queue of those that wait.

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use snaphook_model::{Payload, RunEvent, RunId, RunRecord, RunStatus, SubjectValues, TenantName};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::queue::PendingRun;
use super::rows::{Item, MAX_PAGE_BYTES, form, from_json, page, tenant_name, text, time, to_json};
use super::waiting::add_events;
use super::{SqliteStore, begin, recordings};
use crate::sql::{recordings as recordings_sql, runs as sql};
use crate::{ClaimedRun, Cursor, Page, PageRequest, QueuedRun, Recording, RunFilter, RunStore, StoreError, StoreFuture};

/// What a record is called in a [`StoreError::Form`].
const RECORD: &str = "a run";
const VALUES: &str = "a subject's values";

/// What the writes of a queued run are called in one.
const WRITES: &str = "a queued run's variables";
/// Rows that a list of calls looks at for one page: some tens of milliseconds.
const ROWS_OF_CALLS: i64 = 5_000;

/// Sorts after every id of a run: the first hexadecimal digits of a version 7 UUID are a time, and this one is far off.
const BEYOND_ALL_IDS: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

impl RunStore for SqliteStore {
    fn record_run<'a>(&'a self, tenant: &'a TenantName, record: &'a RunRecord, recording: Option<Recording>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let pending = PendingRun {
                tenant: tenant.clone(),
                id: record.id,
                flow: record.flow.clone(),
                status: record.status,
                started_at: record.started_at,
                record: to_json(RECORD, record)?.into(),
                recording,
            };
            self.queue.push(pending).await
        })
    }

    fn end_run<'a>(
        &'a self,
        tenant: &'a TenantName,
        record: &'a RunRecord,
        recording: Option<&'a Recording>,
        events: &'a [RunEvent],
        next: Option<&'a QueuedRun>,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            put(&mut transaction, tenant, record).await?;
            if let Some(recording) = recording {
                recordings::put(&mut transaction, tenant, record.id, recording).await?;
            }
            add_events(&mut transaction, tenant, record.id, events).await?;
            let id = record.id.to_string();
            sqlx::query(sql::DEQUEUE).bind(tenant.as_str()).bind(id).execute(&mut *transaction).await?;
            if let Some(next) = next {
                enqueue(&mut transaction, tenant, next).await?;
            }
            Ok(transaction.commit().await?)
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
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let waiting = sqlx::query(sql::WAITING).bind(tenant.as_str()).bind(i64::from(most)).fetch_one(&mut *transaction).await?;
            if waiting.try_get::<i64, _>(0)? >= i64::from(most) {
                return Err(StoreError::Full(most));
            }
            enqueue(&mut transaction, tenant, run).await?;
            if let Some(recording) = recording {
                recordings::put(&mut transaction, tenant, run.record.id, recording).await?;
            }
            Ok(transaction.commit().await?)
        })
    }

    fn claim_due_runs(&self, now: Timestamp, limit: u32) -> StoreFuture<'_, Vec<ClaimedRun>> {
        Box::pin(async move {
            let now_us = now.as_microsecond();
            // Mostly nothing is due; finding that out takes no turn among the writers.
            if sqlx::query(sql::ANY_DUE).bind(now_us).fetch_optional(&self.readers).await?.is_none() {
                return Ok(Vec::new());
            }
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let due = sqlx::query(sql::DUE).bind(now_us).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
            let claimed = due.iter().map(|row| claimed_run(row, now)).collect::<Result<Vec<_>, _>>()?;
            for ClaimedRun { tenant, run, .. } in &claimed {
                let of_run = |sql| sqlx::query(sql).bind(tenant.as_str()).bind(run.record.id.to_string());
                of_run(sql::CLAIM).execute(&mut *transaction).await?;
                of_run(sql::SET_RUNNING).bind(now_us).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(claimed)
        })
    }

    fn requeue_claimed(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            sqlx::query(sql::DEQUEUE_ENDED).execute(&mut *transaction).await?;
            sqlx::query(sql::SET_QUEUED).execute(&mut *transaction).await?;
            let released = sqlx::query(sql::RELEASE).execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(released)
        })
    }

    fn run<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<RunRecord>> {
        Box::pin(async move {
            self.queue.flush().await?;
            let query = sqlx::query(sql::GET).bind(tenant.as_str()).bind(id.to_string());
            query.fetch_optional(&self.readers).await?.map(|row| run_record(&row)).transpose()
        })
    }

    fn recording<'a>(&'a self, tenant: &'a TenantName, id: RunId) -> StoreFuture<'a, Option<Recording>> {
        Box::pin(async move {
            self.queue.flush().await?;
            let query = sqlx::query(recordings_sql::GET).bind(tenant.as_str()).bind(id.to_string());
            query.fetch_optional(&self.readers).await?.map(|row| recordings::recording(&row)).transpose()
        })
    }

    fn runs<'a>(&'a self, tenant: &'a TenantName, filter: &'a RunFilter, request: &'a PageRequest) -> StoreFuture<'a, Page<RunRecord>> {
        Box::pin(async move {
            let before = match &request.after {
                Some(cursor) => cursor.0.parse::<RunId>().map_err(|_| StoreError::Cursor)?.to_string(),
                None => BEYOND_ALL_IDS.to_owned(),
            };
            let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
            self.queue.flush().await?;
            let rows = if filter.call.is_some() { ROWS_OF_CALLS } else { request.rows() };
            let mut query = sqlx::query(sql::list(filter)).bind(tenant.as_str()).bind(before).bind(since).bind(rows);
            if let Some(flow) = &filter.flow {
                query = query.bind(flow.as_str());
            }
            if let Some(status) = filter.status {
                query = query.bind(status.as_str());
            }
            if let Some(call) = &filter.call {
                return of_call(call, request, query.fetch(&self.readers)).await;
            }
            page(request, query.fetch(&self.readers), |row| {
                Ok(Item { value: run_record(row)?, cursor: text(row, 0)?.to_owned(), bytes: text(row, 3)?.len() })
            })
            .await
        })
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.queue.flush())
    }
}

/// Reads direct calls of one endpoint. The record alone says which it was of: an index would cost every call more than this list is worth.
/// Where few fit, the page ends at the last row that was looked at, and the next one goes on there.
async fn of_call(
    call: &str,
    request: &PageRequest,
    mut rows: impl Stream<Item = Result<SqliteRow, sqlx::Error>> + Unpin,
) -> Result<Page<RunRecord>, StoreError> {
    let mark = format!("\"call\":{}", to_json(RECORD, call)?);
    let (mut items, mut bytes, mut seen, mut last) = (Vec::new(), 0, 0, None);
    while let Some(row) = rows.try_next().await? {
        let record = text(&row, 3)?;
        // Most are told apart without being read.
        let fitting = record.contains(&mark).then(|| run_record(&row)).transpose()?.filter(|run| run.call.as_deref() == Some(call));
        seen += 1;
        if let Some(run) = fitting {
            if items.len() >= request.wanted() as usize || bytes >= MAX_PAGE_BYTES {
                return Ok(Page { items, next: last });
            }
            bytes += record.len();
            items.push(run);
        }
        last = Some(Cursor(text(&row, 0)?.to_owned()));
    }
    Ok(Page { items, next: last.filter(|_| seen == ROWS_OF_CALLS) })
}

/// Puts one record; unlike a batch it must have a tenant.
pub(super) async fn put(connection: &mut SqliteConnection, tenant: &TenantName, record: &RunRecord) -> Result<(), StoreError> {
    let query = sqlx::query(AssertSqlSafe(sql::put(1))).bind(tenant.as_str()).bind(record.id.to_string());
    let query = query.bind(record.flow.as_ref().map(|flow| flow.as_str())).bind(record.status.as_str());
    let query = query.bind(record.started_at.as_microsecond()).bind(to_json(RECORD, record)?);
    match query.execute(connection).await?.rows_affected() {
        0 => Err(StoreError::UnknownTenant(tenant.clone())),
        _ => Ok(()),
    }
}

async fn enqueue(connection: &mut SqliteConnection, tenant: &TenantName, run: &QueuedRun) -> Result<(), StoreError> {
    put(&mut *connection, tenant, &run.record).await?;
    let query = sqlx::query(sql::ENQUEUE).bind(tenant.as_str()).bind(run.record.id.to_string());
    let query = query.bind(run.record.started_at.as_microsecond());
    let query = query.bind(run.input.content_type.as_str()).bind(run.input.bytes.as_ref());
    let query = query.bind(run.record.flow.as_ref().map(|flow| flow.as_str())).bind(run.record.flow_version.map(i64::from));
    let insert = query.bind(writes_text(run)?).bind(values_text(run)?);
    match insert.execute(connection).await {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(StoreError::Exists(format!("run {}", run.record.id))),
        Err(error) => Err(error.into()),
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

fn claimed_run(row: &SqliteRow, now: Timestamp) -> Result<ClaimedRun, StoreError> {
    let mut record: RunRecord = from_json(RECORD, text(row, 1)?)?;
    let checkpoint = row.try_get::<Option<Vec<u8>>, _>(6)?.map(Bytes::from);
    record.status = RunStatus::Running;
    if checkpoint.is_none() {
        record.started_at = now;
    }
    let input = Payload { content_type: row.try_get(2)?, bytes: row.try_get::<Vec<u8>, _>(3)?.into() };
    let writes = row.try_get::<Option<&str>, _>(4)?.map_or_else(|| Ok(Vec::new()), |text| from_json(WRITES, text))?;
    let subject_values = row.try_get::<Option<&str>, _>(5)?.map_or_else(|| Ok(SubjectValues::default()), |text| from_json(VALUES, text))?;
    Ok(ClaimedRun { tenant: tenant_name(row, 0)?, run: QueuedRun { record, input, writes, subject_values }, checkpoint })
}

/// The record with status and start as they are now.
fn run_record(row: &SqliteRow) -> Result<RunRecord, StoreError> {
    let status = RunStatus::parse(text(row, 1)?).ok_or_else(|| form(RECORD, "its status is unknown"))?;
    Ok(RunRecord { status, started_at: time(row, 2)?, ..from_json(RECORD, text(row, 3)?)? })
}
