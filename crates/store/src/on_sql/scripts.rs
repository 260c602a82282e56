//! Scripts, their versions and their bytes.

use bytes::Bytes;
use snaphook_model::{AuditAction, Name, ScriptVersion, TenantName};

use super::OnSql;
use super::audit::note;
use super::objects::{Held, keys_of};
use super::rows::{Item, amount, from_json, name, number, page, tenant_name, text};
use super::versions::{VersionBytes, add, put_hash, replace, unchanged};
use crate::database::{Database, Query, Row, query};
use crate::objects::{ObjectKey, ObjectKind};
use crate::sql::scripts as sql;
use crate::{
    AddedVersion, ComponentMark, DeletedVersion, NewVersion, Page, PageRequest, ScriptStore, StaleComponent, StoreError, StoreFuture,
    StoredComponent,
};

/// What a record is called in a [`StoreError::Form`].
pub(super) const RECORD: &str = "a script version";

impl<S: OnSql> ScriptStore for S {
    fn add_version<'a>(&'a self, tenant: &'a TenantName, new: NewVersion) -> StoreFuture<'a, AddedVersion> {
        Box::pin(async move {
            // Mostly known from here, before anything is written beside the database.
            let latest = query(sql::LATEST).bind(tenant.as_str()).bind(new.name.as_str());
            if let Some(unchanged) = unchanged(latest.read_optional(self.database()).await?, &new.hash)? {
                return Ok(unchanged);
            }
            let bytes = VersionBytes::hold(self.parts(), tenant, &new).await?;
            let added = add(self, tenant, new, &bytes).await;
            match &added {
                Ok(AddedVersion::Created(_)) => {}
                Ok(AddedVersion::Unchanged(_)) => self.parts().remove_objects(bytes.keys()).await,
                Err(error) => self.parts().abandon(bytes.keys(), error).await,
            }
            added
        })
    }

    fn script_bytes<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let row = query(sql::BYTES).bind(tenant.as_str()).read_optional(self.database()).await?;
            row.map_or(Ok(0), |row| amount(&row, 0))
        })
    }

    fn latest_version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name) -> StoreFuture<'a, Option<ScriptVersion>> {
        Box::pin(async move {
            let query = query(sql::LATEST).bind(tenant.as_str()).bind(script.as_str());
            let row = query.read_optional(self.database()).await?;
            row.map(|row| from_json(RECORD, text(&row, 0)?)).transpose()
        })
    }

    fn version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<ScriptVersion>> {
        Box::pin(async move {
            let row = of_version(sql::GET, tenant, script, version).read_optional(self.database()).await?;
            row.map(|row| from_json(RECORD, text(&row, 0)?)).transpose()
        })
    }

    fn scripts<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<ScriptVersion>> {
        Box::pin(async move {
            let query = query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let record = text(row, 1)?;
                Ok(Item { value: from_json(RECORD, record)?, cursor: text(row, 0)?.to_owned(), bytes: record.len() })
            })
            .await
        })
    }

    fn versions<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, request: &'a PageRequest) -> StoreFuture<'a, Page<ScriptVersion>> {
        Box::pin(async move {
            let before = match &request.after {
                Some(cursor) => cursor.0.parse().map_err(|_| StoreError::Cursor)?,
                None => i64::MAX,
            };
            let query = query(sql::LIST_VERSIONS).bind(tenant.as_str()).bind(script.as_str()).bind(before).bind(request.rows());
            page(request, query, self.database(), |row| {
                let record = text(row, 1)?;
                Ok(Item { value: from_json(RECORD, record)?, cursor: number(row, 0)?.to_string(), bytes: record.len() })
            })
            .await
        })
    }

    fn source<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let source = || of_version(sql::SOURCE, tenant, script, version);
            let source = self.parts().read_held(source, |row| Ok(((), Held::of(row, 0, 1)?)));
            Ok(source.await?.map(|((), source)| source))
        })
    }

    fn component<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<StoredComponent>> {
        Box::pin(async move {
            let component = || of_version(sql::COMPONENT, tenant, script, version);
            let component = self.parts().read_held(component, |row| Ok((row.get(2)?, Held::of(row, 0, 1)?)));
            Ok(component.await?.map(|(interpreter, bytes)| StoredComponent { bytes, interpreter }))
        })
    }

    fn component_mark<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<ComponentMark>> {
        Box::pin(async move {
            let row = of_version(sql::MARK, tenant, script, version).read_optional(self.database()).await?;
            row.map(|row| Ok(ComponentMark { hash: row.get(0)?, interpreter: row.get(1)? })).transpose()
        })
    }

    fn replace_component<'a>(
        &'a self,
        tenant: &'a TenantName,
        script: &'a Name,
        version: u32,
        component: StoredComponent,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let held = self.parts().hold(tenant, ObjectKind::Component, component.bytes.clone()).await?;
            let replaced = replace(self.database(), (tenant, script, version), component, &held).await;
            let ours = held.key().map(str::to_owned).into_iter().collect();
            match &replaced {
                Ok(Some(before)) => self.parts().remove_objects(before.clone()).await,
                Ok(None) => self.parts().remove_objects(ours).await,
                Err(error) => self.parts().abandon(ours, error).await,
            }
            Ok(replaced?.is_some())
        })
    }

    fn stale_components<'a>(&'a self, interpreter: &'a str, request: &'a PageRequest) -> StoreFuture<'a, Page<StaleComponent>> {
        Box::pin(async move {
            let (tenant, script, version) = stale_cursor(request)?;
            let query = query(sql::STALE).bind(interpreter).bind(tenant).bind(script).bind(version).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = StaleComponent { tenant: tenant_name(row, 0)?, script: name(row, 1)?, version: number(row, 2)? };
                let cursor = format!("{}/{}/{}", value.tenant, value.script, value.version);
                Ok(Item { bytes: cursor.len(), value, cursor })
            })
            .await
        })
    }

    fn delete_version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, DeletedVersion> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let rows = of_version(sql::BOUND, tenant, script, version).fetch_all(&mut transaction).await?;
            if !rows.is_empty() {
                let place = |row| Ok(format!("{} {}, {}", text(row, 0)?, text(row, 1)?, text(row, 2)?));
                return rows.iter().map(place).collect::<Result<_, StoreError>>().map(DeletedVersion::Bound);
            }
            let rows = of_version(sql::HELD, tenant, script, version).fetch_all(&mut transaction).await?;
            if !rows.is_empty() {
                let place = |row| Ok(format!("queued runs of flow {}, version {}, {}", text(row, 0)?, number(row, 1)?, text(row, 2)?));
                return rows.iter().map(place).collect::<Result<_, StoreError>>().map(DeletedVersion::Bound);
            }
            let objects = of_version(sql::OBJECTS, tenant, script, version).fetch_all(&mut transaction).await?;
            let deleted = of_version(sql::DELETE, tenant, script, version).execute(&mut transaction).await?;
            if deleted > 0 {
                note(self.author(), &mut transaction, tenant, AuditAction::ScriptDelete, (script.as_str(), Some(version))).await?;
            }
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            self.parts().remove_objects(keys_of(&objects, 2)?).await;
            Ok(if deleted > 0 { DeletedVersion::Deleted } else { DeletedVersion::Unknown })
        })
    }

    fn component_hashes_of<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<String>> {
        Box::pin(async move {
            let query = query(sql::HASHES_OF_TENANT).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), hash_item).await
        })
    }

    fn component_hashes<'a>(&'a self, request: &'a PageRequest) -> StoreFuture<'a, Page<String>> {
        Box::pin(async move {
            let query = query(sql::ALL_HASHES).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), hash_item).await
        })
    }

    fn component_is_used<'a>(&'a self, hash: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(query(sql::HASH_IN_USE).bind(hash).read_optional(self.database()).await?.is_some()) })
    }
}

fn hash_item(row: &Row) -> Result<Item<String>, StoreError> {
    let hash = text(row, 0)?.to_owned();
    Ok(Item { cursor: hash.clone(), bytes: hash.len(), value: hash })
}

/// Adds the hashes of components that an earlier release stored; once, and a few at a time.
pub(crate) async fn add_missing_hashes(database: &Database) -> Result<(), StoreError> {
    loop {
        let mut writer = database.write().await?;
        let mut transaction = writer.begin().await?;
        let rows = query(sql::WITHOUT_HASH).fetch_all(&mut transaction).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            let hash = match row.get::<Option<&str>>(4)? {
                Some(key) => ObjectKey::parse(key)?.hash(),
                None => blake3::hash(row.get(3)?),
            };
            put_hash(&mut transaction, (text(row, 0)?, text(row, 1)?, number(row, 2)?), hash).await?;
        }
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
    }
}

/// A statement about one version.
pub(super) fn of_version(sql: &'static str, tenant: &TenantName, script: &Name, version: u32) -> Query<'static> {
    query(sql).bind(tenant.to_string()).bind(script.to_string()).bind(i64::from(version))
}

/// Cursors of this list are `tenant/script/version`; names hold no slash.
fn stale_cursor(request: &PageRequest) -> Result<(&str, &str, i64), StoreError> {
    let Some(cursor) = &request.after else { return Ok(("", "", 0)) };
    let mut parts = cursor.0.splitn(3, '/');
    let (Some(tenant), Some(script), Some(version)) = (parts.next(), parts.next(), parts.next()) else { return Err(StoreError::Cursor) };
    Ok((tenant, script, version.parse().map_err(|_| StoreError::Cursor)?))
}
