//! The task that empties the queue of run records, a batch per transaction.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use snaphook_model::{Name, RunId, TenantName};
use snaphook_telemetry::metrics;

use super::objects::remove_unused;
use super::queue::{PendingRun, RunQueue};
use super::recordings::PackedRecording;
use crate::database::{Database, Query, made_query};
use crate::objects::Objects;
use crate::sql::{recordings as recordings_sql, runs as sql};
use crate::{Recording, StoreError};

/// A batch waits this long for company: a transaction costs as much as a dozen records. What a killed process may lose is as much.
const LINGER: Duration = Duration::from_millis(20);

/// Rows per statement. Few sizes, so that all of them stay prepared; none large, since SQLite looks numbered parameters up one after another.
const ROWS: [usize; 3] = [16, 4, 1];

/// Large recordings written at the same time.
const OBJECTS_AT_ONCE: usize = 16;

/// Waits before trying a batch again. Together shorter than callers wait for room.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// The same where the database is on another machine, which may be replaced by its standby meanwhile; who needs the database fails at once then,
/// so that only the queue's room is held.
const PAUSES_FOR_A_SERVER: [Duration; 9] = [
    PAUSES[0],
    PAUSES[1],
    PAUSES[2],
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
];

/// Writes what is queued until the queue is closed and empty.
pub(super) async fn empty(queue: Arc<RunQueue>, database: Arc<Database>, objects: Option<Objects>) {
    let statements = Statements::new(&database);
    while queue.wait().await {
        // Whoever needs the batch sooner says so; the time being up is the usual case.
        let _ = tokio::time::timeout(LINGER, queue.hurried()).await;
        let mut batch = queue.take();
        keep_last_of_each(&mut batch.runs);
        // Before the turn to write, which nobody has while a large recording is on its way.
        let packed = beside(objects.as_ref(), pack(&batch.runs).await).await;
        let begun = Instant::now();
        let written = write_patiently(&database, &statements, &batch.runs, &packed).await;
        count("records", batch.runs.len(), begun);
        if written && let Some(objects) = &objects {
            remove_left_out(&database, objects, &packed).await;
        }
        // Also where it was given up for another reason than the database's refusal.
        database.health().set_failing(!written);
        queue.finish(&mut batch, written);
    }
}

/// Counts what was written in one transaction.
pub(super) fn count(what: &'static str, records: usize, begun: Instant) {
    metrics().store_batch.observe([what], records as f64);
    metrics().store_write_duration.took([what], begun.elapsed());
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
    recording: PackedRecording,
}

/// Compresses the recordings of a batch where it keeps nobody from answering calls: those of large runs take milliseconds.
async fn pack(runs: &[PendingRun]) -> Vec<Packed> {
    let recorded = runs.iter().filter_map(|run| Some((run.tenant.clone(), run.id, run.recording.clone()?)));
    let recorded: Vec<_> = recorded.collect();
    if recorded.is_empty() {
        return Vec::new();
    }
    let pack = |recorded: Vec<(TenantName, RunId, Recording)>| {
        let packed = |(tenant, id, recording)| Packed { tenant, id, recording: PackedRecording::of(&recording) };
        recorded.into_iter().map(packed).collect()
    };
    let given = recorded.clone();
    // Where no thread is to be had it is done here.
    snaphook_aside::run(move || pack(given)).await.unwrap_or_else(|_| pack(recorded))
}

/// Puts the large ones beside the database, some at the same time.
async fn beside(objects: Option<&Objects>, packed: Vec<Packed>) -> Vec<Packed> {
    let put = async |Packed { tenant, id, recording }| {
        let recording = recording.beside(objects, &tenant).await;
        Packed { tenant, id, recording }
    };
    stream::iter(packed).map(put).buffered(OBJECTS_AT_ONCE).collect().await
}

/// Removes the objects of recordings that were left out together with their runs, whose tenants are gone.
async fn remove_left_out(database: &Database, objects: &Objects, packed: &[Packed]) {
    let keys: Vec<String> = packed.iter().filter_map(|packed| packed.recording.object().map(str::to_owned)).collect();
    if !keys.is_empty() {
        remove_unused(database, objects, &keys).await;
    }
}

/// The statement for each number of [`ROWS`].
struct Statements {
    put: [Arc<str>; 3],
    put_recordings: [Arc<str>; 3],
}

impl Statements {
    fn new(database: &Database) -> Self {
        let keep_tenant = database.keep_tenant();
        Self { put: ROWS.map(|rows| sql::put(rows, keep_tenant).into()), put_recordings: ROWS.map(|rows| recordings_sql::put(rows).into()) }
    }
}

/// Tries a few times, then gives the batch up: waiting longer would hold up every call of the node for the sake of its records.
async fn write_patiently(database: &Database, statements: &Statements, runs: &[PendingRun], recorded: &[Packed]) -> bool {
    let pauses: &[Duration] = match database {
        Database::Sqlite(_) => &PAUSES,
        Database::Postgres(_) => &PAUSES_FOR_A_SERVER,
    };
    for pause in pauses {
        match write(database, statements, runs, recorded).await {
            Ok(()) => return true,
            Err(StoreError::Form { .. }) => return write_each(database, statements, runs, recorded).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, runs = runs.len(), "writing run records failed, trying again");
                tokio::time::sleep(*pause).await;
            }
        }
    }
    let Err(error) = write(database, statements, runs, recorded).await else { return true };
    tracing::error!(error = &error as &dyn Error, runs = runs.len(), "run records are lost");
    metrics().store_lost.add([], runs.len() as u64);
    false
}

/// Writes a batch one by one, since the database does not take a value of one of them. That one is lost; the others are not its fault.
async fn write_each(database: &Database, statements: &Statements, runs: &[PendingRun], recorded: &[Packed]) -> bool {
    let mut written = true;
    for run in runs {
        let alone = std::slice::from_ref(run);
        let recording = recorded.iter().find(|packed| (&packed.tenant, packed.id) == (&run.tenant, run.id));
        let recording = recording.map_or(&[][..], std::slice::from_ref);
        match write(database, statements, alone, recording).await {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, run = %run.id, "a run record is lost");
                metrics().store_lost.count([]);
                // Who is refused for what it holds does not show that the database fails.
                written &= matches!(error, StoreError::Form { .. });
            }
        }
    }
    written
}

async fn write(database: &Database, statements: &Statements, runs: &[PendingRun], recorded: &[Packed]) -> Result<(), StoreError> {
    let mut writer = database.write().await?;
    let mut transaction = writer.begin_batch().await?;
    let mut rest = runs;
    for (rows, statement) in ROWS.into_iter().zip(&statements.put) {
        while let Some((rows, others)) = rest.split_at_checked(rows) {
            rest = others;
            let put = rows.iter().fold(made_query(Arc::clone(statement)), bind_run);
            put.execute(&mut transaction).await?;
        }
    }
    // After the runs that they belong to.
    let mut rest = recorded;
    for (rows, statement) in ROWS.into_iter().zip(&statements.put_recordings) {
        while let Some((rows, others)) = rest.split_at_checked(rows) {
            rest = others;
            let put = rows.iter().fold(made_query(Arc::clone(statement)), bind_recording);
            put.execute(&mut transaction).await?;
        }
    }
    let committed = transaction.commit().await?;
    writer.finish(committed).await
}

fn bind_run<'q>(query: Query<'q>, run: &'q PendingRun) -> Query<'q> {
    let query = query.bind(run.tenant.as_str()).bind(run.id.to_string()).bind(run.flow.as_ref().map(Name::as_str));
    let [payloads_until, logs_until] = run.kept_until;
    let query = query.bind(run.status.as_str()).bind(run.started_at.as_microsecond()).bind(Arc::clone(&run.record));
    query.bind(payloads_until).bind(logs_until).bind(run.summary.as_deref())
}

fn bind_recording<'q>(query: Query<'q>, Packed { tenant, id, recording }: &'q Packed) -> Query<'q> {
    recording.bind(query.bind(tenant.as_str()).bind(id.to_string()))
}
