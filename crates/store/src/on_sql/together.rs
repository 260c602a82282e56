//! Runs that are queued, and runs that end, at the same moment share a transaction: its statements and its way to the disk cost as much for many
//! as for one. Who comes while one is under way shares the next.
//!
//! Only what goes as expected is done here. When anything does not (a tenant who is gone, a lease that was lost), nothing is written, and everybody
//! does it alone, which says whose fault it was. A full queue is expected: its runs are refused, and the others written.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use snaphook_model::{CorrelationId, Name, RunRecord, TenantName};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::objects::{Held, keys_of};
use super::recordings::PackedRecording;
use super::room::{Counts, Load};
use super::rows::{text, to_json};
use super::runs::{RECORD, kept_until, summary_text, values_text, writes_text};
use super::waiting::hear;
use super::writer;
use crate::database::{Database, PATIENCE, Query, Row, Transaction, made_query};
use crate::sql::{recordings as recordings_sql, runs as sql, waiting as waiting_sql};
use crate::{Lease, QueueRoom, QueuedRun, StoreError};

/// Most at once, so that nobody waits long for the others.
const AT_ONCE: usize = 64;

/// Rows per statement; see the writer of records.
const ROWS: [usize; 3] = [16, 4, 1];

/// What somebody wants written.
#[derive(Debug)]
pub(super) enum Work {
    Queue(Queueing),
    End(Ending),
}

/// A run that is to be queued.
#[derive(Debug)]
pub(super) struct Queueing {
    pub(super) run: Written,
    content_type: String,
    input: Held,
    flow_version: Option<u32>,
    writes: Option<String>,
    values: Option<String>,
    /// What it takes in the queue, and how much of the tenant's runs may wait there.
    room: (Load, QueueRoom),
}

/// A run that was held and ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) run: Written,
    token: String,
    events: Vec<(u32, String)>,
    /// The callback that it has heard, which is kept no more.
    heard: Option<String>,
}

/// A run's record, and what replays it.
#[derive(Debug)]
pub(super) struct Written {
    tenant: TenantName,
    id: String,
    flow: Option<Name>,
    status: &'static str,
    started_us: i64,
    /// When its payloads and its record go, where it says so itself.
    kept_until: [Option<i64>; 2],
    record: Arc<str>,
    /// What lists and overviews want to know of it.
    summary: Option<String>,
    recording: Option<PackedRecording>,
}

/// Whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brought {
    /// It was. A run that ended had these objects.
    Done(Vec<String>),
    /// Nothing was written: try it alone.
    Apart,
}

/// A tenant's name and the id of a run.
type RunOf = (String, String);

type Told = oneshot::Sender<Result<Brought, StoreError>>;

/// Who waits to be written.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// Held to add one, or to take some.
    pending: Mutex<Vec<(Work, Told)>>,
    /// Held while a transaction is under way, until it is committed.
    turn: Arc<tokio::sync::Mutex<()>>,
    counts: Arc<Counts>,
}

impl Work {
    /// Whose it is.
    fn run(&self) -> RunOf {
        let (Self::Queue(Queueing { run, .. }) | Self::End(Ending { run, .. })) = self;
        (run.tenant.to_string(), run.id.clone())
    }
}

impl Written {
    pub(super) fn of(tenant: &TenantName, record: &RunRecord, recording: Option<PackedRecording>) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: tenant.clone(),
            id: record.id.to_string(),
            flow: record.flow.clone(),
            status: record.status.as_str(),
            started_us: record.started_at.as_microsecond(),
            kept_until: kept_until(record),
            record: to_json(RECORD, record)?.into(),
            summary: summary_text(record)?,
            recording,
        })
    }
}

impl Queueing {
    pub(super) fn of(run: Written, queued: &QueuedRun, input: Held, room: (Load, QueueRoom)) -> Result<Self, StoreError> {
        Ok(Self {
            run,
            content_type: queued.input.content_type.clone(),
            flow_version: queued.record.flow_version,
            writes: writes_text(queued, input.key().is_some())?,
            input,
            values: values_text(queued)?,
            room,
        })
    }
}

impl Ending {
    pub(super) fn of(run: Written, lease: &Lease, events: Vec<(u32, String)>, heard: Option<&CorrelationId>) -> Self {
        Self { run, token: lease.token.to_string(), events, heard: heard.map(|id| id.0.clone()) }
    }
}

impl Together {
    /// What waits in the queues.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Writes it with whatever else waits. Durable when this says that it was done.
    pub(super) async fn bring(&self, database: &Arc<Database>, work: Work) -> Result<Brought, StoreError> {
        let (told, mut outcome) = oneshot::channel();
        self.pending().push((work, told));
        let brought = async {
            tokio::select! {
                biased;
                outcome = &mut outcome => return outcome.unwrap_or(Ok(Brought::Apart)),
                turn = Arc::clone(&self.turn).lock_owned() => self.lead(database, turn),
            }
            outcome.await.unwrap_or(Ok(Brought::Apart))
        };
        tokio::time::timeout(PATIENCE * 2, brought).await.unwrap_or(Err(StoreError::Busy))
    }

    /// Writes those who wait, in a task of its own: what is begun is ended also when whoever leads is gone.
    fn lead(&self, database: &Arc<Database>, turn: OwnedMutexGuard<()>) {
        let (work, told): (Vec<_>, Vec<_>) = {
            let mut pending = self.pending();
            let some = pending.len().min(AT_ONCE);
            let rest = pending.split_off(some);
            mem::replace(&mut *pending, rest).into_iter().unzip()
        };
        if work.is_empty() {
            return;
        }
        let (database, counts) = (Arc::clone(database), Arc::clone(&self.counts));
        tokio::spawn(async move {
            let (records, begun) = (work.len(), Instant::now());
            let runs: Vec<_> = work.iter().map(Work::run).collect();
            let mut outcome = write(&database, &counts, work, turn).await;
            writer::count("runs", records, begun);
            for (run, told) in runs.into_iter().zip(told) {
                let outcome = match &mut outcome {
                    Ok(Some(put)) => put.of(&run).map(Brought::Done),
                    Ok(None) => Ok(Brought::Apart),
                    Err(error) => Err(StoreError::Unavailable(error.to_string().into())),
                };
                // Whoever asked may have gone.
                drop(told.send(outcome));
            }
        });
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<(Work, Told)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a transaction's runs: mostly nothing to tell.
#[derive(Debug)]
struct Put {
    had: Had,
    /// Runs that found no room in the queue.
    refused: Vec<(RunOf, StoreError)>,
}

impl Put {
    fn of(&mut self, run: &RunOf) -> Result<Vec<String>, StoreError> {
        match self.refused.iter().position(|(of, _)| of == run) {
            Some(at) => Err(self.refused.swap_remove(at).1),
            None => Ok(self.had.of(run)),
        }
    }
}

/// Objects of runs that have ended: mostly none.
#[derive(Debug, Default)]
struct Had(Vec<(RunOf, Vec<String>)>);

impl Had {
    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        let keys = keys_of(std::slice::from_ref(row), sql::OBJECTS)?;
        if !keys.is_empty() {
            let of = (text(row, sql::OBJECTS)?.to_owned(), text(row, sql::OBJECTS + 1)?.to_owned());
            self.0.push((of, keys));
        }
        Ok(())
    }

    fn of(&self, run: &RunOf) -> Vec<String> {
        self.0.iter().find(|(of, _)| of == run).map(|(_, keys)| keys.clone()).unwrap_or_default()
    }
}

/// One transaction for all of it; nothing where nothing was written. An error is one of the commit, after which nobody knows.
async fn write(database: &Database, counts: &Counts, work: Vec<Work>, turn: OwnedMutexGuard<()>) -> Result<Option<Put>, StoreError> {
    let (mut queueing, mut ending) = (Vec::new(), Vec::new());
    for work in work {
        match work {
            Work::Queue(run) => queueing.push(run),
            Work::End(run) => ending.push(run),
        }
    }
    let Ok(mut writer) = database.write().await else { return Ok(None) };
    let Ok(mut transaction) = writer.begin().await else { return Ok(None) };
    let put = match put(&mut transaction, counts, queueing, ending).await {
        Ok(Some(put)) => put,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "runs are written one by one");
            return Ok(None);
        }
    };
    let committed = transaction.commit().await?;
    // The next transaction need not wait until this one is on the disk.
    drop(turn);
    writer.finish(committed).await?;
    Ok(Some(put))
}

async fn put(
    transaction: &mut Transaction<'_>,
    counts: &Counts,
    mut queueing: Vec<Queueing>,
    mut ending: Vec<Ending>,
) -> Result<Option<Put>, StoreError> {
    let refused = refuse(transaction, counts, &mut queueing).await?;
    // In the order in which rows are locked: callbacks, the queue, then the runs.
    for run in &ending {
        if let Some(heard) = &run.heard {
            hear(transaction, &run.run.tenant, heard).await?;
        }
    }
    let Some(had) = dequeue(transaction, &ending).await? else { return Ok(None) };
    let recordings: Vec<_> = queueing.iter_mut().map(|run| &mut run.run).chain(ending.iter_mut().map(|run| &mut run.run)).collect();
    let recordings: Vec<_> =
        recordings.into_iter().filter_map(|run| Some((run.tenant.clone(), run.id.clone(), run.recording.take()?))).collect();
    let runs: Vec<&Written> = queueing.iter().map(|run| &run.run).chain(ending.iter().map(|run| &run.run)).collect();
    let keep_tenant = transaction.keep_tenant();
    let written = in_statements(transaction, &runs, |rows| sql::put(rows, keep_tenant), |query, run| bind_run(query, run));
    if written.await? != runs.len() as u64 {
        return Ok(None);
    }
    in_statements(transaction, &queueing, sql::enqueue, bind_queued).await?;
    in_statements(transaction, &recordings, recordings_sql::put, |query, (tenant, id, recording)| {
        recording.bind(query.bind(tenant.as_str()).bind(id.as_str()))
    })
    .await?;
    let events: Vec<_> = ending.iter().flat_map(|run| run.events.iter().map(move |event| (&run.run, event))).collect();
    in_statements(transaction, &events, waiting_sql::add_events, |query, (run, (seq, text))| {
        query.bind(run.tenant.as_str()).bind(run.id.as_str()).bind(*seq).bind(text.as_str())
    })
    .await?;
    Ok(Some(Put { had, refused }))
}

/// Takes runs that end out of the queue; nothing where one of them is not held any more.
async fn dequeue(transaction: &mut Transaction<'_>, ending: &[Ending]) -> Result<Option<Had>, StoreError> {
    let (mut rest, mut held, mut had) = (ending, 0, Had::default());
    for rows in ROWS {
        while let Some((some, others)) = rest.split_at_checked(rows) {
            rest = others;
            let dequeue = some.iter().fold(made_query(sql::dequeue_held(rows).into()), |query, run| {
                query.bind(run.run.tenant.as_str()).bind(run.run.id.as_str()).bind(run.token.as_str())
            });
            for row in &dequeue.fetch_all(transaction).await? {
                held += 1;
                had.add(row)?;
            }
        }
    }
    Ok((held == ending.len()).then_some(had))
}

/// Takes out those that find no room in their tenant's queue.
async fn refuse(
    transaction: &mut Transaction<'_>,
    counts: &Counts,
    queueing: &mut Vec<Queueing>,
) -> Result<Vec<(RunOf, StoreError)>, StoreError> {
    let mut refused = Vec::new();
    for run in mem::take(queueing) {
        let (more, most) = run.room;
        match counts.take(transaction, &run.run.tenant, more, most).await? {
            Ok(()) => queueing.push(run),
            Err(error) => refused.push(((run.run.tenant.to_string(), run.run.id), error)),
        }
    }
    Ok(refused)
}

/// Binds rows to statements of a few sizes, so that all of them stay prepared; gives the number of rows written.
async fn in_statements<'q, T>(
    transaction: &mut Transaction<'_>,
    all: &'q [T],
    statement: impl Fn(usize) -> String,
    bind: impl Fn(Query<'q>, &'q T) -> Query<'q>,
) -> Result<u64, StoreError> {
    let (mut rest, mut written) = (all, 0);
    for rows in ROWS {
        while let Some((some, others)) = rest.split_at_checked(rows) {
            rest = others;
            written += some.iter().fold(made_query(statement(rows).into()), &bind).execute(transaction).await?;
        }
    }
    Ok(written)
}

fn bind_run<'q>(query: Query<'q>, run: &'q Written) -> Query<'q> {
    let query = query.bind(run.tenant.as_str()).bind(run.id.as_str()).bind(run.flow.as_ref().map(Name::as_str));
    let [payloads_until, logs_until] = run.kept_until;
    let query = query.bind(run.status).bind(run.started_us).bind(Arc::clone(&run.record));
    query.bind(payloads_until).bind(logs_until).bind(run.summary.as_deref())
}

fn bind_queued<'q>(query: Query<'q>, queued: &'q Queueing) -> Query<'q> {
    let Queueing { run, content_type, input, flow_version, writes, values, .. } = queued;
    let query = query.bind(run.tenant.as_str()).bind(run.id.as_str()).bind(run.started_us);
    let query = query.bind(content_type.as_str()).bind(input.column()).bind(input.key()).bind(run.flow.as_ref().map(Name::as_str));
    query.bind(flow_version.map(i64::from)).bind(writes.as_deref()).bind(values.as_deref())
}
