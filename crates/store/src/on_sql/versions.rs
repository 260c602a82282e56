//! Versions on their way into the database: their bytes first, to where they lie, then their rows.

use snaphook_model::{AuditAction, Import, Name, ScriptVersion, TenantName};

use super::audit::note;
use super::objects::{Held, keys_of};
use super::rows::{amount, from_json, number, text, to_json, write_error};
use super::scripts::{RECORD, of_version};
use super::{OnSql, Parts};
use crate::database::{Database, Row, Transaction, query};
use crate::objects::ObjectKind;
use crate::sql::scripts as sql;
use crate::{AddedVersion, NewVersion, StoreError, StoredComponent};

/// The latest version, if it has this hash.
pub(super) fn unchanged(latest: Option<Row>, hash: &str) -> Result<Option<AddedVersion>, StoreError> {
    match latest {
        Some(row) if text(&row, 1)? == hash => Ok(Some(AddedVersion::Unchanged(from_json(RECORD, text(&row, 0)?)?))),
        _ => Ok(None),
    }
}

impl NewVersion {
    /// What it will take.
    const fn bytes(&self) -> u64 {
        self.source.len() as u64 + self.component.bytes.len() as u64
    }
}

/// Where an upload's bytes are.
pub(super) struct VersionBytes {
    source: Held,
    component: Held,
}

impl VersionBytes {
    /// Puts them where the version's rows will name them.
    pub(super) async fn hold(parts: &Parts, tenant: &TenantName, new: &NewVersion) -> Result<Self, StoreError> {
        let component = parts.hold(tenant, ObjectKind::Component, new.component.bytes.clone());
        let source = parts.hold(tenant, ObjectKind::Source, new.source.clone());
        // Both are waited for, so that none is written that nobody knows of.
        let (component, source) = tokio::join!(component, source);
        match (component, source) {
            (Ok(component), Ok(source)) => Ok(Self { source, component }),
            (Err(error), Ok(held)) | (Ok(held), Err(error)) => {
                parts.remove_objects(held.key().map(str::to_owned).into_iter().collect()).await;
                Err(error)
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Of those that are objects.
    pub(super) fn keys(&self) -> Vec<String> {
        [&self.component, &self.source].into_iter().filter_map(|held| held.key().map(str::to_owned)).collect()
    }
}

/// Adds a version whose bytes are held already, unless the latest one is the same.
pub(super) async fn add(
    store: &impl OnSql,
    tenant: &TenantName,
    new: NewVersion,
    bytes: &VersionBytes,
) -> Result<AddedVersion, StoreError> {
    let mut writer = store.database().write().await?;
    let mut transaction = writer.change(tenant).await?;
    let name = new.name.clone();
    let script = |sql| query(sql).bind(tenant.as_str()).bind(name.as_str());
    if let Some(unchanged) = unchanged(script(sql::LATEST).fetch_optional(&mut transaction).await?, &new.hash)? {
        return Ok(unchanged);
    }
    let kept = amount(&query(sql::BYTES).bind(tenant.as_str()).fetch_one(&mut transaction).await?, 0)?;
    let used = kept.saturating_add(new.bytes());
    if used > new.most_bytes {
        return Err(StoreError::ScriptsSize { limit: new.most_bytes, used });
    }
    script(sql::COUNT_UP).execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
    let version = number(&script(sql::LAST_NUMBER).fetch_one(&mut transaction).await?, 0)?;
    let (record, component) = numbered(new, version);
    insert_version(&mut transaction, tenant, &record, component, bytes).await?;
    note(store.author(), &mut transaction, tenant, AuditAction::ScriptDeploy, (record.name.as_str(), Some(version))).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(AddedVersion::Created(record))
}

/// Puts a component that is held already in the place of another, and gives the keys of what was replaced; none where there is no such version.
pub(super) async fn replace(
    database: &Database,
    (tenant, script, version): (&TenantName, &Name, u32),
    component: StoredComponent,
    held: &Held,
) -> Result<Option<Vec<String>>, StoreError> {
    let mut writer = database.write().await?;
    // No definition changes: other nodes go on with what they have made of the version. Were they told, two builds that share a
    // database for a while would make every version again after each other.
    let mut transaction = writer.begin().await?;
    let row = of_version(sql::GET, tenant, script, version).fetch_optional(&mut transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let mut record: ScriptVersion = from_json(RECORD, text(&row, 0)?)?;
    record.component_bytes = component.bytes.len() as u64;
    let update = of_version(sql::REPLACE, tenant, script, version).bind(component.interpreter).bind(to_json(RECORD, &record)?);
    // From here on the row is ours; it may have been deleted a moment ago.
    if update.execute(&mut transaction).await? == 0 {
        return Ok(None);
    }
    put_hash(&mut transaction, (tenant.as_str(), script.as_str(), version), blake3::hash(&component.bytes)).await?;
    let before = of_version(sql::OBJECTS, tenant, script, version).fetch_all(&mut transaction).await?;
    let update = of_version(sql::REPLACE_BYTES, tenant, script, version).bind(held.column()).bind(held.key());
    update.execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    keys_of(&before, 1).map(Some)
}

fn numbered(new: NewVersion, version: u32) -> (ScriptVersion, StoredComponent) {
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
    (record, new.component)
}

async fn insert_version(
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    record: &ScriptVersion,
    component: StoredComponent,
    bytes: &VersionBytes,
) -> Result<(), StoreError> {
    let insert = of_version(sql::ADD, tenant, &record.name, record.version).bind(record.hash.clone());
    insert.bind(component.interpreter).bind(to_json(RECORD, record)?).execute(transaction).await?;
    put_hash(transaction, (tenant.as_str(), record.name.as_str(), record.version), blake3::hash(&component.bytes)).await?;
    let insert = of_version(sql::ADD_BYTES, tenant, &record.name, record.version).bind(bytes.source.column());
    insert.bind(bytes.component.column()).bind(bytes.source.key()).bind(bytes.component.key()).execute(transaction).await?;
    for Import { script, version } in &record.imports {
        let insert = of_version(sql::ADD_IMPORT, tenant, &record.name, record.version).bind(script.to_string()).bind(i64::from(*version));
        if insert.execute(transaction).await? == 0 {
            return Err(StoreError::UnknownVersion { place: "the upload".to_owned(), script: script.clone(), version: *version });
        }
    }
    Ok(())
}

/// Says which compiled code a version needs.
pub(super) async fn put_hash(
    transaction: &mut Transaction<'_>,
    (tenant, script, version): (&str, &str, u32),
    hash: blake3::Hash,
) -> Result<(), StoreError> {
    let hash = hash.to_hex();
    let put = query(sql::PUT_HASH).bind(tenant).bind(script).bind(i64::from(version)).bind(hash.as_str());
    put.execute(transaction).await?;
    Ok(())
}
