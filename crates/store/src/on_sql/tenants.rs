//! Tenants and tokens.

use jiff::Timestamp;
use snaphook_model::{AuditAction, TenantDocument, TenantName, TokenRecord};

use super::OnSql;
use super::audit::note;
use super::kept::{Kind, Room, given_back};
use super::objects::keys_of;
use super::rows::{Item, form, from_json, page, tenant_name, text, time, to_json, write_error};
use crate::database::{Row, query};
use crate::sql::{objects, runs, tenants as sql};
use crate::{Change, KeptDocuments, Page, PageRequest, StoreError, StoreFuture, StoredTenant, TenantStore, TokenHash};

/// Runs deleted at once: some milliseconds of work, so that others can write in between.
const RUNS_AT_ONCE: i64 = 500;

/// Uses of tokens noted at once; likewise.
const USES_AT_ONCE: usize = 100;

impl<S: OnSql> TenantStore for S {
    fn put_tenant<'a>(&'a self, tenant: &'a TenantName, document: &'a TenantDocument, now: Timestamp) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let document = to_json("a tenant", document)?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let put = |sql| query(sql).bind(tenant.as_str()).bind(document.as_str()).bind(now.as_microsecond());
            let created = put(sql::INSERT).execute(&mut transaction).await? > 0;
            if !created {
                put(sql::UPDATE).execute(&mut transaction).await?;
            }
            note(self.author(), &mut transaction, tenant, AuditAction::TenantPut, (tenant.as_str(), None)).await?;
            let committed = transaction.commit().await?;
            self.parts().kept.forget(tenant);
            writer.finish(committed).await?;
            Ok(if created { Change::Created } else { Change::Changed })
        })
    }

    fn tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, Option<StoredTenant>> {
        Box::pin(async move {
            let row = query(sql::GET).bind(tenant.as_str()).read_optional(self.database()).await?;
            row.map(|row| stored_tenant(&row)).transpose()
        })
    }

    fn tenants<'a>(&'a self, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredTenant>> {
        Box::pin(async move {
            let rows = query(sql::LIST).bind(request.after_text()).bind(request.rows());
            page(request, rows, self.database(), |row| {
                let value = stored_tenant(row)?;
                Ok(Item { cursor: value.name.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn delete_tenant<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            for (take, columns) in [(objects::TAKE_QUEUED, 2), (objects::TAKE_RECORDINGS, 1)] {
                take_objects(self, tenant, take, columns).await?;
            }
            loop {
                let mut writer = self.database().write().await?;
                let mut transaction = writer.begin_batch().await?;
                let some = query(runs::DELETE_SOME).bind(tenant.as_str()).bind(RUNS_AT_ONCE);
                let deleted = some.execute(&mut transaction).await?;
                let committed = transaction.commit().await?;
                writer.finish(committed).await?;
                if deleted < RUNS_AT_ONCE.unsigned_abs() {
                    break;
                }
            }
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            transaction.lock_tenant(tenant).await?;
            let queued = query(objects::TAKE_QUEUED).bind(tenant.as_str()).bind(i64::MAX).fetch_all(&mut transaction).await?;
            let recordings = query(objects::TAKE_RECORDINGS).bind(tenant.as_str()).bind(i64::MAX).fetch_all(&mut transaction).await?;
            let bytes = query(objects::TAKE_BYTES).bind(tenant.as_str()).fetch_all(&mut transaction).await?;
            for delete in [runs::DELETE_ALL, sql::DELETE_BINDINGS, sql::DELETE_IMPORTS] {
                query(delete).bind(tenant.as_str()).execute(&mut transaction).await?;
            }
            let deleted = query(sql::DELETE).bind(tenant.as_str()).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            self.parts().kept.forget(tenant);
            writer.finish(committed).await?;
            self.parts().remove_objects([keys_of(&queued, 2)?, keys_of(&recordings, 1)?, keys_of(&bytes, 2)?].concat()).await;
            // Records still queued are dropped now, rather than written for a tenant of the same name who is made next.
            self.queue().flush().await?;
            Ok(deleted > 0)
        })
    }

    fn kept_documents<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, KeptDocuments> {
        Box::pin(async move { Ok(self.parts().kept.counted(&self.parts().database, tenant).await?.kept()) })
    }

    fn add_token<'a>(&'a self, tenant: &'a TenantName, record: &'a TokenRecord, hash: TokenHash) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let text = to_json("a token", record)?;
            let bytes = text.len();
            let room = Room::of(self, tenant, (Kind::Token, &record.id), bytes).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let taken = room.take(&mut transaction, bytes).await?;
            let add = query(sql::ADD_TOKEN).bind(tenant.as_str()).bind(record.id.as_str()).bind(hash.0.as_slice()).bind(text);
            add.execute(&mut transaction).await.map_err(|error| match error {
                sqlx::Error::Database(error) if error.is_unique_violation() => StoreError::Exists(format!("token {}", record.id)),
                error => write_error(tenant, error),
            })?;
            note(self.author(), &mut transaction, tenant, AuditAction::TokenCreate, (&record.id, None)).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await
        })
    }

    fn tokens<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<TokenRecord>> {
        Box::pin(async move {
            let query = query(sql::LIST_TOKENS).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let (id, record) = (text(row, 0)?, text(row, 1)?);
                let used: Option<i64> = row.get(2)?;
                let last_used_at = used.map(Timestamp::from_microsecond).transpose().map_err(|error| form("a time", error))?;
                let value = TokenRecord { last_used_at, ..from_json("a token", record)? };
                Ok(Item { value, cursor: id.to_owned(), bytes: record.len() })
            })
            .await
        })
    }

    fn delete_token<'a>(&'a self, tenant: &'a TenantName, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            // What no id can hold; PostgreSQL takes no such text.
            if id.contains('\0') {
                return Ok(false);
            }
            let mut transaction = writer.change(tenant).await?;
            let given = given_back(self, &mut transaction, tenant, (Kind::Token, id)).await?;
            let deleted = query(sql::DELETE_TOKEN).bind(tenant.as_str()).bind(id).execute(&mut transaction).await?;
            if deleted > 0 {
                note(self.author(), &mut transaction, tenant, AuditAction::TokenDelete, (id, None)).await?;
            }
            let committed = transaction.commit().await?;
            given.keep();
            writer.finish(committed).await?;
            Ok(deleted > 0)
        })
    }

    fn use_tokens<'a>(&'a self, uses: &'a [(TenantName, String, Timestamp)]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            // In one order on all nodes, so that two of them do not wait for each other's rows.
            let mut uses: Vec<_> = uses.iter().collect();
            uses.sort_unstable();
            for some in uses.chunks(USES_AT_ONCE) {
                let mut writer = self.database().write().await?;
                let mut transaction = writer.begin_batch().await?;
                for (tenant, id, at) in some {
                    let note = query(sql::USE_TOKEN).bind(tenant.as_str()).bind(id.as_str()).bind(at.as_microsecond());
                    note.execute(&mut transaction).await?;
                }
                let committed = transaction.commit().await?;
                writer.finish(committed).await?;
            }
            Ok(())
        })
    }

    fn find_token(&self, hash: TokenHash) -> StoreFuture<'_, Option<(TenantName, TokenRecord)>> {
        Box::pin(async move {
            let row = query(sql::FIND_TOKEN).bind(hash.0.as_slice()).read_optional(self.database()).await?;
            row.map(|row| Ok((tenant_name(&row, 0)?, from_json("a token", text(&row, 1)?)?))).transpose()
        })
    }
}

/// Rows with objects go before their runs, some at a time, as those do.
async fn take_objects(store: &impl OnSql, tenant: &TenantName, take: &'static str, columns: usize) -> Result<(), StoreError> {
    loop {
        let mut writer = store.database().write().await?;
        let mut transaction = writer.begin_batch().await?;
        let some = query(take).bind(tenant.as_str()).bind(RUNS_AT_ONCE);
        let taken = some.fetch_all(&mut transaction).await?;
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
        store.parts().remove_objects(keys_of(&taken, columns)?).await;
        if (taken.len() as u64) < RUNS_AT_ONCE.unsigned_abs() {
            return Ok(());
        }
    }
}

fn stored_tenant(row: &Row) -> Result<StoredTenant, StoreError> {
    Ok(StoredTenant {
        name: tenant_name(row, 0)?,
        document: from_json("a tenant", text(row, 1)?)?,
        created_at: time(row, 2)?,
        updated_at: time(row, 3)?,
    })
}
