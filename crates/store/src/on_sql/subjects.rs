//! Subjects and their values.

use jiff::Timestamp;
use snaphook_model::{AuditAction, SubjectId, SubjectValues, TenantName};

use super::OnSql;
use super::audit::note;
use super::kept::{Kind, Room, given_back};
use super::rows::{Item, form, from_json, page, text, time, to_json, write_error};
use crate::database::{Row, Transaction, query};
use crate::sql::{runs as runs_sql, subjects as sql};
use crate::{Change, Lease, Page, PageRequest, StoreError, StoreFuture, StoredSubject, SubjectStore};

/// What it is called in a [`StoreError::Form`].
const SUBJECT: &str = "a subject";

/// What the smallest subject takes: an object without values.
const LEAST_BYTES: usize = "{}".len();

impl<S: OnSql> SubjectStore for S {
    fn put_subject<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let document = document_of(values)?;
            let room = Room::of(self, tenant, (Kind::Subject, id.as_str()), document.len()).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let taken = room.take(&mut transaction, document.len()).await?;
            let change = put(&mut transaction, (tenant, id), &document, now).await?;
            note(self.author(), &mut transaction, tenant, AuditAction::SubjectPut, (id.as_str(), None)).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await?;
            Ok(change)
        })
    }

    fn add_subject_values<'a>(
        &'a self,
        tenant: &'a TenantName,
        lease: Option<&'a Lease>,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            // How much it becomes is known when the values are together.
            let room = Room::of(self, tenant, (Kind::Subject, id.as_str()), LEAST_BYTES).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            if let Some(lease) = lease {
                must_be_held(&mut transaction, lease).await?;
            }
            // Before it is held, which makes one of those that are not there.
            let before = room.before(&mut transaction).await?;
            let hold = query(sql::HOLD).bind(tenant.as_str()).bind(id.as_str()).bind(now.as_microsecond());
            let held = hold.fetch_one(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            let mut merged = stored_subject(&held)?.values;
            merged.0.extend(values.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            let document = document_of(&merged)?;
            let taken = room.take_instead(before, document.len())?;
            put(&mut transaction, (tenant, id), &document, now).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await
        })
    }

    fn subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, Option<StoredSubject>> {
        Box::pin(async move {
            let query = query(sql::GET).bind(tenant.as_str()).bind(id.as_str());
            query.read_optional(self.database()).await?.map(|row| stored_subject(&row)).transpose()
        })
    }

    fn subjects<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredSubject>> {
        Box::pin(async move {
            let query = query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = stored_subject(row)?;
                Ok(Item { cursor: value.id.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn delete_subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let delete = query(sql::DELETE).bind(tenant.as_str()).bind(id.as_str());
            let mut transaction = writer.begin().await?;
            let given = given_back(self, &mut transaction, tenant, (Kind::Subject, id.as_str())).await?;
            let deleted = delete.execute(&mut transaction).await?;
            if deleted > 0 {
                note(self.author(), &mut transaction, tenant, AuditAction::SubjectDelete, (id.as_str(), None)).await?;
            }
            let committed = transaction.commit().await?;
            given.keep();
            writer.finish(committed).await?;
            Ok(deleted > 0)
        })
    }
}

/// A run must be held by this lease, and is until the end of the transaction.
async fn must_be_held(transaction: &mut Transaction<'_>, lease: &Lease) -> Result<(), StoreError> {
    transaction.lock_queued(&lease.tenant, lease.run).await?;
    let held = query(runs_sql::HELD).bind(lease.tenant.as_str()).bind(lease.run.to_string()).bind(lease.token.to_string());
    held.fetch_optional(transaction).await?.map(drop).ok_or(StoreError::LeaseLost)
}

/// The text of values, which may not be too long.
fn document_of(values: &SubjectValues) -> Result<String, StoreError> {
    if values.bytes() > SubjectValues::MOST_BYTES {
        return Err(StoreError::SubjectSize { limit: SubjectValues::MOST_BYTES as u64, used: values.bytes() as u64 });
    }
    to_json(SUBJECT, values)
}

async fn put(
    transaction: &mut Transaction<'_>,
    (tenant, id): (&TenantName, &SubjectId),
    document: &str,
    now: Timestamp,
) -> Result<Change, StoreError> {
    let put = |sql| query(sql).bind(tenant.as_str()).bind(id.as_str()).bind(document).bind(now.as_microsecond());
    let inserted = put(sql::INSERT).execute(transaction).await.map_err(|error| write_error(tenant, error))?;
    if inserted > 0 {
        return Ok(Change::Created);
    }
    put(sql::UPDATE).execute(transaction).await?;
    Ok(Change::Changed)
}

fn stored_subject(row: &Row) -> Result<StoredSubject, StoreError> {
    let id = SubjectId::new(text(row, 0)?).map_err(|error| form(SUBJECT, error))?;
    Ok(StoredSubject { id, values: from_json(SUBJECT, text(row, 1)?)?, updated_at: time(row, 2)? })
}
