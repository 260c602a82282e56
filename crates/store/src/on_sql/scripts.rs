//! Scripts, their versions and their bytes.

use bytes::Bytes;
use snaphook_model::{Import, Name, ScriptVersion, TenantName};

use super::OnSql;
use super::rows::{Item, from_json, name, number, page, tenant_name, text, to_json, write_error};
use crate::database::{Database, Query, Row, Transaction, query};
use crate::sql::scripts as sql;
use crate::{
    AddedVersion, DeletedVersion, NewVersion, Page, PageRequest, ScriptStore, StaleComponent, StoreError, StoreFuture, StoredComponent,
};

/// What a record is called in a [`StoreError::Form`].
const RECORD: &str = "a script version";

impl<S: OnSql> ScriptStore for S {
    fn add_version<'a>(&'a self, tenant: &'a TenantName, new: NewVersion) -> StoreFuture<'a, AddedVersion> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let script = |sql| query(sql).bind(tenant.as_str()).bind(new.name.as_str());
            if let Some(row) = script(sql::LATEST).fetch_optional(&mut transaction).await?
                && text(&row, 1)? == new.hash
            {
                return Ok(AddedVersion::Unchanged(from_json(RECORD, text(&row, 0)?)?));
            }
            script(sql::COUNT_UP).execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            let version = number(&script(sql::LAST_NUMBER).fetch_one(&mut transaction).await?, 0)?;
            let (record, source, component) = numbered(new, version);
            insert_version(&mut transaction, tenant, &record, source, component).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(AddedVersion::Created(record))
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
            let row = of_version(sql::SOURCE, tenant, script, version).read_optional(self.database()).await?;
            Ok(row.map(|row| row.get::<Vec<u8>>(0).map(Bytes::from)).transpose()?)
        })
    }

    fn component<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<StoredComponent>> {
        Box::pin(async move {
            let row = of_version(sql::COMPONENT, tenant, script, version).read_optional(self.database()).await?;
            let read = |row: Row| Ok(StoredComponent { bytes: row.get::<Vec<u8>>(0)?.into(), interpreter: row.get(1)? });
            row.map(read).transpose()
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
            let mut writer = self.database().write().await?;
            // No definition changes: other nodes go on with what they have made of the version. Were they told, two builds that share a
            // database for a while would make every version again after each other.
            let mut transaction = writer.begin().await?;
            let row = of_version(sql::GET, tenant, script, version).fetch_optional(&mut transaction).await?;
            let Some(row) = row else { return Ok(false) };
            let mut record: ScriptVersion = from_json(RECORD, text(&row, 0)?)?;
            record.component_bytes = component.bytes.len() as u64;
            let update = of_version(sql::REPLACE, tenant, script, version).bind(component.interpreter).bind(to_json(RECORD, &record)?);
            // From here on the row is ours; it may have been deleted a moment ago.
            if update.execute(&mut transaction).await? == 0 {
                return Ok(false);
            }
            put_hash(&mut transaction, (tenant.as_str(), script.as_str(), version), &component.bytes).await?;
            let update = of_version(sql::REPLACE_BYTES, tenant, script, version).bind(&component.bytes[..]);
            update.execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(true)
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
            let deleted = of_version(sql::DELETE, tenant, script, version).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
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

async fn put_hash(
    transaction: &mut Transaction<'_>,
    (tenant, script, version): (&str, &str, u32),
    component: &[u8],
) -> Result<(), StoreError> {
    let hash = blake3::hash(component).to_hex();
    let put = query(sql::PUT_HASH).bind(tenant).bind(script).bind(i64::from(version)).bind(hash.as_str());
    put.execute(transaction).await?;
    Ok(())
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
            put_hash(&mut transaction, (text(row, 0)?, text(row, 1)?, number(row, 2)?), row.get(3)?).await?;
        }
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
    }
}

fn of_version(sql: &'static str, tenant: &TenantName, script: &Name, version: u32) -> Query<'static> {
    query(sql).bind(tenant.to_string()).bind(script.to_string()).bind(i64::from(version))
}

fn numbered(new: NewVersion, version: u32) -> (ScriptVersion, Bytes, StoredComponent) {
    let record = ScriptVersion {
        name: new.name,
        version,
        hash: new.hash,
        kind: new.kind,
        language: new.language,
        dialect: new.dialect,
        hooks: new.hooks,
        imports: new.imports,
        source_bytes: new.source.len() as u64,
        component_bytes: new.component.bytes.len() as u64,
        deploy_ms: new.deploy_ms,
        warnings: new.warnings,
        created_at: new.created_at,
    };
    (record, new.source, new.component)
}

async fn insert_version(
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    record: &ScriptVersion,
    source: Bytes,
    component: StoredComponent,
) -> Result<(), StoreError> {
    let insert = of_version(sql::ADD, tenant, &record.name, record.version).bind(record.hash.clone());
    insert.bind(component.interpreter).bind(to_json(RECORD, record)?).execute(transaction).await?;
    put_hash(transaction, (tenant.as_str(), record.name.as_str(), record.version), &component.bytes).await?;
    let insert = of_version(sql::ADD_BYTES, tenant, &record.name, record.version).bind(&source[..]);
    insert.bind(&component.bytes[..]).execute(transaction).await?;
    for Import { script, version } in &record.imports {
        let insert = of_version(sql::ADD_IMPORT, tenant, &record.name, record.version).bind(script.to_string()).bind(i64::from(*version));
        if insert.execute(transaction).await? == 0 {
            return Err(StoreError::UnknownVersion { place: "the upload".to_owned(), script: script.clone(), version: *version });
        }
    }
    Ok(())
}

/// Cursors of this list are `tenant/script/version`; names hold no slash.
fn stale_cursor(request: &PageRequest) -> Result<(&str, &str, i64), StoreError> {
    let Some(cursor) = &request.after else { return Ok(("", "", 0)) };
    let mut parts = cursor.0.splitn(3, '/');
    let (Some(tenant), Some(script), Some(version)) = (parts.next(), parts.next(), parts.next()) else { return Err(StoreError::Cursor) };
    Ok((tenant, script, version.parse().map_err(|_| StoreError::Cursor)?))
}
