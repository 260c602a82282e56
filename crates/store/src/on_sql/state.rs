//! State of flows and tenants.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use snaphook_model::{Name, RunState, StateChanges, TenantName, state_entry_bytes};

use super::OnSql;
use super::rows::text;
use crate::database::{Row, Transaction, made_query, query};
use crate::sql::state as sql;
use crate::{StateStore, StoreError, StoreFuture};

/// Values written at once. Parameters are looked up one after another, so larger statements are no faster.
const AT_ONCE: usize = 100;

/// Under which the tenant's own state stands; no flow has this name.
const TENANT: &str = "";

impl<S: OnSql> StateStore for S {
    fn state<'a>(&'a self, tenant: &'a TenantName, flow: Option<&'a Name>) -> StoreFuture<'a, BTreeMap<String, String>> {
        Box::pin(async move {
            let read = query(sql::READ).bind(tenant.as_str()).bind(flow.map_or(TENANT, Name::as_str));
            let mut values = BTreeMap::new();
            let take = |row: &Row| {
                values.insert(text(row, 0)?.to_owned(), text(row, 1)?.to_owned());
                Ok(ControlFlow::Continue(()))
            };
            read.read_each(self.database(), take).await?;
            Ok(values)
        })
    }
}

/// Writes what a run made of state, key by key over what others wrote meanwhile.
pub(super) async fn put(transaction: &mut Transaction<'_>, tenant: &TenantName, written: &RunState) -> Result<(), StoreError> {
    let held = query(sql::HOLD).bind(tenant.as_str()).fetch_optional(transaction).await?;
    let before: i64 = held.ok_or_else(|| StoreError::UnknownTenant(tenant.clone()))?.get(0)?;
    let mut more = put_changes(transaction, (tenant, TENANT), &written.of_tenant).await?;
    if let Some(flow) = written.flow.as_ref().filter(|_| !written.of_flow.is_empty()) {
        let flow = flow.as_str();
        // Whoever deletes a flow holds the same row, so it does not go between this look and the end.
        if query(sql::FLOW).bind(tenant.as_str()).bind(flow).fetch_optional(transaction).await?.is_some() {
            more += put_changes(transaction, (tenant, flow), &written.of_flow).await?;
        }
    }
    let used = before.saturating_add(more);
    if more > 0 && used.unsigned_abs() > written.limit {
        return Err(StoreError::StateSize { limit: written.limit, used: used.unsigned_abs() });
    }
    query(sql::SET_TOTAL).bind(tenant.as_str()).bind(used).execute(transaction).await?;
    Ok(())
}

/// Takes what a deleted flow had.
pub(super) async fn delete_flow(transaction: &mut Transaction<'_>, tenant: &TenantName, flow: &Name) -> Result<(), StoreError> {
    let Some(held) = query(sql::HOLD).bind(tenant.as_str()).fetch_optional(transaction).await? else { return Ok(()) };
    let of_flow = |sql| query(sql).bind(tenant.as_str()).bind(flow.as_str());
    let freed: i64 = of_flow(sql::FLOW_BYTES).fetch_one(transaction).await?.get(0)?;
    of_flow(sql::DELETE_FLOW).execute(transaction).await?;
    let left = held.get::<i64>(0)?.saturating_sub(freed);
    query(sql::SET_TOTAL).bind(tenant.as_str()).bind(left).execute(transaction).await?;
    Ok(())
}

/// Writes into one of the states, and says by how much it grew; less than nothing where it shrank.
async fn put_changes(
    transaction: &mut Transaction<'_>,
    (tenant, flow): (&TenantName, &str),
    changes: &StateChanges,
) -> Result<i64, StoreError> {
    let mut more: i64 = 0;
    let all: Vec<_> = changes.0.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let take = made_query(sql::take(some.len()).into()).bind(tenant.as_str()).bind(flow);
        let take = some.iter().fold(take, |query, (key, _)| query.bind(key.as_str()));
        for row in take.fetch_all(transaction).await? {
            more -= row.get::<i64>(0)?;
        }
        let kept: Vec<_> = some.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?))).collect();
        if kept.is_empty() {
            continue;
        }
        let mut put = made_query(sql::put(kept.len()).into()).bind(tenant.as_str()).bind(flow);
        for (key, value) in kept {
            let bytes = i64::try_from(state_entry_bytes(key, value)).unwrap_or(i64::MAX);
            more = more.saturating_add(bytes);
            put = put.bind(key).bind(value).bind(bytes);
        }
        put.execute(transaction).await?;
    }
    Ok(more)
}
