//! The task that empties the queue of run records, a batch per transaction.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use snaphook_model::{Name, RunId, TenantName};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, Type};

use super::queue::{PendingRun, RunQueue};
use super::{Writers, begin, recordings};
use crate::StoreError;
use crate::sql::{recordings as recordings_sql, runs as sql};

/// A batch waits this long for company: a transaction costs as much as a dozen records. What a killed process may lose is as much.
const LINGER: Duration = Duration::from_millis(20);

/// Rows per statement. Few sizes, so that all of them stay prepared; none large, since SQLite looks numbered parameters up one after another.
const ROWS: [usize; 3] = [16, 4, 1];

/// The statement for each number of [`ROWS`].
static PUT: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ROWS.map(|rows| sql::put(rows).into()));
static PUT_RECORDINGS: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ROWS.map(|rows| recordings_sql::put(rows).into()));

/// Waits before trying a batch again. Together shorter than callers wait for room.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// Writes what is queued until the queue is closed and empty.
pub(super) async fn empty(queue: Arc<RunQueue>, writers: Arc<Writers>) {
    while queue.wait().await {
        // Whoever needs the batch sooner says so; the time being up is the usual case.
        let _ = tokio::time::timeout(LINGER, queue.hurried()).await;
        let mut batch = queue.take();
        keep_last_of_each(&mut batch.runs);
        let packed = pack(&batch.runs).await;
        let written = write_patiently(&writers, &batch.runs, &packed).await;
        queue.finish(&batch, written);
    }
}

/// One statement may not put the same run twice.
fn keep_last_of_each(runs: &mut Vec<PendingRun>) {
    let mut seen = HashSet::with_capacity(runs.len());
    let last: Vec<bool> = runs.iter().rev().map(|run| seen.insert((&run.tenant, run.id))).collect();
    if !last.iter().all(|last| *last) {
        let mut last = last.into_iter().rev();
        runs.retain(|_| last.next().unwrap_or(true));
    }
}

/// A recording on its way to the database.
struct Packed {
    tenant: TenantName,
    id: RunId,
    /// Shared with every try to write it.
    bytes: Option<Arc<[u8]>>,
}

/// Compresses the recordings of a batch, apart from the tasks that answer calls: those of large runs take milliseconds.
async fn pack(runs: &[PendingRun]) -> Vec<Packed> {
    let recorded = runs.iter().filter_map(|run| Some((run.tenant.clone(), run.id, run.recording.clone()?)));
    let recorded: Vec<_> = recorded.collect();
    if recorded.is_empty() {
        return Vec::new();
    }
    let work = move || {
        let packed = |(tenant, id, recording)| Packed { tenant, id, bytes: recordings::pack(&recording).map(Into::into) };
        recorded.into_iter().map(packed).collect()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        // Only while the runtime ends; the records themselves are written all the same.
        tracing::warn!(error = &error as &dyn Error, "recordings of runs are lost");
        Vec::new()
    })
}

/// Tries a few times, then gives the batch up: waiting longer would hold up every call of the node for the sake of its records.
async fn write_patiently(writers: &Writers, runs: &[PendingRun], recorded: &[Packed]) -> bool {
    for pause in PAUSES {
        let Err(error) = write(writers, runs, recorded).await else { return true };
        tracing::warn!(error = &error as &dyn Error, runs = runs.len(), "writing run records failed, trying again");
        tokio::time::sleep(pause).await;
    }
    let Err(error) = write(writers, runs, recorded).await else { return true };
    tracing::error!(error = &error as &dyn Error, runs = runs.len(), "run records are lost");
    false
}

async fn write(writers: &Writers, runs: &[PendingRun], recorded: &[Packed]) -> Result<(), StoreError> {
    let mut connections = writers.lock().await?;
    let mut transaction = begin(&mut connections.quick).await?;
    let mut rest = runs;
    for (rows, statement) in ROWS.into_iter().zip(&*PUT) {
        while let Some((rows, others)) = rest.split_at_checked(rows) {
            rest = others;
            let query = sqlx::query_with(AssertSqlSafe(Arc::clone(statement)), arguments(rows)?);
            query.execute(&mut *transaction).await?;
        }
    }
    // After the runs that they belong to.
    let mut rest = recorded;
    for (rows, statement) in ROWS.into_iter().zip(&*PUT_RECORDINGS) {
        while let Some((rows, others)) = rest.split_at_checked(rows) {
            rest = others;
            let query = sqlx::query_with(AssertSqlSafe(Arc::clone(statement)), recording_arguments(rows)?);
            query.execute(&mut *transaction).await?;
        }
    }
    Ok(transaction.commit().await?)
}

fn arguments(runs: &[PendingRun]) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(runs.len() * sql::COLUMNS, 0);
    for run in runs {
        add(&mut arguments, run.tenant.as_str())?;
        add(&mut arguments, run.id.to_string())?;
        add(&mut arguments, run.flow.as_ref().map(Name::as_str))?;
        add(&mut arguments, run.status.as_str())?;
        add(&mut arguments, run.started_at.as_microsecond())?;
        add(&mut arguments, Arc::clone(&run.record))?;
    }
    Ok(arguments)
}

fn recording_arguments(recorded: &[Packed]) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(recorded.len() * recordings_sql::COLUMNS, 0);
    for Packed { tenant, id, bytes } in recorded {
        add(&mut arguments, tenant.as_str())?;
        add(&mut arguments, id.to_string())?;
        add(&mut arguments, bytes.clone())?;
    }
    Ok(arguments)
}

fn add<'a>(arguments: &mut SqliteArguments, value: impl Encode<'a, Sqlite> + Type<Sqlite>) -> Result<(), StoreError> {
    arguments.add(value).map_err(StoreError::Unavailable)
}
