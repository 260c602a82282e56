//! Other seals.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use snaphook_model::{CorrelationId, Name, SealedSecret, SecretName, TenantName};

use super::OnSql;
use super::connections::sealed_texts;
use super::rows::{MAX_PAGE_BYTES, name, text};
use crate::database::{Query, Row, made_query, query};
use crate::sql::reseal as sql;
use crate::{Authorization, ResealStore, StoreError, StoreFuture};

impl<S: OnSql> ResealStore for S {
    fn reseal_secret<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a SecretName,
        (from, to): (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool> {
        Box::pin(changed(self, query(sql::SECRET).bind(tenant.as_str()).bind(name.as_str()).bind(&from.0[..]).bind(&to.0[..])))
    }

    fn reseal_connection<'a>(
        &'a self,
        tenant: &'a TenantName,
        name: &'a Name,
        revision: i64,
        (fields, token): (&'a BTreeMap<String, SealedSecret>, Option<&'a SealedSecret>),
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let fields = sealed_texts(fields)?;
            let change = query(sql::CONNECTION).bind(tenant.as_str()).bind(name.as_str()).bind(revision);
            changed(self, change.bind(fields.as_str()).bind(token.map(|token| &token.0[..]))).await
        })
    }

    fn authorizations<'a>(&'a self, tenant: &'a TenantName, after: &'a str) -> StoreFuture<'a, Vec<(String, Authorization)>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let each = |row: &Row| {
                let verifier = SealedSecret(row.get::<Vec<u8>>(2)?.into());
                found.push((text(row, 0)?.to_owned(), Authorization { tenant: tenant.clone(), connection: name(row, 1)?, verifier }));
                Ok(ControlFlow::Continue(()))
            };
            query(sql::AUTHORIZATIONS).bind(tenant.as_str()).bind(after).read_each(self.database(), each).await?;
            Ok(found)
        })
    }

    fn reseal_authorization<'a>(
        &'a self,
        tenant: &'a TenantName,
        state: &'a str,
        (from, to): (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool> {
        Box::pin(changed(self, query(sql::AUTHORIZATION).bind(tenant.as_str()).bind(state).bind(&from.0[..]).bind(&to.0[..])))
    }

    fn sealed_callbacks<'a>(&'a self, tenant: &'a TenantName, after: &'a str) -> StoreFuture<'a, Vec<(CorrelationId, SealedSecret)>> {
        Box::pin(async move {
            let (mut found, mut bytes) = (Vec::new(), 0);
            let each = |row: &Row| {
                // Each of them may take as much as a request.
                if bytes >= MAX_PAGE_BYTES {
                    return Ok(ControlFlow::Break(()));
                }
                let sealed = row.get::<Vec<u8>>(1)?;
                bytes += sealed.len();
                found.push((CorrelationId(text(row, 0)?.to_owned()), SealedSecret(sealed.into())));
                Ok(ControlFlow::Continue(()))
            };
            let callbacks = made_query(sql::callbacks(&self.database().by_index(sql::BY_SEALED)).into());
            callbacks.bind(tenant.as_str()).bind(after).read_each(self.database(), each).await?;
            Ok(found)
        })
    }

    fn reseal_callback<'a>(
        &'a self,
        tenant: &'a TenantName,
        id: &'a CorrelationId,
        (from, to): (&'a SealedSecret, &'a SealedSecret),
    ) -> StoreFuture<'a, bool> {
        Box::pin(changed(self, query(sql::CALLBACK).bind(tenant.as_str()).bind(id.0.as_str()).bind(&from.0[..]).bind(&to.0[..])))
    }
}

/// Makes one change, and says whether there was anything to change.
async fn changed(store: &impl OnSql, change: Query<'_>) -> Result<bool, StoreError> {
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin().await?;
    let rows = change.execute(&mut transaction).await?;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(rows > 0)
}
