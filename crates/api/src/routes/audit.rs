//! The record of a tenant's changes.

use axum::extract::State;
use serde::Deserialize;
use snaphook_model::{AuditAction, Invalid};
use snaphook_store::AuditFilter;

use crate::answer::Answer;
use crate::extract::{Admin, Query};
use crate::page::{self, PageQuery};
use crate::problem::ProblemDetails;
use crate::shared::Shared;

/// A change that was made.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes `model::AuditRecord`, which is what goes out")]
pub(crate) struct AuditAnswer {
    id: String,
    #[schema(format = DateTime)]
    at: String,
    /// Such as `flow.put`.
    action: String,
    /// What it was done to; of a token or a run, its id.
    name: String,
    /// The version that was written or deleted, of what has versions.
    version: Option<u32>,
    /// Who: `{"kind": "token", "id", "name"}`, `{"kind": "operator"}`, or `{"kind": "browser"}` for who agreed to an authorization.
    by: serde_json::Value,
    /// `x-request-id` of the request that made it.
    request_id: String,
}

/// Which changes, and which page of them.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Changes made at this time or later, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Changes of this kind, such as `flow.put`.
    action: Option<String>,
    /// Items wanted, 1 to 200; default 50.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List the tenant's changes, newest first
///
/// Every change that a token, the operator or an authorization made, for as long as the tenant's `retention.audit_s` says. A run's own doings are in
/// its record.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", security(("token" = ["admin"])), params(AuditQuery),
    responses((status = 200, body = page::List<AuditAnswer>), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn list(State(core): State<Shared>, Admin(tenant): Admin, Query(query): Query<AuditQuery>) -> Answer {
    let AuditQuery { since, action, limit, cursor } = query;
    let since = since.map(|text| text.parse().map_err(|_| Invalid::new("since", format!("`{text}` is no time as RFC 3339 writes it"))));
    let action = action.map(|word| {
        AuditAction::of(&word).ok_or_else(|| {
            let known = AuditAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
            Invalid::new("action", format!("`{word}` is no action; there are {known}"))
        })
    });
    let filter = AuditFilter { since: since.transpose()?, action: action.transpose()? };
    let request = PageQuery::new(limit, cursor).request()?;
    page::list(core.store.audit(&tenant.name, &filter, &request).await?, |record| record)
}
