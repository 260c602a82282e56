//! The removal of a tenant's oldest runs, or of their payloads, before their time: where they take more than may be kept.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use snaphook_model::{RunId, TenantName};

use super::OnSql;
use super::objects::keys_of;
use super::retention::{Emptied, RECORDS_AT_ONCE, RUNS_AT_ONCE, first_id, hold, write};
use super::rows::{amount, form, text};
use super::runs::RECORD;
use crate::database::{Query, Row, query};
use crate::sql::{history as sql, retention as retention_sql};
use crate::{Relief, Relieved, StoreError};

/// Nobody looks at a tenant for so long after each step in which something is removed, so that no two nodes remove the same excess.
const RELIEVING: SignedDuration = SignedDuration::from_mins(1);

/// After every id.
pub(super) const END: &str = "g";

/// A step of removing, with ids as the statements know them.
pub(super) struct Step {
    relief: Relief,
    after: String,
    until: String,
    usual_before: String,
    /// Payloads of usual runs up to this one are gone.
    mark: String,
    /// What was counted as settled.
    upto: String,
}

/// What goes in a step.
#[derive(Debug, Default)]
struct Going {
    /// Before the first run of which something goes: what is older was looked at already, and stays.
    before: String,
    /// The last run of which something goes; empty for none.
    last: String,
    bytes: u64,
    /// The part of it that was counted as settled.
    settled: u64,
}

impl Going {
    /// Adds a run; breaks off with the one that makes it enough.
    fn add(&mut self, step: &Step, run: &str, bytes: u64) -> ControlFlow<()> {
        if self.last.is_empty() {
            // All ids are as long as each other, so what an id begins with is less than the id.
            run[..run.len() - 1].clone_into(&mut self.before);
        }
        run.clone_into(&mut self.last);
        self.bytes = self.bytes.saturating_add(bytes);
        if run <= step.upto.as_str() {
            self.settled = self.settled.saturating_add(bytes);
        }
        if self.bytes >= step.relief.bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Takes it off what was counted.
    fn less<'q>(&self, step: &Step, tenant: &'q TenantName) -> Query<'q> {
        let less = query(sql::LESS).bind(tenant.as_str()).bind(signed(self.bytes)).bind(signed(self.settled));
        less.bind(later(step.relief.now, RELIEVING))
    }
}

impl Step {
    /// None for a tenant of whose runs nothing was counted.
    pub(super) async fn of(store: &impl OnSql, tenant: &TenantName, relief: Relief) -> Result<Option<Self>, StoreError> {
        let marks = query(sql::MARKS).bind(tenant.as_str()).read_optional(store.database()).await?;
        let Some(marks) = marks else { return Ok(None) };
        Ok(Some(Self {
            after: relief.after.map(|run| run.to_string()).unwrap_or_default(),
            until: relief.until.map_or_else(|| END.to_owned(), |run| run.to_string()),
            usual_before: first_id(relief.usual_before),
            mark: text(&marks, 0)?.to_owned(),
            upto: marks.get::<Option<String>>(1)?.unwrap_or_default(),
            relief,
        }))
    }

    /// Empties the oldest records that have payloads, and removes what was recorded.
    pub(super) async fn remove_payloads(&self, store: &impl OnSql, tenant: &TenantName) -> Result<Relieved, StoreError> {
        let (mut going, mut emptied) = (Going::default(), Vec::new());
        let take = |row: &Row| {
            let run = Emptied::of(row)?;
            let before = text(row, 1)?.len();
            let of_record = before.saturating_sub(run.text.as_ref().map_or(before, String::len));
            let flow = going.add(self, &run.id, amount(row, 2)?.saturating_add(of_record as u64));
            emptied.push(run);
            Ok(flow)
        };
        // Before the mark nearly all have lost theirs; the few that say themselves how long they are kept go as a whole.
        let after = self.after.as_str().max(self.mark.as_str());
        let records = between(sql::OLDEST_RECORDS, tenant, after, &self.until).bind(self.mark.as_str());
        records.bind(self.usual_before.as_str()).bind(RECORDS_AT_ONCE).read_each(store.database(), take).await?;
        if emptied.is_empty() {
            return Ok(Relieved::default());
        }
        let mut writer = store.database().write().await?;
        let mut transaction = writer.begin_batch().await?;
        // Somebody else has gone on here; the next step begins where that one ended.
        if hold(&mut transaction, tenant).await?.is_none_or(|(held, _)| held != self.mark) {
            return Ok(Relieved { last: self.relief.after, more: true, ..Relieved::default() });
        }
        let objects = write(&mut transaction, tenant, &emptied).await?;
        // All usual runs up to there that are surely in the store have lost their payloads.
        let mark = going.last.as_str().min(self.usual_before.as_str());
        if mark > self.mark.as_str() {
            query(retention_sql::SET_PAYLOADS_MARK).bind(tenant.as_str()).bind(mark).execute(&mut transaction).await?;
        }
        going.less(self, tenant).execute(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
        store.parts().remove_objects(objects).await;
        relieved(&going, emptied.len() as u64)
    }

    /// A statement about runs that may go as a whole, up to one of them.
    fn may_go<'q>(&'q self, sql: &'static str, tenant: &'q TenantName, (after, until): (&'q str, &'q str)) -> Query<'q> {
        between(sql, tenant, after, until).bind(self.usual_before.as_str())
    }

    /// Deletes the oldest runs.
    pub(super) async fn delete(&self, store: &impl OnSql, tenant: &TenantName) -> Result<Relieved, StoreError> {
        let mut going = Going::default();
        let take = |row: &Row| Ok(going.add(self, text(row, 0)?, amount(row, 1)?));
        self.may_go(sql::OLDEST, tenant, (&self.after, &self.until)).bind(RUNS_AT_ONCE).read_each(store.database(), take).await?;
        if going.last.is_empty() {
            return Ok(Relieved::default());
        }
        let mut writer = store.database().write().await?;
        let mut transaction = writer.begin_batch().await?;
        if hold(&mut transaction, tenant).await?.is_none() {
            return Ok(Relieved::default());
        }
        let objects = self.may_go(sql::TAKE, tenant, (&going.before, &going.last)).fetch_all(&mut transaction).await?;
        let deleted = self.may_go(sql::DELETE, tenant, (&going.before, &going.last)).execute(&mut transaction).await?;
        // Else another node has removed them, and taken them off.
        if deleted > 0 {
            going.less(self, tenant).execute(&mut transaction).await?;
        }
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
        store.parts().remove_objects(keys_of(&objects, 1)?).await;
        relieved(&going, deleted)
    }
}

fn relieved(going: &Going, runs: u64) -> Result<Relieved, StoreError> {
    Ok(Relieved { runs, bytes: going.bytes, last: Some(run_id(&going.last)?), more: true })
}

pub(super) fn between<'q>(sql: &'static str, tenant: &'q TenantName, after: &'q str, until: &'q str) -> Query<'q> {
    query(sql).bind(tenant.as_str()).bind(after).bind(until)
}

pub(super) fn run_id(text: &str) -> Result<RunId, StoreError> {
    text.parse().map_err(|error: uuid::Error| form(RECORD, error))
}

/// As a column holds it.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn later(now: Timestamp, after: SignedDuration) -> i64 {
    now.as_microsecond().saturating_add(micros(after))
}

pub(super) fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
