//! Lists of runs, newest first. A page looks at a bounded number of rows, whatever it is asked for.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use snaphook_model::{RunId, RunRecord, RunStatus, TenantName};

use super::rows::{Item, MAX_PAGE_BYTES, page, text, to_json};
use super::runs::{RECORD, run_record};
use crate::database::{Database, Query, Row, made_query, query};
use crate::sql::runs as sql;
use crate::{Cursor, Page, PageRequest, RunFilter, StoreError};

/// Rows that a list looks at for one page: some tens of milliseconds.
const ROWS_OF_LOOK: i64 = 5_000;

/// Text of records that is read for one page: a few of them may be as long as thousands.
const BYTES_OF_LOOK: usize = 16 << 20;

/// A run's id is from when it was asked for, and its start from when it began: it may have waited in between, as long as a node may be away.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Sorts after every id of a run: the first hexadecimal digits of a version 7 UUID are a time, and this one is far off.
const BEYOND_ALL_IDS: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// One page of a tenant's runs.
pub(super) async fn list(
    database: &Database,
    tenant: &TenantName,
    filter: &RunFilter,
    request: &PageRequest,
) -> Result<Page<RunRecord>, StoreError> {
    let before = match &request.after {
        Some(cursor) => cursor.0.parse::<RunId>().map_err(|_| StoreError::Cursor)?.to_string(),
        None => BEYOND_ALL_IDS.to_owned(),
    };
    let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let oldest = filter.since.map(oldest_id).unwrap_or_default();
    let end = end_of_look(database, tenant, filter, &before).await?.filter(|end| *end > oldest);
    let rows = if filter.looks_into_records() { ROWS_OF_LOOK } else { request.rows() };
    let by_index = sql::index(filter).map(|index| database.by_index(index)).unwrap_or_default();
    let list = made_query(sql::list(filter, &by_index).into()).bind(tenant.as_str()).bind(before).bind(since).bind(rows);
    let mut list = list.bind(end.clone().unwrap_or(oldest));
    if let Some(flow) = &filter.flow {
        list = list.bind(flow.as_str());
    }
    if let Some(status) = filter.status {
        list = list.bind(status.as_str());
    }
    for mark in filter.marks_of_summary()? {
        list = list.bind(mark);
    }
    let page = if filter.looks_into_records() {
        look_into(filter, request, list, database).await?
    } else {
        let item = |row: &_| Ok(Item { value: run_record(row)?, cursor: text(row, 0)?.to_owned(), bytes: text(row, 3)?.len() });
        page(request, list, database, item).await?
    };
    Ok(Page { next: page.next.or(end.map(Cursor)), ..page })
}

/// The last row that a page of this list may look at, where that is not the list's own end.
async fn end_of_look(database: &Database, tenant: &TenantName, filter: &RunFilter, before: &str) -> Result<Option<String>, StoreError> {
    let Some(sql) = sql::end_of_look(filter) else { return Ok(None) };
    let mut query = query(sql).bind(tenant.as_str()).bind(before).bind(ROWS_OF_LOOK - 1);
    match (&filter.flow, filter.status) {
        (Some(flow), _) => query = query.bind(flow.as_str()),
        (None, Some(status)) if status != RunStatus::Succeeded => query = query.bind(status.as_str()),
        _ => {}
    }
    query.read_optional(database).await?.map(|row| text(&row, 0).map(str::to_owned)).transpose()
}

/// Sorts before the ids of all runs that were asked for so late that they can have begun at this time or later.
fn oldest_id(since: Timestamp) -> String {
    ids_from(since.checked_sub(LONGEST_WAIT).unwrap_or(Timestamp::MIN))
}

/// Sorts before the ids of all runs that were asked for at this time or later, and after all others.
pub(super) fn ids_from(asked: Timestamp) -> String {
    let ms = u64::try_from(asked.as_millisecond()).unwrap_or_default();
    // As a version 7 UUID begins.
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}

impl RunFilter {
    /// Whether summaries, or the records themselves, must be looked into. An index would cost every run more than these lists are worth.
    const fn looks_into_records(&self) -> bool {
        self.call.is_some() || self.script.is_some()
    }

    /// Texts that stand in every record that fits; others are told apart without being read.
    fn marks(&self) -> Result<Vec<String>, StoreError> {
        let call = self.call.as_deref().map(|call| to_json(RECORD, call).map(|call| format!("\"call\":{call}")));
        let script = self.script.as_ref().map(|script| to_json(RECORD, script.as_str()).map(|script| format!("\"script\":{script}")));
        call.into_iter().chain(script).collect()
    }

    /// What a summary holds of every run that fits, as `LIKE` has it. Names have nothing in them that means something there but the underscore,
    /// which fits any letter: what it lets through too much, the record tells.
    fn marks_of_summary(&self) -> Result<Vec<String>, StoreError> {
        let call = self.call.as_deref().map(|call| to_json(RECORD, call).map(|call| format!("%\"call\":{call}%")));
        let script = self.script.as_ref().map(|script| to_json(RECORD, script.as_str()).map(|script| format!("%{script}%")));
        call.into_iter().chain(script).collect()
    }

    /// Whether a record with these marks is meant: what a caller sent may hold them as well.
    fn fits(&self, run: &RunRecord) -> bool {
        self.call.as_ref().is_none_or(|call| run.call.as_ref() == Some(call))
            && self.script.as_ref().is_none_or(|script| run.invocations().any(|invocation| invocation.script == *script))
    }
}

/// Reads the runs whose records fit. Where few do, the page ends at the last row that was looked at, and the next one goes on there.
async fn look_into(filter: &RunFilter, request: &PageRequest, list: Query<'_>, database: &Database) -> Result<Page<RunRecord>, StoreError> {
    let marks = filter.marks()?;
    let (mut items, mut bytes, mut seen, mut looked_at, mut last, mut full) = (Vec::new(), 0, 0, 0, None, false);
    let take = |row: &Row| {
        let record = row.get::<Option<&str>>(3)?.unwrap_or_default();
        let marked = marks.iter().all(|mark| record.contains(mark));
        let fitting = marked.then(|| run_record(row)).transpose()?.filter(|run| filter.fits(run));
        seen += 1;
        // Also of one that is not read: SQLite goes through a long one to what lies behind it.
        looked_at += usize::try_from(row.get::<i64>(4)?).unwrap_or(usize::MAX);
        if let Some(run) = fitting {
            if items.len() >= request.wanted() as usize || bytes >= MAX_PAGE_BYTES {
                full = true;
                return Ok(ControlFlow::Break(()));
            }
            bytes += record.len();
            items.push(run);
        }
        last = Some(Cursor(text(row, 0)?.to_owned()));
        full = looked_at >= BYTES_OF_LOOK;
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    list.read_each(database, take).await?;
    Ok(Page { items, next: last.filter(|_| full || seen == ROWS_OF_LOOK) })
}
