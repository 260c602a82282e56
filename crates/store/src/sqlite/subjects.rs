//! Subjects and their values.

use jiff::Timestamp;
use snaphook_model::{SubjectId, SubjectValues, TenantName};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::rows::{Item, form, from_json, page, text, time, to_json, write_error};
use super::{SqliteStore, begin};
use crate::sql::subjects as sql;
use crate::{Change, Page, PageRequest, StoreError, StoreFuture, StoredSubject, SubjectStore};

/// What it is called in a [`StoreError::Form`].
const SUBJECT: &str = "a subject";

impl SubjectStore for SqliteStore {
    fn put_subject<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let change = put(&mut transaction, (tenant, id), values, now).await?;
            transaction.commit().await?;
            Ok(change)
        })
    }

    fn add_subject_values<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a SubjectId,
        values: &'a SubjectValues,
        now: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let query = sqlx::query(sql::GET).bind(tenant.as_str()).bind(id.as_str());
            let stored = query.fetch_optional(&mut *transaction).await?.map(|row| stored_subject(&row)).transpose()?;
            let mut merged = stored.map(|stored| stored.values).unwrap_or_default();
            merged.0.extend(values.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            put(&mut transaction, (tenant, id), &merged, now).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, Option<StoredSubject>> {
        Box::pin(async move {
            let query = sqlx::query(sql::GET).bind(tenant.as_str()).bind(id.as_str());
            query.fetch_optional(&self.readers).await?.map(|row| stored_subject(&row)).transpose()
        })
    }

    fn subjects<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredSubject>> {
        Box::pin(async move {
            let query = sqlx::query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query.fetch(&self.readers), |row| {
                let value = stored_subject(row)?;
                Ok(Item { cursor: value.id.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn delete_subject<'a>(&'a self, tenant: &'a TenantName, id: &'a SubjectId) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let delete = sqlx::query(sql::DELETE).bind(tenant.as_str()).bind(id.as_str());
            Ok(delete.execute(&mut writers.durable).await?.rows_affected() > 0)
        })
    }
}

async fn put(
    connection: &mut SqliteConnection,
    (tenant, id): (&TenantName, &SubjectId),
    values: &SubjectValues,
    now: Timestamp,
) -> Result<Change, StoreError> {
    if values.bytes() > SubjectValues::MOST_BYTES {
        return Err(StoreError::SubjectSize { limit: SubjectValues::MOST_BYTES as u64, used: values.bytes() as u64 });
    }
    let document = to_json(SUBJECT, values)?;
    let query = |sql| sqlx::query(sql).bind(tenant.as_str()).bind(id.as_str()).bind(document.as_str()).bind(now.as_microsecond());
    let inserted = query(sql::INSERT).execute(&mut *connection).await.map_err(|error| write_error(tenant, error))?;
    if inserted.rows_affected() > 0 {
        return Ok(Change::Created);
    }
    query(sql::UPDATE).execute(&mut *connection).await?;
    Ok(Change::Changed)
}

fn stored_subject(row: &SqliteRow) -> Result<StoredSubject, StoreError> {
    let id = SubjectId::new(text(row, 0)?).map_err(|error| form(SUBJECT, error))?;
    Ok(StoredSubject { id, values: from_json(SUBJECT, text(row, 1)?)?, updated_at: time(row, 2)? })
}
