//! Runs whose end somebody waits for.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{RunId, RunStatus, TenantName};

use super::OnSql;
use super::rows::write_error;
use crate::database::query;
use crate::sql::awaited as sql;
use crate::{AwaitStore, AwaitedEnd, StoreFuture};

impl<S: OnSql> AwaitStore for S {
    fn await_run<'a>(&'a self, tenant: &'a TenantName, run: RunId, until: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let insert = query(sql::INSERT).bind(tenant.as_str()).bind(run.to_string()).bind(until.as_microsecond());
            insert.execute(&mut transaction).await.map_err(|error| write_error(tenant, error))?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }

    fn tell_end<'a>(&'a self, tenant: &'a TenantName, run: RunId, outcome: &'a [u8]) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            let tell = query(sql::TELL).bind(tenant.as_str()).bind(run.to_string()).bind(outcome);
            let told = tell.execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await?;
            Ok(told > 0)
        })
    }

    fn awaited_end<'a>(&'a self, tenant: &'a TenantName, run: RunId) -> StoreFuture<'a, Option<AwaitedEnd>> {
        Box::pin(async move {
            let row = query(sql::GET).bind(tenant.as_str()).bind(run.to_string()).read_optional(self.database()).await?;
            let Some(row) = row else { return Ok(None) };
            let status = row.get::<Option<&str>>(1)?.and_then(RunStatus::parse);
            let outcome = row.get::<Option<Vec<u8>>>(0)?.map(Bytes::from);
            Ok(Some(AwaitedEnd { outcome, has_ended: status.is_some_and(RunStatus::has_ended) }))
        })
    }

    fn forget_awaited<'a>(&'a self, tenant: &'a TenantName, run: RunId) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            query(sql::FORGET).bind(tenant.as_str()).bind(run.to_string()).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }

    fn forget_long_awaited(&self, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut writer = self.database().write().await?;
            let mut transaction = writer.begin().await?;
            query(sql::FORGET_OLD).bind(now.as_microsecond()).execute(&mut transaction).await?;
            let committed = transaction.commit().await?;
            writer.finish(committed).await
        })
    }
}
