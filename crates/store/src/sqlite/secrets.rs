//! Secrets.

use jiff::Timestamp;
use snaphook_model::{SealedSecret, SecretName, TenantName};
use sqlx::Row as _;

use super::rows::{Item, form, page, text, time, write_error};
use super::{SqliteStore, begin};
use crate::sql::secrets as sql;
use crate::{Change, Page, PageRequest, SecretStore, StoreFuture, StoredSecret};

impl SecretStore for SqliteStore {
    fn put_secret<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a SecretName,
        sealed: &'a SealedSecret,
        now: Timestamp,
    ) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let mut transaction = begin(&mut writers.durable).await?;
            let put = |sql| sqlx::query(sql).bind(tenant.as_str()).bind(name.as_str()).bind(&sealed.0[..]).bind(now.as_microsecond());
            let inserted = put(sql::INSERT).execute(&mut *transaction).await;
            let created = inserted.map_err(|error| write_error(tenant, error))?.rows_affected() > 0;
            if !created {
                put(sql::UPDATE).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(if created { Change::Created } else { Change::Changed })
        })
    }

    fn secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, Option<SealedSecret>> {
        Box::pin(async move {
            let row = sqlx::query(sql::GET).bind(tenant.as_str()).bind(name.as_str()).fetch_optional(&self.readers).await?;
            row.map(|row| Ok(SealedSecret(row.try_get::<Vec<u8>, _>(0)?.into()))).transpose()
        })
    }

    fn secrets<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredSecret>> {
        Box::pin(async move {
            let query = sqlx::query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query.fetch(&self.readers), |row| {
                let name = SecretName::new(text(row, 0)?).map_err(|error| form("a name", error))?;
                let (cursor, bytes) = (name.to_string(), name.as_str().len());
                Ok(Item { value: StoredSecret { name, updated_at: time(row, 1)? }, cursor, bytes })
            })
            .await
        })
    }

    fn delete_secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writers = self.writers.lock().await?;
            let query = sqlx::query(sql::DELETE).bind(tenant.as_str()).bind(name.as_str());
            Ok(query.execute(&mut writers.durable).await?.rows_affected() > 0)
        })
    }
}
