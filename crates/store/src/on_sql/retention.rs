//! What has had its time. What goes is found by readers, so that the right to write is held only while it goes.

use std::ops::ControlFlow;

use jiff::Timestamp;
use snaphook_model::{RunRecord, TenantName};

use super::OnSql;
use super::audit::{forget, may_be_more};
use super::objects::keys_of;
use super::rows::{from_json, text, to_json};
use super::runs::RECORD;
use crate::database::{Query, Row, Transaction, query};
use crate::sql::{keys, retention as sql, waiting};
use crate::{RetentionStore, StoreError, StoreFuture, Sweep, Swept};

/// Runs that go at once.
pub(super) const RUNS_AT_ONCE: u32 = 250;

/// Records that are written anew at once: each of them may be some megabytes.
pub(super) const RECORDS_AT_ONCE: u32 = 32;

/// What is kept of an id to tell whether so much time has passed that a mark is worth moving although nothing went: 24 bits of its
/// milliseconds, which are nearly five hours.
const MARK_DIGITS: usize = 6;

impl<S: OnSql> RetentionStore for S {
    fn sweep<'a>(&'a self, tenant: &'a TenantName, sweep: Sweep) -> StoreFuture<'a, Swept> {
        Box::pin(async move {
            let marks = query(sql::MARKS).bind(tenant.as_str()).read_optional(self.database()).await?;
            let mark = |column| marks.as_ref().map_or(Ok(""), |row| text(row, column));
            let mut swept = Swept::default();
            swept.add_runs(delete_own(self, tenant, sweep.now).await?);
            swept.add_runs(delete_usual(self, tenant, mark(1)?, &first_id(sweep.logs_before)).await?);
            swept.add_payloads(remove_own_payloads(self, tenant, sweep.now).await?);
            swept.add_payloads(remove_usual_payloads(self, tenant, mark(0)?, &first_id(sweep.payloads_before)).await?);
            delete_keys(self, tenant, sweep.keys_before).await?;
            swept.audit = forget(self, tenant, sweep.audit_before).await?;
            swept.more |= may_be_more(swept.audit);
            Ok(swept)
        })
    }
}

impl Swept {
    const fn add_runs(&mut self, runs: u64) {
        self.runs += runs;
        self.more |= runs >= RUNS_AT_ONCE as u64;
    }

    const fn add_payloads(&mut self, runs: u64) {
        self.payloads += runs;
        self.more |= runs >= RECORDS_AT_ONCE as u64;
    }
}

/// The least id of a run that was made at a time: a UUID of version 7 begins with the milliseconds since 1970.
pub(super) fn first_id(time: Timestamp) -> String {
    let ms = u64::try_from(time.as_millisecond()).unwrap_or_default();
    format!("{:08x}-{:04x}-7000-8000-000000000000", (ms >> 16) & 0xffff_ffff, ms & 0xffff)
}

/// A record without its payloads; none where it cannot be read, of which nothing can be taken.
pub(super) struct Emptied {
    pub(super) id: String,
    pub(super) text: Option<String>,
}

impl Emptied {
    /// Of a row with a run's id and its record.
    pub(super) fn of(row: &Row) -> Result<Self, StoreError> {
        let id = text(row, 0)?.to_owned();
        let text = from_json(RECORD, text(row, 1)?).and_then(|mut record: RunRecord| {
            record.forget_payloads();
            to_json(RECORD, &record)
        });
        if let Err(error) = &text {
            tracing::warn!(run = id, error = error as &dyn std::error::Error, "the record of a run cannot be read, and stays as it is");
        }
        Ok(Self { id, text: text.ok() })
    }
}

/// Runs whose own time is over.
async fn delete_own(store: &impl OnSql, tenant: &TenantName, now: Timestamp) -> Result<u64, StoreError> {
    let of_tenant = |sql| query(sql).bind(tenant.as_str()).bind(now.as_microsecond());
    if of_tenant(sql::OWN_IDS).read_optional(store.database()).await?.is_none() {
        return Ok(0);
    }
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    if hold(&mut transaction, tenant).await?.is_none() {
        return Ok(0);
    }
    let objects = of_tenant(sql::TAKE_OWN).bind(RUNS_AT_ONCE).fetch_all(&mut transaction).await?;
    let deleted = of_tenant(sql::DELETE_OWN).bind(RUNS_AT_ONCE).execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    store.parts().remove_objects(keys_of(&objects, 1)?).await;
    Ok(deleted)
}

/// Runs that go by the usual times.
async fn delete_usual(store: &impl OnSql, tenant: &TenantName, mark: &str, cut: &str) -> Result<u64, StoreError> {
    if mark >= cut {
        return Ok(0);
    }
    let mut ids = Vec::new();
    let take = |row: &Row| {
        ids.push(text(row, 0)?.to_owned());
        Ok(ControlFlow::Continue(()))
    };
    between(sql::USUAL_IDS, tenant, mark, cut).bind(RUNS_AT_ONCE).read_each(store.database(), take).await?;
    let Some(next) = next_mark(ids.len(), RUNS_AT_ONCE, ids.last(), mark, cut) else { return Ok(0) };
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    if hold(&mut transaction, tenant).await?.is_none_or(|(_, held)| held != mark) {
        return Ok(0);
    }
    let objects = between(sql::TAKE_USUAL, tenant, mark, next).fetch_all(&mut transaction).await?;
    let deleted = between(sql::DELETE_USUAL, tenant, mark, next).execute(&mut transaction).await?;
    query(sql::SET_LOGS_MARK).bind(tenant.as_str()).bind(next).execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    store.parts().remove_objects(keys_of(&objects, 1)?).await;
    Ok(deleted)
}

/// Payloads of runs whose own time is over.
async fn remove_own_payloads(store: &impl OnSql, tenant: &TenantName, now: Timestamp) -> Result<u64, StoreError> {
    let own = query(sql::OWN_RECORDS).bind(tenant.as_str()).bind(now.as_microsecond()).bind(RECORDS_AT_ONCE);
    let emptied = emptied(store, own).await?;
    if emptied.is_empty() {
        return Ok(0);
    }
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    if hold(&mut transaction, tenant).await?.is_none() {
        return Ok(0);
    }
    let objects = write(&mut transaction, tenant, &emptied).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    store.parts().remove_objects(objects).await;
    Ok(emptied.len() as u64)
}

/// Those that go by the usual times.
async fn remove_usual_payloads(store: &impl OnSql, tenant: &TenantName, mark: &str, cut: &str) -> Result<u64, StoreError> {
    if mark >= cut {
        return Ok(0);
    }
    let emptied = emptied(store, between(sql::USUAL_RECORDS, tenant, mark, cut).bind(RECORDS_AT_ONCE)).await?;
    let last = emptied.last().map(|run| &run.id);
    let Some(next) = next_mark(emptied.len(), RECORDS_AT_ONCE, last, mark, cut) else { return Ok(0) };
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    if hold(&mut transaction, tenant).await?.is_none_or(|(held, _)| held != mark) {
        return Ok(0);
    }
    let objects = write(&mut transaction, tenant, &emptied).await?;
    query(sql::SET_PAYLOADS_MARK).bind(tenant.as_str()).bind(next).execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    store.parts().remove_objects(objects).await;
    Ok(emptied.len() as u64)
}

/// Keys of a tenant that sends no more of them; those of others go as new ones come.
async fn delete_keys(store: &impl OnSql, tenant: &TenantName, before: Timestamp) -> Result<(), StoreError> {
    let of_tenant = |sql| query(sql).bind(tenant.as_str()).bind(before.as_microsecond());
    if of_tenant(sql::ANY_KEY).read_optional(store.database()).await?.is_some() {
        let mut writer = store.database().write().await?;
        let mut transaction = writer.begin_batch().await?;
        of_tenant(keys::FORGET_OLD).execute(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
    }
    Ok(())
}

fn between<'q>(sql: &'static str, tenant: &'q TenantName, after: &'q str, end: &'q str) -> Query<'q> {
    query(sql).bind(tenant.as_str()).bind(after).bind(end)
}

/// Where the mark goes: behind the last run that was found where there may be more of them, else to the end. None where moving it is not worth
/// a transaction.
fn next_mark<'a>(found: usize, most: u32, last: Option<&'a String>, mark: &str, cut: &'a str) -> Option<&'a str> {
    match last {
        Some(last) if found >= most as usize => Some(last),
        None if mark.get(..MARK_DIGITS) == cut.get(..MARK_DIGITS) => None,
        _ => Some(cut),
    }
}

/// Takes turns with other nodes; gives the marks as they are now.
pub(super) async fn hold(transaction: &mut Transaction<'_>, tenant: &TenantName) -> Result<Option<(String, String)>, StoreError> {
    let held = query(sql::HOLD).bind(tenant.as_str()).fetch_optional(transaction).await?;
    held.map(|row| Ok((text(&row, 0)?.to_owned(), text(&row, 1)?.to_owned()))).transpose()
}

/// Reads records, and takes their payloads out.
async fn emptied(store: &impl OnSql, records: Query<'_>) -> Result<Vec<Emptied>, StoreError> {
    let mut emptied = Vec::new();
    let take = |row: &Row| {
        emptied.push(Emptied::of(row)?);
        Ok(ControlFlow::Continue(()))
    };
    records.read_each(store.database(), take).await?;
    Ok(emptied)
}

/// Takes the payloads out of the rows; gives the keys of objects that held some.
pub(super) async fn write(transaction: &mut Transaction<'_>, tenant: &TenantName, emptied: &[Emptied]) -> Result<Vec<String>, StoreError> {
    let mut taken = Vec::new();
    for Emptied { id, text } in emptied {
        let of_run = |sql| query(sql).bind(tenant.as_str()).bind(id.as_str());
        match text {
            Some(text) => of_run(sql::SET_RECORD).bind(text.as_str()).execute(transaction).await?,
            None => of_run(sql::SET_REMOVED).execute(transaction).await?,
        };
        taken.extend(of_run(sql::DELETE_RECORDING).fetch_optional(transaction).await?);
        of_run(sql::EMPTY_CALLBACKS).bind(waiting::TAKEN).execute(transaction).await?;
    }
    keys_of(&taken, 1)
}

#[cfg(test)]
mod tests {
    use snaphook_model::RunId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ids_are_told_apart_by_their_time() {
        let time = Timestamp::from_millisecond(1_790_000_000_123).unwrap();
        let first = first_id(time);
        assert!(first.parse::<RunId>().is_ok(), "{first}");
        let at = |ms: u64| {
            RunId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, ms / 1000, u32::try_from(ms % 1000).unwrap() * 1_000_000)))
                .to_string()
        };
        assert!(at(1_790_000_000_122) < first && first <= at(1_790_000_000_123));
    }

    #[test]
    fn a_mark_moves_behind_what_was_found() {
        let (last, cut) = ("01a0-last".to_owned(), "01a100-cut");
        assert_eq!(next_mark(2, 2, Some(&last), "", cut), Some("01a0-last"));
        assert_eq!(next_mark(1, 2, Some(&last), "", cut), Some(cut));
        assert_eq!(next_mark(0, 2, None, "01a0ff", cut), Some(cut));
        assert_eq!(next_mark(0, 2, None, "01a100-before", cut), None);
    }
}
