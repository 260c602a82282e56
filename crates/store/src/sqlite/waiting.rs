//! Runs that have begun and are gone on with later, their events, and callbacks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use snaphook_model::{Callback, Code, CorrelationId, DocumentRecord, Payload, RunEvent, RunId, RunRecord, RunStatus, TenantName};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::rows::{form, from_json, text, time, to_json};
use super::runs::{put, values_text, writes_text};
use super::{SqliteStore, begin, recordings};
use crate::sql::{runs as runs_sql, waiting as sql};
use crate::{CalledBack, Cancelled, SavedRun, StoreError, StoreFuture, WaitStore, Wake};

/// What these are called in a [`StoreError::Form`].
const EVENT: &str = "an event";
const CALLBACK: &str = "a callback";
const RECORD: &str = "a run";

/// A callback without its body, which stands in a column of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    ok: bool,
    content_type: String,
    document_status: Option<String>,
    error_code: Option<String>,
    error_text: Option<String>,
}

impl Head {
    fn of(callback: &Callback) -> Self {
        let Callback { ok, body, document_status, error_code, error_text } = callback.clone();
        Self { ok, content_type: body.content_type, document_status, error_code, error_text }
    }
}

impl WaitStore for SqliteStore {
    fn save_run<'a>(&'a self, tenant: &'a TenantName, saved: SavedRun<'a>) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let goes_on = save(&mut transaction, tenant, &saved).await?;
            transaction.commit().await?;
            Ok(goes_on)
        })
    }

    fn next_due(&self) -> StoreFuture<'_, Option<Timestamp>> {
        Box::pin(async move {
            let row = sqlx::query(sql::NEXT_DUE).fetch_optional(&self.readers).await?;
            row.map(|row| time(&row, 0)).transpose()
        })
    }

    fn callback<'a>(&'a self, tenant: &'a TenantName, id: &'a CorrelationId) -> StoreFuture<'a, Option<Callback>> {
        Box::pin(async move {
            let query = sqlx::query(sql::CALLBACK).bind(tenant.as_str()).bind(id.0.as_str());
            query.fetch_optional(&self.readers).await?.map(|row| callback(&row)).transpose()
        })
    }

    fn call_back<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a CorrelationId,
        callback: &'a Callback,
        now: Timestamp,
    ) -> StoreFuture<'a, CalledBack> {
        Box::pin(async move {
            let body = callback.body.bytes.as_ref();
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let take = sqlx::query(sql::TAKE_CALLBACK).bind(tenant.as_str()).bind(id.0.as_str());
            let taken = take.bind(to_json(CALLBACK, &Head::of(callback))?).bind(body).fetch_optional(&mut *transaction).await?;
            let Some(row) = taken else {
                let known = sqlx::query(sql::KNOWN_CALLBACK).bind(tenant.as_str()).bind(id.0.as_str());
                let known = known.fetch_optional(&mut *transaction).await?.is_some();
                return Ok(if known { CalledBack::Used } else { CalledBack::Unknown });
            };
            let run = text(&row, 0)?.to_owned();
            let wake = sqlx::query(sql::WAKE).bind(tenant.as_str()).bind(&run).bind(now.as_microsecond());
            wake.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(CalledBack::Taken(run.parse().map_err(|error| form(CALLBACK, error))?))
        })
    }

    fn cancel_run<'a>(&'a self, tenant: &'a TenantName, id: RunId, now: Timestamp) -> StoreFuture<'a, Cancelled> {
        Box::pin(async move {
            self.queue.flush().await?;
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let find = sqlx::query(sql::RECORD_OF_QUEUED).bind(tenant.as_str()).bind(id.to_string());
            let Some(row) = find.fetch_optional(&mut *transaction).await? else { return Ok(Cancelled::Unknown) };
            let outcome = match row.try_get::<Option<i64>, _>(3)? {
                None => return Ok(Cancelled::Ended),
                Some(0) => {
                    put(&mut transaction, tenant, &cancelled(&row, now)?).await?;
                    let dequeue = sqlx::query(runs_sql::DEQUEUE).bind(tenant.as_str()).bind(id.to_string());
                    dequeue.execute(&mut *transaction).await?;
                    Cancelled::Done
                }
                Some(_) => {
                    let ask = sqlx::query(sql::ASK_TO_CANCEL).bind(tenant.as_str()).bind(id.to_string());
                    ask.execute(&mut *transaction).await?;
                    Cancelled::Asked
                }
            };
            transaction.commit().await?;
            Ok(outcome)
        })
    }

    fn run_events<'a>(&'a self, tenant: &'a TenantName, id: RunId, after: u32, limit: u32) -> StoreFuture<'a, Vec<RunEvent>> {
        Box::pin(async move {
            let query = sqlx::query(sql::EVENTS).bind(tenant.as_str()).bind(id.to_string()).bind(i64::from(after)).bind(i64::from(limit));
            let rows = query.fetch_all(&self.readers).await?;
            rows.iter().map(|row| from_json(EVENT, text(row, 0)?)).collect()
        })
    }
}

/// Writes a run down; false when somebody has cancelled it.
async fn save(connection: &mut SqliteConnection, tenant: &TenantName, saved: &SavedRun<'_>) -> Result<bool, StoreError> {
    let record = &saved.run.record;
    put(&mut *connection, tenant, record).await?;
    if let Some(recording) = saved.recording {
        recordings::put(&mut *connection, tenant, record.id, recording).await?;
    }
    add_events(&mut *connection, tenant, record.id, saved.events).await?;
    if let Some(correlation) = saved.expects {
        let expect = sqlx::query(sql::EXPECT).bind(tenant.as_str()).bind(correlation.0.as_str()).bind(record.id.to_string());
        expect.execute(&mut *connection).await?;
    }
    let (due, held) = match saved.wake {
        Wake::Held => (Timestamp::UNIX_EPOCH, true),
        Wake::At(time) => (time, false),
        Wake::Callback(correlation, until) => {
            let came = sqlx::query(sql::CALLBACK).bind(tenant.as_str()).bind(correlation.0.as_str());
            let came = came.fetch_optional(&mut *connection).await?.is_some();
            (if came { Timestamp::UNIX_EPOCH } else { until }, false)
        }
    };
    let query = sqlx::query(sql::SAVE).bind(tenant.as_str()).bind(record.id.to_string()).bind(due.as_microsecond()).bind(i64::from(held));
    let query = query.bind(saved.run.input.content_type.as_str()).bind(saved.run.input.bytes.as_ref());
    let query = query.bind(record.flow.as_ref().map(|flow| flow.as_str())).bind(record.flow_version.map(i64::from));
    let query = query.bind(writes_text(saved.run)?).bind(values_text(saved.run)?).bind(saved.checkpoint.as_ref());
    Ok(query.fetch_one(connection).await?.try_get::<i64, _>(0)? == 0)
}

/// Adds what has happened.
pub(super) async fn add_events(
    connection: &mut SqliteConnection,
    tenant: &TenantName,
    id: RunId,
    events: &[RunEvent],
) -> Result<(), StoreError> {
    /// SQLite takes 32,766 parameters.
    const AT_ONCE: usize = 1_000;
    for some in events.chunks(AT_ONCE) {
        let text = sql::add_events(some.len());
        let mut query = sqlx::query(AssertSqlSafe(text));
        for event in some {
            query = query.bind(tenant.as_str()).bind(id.to_string()).bind(i64::from(event.seq)).bind(to_json(EVENT, event)?);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

fn callback(row: &SqliteRow) -> Result<Callback, StoreError> {
    let Head { ok, content_type, document_status, error_code, error_text } = from_json(CALLBACK, text(row, 0)?)?;
    let body = Payload { bytes: row.try_get::<Vec<u8>, _>(1)?.into(), content_type };
    Ok(Callback { ok, body, document_status, error_code, error_text })
}

/// The record of a run that ends where it is.
fn cancelled(row: &SqliteRow, now: Timestamp) -> Result<RunRecord, StoreError> {
    let mut record: RunRecord = from_json(RECORD, text(row, 0)?)?;
    record.started_at = time(row, 2)?;
    record.status = RunStatus::Cancelled;
    record.code = Some(Code::Cancelled);
    record.message = Some("the run was cancelled".to_owned());
    record.ended_at = Some(now);
    record.document = record.document.map(|_| DocumentRecord::of(RunStatus::Cancelled));
    Ok(record)
}
