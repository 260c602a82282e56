//! Connectors, flows and what they bind.

use snaphook_model::{AuditAction, Name, TenantName};

use super::audit::note;
use super::kept::{Kind, Room, given_back};
use super::rows::{Item, form, from_json, name, number, page, text, time, to_json, write_error};
use super::{OnSql, state};
use crate::database::{Row, Transaction, query};
use crate::sql::documents as sql;
use crate::{
    BoundScript, Change, DocumentKind, DocumentStore, NewDocument, Page, PageRequest, PutFlow, ScriptPin, StoreError, StoreFuture,
    StoredConnector, StoredFlow,
};

const CONNECTOR: &str = DocumentKind::Connector.as_str();
const FLOW: &str = DocumentKind::Flow.as_str();

impl<S: OnSql> DocumentStore for S {
    fn put_connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, new: NewDocument<'a>) -> StoreFuture<'a, Change> {
        Box::pin(async move {
            let document = to_json(CONNECTOR, new.document)?;
            let room = Room::of(self, tenant, (Kind::Connector, name.as_str()), document.len()).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let taken = room.take(&mut transaction, document.len()).await?;
            let put = |sql| {
                let query = query(sql).bind(tenant.as_str()).bind(name.as_str());
                query.bind(document.as_str()).bind(new.now.as_microsecond())
            };
            let inserted = put(sql::INSERT_CONNECTOR).execute(&mut transaction).await;
            let created = inserted.map_err(|error| write_error(tenant, error))? > 0;
            if !created {
                put(sql::UPDATE_CONNECTOR).execute(&mut transaction).await?;
            }
            bind(&mut transaction, tenant, (CONNECTOR, name), new.pins).await?;
            note(self.author(), &mut transaction, tenant, AuditAction::ConnectorPut, (name.as_str(), None)).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await?;
            Ok(if created { Change::Created } else { Change::Changed })
        })
    }

    fn connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredConnector>> {
        Box::pin(async move {
            let query = query(sql::CONNECTOR).bind(tenant.as_str()).bind(name.as_str());
            query.read_optional(self.database()).await?.map(|row| stored_connector(&row)).transpose()
        })
    }

    fn connectors<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredConnector>> {
        Box::pin(async move {
            let query = query(sql::CONNECTORS).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = stored_connector(row)?;
                Ok(Item { cursor: value.name.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn delete_connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool> {
        Box::pin(delete_document(self, tenant, (DocumentKind::Connector, name), (sql::DELETE_CONNECTOR, AuditAction::ConnectorDelete)))
    }

    fn put_flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, new: NewDocument<'a>) -> StoreFuture<'a, PutFlow> {
        Box::pin(async move {
            let document = to_json(FLOW, new.document)?;
            let bytes = document.len();
            let flow = |sql| query(sql).bind(tenant.as_str()).bind(name.as_str());
            // Mostly known from here, before anybody looks for room.
            if let Some(unchanged) = unchanged(flow(sql::FLOW).read_optional(self.database()).await?.as_ref(), &document)? {
                return Ok(unchanged);
            }
            let room = Room::of(self, tenant, (Kind::Flow, name.as_str()), bytes).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.change(tenant).await?;
            let latest = flow(sql::FLOW).fetch_optional(&mut transaction).await?;
            if let Some(unchanged) = unchanged(latest.as_ref(), &document)? {
                return Ok(unchanged);
            }
            let taken = room.take(&mut transaction, bytes).await?;
            flow(sql::COUNT_UP).execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            let version = number(&flow(sql::LAST_NUMBER).fetch_one(&mut transaction).await?, 0)?;
            let insert = flow(sql::ADD_FLOW).bind(i64::from(version)).bind(document).bind(new.now.as_microsecond());
            insert.execute(&mut transaction).await?;
            bind(&mut transaction, tenant, (FLOW, name), new.pins).await?;
            for pin in new.pins {
                let insert = flow(sql::PIN).bind(i64::from(version)).bind(pin.place.as_str()).bind(pin.script.as_str());
                insert.bind(i64::from(pin.version)).execute(&mut transaction).await?;
            }
            note(self.author(), &mut transaction, tenant, AuditAction::FlowPut, (name.as_str(), Some(version))).await?;
            let committed = transaction.commit().await?;
            taken.keep();
            writer.finish(committed).await?;
            let change = if latest.is_some() { Change::Changed } else { Change::Created };
            Ok(PutFlow { change, version, updated_at: new.now })
        })
    }

    fn flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredFlow>> {
        Box::pin(async move {
            let query = query(sql::FLOW).bind(tenant.as_str()).bind(name.as_str());
            query.read_optional(self.database()).await?.map(|row| stored_flow(&row)).transpose()
        })
    }

    fn flow_version<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, version: u32) -> StoreFuture<'a, Option<StoredFlow>> {
        Box::pin(async move {
            let query = query(sql::FLOW_VERSION).bind(tenant.as_str()).bind(name.as_str()).bind(i64::from(version));
            query.read_optional(self.database()).await?.map(|row| stored_flow(&row)).transpose()
        })
    }

    fn flows<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredFlow>> {
        Box::pin(async move {
            let query = query(sql::FLOWS).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = stored_flow(row)?;
                Ok(Item { cursor: value.name.to_string(), bytes: text(row, 1)?.len(), value })
            })
            .await
        })
    }

    fn bindings<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, request: &'a PageRequest) -> StoreFuture<'a, Page<BoundScript>> {
        Box::pin(async move {
            // A kind and a name hold no slash.
            let after = request.after.as_ref().map_or(Some(("", "", "")), |cursor| {
                let (kind, rest) = cursor.0.split_once('/')?;
                let (document, place) = rest.split_once('/')?;
                Some((kind, document, place))
            });
            let readable = request.after.as_ref().is_none_or(|cursor| !cursor.0.contains('\0'));
            let (kind, document, place) = after.filter(|_| readable).ok_or(StoreError::Cursor)?;
            let query = query(sql::BINDINGS).bind(tenant.as_str()).bind(script.as_str());
            let query = query.bind(kind).bind(document).bind(place).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = bound_script(row)?;
                let cursor = format!("{}/{}/{}", value.kind.as_str(), value.document, value.place);
                Ok(Item { bytes: cursor.len(), cursor, value })
            })
            .await
        })
    }

    fn delete_flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool> {
        Box::pin(delete_document(self, tenant, (DocumentKind::Flow, name), (sql::DELETE_FLOW, AuditAction::FlowDelete)))
    }
}

async fn delete_document(
    store: &impl OnSql,
    tenant: &TenantName,
    (kind, name): (DocumentKind, &Name),
    (sql, action): (&'static str, AuditAction),
) -> Result<bool, StoreError> {
    let mut writer = store.database().write().await?;
    let mut transaction = writer.change(tenant).await?;
    let given = given_back(store, &mut transaction, tenant, (kind.into(), name.as_str())).await?;
    let delete = query(sql).bind(tenant.as_str()).bind(name.as_str());
    let deleted = delete.execute(&mut transaction).await?;
    bind(&mut transaction, tenant, (kind.as_str(), name), &[]).await?;
    if deleted > 0 {
        note(store.author(), &mut transaction, tenant, action, (name.as_str(), None)).await?;
    }
    if kind == DocumentKind::Flow && deleted > 0 {
        state::delete_flow(&mut transaction, tenant, name).await?;
    }
    let committed = transaction.commit().await?;
    given.keep();
    writer.finish(committed).await?;
    Ok(deleted > 0)
}

/// The latest version of a flow, if it holds this document.
fn unchanged(latest: Option<&Row>, document: &str) -> Result<Option<PutFlow>, StoreError> {
    match latest {
        Some(row) if text(row, 1)? == document => {
            Ok(Some(PutFlow { change: Change::Unchanged, version: number(row, 3)?, updated_at: time(row, 2)? }))
        }
        _ => Ok(None),
    }
}

/// Replaces what a document (its kind and name) binds.
async fn bind(
    transaction: &mut Transaction<'_>,
    tenant: &TenantName,
    (kind, document): (&str, &Name),
    pins: &[ScriptPin],
) -> Result<(), StoreError> {
    let of_document = |sql| query(sql).bind(tenant.as_str()).bind(kind).bind(document.as_str());
    of_document(sql::UNBIND).execute(transaction).await?;
    for pin in pins {
        let insert = of_document(sql::BIND).bind(pin.place.as_str()).bind(pin.script.as_str()).bind(i64::from(pin.version));
        if insert.execute(transaction).await? == 0 {
            return Err(StoreError::UnknownVersion { place: pin.place.clone(), script: pin.script.clone(), version: pin.version });
        }
    }
    Ok(())
}

fn bound_script(row: &Row) -> Result<BoundScript, StoreError> {
    let kind = DocumentKind::parse(text(row, 1)?).ok_or_else(|| form("a binding", "its kind is unknown"))?;
    Ok(BoundScript { version: number(row, 0)?, kind, document: name(row, 2)?, place: text(row, 3)?.to_owned() })
}

fn stored_connector(row: &Row) -> Result<StoredConnector, StoreError> {
    Ok(StoredConnector { name: name(row, 0)?, document: from_json(CONNECTOR, text(row, 1)?)?, updated_at: time(row, 2)? })
}

fn stored_flow(row: &Row) -> Result<StoredFlow, StoreError> {
    Ok(StoredFlow { name: name(row, 0)?, version: number(row, 3)?, document: from_json(FLOW, text(row, 1)?)?, updated_at: time(row, 2)? })
}
