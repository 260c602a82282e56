//! Records of changes, written in the transaction of the change.

use jiff::Timestamp;
use snaphook_model::{AuditAction, AuditRecord, Author, TenantName};
use uuid::{Builder, Uuid};

use super::rows::{Item, form, from_json, page, text, to_json, write_error};
use super::{OnSql, Parts};
use crate::database::{Transaction, query};
use crate::sql::audit as sql;
use crate::{AuditFilter, AuditStore, ChangeStore, Page, PageRequest, StoreError, StoreFuture};

/// What it is called in a [`StoreError::Form`].
const RECORD: &str = "a record of a change";

/// Records that go at once: some milliseconds of the right to write.
const AT_ONCE: i64 = 1_000;

/// Sorts after every id.
const BEYOND_ALL_IDS: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// A store whose changes are somebody's.
struct By<'a> {
    parts: &'a Parts,
    author: &'a Author,
}

impl OnSql for By<'_> {
    fn parts(&self) -> &Parts {
        self.parts
    }

    fn author(&self) -> Option<&Author> {
        Some(self.author)
    }
}

impl ChangeStore for By<'_> {}

/// Notes a change in the transaction that makes it, where somebody makes it; what the node does by itself is not noted.
pub(super) async fn note(
    author: Option<&Author>,
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    action: AuditAction,
    (name, version): (&str, Option<u32>),
) -> Result<(), StoreError> {
    let Some(Author { who, at, request_id }) = author else { return Ok(()) };
    let id = id_at(*at)?;
    let (by, request_id) = (who.clone(), request_id.clone());
    let record = AuditRecord { id: id.clone(), at: *at, action, name: name.to_owned(), version, by, request_id };
    let add = query(sql::ADD).bind(tenant.as_str()).bind(id).bind(at.as_microsecond()).bind(action.as_str());
    add.bind(to_json(RECORD, &record)?).execute(transaction).await.map_err(|error| write_error(tenant, error))?;
    Ok(())
}

impl<S: OnSql> AuditStore for S {
    fn by<'a>(&'a self, author: &'a Author) -> Box<dyn ChangeStore + 'a> {
        Box::new(By { parts: self.parts(), author })
    }

    fn note<'a>(&'a self, tenant: &'a TenantName, author: &'a Author, action: AuditAction, name: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            note(Some(author), &mut transaction, tenant, action, (name, None)).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a TenantName,
        filter: &'a AuditFilter,
        request: &'a PageRequest,
    ) -> StoreFuture<'a, Page<AuditRecord>> {
        Box::pin(async move {
            let before = match &request.after {
                Some(cursor) => cursor.0.parse::<Uuid>().map_err(|_| StoreError::Cursor)?.to_string(),
                None => BEYOND_ALL_IDS.to_owned(),
            };
            let since = filter.since.unwrap_or(Timestamp::UNIX_EPOCH);
            let list = query(if filter.action.is_some() { sql::LIST_OF_ACTION } else { sql::LIST });
            let list = list.bind(tenant.as_str()).bind(before).bind(first_id(since)).bind(since.as_microsecond()).bind(request.rows());
            let list = match filter.action {
                Some(action) => list.bind(action.as_str()),
                None => list,
            };
            page(request, list, self.database(), |row| {
                let record = text(row, 1)?;
                Ok(Item { value: from_json(RECORD, record)?, cursor: text(row, 0)?.to_owned(), bytes: record.len() })
            })
            .await
        })
    }
}

/// Removes some of the records from before a time, and says how many those were.
pub(super) async fn forget(store: &impl OnSql, tenant: &TenantName, before: Timestamp) -> Result<u64, StoreError> {
    let before = first_id(before);
    let of_tenant = |sql| query(sql).bind(tenant.as_str()).bind(before.as_str());
    if of_tenant(sql::ANY_BEFORE).read_optional(store.database()).await?.is_none() {
        return Ok(0);
    }
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    let forgotten = of_tenant(sql::DELETE_BEFORE).bind(AT_ONCE).execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(forgotten)
}

/// Whether there may be more of them.
pub(super) const fn may_be_more(forgotten: u64) -> bool {
    forgotten >= AT_ONCE.unsigned_abs()
}

/// An id for a change of this time: its milliseconds, then what is left of it as RFC 9562 allows, so that changes of one millisecond are in their
/// order too, then chance.
fn id_at(at: Timestamp) -> Result<String, StoreError> {
    let us = u64::try_from(at.as_microsecond()).map_err(|error| form("a time", error))?;
    let (ms, rest) = (us / 1000, us % 1000);
    let mut bytes = [0; 10];
    let fraction = u16::try_from(rest * 4096 / 1000).unwrap_or(0xfff);
    bytes[..2].copy_from_slice(&fraction.to_be_bytes());
    bytes[2..].copy_from_slice(&Uuid::now_v7().into_bytes()[8..]);
    Ok(Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid().to_string())
}

/// Sorts before the ids of all changes of this time or later.
fn first_id(time: Timestamp) -> String {
    let ms = u64::try_from(time.as_millisecond()).unwrap_or_default();
    // As a version 7 UUID begins.
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::{first_id, id_at};

    #[test]
    fn ids_are_in_the_order_of_times() {
        let at = |us| jiff::Timestamp::from_microsecond(us).unwrap();
        let ids: Vec<_> = [1_790_000_000_123_000, 1_790_000_000_123_001, 1_790_000_000_123_999, 1_790_000_000_124_000].map(at).to_vec();
        let ids: Vec<_> = ids.into_iter().map(|at| (id_at(at).unwrap(), first_id(at))).collect();
        assert!(ids.is_sorted_by(|(one, _), (other, _)| one < other), "{ids:?}");
        assert!(ids.iter().all(|(id, first)| first < id), "{ids:?}");
        assert!(ids[2].0 < ids[3].1 && ids[0].1 == ids[2].1, "{ids:?}");
        assert!(id_at(jiff::Timestamp::MIN).is_err(), "before 1970");
    }
}
