//! Connections.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use snaphook_model::{AuditAction, Connection, ConnectionStatus, Name, SealedSecret, TenantName};

use super::OnSql;
use super::audit::note;
use super::kept::{Kind, Room, given_back};
use super::rows::{Item, form, from_json, name, page, tenant_name, text, time, to_json, write_error};
use crate::database::{Row, query};
use crate::sql::connections as sql;
use crate::{Authorization, Change, ConnectionStore, FetchedToken, Page, PageRequest, StoreError, StoreFuture, StoredConnection};

/// What it is called in a [`StoreError::Form`].
const CONNECTION: &str = "a connection";

impl<S: OnSql> ConnectionStore for S {
    fn put_connection<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        (connection, sealed): (&'a Connection, &'a BTreeMap<String, SealedSecret>),
        (replaces, begins_as): (Option<i64>, Option<ConnectionStatus>),
        now: Timestamp,
    ) -> StoreFuture<'a, Option<Change>> {
        Box::pin(async move {
            let document = to_json(CONNECTION, connection)?;
            let sealed = sealed_texts(sealed)?;
            let put = |sql| query(sql).bind(tenant.as_str()).bind(name.as_str()).bind(document.as_str()).bind(sealed.as_str());
            let (at, bytes) = (now.as_microsecond(), document.len() + sealed.len());
            let room = Room::of(self, tenant, (Kind::Connection, name.as_str()), bytes).await?;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let taken = room.take(&mut transaction, bytes).await?;
            let put = match (replaces, begins_as) {
                (None, begins_as) => put(sql::INSERT).bind(begins_as.unwrap_or(ConnectionStatus::Ok).as_str()).bind(at),
                (Some(revision), Some(status)) => put(sql::REPLACE).bind(status.as_str()).bind(at).bind(revision),
                (Some(revision), None) => put(sql::CHANGE).bind(at).bind(revision),
            };
            let written = put.execute(&mut transaction).await.map_err(|error| write_error(tenant, error))? > 0;
            if written {
                note(self.author(), &mut transaction, tenant, AuditAction::ConnectionPut, (name.as_str(), None)).await?;
            }
            if written && replaces.is_some() && begins_as.is_some() {
                query(sql::FORGET_AUTHORIZATIONS).bind(tenant.as_str()).bind(name.as_str()).execute(&mut transaction).await?;
            }
            let committed = transaction.commit().await?;
            if written {
                taken.keep();
            }
            writer.finish(committed).await?;
            Ok(written.then_some(if replaces.is_none() { Change::Created } else { Change::Changed }))
        })
    }

    fn connection<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredConnection>> {
        Box::pin(async move {
            let query = query(sql::GET).bind(tenant.as_str()).bind(name.as_str());
            query.read_optional(self.database()).await?.map(|row| stored(&row)).transpose()
        })
    }

    fn connections<'a>(&'a self, tenant: &'a TenantName, request: &'a PageRequest) -> StoreFuture<'a, Page<StoredConnection>> {
        Box::pin(async move {
            let query = query(sql::LIST).bind(tenant.as_str()).bind(request.after_text()).bind(request.rows());
            page(request, query, self.database(), |row| {
                let value = stored(row)?;
                Ok(Item { cursor: value.name.to_string(), bytes: text(row, 1)?.len() + text(row, 2)?.len(), value })
            })
            .await
        })
    }

    fn delete_connection<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let given = given_back(self, &mut transaction, tenant, (Kind::Connection, name.as_str())).await?;
            let deleted = query(sql::DELETE).bind(tenant.as_str()).bind(name.as_str()).execute(&mut transaction).await?;
            if deleted > 0 {
                note(self.author(), &mut transaction, tenant, AuditAction::ConnectionDelete, (name.as_str(), None)).await?;
            }
            let committed = transaction.commit().await?;
            given.keep();
            writer.finish(committed).await?;
            Ok(deleted > 0)
        })
    }

    fn begin_fetching<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        (now, until): (Timestamp, Timestamp),
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let begin = query(sql::BEGIN_FETCHING).bind(tenant.as_str()).bind(name.as_str()).bind(revision);
            let begun = begin.bind(now.as_microsecond()).bind(until.as_microsecond()).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(begun > 0)
        })
    }

    fn end_fetching<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        fetched: &'a FetchedToken,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let FetchedToken { token, expires_at, status, status_detail } = fetched;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let end = query(sql::END_FETCHING).bind(tenant.as_str()).bind(name.as_str()).bind(revision);
            let end = end.bind(token.as_ref().map(|token| &token.0[..])).bind(expires_at.map(Timestamp::as_microsecond));
            let ended = end.bind(status.as_str()).bind(status_detail.as_deref()).execute(&mut transaction).await?;
            // Somebody agreed to it; what the node renews by itself has no author.
            if ended > 0 && token.is_some() {
                note(self.author(), &mut transaction, tenant, AuditAction::ConnectionAuthorized, (name.as_str(), None)).await?;
            }
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(ended > 0)
        })
    }

    fn begin_authorization<'a>(
        &'a self,
        state: &'a str,
        authorization: &'a Authorization,
        (now, expires_at): (Timestamp, Timestamp),
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let Authorization { tenant, connection, verifier } = authorization;
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            query(sql::FORGET_EXPIRED).bind(now.as_microsecond()).execute(&mut transaction).await?;
            let begin = query(sql::BEGIN_AUTHORIZATION).bind(state).bind(tenant.as_str()).bind(connection.as_str());
            let begin = begin.bind(&verifier.0[..]).bind(expires_at.as_microsecond());
            begin.execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            note(self.author(), &mut transaction, tenant, AuditAction::ConnectionAuthorize, (connection.as_str(), None)).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }

    fn take_authorization<'a>(&'a self, state: &'a str, now: Timestamp) -> StoreFuture<'a, Option<Authorization>> {
        Box::pin(async move {
            // Anybody may ask; who made the state up takes no turn among the writers.
            let has = query(sql::HAS_AUTHORIZATION).bind(state).bind(now.as_microsecond());
            if has.read_optional(self.database()).await?.is_none() {
                return Ok(None);
            }
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let take = query(sql::TAKE_AUTHORIZATION).bind(state).bind(now.as_microsecond());
            let row = take.fetch_optional(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            row.map(|row| {
                let verifier = SealedSecret(row.get::<Vec<u8>>(2)?.into());
                Ok(Authorization { tenant: tenant_name(&row, 0)?, connection: name(&row, 1)?, verifier })
            })
            .transpose()
        })
    }
}

/// Sealed texts by field, as the column has them.
pub(super) fn sealed_texts(sealed: &BTreeMap<String, SealedSecret>) -> Result<String, StoreError> {
    let texts: BTreeMap<_, _> = sealed.iter().map(|(field, sealed)| (field, STANDARD.encode(&sealed.0))).collect();
    to_json(CONNECTION, &texts)
}

fn stored(row: &Row) -> Result<StoredConnection, StoreError> {
    let texts: BTreeMap<String, String> = from_json(CONNECTION, text(row, 2)?)?;
    let sealed = |(field, text): (String, String)| {
        let bytes = STANDARD.decode(text).map_err(|error| form(CONNECTION, error))?;
        Ok::<_, StoreError>((field, SealedSecret(bytes.into())))
    };
    let status = text(row, 6)?;
    let expires_at = row.get::<Option<i64>>(5)?.map(Timestamp::from_microsecond).transpose();
    Ok(StoredConnection {
        name: name(row, 0)?,
        connection: from_json(CONNECTION, text(row, 1)?)?,
        sealed: texts.into_iter().map(sealed).collect::<Result<_, _>>()?,
        revision: row.get(3)?,
        token: row.get::<Option<Vec<u8>>>(4)?.map(|bytes| SealedSecret(bytes.into())),
        token_expires_at: expires_at.map_err(|error| form("a time", error))?,
        status: ConnectionStatus::of(status).ok_or_else(|| form(CONNECTION, format!("`{status}` is no status")))?,
        status_detail: row.get::<Option<&str>>(7)?.map(str::to_owned),
        updated_at: time(row, 8)?,
    })
}
