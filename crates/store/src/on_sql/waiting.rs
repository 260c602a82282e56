//! Runs that have begun and are gone on with later, their events, and callbacks.

use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use snaphook_model::{AuditAction, Callback, CorrelationId, Payload, RunEvent, RunId, SealedSecret, TenantName};

use super::audit::note;
use super::objects::{Held, keys_of};
use super::recordings::{self, PackedRecording};
use super::rows::{form, from_json, text, time, to_json};
use super::runs::{RECORD, put, run_record, values_text, writes_text};
use super::{OnSql, Parts};
use crate::database::{Database, Row, Transaction, made_query, query};
use crate::objects::ObjectKind;
use crate::sql::{runs as runs_sql, waiting as sql};
use crate::{CalledBack, Cancelled, EndOfRun, KeptCallback, Lease, RunCounts, Saved, SavedRun, StoreError, StoreFuture, WaitStore, Wake};

/// What these are called in a [`StoreError::Form`].
const EVENT: &str = "an event";
const CALLBACK: &str = "a callback";

/// A callback in plain without its body, which stands in a column of its own.
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

impl<S: OnSql> WaitStore for S {
    fn save_run<'a>(&'a self, tenant: &'a TenantName, lease: Option<&'a Lease>, saved: SavedRun<'a>) -> StoreFuture<'a, Saved> {
        Box::pin(async move {
            let parts = self.parts();
            let made = Made::of(parts, tenant, lease, &saved).await?;
            match write(parts, tenant, lease, &saved, &made).await {
                Ok((done, had)) => {
                    parts.let_go(&had).await;
                    Ok(done)
                }
                Err(error) => {
                    parts.abandon(made.objects(), &error).await;
                    Err(error)
                }
            }
        })
    }

    fn next_due(&self) -> StoreFuture<'_, Option<Timestamp>> {
        Box::pin(async move {
            let row = query(sql::NEXT_DUE).read_optional(self.database()).await?;
            row.map(|row| time(&row, 0)).transpose()
        })
    }

    fn run_counts(&self, now: Timestamp) -> StoreFuture<'_, RunCounts> {
        Box::pin(async move {
            let row = query(sql::COUNTS).bind(now.as_microsecond()).read_optional(self.database()).await?;
            let Some(row) = row else { return Ok(RunCounts::default()) };
            let count = |column| row.get::<i64>(column).map(|count| u64::try_from(count).unwrap_or_default());
            let (unheld, leased, fresh, fresh_leased, due) = (count(0)?, count(1)?, count(2)?, count(3)?, count(4)?);
            let queued = fresh.saturating_sub(fresh_leased);
            Ok(RunCounts { queued, waiting: unheld.saturating_sub(queued), leased, due })
        })
    }

    fn callback<'a>(&'a self, tenant: &'a TenantName, id: &'a CorrelationId) -> StoreFuture<'a, Option<KeptCallback>> {
        Box::pin(async move {
            let query = query(sql::CALLBACK).bind(tenant.as_str()).bind(id.0.as_str());
            query.read_optional(self.database()).await?.map(|row| callback(&row)).transpose()
        })
    }

    fn call_back<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a CorrelationId,
        callback: &'a KeptCallback,
        now: Timestamp,
    ) -> StoreFuture<'a, CalledBack> {
        Box::pin(async move {
            let (said, body, sealed) = match callback {
                KeptCallback::Sealed(sealed) => (sql::TAKEN.to_owned(), None, Some(&sealed.0[..])),
                KeptCallback::Plain(callback) => (to_json(CALLBACK, &Head::of(callback))?, Some(&callback.body.bytes[..]), None),
            };
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let take = query(sql::TAKE_CALLBACK).bind(tenant.as_str()).bind(id.0.as_str()).bind(said).bind(body).bind(sealed);
            let Some(row) = take.fetch_optional(&mut transaction).await? else {
                let known = query(sql::KNOWN_CALLBACK).bind(tenant.as_str()).bind(id.0.as_str());
                let known = known.fetch_optional(&mut transaction).await?.is_some();
                return Ok(if known { CalledBack::Used } else { CalledBack::Unknown });
            };
            let run = text(&row, 0)?.to_owned();
            let now_us = now.as_microsecond();
            query(sql::WAKE).bind(tenant.as_str()).bind(run.as_str()).bind(now_us).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            self.database().hint_queued(now_us);
            Ok(CalledBack::Taken(run.parse().map_err(|error| form(CALLBACK, error))?))
        })
    }

    fn cancel_run<'a>(&'a self, tenant: &'a TenantName, id: RunId, end: &'a EndOfRun<'a>) -> StoreFuture<'a, Cancelled> {
        Box::pin(async move {
            self.queue().flush().await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            transaction.lock_queued(tenant, id).await?;
            let of_run = |sql| query(sql).bind(tenant.as_str()).bind(id.to_string());
            let unheld = of_run(sql::TAKE_UNHELD).fetch_optional(&mut transaction).await?;
            let record = of_run(runs_sql::GET).fetch_optional(&mut transaction).await?;
            let Some(record) = record.map(|row| run_record(&row)).transpose()? else { return Ok(Cancelled::Unknown) };
            let outcome = if unheld.is_some() {
                let (record, events) = end(record);
                put(&mut transaction, tenant, &record, to_json(RECORD, &record)?).await?;
                add_events(&mut transaction, tenant, id, &event_texts(&events)?).await?;
                Cancelled::Done
            } else if of_run(sql::ASK_TO_CANCEL).execute(&mut transaction).await? == 0 {
                return Ok(Cancelled::Ended);
            } else {
                Cancelled::Asked
            };
            note(self.author(), &mut transaction, tenant, AuditAction::RunCancel, (&id.to_string(), None)).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            self.parts().let_go(&keys_of(unheld.as_slice(), 2)?).await;
            Ok(outcome)
        })
    }

    fn run_events<'a>(&'a self, tenant: &'a TenantName, id: RunId, after: u32, limit: u32) -> StoreFuture<'a, Vec<RunEvent>> {
        Box::pin(async move {
            let query = query(sql::EVENTS).bind(tenant.as_str()).bind(id.to_string()).bind(after).bind(limit);
            let mut events = Vec::new();
            let take = |row: &Row| {
                events.push(from_json(EVENT, text(row, 0)?)?);
                Ok(ControlFlow::Continue(()))
            };
            query.read_each(self.database(), take).await?;
            Ok(events)
        })
    }
}

/// What is written of a run, made before the turn to write comes: texts, and objects where they are large.
struct Made {
    record: String,
    recording: Option<PackedRecording>,
    events: Vec<(u32, String)>,
    checkpoint: Held,
    /// None where its row is there.
    input: Option<Held>,
}

impl Made {
    async fn of(parts: &Parts, tenant: &TenantName, lease: Option<&Lease>, saved: &SavedRun<'_>) -> Result<Self, StoreError> {
        let (record, events) = (to_json(RECORD, &saved.run.record)?, event_texts(saved.events)?);
        let input = async {
            match lease {
                Some(_) => None,
                None => Some(parts.hold_or_leave(tenant, ObjectKind::Input, &saved.run.input.bytes).await),
            }
        };
        let checkpoint = parts.hold_or_leave(tenant, ObjectKind::Checkpoint, saved.checkpoint);
        let (recording, checkpoint, input) = tokio::join!(recordings::beside(parts, tenant, saved.recording), checkpoint, input);
        Ok(Self { record, recording, events, checkpoint, input })
    }

    fn objects(&self) -> Vec<String> {
        let keys =
            [self.recording.as_ref().and_then(PackedRecording::object), self.checkpoint.key(), self.input.as_ref().and_then(Held::key)];
        keys.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// Writes a run down; gives the objects that others have taken the place of, and perhaps some that are in use.
async fn write(
    parts: &Parts,
    tenant: &TenantName,
    lease: Option<&Lease>,
    saved: &SavedRun<'_>,
    made: &Made,
) -> Result<(Saved, Vec<String>), StoreError> {
    let mut writer = parts.database.write().await?;
    let mut transaction = writer.begin().await?;
    let Some(done) = save(&parts.database, &mut transaction, tenant, lease, saved, made).await? else {
        // The objects of the try before are in use, and those of this one are nobody's.
        let before = saved_before(&mut transaction, tenant, saved).await?;
        transaction.rollback().await?;
        return Ok((before, made.objects()));
    };
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(done)
}

/// What came of a try before this one, of which nobody heard. A run that is held is known by its token. One that waits is nobody's, and may have been
/// claimed since; as no two runs have the same id, it is enough that it has begun.
async fn saved_before(transaction: &mut Transaction<'_>, tenant: &TenantName, saved: &SavedRun<'_>) -> Result<Saved, StoreError> {
    let id = saved.run.record.id;
    let row = query(sql::SAVED).bind(tenant.as_str()).bind(id.to_string()).fetch_optional(transaction).await?;
    let held = matches!(saved.wake, Wake::Held);
    if let Some(row) = row
        && (!held || row.get::<Option<String>>(0)? == Some(saved.token.to_string()))
    {
        let lease = held.then(|| Lease { tenant: tenant.clone(), run: id, token: saved.token });
        return Ok(Saved { lease, cancelled: row.get::<i64>(1)? != 0 });
    }
    Err(StoreError::Exists(format!("run {id}")))
}

/// See [`write`]. None where the run was saved before; then nothing of this may be committed.
async fn save(
    database: &Database,
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    lease: Option<&Lease>,
    saved: &SavedRun<'_>,
    made: &Made,
) -> Result<Option<(Saved, Vec<String>)>, StoreError> {
    let run = saved.run;
    let id = run.record.id;
    // Callbacks come before the queue: see the order of locks.
    if let Wake::Callback(correlation, _) = saved.wake {
        transaction.lock_callback(tenant, correlation).await?;
    }
    if let Some(heard) = saved.heard {
        hear(transaction, tenant, &heard.0).await?;
    }
    let before = match lease {
        Some(_) => transaction.queued_objects(tenant, id).await?,
        None => None,
    };
    let input = match (&before, &made.input) {
        (Some(row), _) => row.get::<Option<&str>>(0)?,
        (None, input) => input.as_ref().and_then(Held::key),
    };
    let writes = writes_text(run, input.is_some() || made.checkpoint.key().is_some())?;
    let (due, held) = match saved.wake {
        Wake::Held => (Timestamp::UNIX_EPOCH, true),
        Wake::At(time) => (time, false),
        Wake::Callback(correlation, until) => {
            let came = query(sql::CALLBACK).bind(tenant.as_str()).bind(correlation.0.as_str());
            (if came.fetch_optional(transaction).await?.is_some() { Timestamp::UNIX_EPOCH } else { until }, false)
        }
    };
    // One that stays held keeps its token, so that a lease that is being renewed meanwhile is not lost.
    let next = held.then(|| lease.cloned().unwrap_or_else(|| Lease { tenant: tenant.clone(), run: id, token: saved.token }));
    let until = if held { database.lease_until(transaction).await? } else { None };
    // The record comes first: the row in the queue refers to it.
    put(transaction, tenant, &run.record, made.record.clone()).await?;
    let row = |sql| {
        let query = query(sql).bind(tenant.as_str()).bind(id.to_string()).bind(due.as_microsecond()).bind(i64::from(held));
        let query = query.bind(next.as_ref().map(|lease| lease.token.to_string())).bind(until);
        query.bind(made.checkpoint.column()).bind(made.checkpoint.key()).bind(writes.as_deref())
    };
    let cancelled = if let Some(lease) = lease {
        let moved = row(sql::MOVE).bind(lease.token.to_string()).fetch_optional(transaction).await?;
        moved.ok_or(StoreError::LeaseLost)?.get::<i64>(0)? != 0
    } else {
        let bytes = made.input.as_ref().map_or(run.input.bytes.as_ref(), Held::column);
        let query = row(sql::PUT).bind(run.input.content_type.as_str()).bind(bytes).bind(input);
        let query = query.bind(run.record.flow.as_ref().map(|flow| flow.as_str())).bind(run.record.flow_version.map(i64::from));
        let insert = query.bind(values_text(run)?);
        if insert.execute(transaction).await? == 0 {
            return Ok(None);
        }
        false
    };
    if let Some(recording) = &made.recording {
        recording.put(transaction, tenant, id).await?;
    }
    add_events(transaction, tenant, id, &made.events).await?;
    if let Some(correlation) = saved.expects {
        let expect = query(sql::EXPECT).bind(tenant.as_str()).bind(correlation.0.as_str()).bind(id.to_string());
        expect.execute(transaction).await?;
    }
    Ok(Some((Saved { lease: next, cancelled }, keys_of(before.as_slice(), runs_sql::OBJECTS)?)))
}

/// Keeps nothing of a callback but that it came: its run goes on from behind it.
pub(super) async fn hear(transaction: &mut Transaction<'_>, tenant: &TenantName, heard: &str) -> Result<(), StoreError> {
    query(sql::HEARD).bind(tenant.as_str()).bind(heard).bind(sql::TAKEN).execute(transaction).await?;
    Ok(())
}

/// Events as their column holds them, with their numbers.
pub(super) fn event_texts(events: &[RunEvent]) -> Result<Vec<(u32, String)>, StoreError> {
    events.iter().map(|event| Ok((event.seq, to_json(EVENT, event)?))).collect()
}

/// Adds what has happened.
pub(super) async fn add_events(
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    id: RunId,
    events: &[(u32, String)],
) -> Result<(), StoreError> {
    /// SQLite takes 32,766 parameters, PostgreSQL twice as many.
    const AT_ONCE: usize = 1_000;
    for some in events.chunks(AT_ONCE) {
        let query = made_query(sql::add_events(some.len()).into());
        let bound =
            some.iter().fold(query, |query, (seq, text)| query.bind(tenant.as_str()).bind(id.to_string()).bind(*seq).bind(text.as_str()));
        bound.execute(transaction).await?;
    }
    Ok(())
}

fn callback(row: &Row) -> Result<KeptCallback, StoreError> {
    if let Some(sealed) = row.get::<Option<Vec<u8>>>(2)? {
        return Ok(KeptCallback::Sealed(SealedSecret(sealed.into())));
    }
    let Some(bytes) = row.get::<Option<Vec<u8>>>(1)? else { return Err(form(CALLBACK, "it is kept no more")) };
    let Head { ok, content_type, document_status, error_code, error_text } = from_json(CALLBACK, text(row, 0)?)?;
    let body = Payload { bytes: bytes.into(), content_type };
    Ok(KeptCallback::Plain(Callback { ok, body, document_status, error_code, error_text }))
}
