//! Tenants, by the operator.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use snaphook_model::{Grants, Limits, Quota, Retention, Tenant, TenantDocument, TenantName, TenantRetention};
use snaphook_store::{Change, KeptDocuments, StoredTenant};

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{self, At, Operator, Query, Raw, TenantAt};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::{Core, Shared};

/// A tenant as it is in force.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TenantAnswer {
    name: String,
    #[serde(flatten)]
    rules: TenantRules,
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: jiff::Timestamp,
}

/// What a tenant may, and what it uses of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TenantRules {
    /// Every limit, changed or not.
    #[schema(value_type = Object)]
    limits: Limits,
    /// `concurrency`, `rate_per_s`, `history_bytes`, `script_bytes`, `queue_bytes`, `documents` and `document_bytes`, changed or not.
    #[schema(value_type = Object)]
    quota: Quota,
    /// The tenant's part of the processor beside others who want it at the same time.
    weight: u32,
    #[schema(value_type = Object)]
    grants: Grants,
    /// How long what runs leave behind, and the records of changes, are kept, in seconds.
    retention: RetentionAnswer,
    usage: TenantUsage,
    /// As the operator wrote it.
    egress: serde_json::Value,
    /// Statuses of documents beside those that every tenant knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    document_statuses: Vec<String>,
}

impl TenantRules {
    pub(crate) fn of(core: &Core, name: &TenantName, document: &TenantDocument) -> Self {
        Self {
            limits: document.limits.applied(),
            quota: document.quota.applied(),
            weight: document.weight.unwrap_or_default().0,
            grants: document.grants,
            retention: RetentionAnswer::of(&document.retention),
            usage: TenantUsage { concurrency: core.admission.quotas().at_work(name), ..TenantUsage::default() },
            egress: serde_json::to_value(&document.egress).unwrap_or_default(),
            document_statuses: document.document_statuses.clone(),
        }
    }

    /// The same with what is kept for the tenant, which the store is asked for.
    pub(crate) async fn with_kept(core: &Core, name: &TenantName, document: &TenantDocument) -> Result<Self, Problem> {
        let mut rules = Self::of(core, name, document);
        rules.usage.history_bytes = Some(core.store.history_bytes(name).await?);
        rules.usage.script_bytes = Some(core.store.script_bytes(name).await?);
        let KeptDocuments { documents, bytes } = core.store.kept_documents(name).await?;
        (rules.usage.documents, rules.usage.document_bytes) = (Some(documents), Some(bytes));
        Ok(rules)
    }
}

/// What a tenant uses of this node now, and what is kept for it.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(crate) struct TenantUsage {
    /// Requests in flight that count against `quota.concurrency`.
    concurrency: u32,
    /// Bytes of runs that have ended, as they were counted last; 0 before the first count. Absent in lists and after a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_bytes: Option<u64>,
    /// Bytes of all versions of scripts. Absent in lists and after a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    script_bytes: Option<u64>,
    /// Flows, of which each version counts, connectors, connections, secrets, subjects and tokens. Absent in lists and after a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<u64>,
    /// Bytes of their values. Absent in lists and after a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_bytes: Option<u64>,
}

/// How long things are kept, in seconds.
#[derive(Serialize, utoipa::ToSchema)]
struct RetentionAnswer {
    logs_s: u32,
    payloads_s: u32,
    audit_s: u32,
}

impl RetentionAnswer {
    fn of(document: &TenantRetention) -> Self {
        let Retention { logs_s, payloads_s } = document.of_runs();
        Self { logs_s, payloads_s, audit_s: document.audit_s() }
    }
}

/// Create or change a tenant
///
/// The document replaces the one before; every key is optional, and what is left out is at its default.
#[utoipa::path(put, path = "/v1/tenants/{tenant}", tag = "tenants", security(("operator" = [])),
    params(("tenant" = String, Path)),
    request_body(content = Object, description = "limits, quota, weight, grants, egress, retention"),
    responses((status = 201, body = TenantAnswer), (status = 200, body = TenantAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn put(State(core): State<Shared>, _: Operator, By(author): By, At(name): TenantAt, Raw(body): Raw) -> Answer {
    // No body at all is a tenant with nothing but defaults.
    let document: TenantDocument =
        if body.bytes.is_empty() { TenantDocument::default() } else { extract::shaped(extract::from_json(&body.bytes)?)? };
    let tenant = Tenant::new(name, document)?;
    let change = core.store.by(&author).put_tenant(&tenant.name, &tenant.document, author.at).await?;
    core.programs.tenants().forget(&tenant.name);
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    let stored = core.store.tenant(&tenant.name).await?.ok_or_else(|| unknown(&tenant.name))?;
    answer::json(status, &wire(&core, stored))
}

/// Read a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", security(("operator" = [])),
    params(("tenant" = String, Path)),
    responses((status = 200, body = TenantAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, _: Operator, At(name): TenantAt) -> Answer {
    let stored = core.store.tenant(&name).await?.ok_or_else(|| unknown(&name))?;
    let StoredTenant { name, document, created_at, updated_at } = stored;
    let rules = TenantRules::with_kept(&core, &name, &document).await?;
    answer::ok(&TenantAnswer { name: name.to_string(), rules, created_at, updated_at })
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", security(("operator" = [])), params(PageQuery),
    responses((status = 200, body = page::List<TenantAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, _: Operator, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.tenants(&query.request()?).await?, |stored| wire(&core, stored))
}

/// Delete a tenant with everything that belongs to it
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", security(("operator" = [])),
    params(("tenant" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, _: Operator, By(author): By, At(name): TenantAt) -> Answer {
    let code = core.programs.code_of_tenant(&name).await?;
    let deleted = core.store.delete_tenant(&name).await?;
    core.auth.forget_tenant(&name);
    core.definitions.forget_tenant(&name);
    core.programs.forget_tenant(&name);
    // A tenant may have had thousands of versions; nobody waits for their files.
    let programs = Arc::clone(&core.programs);
    core.tasks.spawn(async move { programs.discard_unused(&code).await });
    if !deleted {
        return Err(unknown(&name));
    }
    // The tenant's own record of it went with the tenant.
    tracing::info!(tenant = %name, request = author.request_id, "the operator deleted a tenant");
    answer::nothing()
}

fn wire(core: &Core, stored: StoredTenant) -> TenantAnswer {
    let StoredTenant { name, document, created_at, updated_at } = stored;
    let rules = TenantRules::of(core, &name, &document);
    TenantAnswer { name: name.to_string(), rules, created_at, updated_at }
}

fn unknown(name: &TenantName) -> Problem {
    Problem::not_found(format!("tenant `{name}`"))
}
