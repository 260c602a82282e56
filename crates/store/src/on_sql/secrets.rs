//! Secrets.

use jiff::Timestamp;
use snaphook_model::{AuditAction, SealedSecret, SecretName, TenantName};

use super::OnSql;
use super::audit::note;
use super::kept::{Kind, Room, given_back};
use super::rows::{Item, form, page, text, time, write_error};
use crate::database::query;
use crate::sql::secrets as sql;
use crate::{Change, Page, PageRequest, SecretStore, StoreFuture, StoredSecret};

impl<S: OnSql> SecretStore for S {
    fn put_secret<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a SecretName,
        sealed: &'a SealedSecret,
        now: Timestamp,
    ) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let room = Room::of(self, tenant, (Kind::Secret, name.as_str()), sealed.0.len()).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let taken = room.take(&mut transaction, sealed.0.len()).await?;
            let put = |sql| query(sql).bind(tenant.as_str()).bind(name.as_str()).bind(&sealed.0[..]).bind(now.as_microsecond());
            let inserted = put(sql::INSERT).execute(&mut transaction).await;
            let created = inserted.map_err(|error| write_error(tenant, error))? > 0;
            if !created {
                put(sql::UPDATE).execute(&mut transaction).await?;
            }
            note(self.author(), &mut transaction, tenant, AuditAction::SecretPut, (name.as_str(), None)).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await?;
            Ok(if created { Change::Created } else { Change::Changed })
        })
    }

    fn secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, Option<SealedSecret>> {
        Box::pin(async move {
            let row = query(sql::GET).bind(tenant.as_str()).bind(name.as_str()).read_optional(self.database()).await?;
            row.map(|row| Ok(SealedSecret(row.get::<Vec<u8>>(0)?.into()))).transpose()
        })
    }

    fn secrets<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredSecret>> {
        Box::pin(async move {
            let query = query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let name = SecretName::new(text(row, 0)?).map_err(|error| form("a name", error))?;
                let (cursor, bytes) = (name.to_string(), name.as_str().len());
                Ok(Item { value: StoredSecret { name, updated_at: time(row, 1)? }, cursor, bytes })
            })
            .await
        })
    }

    fn delete_secret<'a>(&'a self, tenant: &'a TenantName, name: &'a SecretName) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let given = given_back(self, &mut transaction, tenant, (Kind::Secret, name.as_str())).await?;
            let delete = query(sql::DELETE).bind(tenant.as_str()).bind(name.as_str());
            let deleted = delete.execute(&mut transaction).await?;
            if deleted > 0 {
                note(self.author(), &mut transaction, tenant, AuditAction::SecretDelete, (name.as_str(), None)).await?;
            }
            let committed = transaction.commit().await?;
            given.keep();
            writer.finish(committed).await?;
            Ok(deleted > 0)
        })
    }
}
