//! Between rows and the words of the domain: documents as JSON text, times as microseconds, lists in pages.

use futures_util::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snaphook_model::{Name, NameError, TenantName};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

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
pub(super) fn text(row: &SqliteRow, column: usize) -> Result<&str, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn time(row: &SqliteRow, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(|error| form("a time", error))
}

pub(super) fn name(row: &SqliteRow, column: usize) -> Result<Name, StoreError> {
    Name::new(text(row, column)?).map_err(bad_name)
}

pub(super) fn tenant_name(row: &SqliteRow, column: usize) -> Result<TenantName, StoreError> {
    TenantName::new(text(row, column)?).map_err(bad_name)
}

fn bad_name(error: NameError) -> StoreError {
    form("a name", error)
}

pub(super) fn number(row: &SqliteRow, column: usize) -> Result<u32, StoreError> {
    Ok(row.try_get(column)?)
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

    /// The cursor of a list by name. Nothing sorts before the empty text.
    pub(super) fn after_text(&self) -> &str {
        self.after.as_ref().map_or("", |cursor| cursor.0.as_str())
    }
}

/// An item of a list: where it stands in it, and roughly how large it is.
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) cursor: String,
    pub(super) bytes: usize,
}

/// Reads rows until the page is full, in number or in bytes.
pub(super) async fn page<T>(
    request: &PageRequest,
    mut rows: impl Stream<Item = Result<SqliteRow, sqlx::Error>> + Unpin,
    mut read: impl FnMut(&SqliteRow) -> Result<Item<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let (mut items, mut last, mut bytes) = (Vec::new(), None, 0);
    while let Some(row) = rows.try_next().await? {
        if items.len() >= request.wanted() as usize || bytes >= MAX_PAGE_BYTES {
            return Ok(Page { items, next: last });
        }
        let item = read(&row)?;
        bytes += item.bytes;
        last = Some(Cursor(item.cursor));
        items.push(item.value);
    }
    Ok(Page { items, next: None })
}
