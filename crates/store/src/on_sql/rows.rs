//! Between rows and the words of the domain: documents as JSON text, times as microseconds, lists in pages.

use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snaphook_model::{Name, NameError, TenantName};

use crate::database::{Database, Query, Row};
use crate::{Cursor, MAX_PAGE, Page, PageRequest, StoreError};

/// Text and bytes on one page. A page of two hundred documents of a megabyte each would be more than a node should hold for one answer.
pub(super) const MAX_PAGE_BYTES: usize = 8 << 20;

pub(super) fn to_json<T: Serialize + ?Sized>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| form(what, error))
}

pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| form(what, error))
}

pub(super) fn form(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Form { what, source: source.into() }
}

/// Text of a column, read in place.
pub(super) fn text(row: &Row, column: usize) -> Result<&str, StoreError> {
    Ok(row.get(column)?)
}

pub(super) fn time(row: &Row, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| form("a time", error))
}

pub(super) fn name(row: &Row, column: usize) -> Result<Name, StoreError> {
    Name::new(text(row, column)?).map_err(bad_name)
}

pub(super) fn tenant_name(row: &Row, column: usize) -> Result<TenantName, StoreError> {
    TenantName::new(text(row, column)?).map_err(bad_name)
}

fn bad_name(error: NameError) -> StoreError {
    form("a name", error)
}

pub(super) fn number(row: &Row, column: usize) -> Result<u32, StoreError> {
    let number: i64 = row.get(column)?;
    u32::try_from(number).map_err(|error| form("a number", error))
}

/// A number that is never below zero, such as one of bytes; zero where there is none.
pub(super) fn amount(row: &Row, column: usize) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.get::<Option<i64>>(column)?.unwrap_or_default()).unwrap_or_default())
}

/// The failure of a statement that wrote something for a tenant.
pub(super) fn write_error(tenant: &TenantName, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => StoreError::UnknownTenant(tenant.clone()),
        _ => error.into(),
    }
}

impl PageRequest {
    pub(super) fn wanted(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE)
    }

    /// Rows to ask for: one more than fit on the page tells whether the list goes on.
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.wanted()) + 1
    }

    /// The cursor of a list by name. Nothing sorts before the empty text. PostgreSQL takes no text with a zero in it; as no name holds one, the
    /// same names sort after what is before it.
    pub(super) fn after_text(&self) -> &str {
        let after = self.after.as_ref().map_or("", |cursor| cursor.0.as_str());
        after.split('\0').next().unwrap_or_default()
    }
}

/// An item of a list: where it stands in it, and roughly how large it is.
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) cursor: String,
    pub(super) bytes: usize,
}

/// Reads rows until the page is full, in number or in bytes.
pub(super) async fn page<T: Send>(
    request: &PageRequest,
    query: Query<'_>,
    database: &Database,
    read: impl Fn(&Row) -> Result<Item<T>, StoreError> + Send + Sync,
) -> Result<Page<T>, StoreError> {
    let (mut items, mut last, mut bytes, mut goes_on) = (Vec::new(), None, 0, false);
    let take = |row: &Row| {
        if items.len() >= request.wanted() as usize || bytes >= MAX_PAGE_BYTES {
            goes_on = true;
            return Ok(ControlFlow::Break(()));
        }
        let item = read(row)?;
        bytes += item.bytes;
        last = Some(Cursor(item.cursor));
        items.push(item.value);
        Ok(ControlFlow::Continue(()))
    };
    query.read_each(database, take).await?;
    Ok(Page { items, next: last.filter(|_| goes_on) })
}
