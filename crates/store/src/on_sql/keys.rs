//! Idempotency keys.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::TenantName;

use super::OnSql;
use super::rows::{form, time, write_error};
use crate::database::query;
use crate::sql::keys as sql;
use crate::{KeyStore, Keyed, KeyedRequest, StoreFuture};

/// What these are called in a [`crate::StoreError::Form`].
const KEY: &str = "an idempotency key";

impl<S: OnSql> KeyStore for S {
    fn begin_keyed<'a>(
        &'a self,
        tenant: &'a TenantName,
        request: KeyedRequest<'a>,
        now: Timestamp,
        forget: Timestamp,
    ) -> StoreFuture<'a, Keyed> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            query(sql::FORGET_OLD).bind(tenant.as_str()).bind(forget.as_microsecond()).execute(&mut transaction).await?;
            let of_key = |sql| query(sql).bind(tenant.as_str()).bind(request.path).bind(request.key);
            let insert = of_key(sql::INSERT).bind(&request.body[..]).bind(now.as_microsecond()).bind(request.run.to_string());
            let inserted = insert.execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            let before = if inserted == 0 { of_key(sql::GET).fetch_optional(&mut transaction).await? } else { None };
            let keyed = match before {
                None => Keyed::First,
                Some(row) => Keyed::Before {
                    same_body: row.get::<Vec<u8>>(0)? == request.body,
                    begun_at: time(&row, 1)?,
                    answer: row.get::<Option<Vec<u8>>>(2)?.map(Bytes::from),
                    run: row.get::<Option<&str>>(3)?.map(str::parse).transpose().map_err(|error| form(KEY, error))?,
                },
            };
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(keyed)
        })
    }

    fn end_keyed<'a>(&'a self, tenant: &'a TenantName, request: KeyedRequest<'a>, answer: Option<&'a [u8]>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let of_key = |sql| query(sql).bind(tenant.as_str()).bind(request.path).bind(request.key);
            let end = match answer {
                Some(answer) => of_key(sql::ANSWER).bind(answer),
                None => of_key(sql::FORGET),
            };
            end.execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }
}
