//! Tenants and tokens.

use jiff::Timestamp;
use snaphook_model::{TenantDocument, TenantName, TokenRecord};
use sqlx::sqlite::SqliteRow;

use super::rows::{Item, from_json, page, tenant_name, text, time, to_json, write_error};
use super::{SqliteStore, begin};
use crate::sql::{runs, tenants as sql};
use crate::{Change, Page, PageRequest, StoreError, StoreFuture, StoredTenant, TenantStore, TokenHash};

/// Runs deleted at once: some milliseconds of work, so that others can write in between.
const RUNS_AT_ONCE: i64 = 500;

impl TenantStore for SqliteStore {
    fn put_tenant<'a>(&'a self, tenant: &'a TenantName, document: &'a TenantDocument, now: Timestamp) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let document = to_json("a tenant", document)?;
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let put = |sql| sqlx::query(sql).bind(tenant.as_str()).bind(document.as_str()).bind(now.as_microsecond());
            let created = put(sql::INSERT).execute(&mut *transaction).await?.rows_affected() > 0;
            if !created {
                put(sql::UPDATE).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(if created { Change::Created } else { Change::Changed })
        })
    }

    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, Option<StoredTenant>> {
        Box::pin(async move {
            let row = sqlx::query(sql::GET).bind(tenant.as_str()).fetch_optional(&self.readers).await?;
            row.map(|row| stored_tenant(&row)).transpose()
        })
    }

    fn tenants<'a>(&'a self, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredTenant>> {
        Box::pin(async move {
            let rows = sqlx::query(sql::LIST).bind(request.after_text()).bind(request.rows()).fetch(&self.readers);
            page(request, rows, |row| {
                let value = stored_tenant(row)?;
                Ok(Item { cursor: value.name.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn delete_tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            loop {
                let mut writers = self.writers.lock().await?;
                let some = sqlx::query(runs::DELETE_SOME).bind(tenant.as_str()).bind(RUNS_AT_ONCE);
                if some.execute(&mut writers.quick).await?.rows_affected() < RUNS_AT_ONCE.unsigned_abs() {
                    break;
                }
            }
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            sqlx::query(runs::DELETE_ALL).bind(tenant.as_str()).execute(&mut *transaction).await?;
            let deleted = sqlx::query(sql::DELETE).bind(tenant.as_str()).execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            drop(writers);
            // Records still queued are dropped now, rather than written for a tenant of the same name who is made next.
            self.queue.flush().await?;
            Ok(deleted > 0)
        })
    }

    fn add_token<'a>(&'a self, tenant: &'a TenantName, record: &'a TokenRecord, hash: TokenHash) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let text = to_json("a token", record)?;
            let mut writers = self.writers.lock().await?;
            let query = sqlx::query(sql::ADD_TOKEN).bind(tenant.as_str()).bind(record.id.as_str()).bind(hash.0.as_slice()).bind(text);
            match query.execute(&mut writers.durable).await {
                Ok(_) => Ok(()),
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(StoreError::Exists(format!("token {}", record.id))),
                Err(error) => Err(write_error(tenant, error)),
            }
        })
    }

    fn tokens<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<TokenRecord>> {
        Box::pin(async move {
            let query = sqlx::query(sql::LIST_TOKENS).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query.fetch(&self.readers), |row| {
                let (id, record) = (text(row, 0)?, text(row, 1)?);
                Ok(Item { value: from_json("a token", record)?, cursor: id.to_owned(), bytes: record.len() })
            })
            .await
        })
    }

    fn delete_token<'a>(&'a self, tenant: &'a TenantName, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let query = sqlx::query(sql::DELETE_TOKEN).bind(tenant.as_str()).bind(id);
            Ok(query.execute(&mut writers.durable).await?.rows_affected() > 0)
        })
    }

    fn find_token(&self, hash: TokenHash) -> StoreFuture<'_, Option<(TenantName, TokenRecord)>> {
        Box::pin(async move {
            let row = sqlx::query(sql::FIND_TOKEN).bind(hash.0.as_slice()).fetch_optional(&self.readers).await?;
            row.map(|row| Ok((tenant_name(&row, 0)?, from_json("a token", text(&row, 1)?)?))).transpose()
        })
    }
}

fn stored_tenant(row: &SqliteRow) -> Result<StoredTenant, StoreError> {
    Ok(StoredTenant {
        name: tenant_name(row, 0)?,
        document: from_json("a tenant", text(row, 1)?)?,
        created_at: time(row, 2)?,
        updated_at: time(row, 3)?,
    })
}
