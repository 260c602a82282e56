//! Tokens: made by the operator for a tenant, or by the tenant itself.

use axum::extract::State;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use snaphook_model::{Author, Invalid, TenantName, TokenRecord, TokenScope, TokenScopes};

use crate::ambient;
use crate::answer::{self, Answer};
use crate::auth;
use crate::author::By;
use crate::extract::{Admin, At, Json, Operator, Query, TenantAt};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::{Core, Shared};

/// Ten years: a token that outlives this was meant not to expire.
const MAX_EXPIRY_S: u64 = 10 * 366 * 24 * 3600;

/// A token to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// For people.
    name: String,
    /// At least one of `deploy`, `invoke`, `read`, `callback`, `admin`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<TokenScope>,
    /// From now; absent: it does not expire.
    expires_s: Option<u64>,
}

/// A token without its text.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TokenAnswer {
    id: String,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: TokenScopes,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The minute in which it was presented last. A list may tell it some seconds late; null: never since this is noted.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// Shown this once, when the token is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Make a token for a tenant
#[utoipa::path(post, path = "/v1/tenants/{tenant}/tokens", tag = "tokens", security(("operator" = [])),
    params(("tenant" = String, Path)), request_body = NewToken,
    responses((status = 201, body = TokenAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn create_for_tenant(
    State(core): State<Shared>,
    _: Operator,
    By(author): By,
    At(tenant): TenantAt,
    Json(token): Json<NewToken>,
) -> Answer {
    make(&core, &author, &tenant, token).await
}

/// Make a token
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", security(("token" = ["admin"])), request_body = NewToken,
    responses((status = 201, body = TokenAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn create(
    State(core): State<Shared>,
    Admin(tenant): Admin,
    By(author): By,
    Query(NoQuery {}): Query<NoQuery>,
    Json(token): Json<NewToken>,
) -> Answer {
    make(&core, &author, &tenant.name, token).await
}

/// List the tenant's tokens
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("token" = ["admin"])), params(PageQuery),
    responses((status = 200, body = page::List<TokenAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Admin(tenant): Admin, Query(query): Query<PageQuery>) -> Answer {
    // What this node knows is shown; another node's follows.
    core.auth.write_uses().await;
    page::list(core.store.tokens(&tenant.name, &query.request()?).await?, |record| wire(record, None))
}

/// Delete a token
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", security(("token" = ["admin"])), params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Admin(tenant): Admin, By(author): By, At(id): At<String>) -> Answer {
    let deleted = core.store.by(&author).delete_token(&tenant.name, &id).await?;
    if !deleted {
        return Err(Problem::not_found(format!("token `{id}`")));
    }
    // All that are kept are looked at for it, which whoever names none must not make a node do again and again.
    core.auth.forget_token(&tenant.name, &id);
    answer::nothing()
}

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}

async fn make(core: &Core, author: &Author, tenant: &TenantName, token: NewToken) -> Answer {
    let NewToken { name, scopes, expires_s } = token;
    if name.is_empty() || name.chars().count() > 200 {
        return Err(Invalid::new("name", "must be 1 to 200 characters long").into());
    }
    if scopes.is_empty() {
        return Err(Invalid::new("scopes", "must hold at least one scope").into());
    }
    let created_at = author.at;
    let expires_at = match expires_s {
        None => None,
        Some(seconds @ 1..=MAX_EXPIRY_S) => Some(created_at + SignedDuration::from_secs(seconds.cast_signed())),
        Some(_) => return Err(Invalid::new("expires_s", format!("must be 1 to {MAX_EXPIRY_S}")).into()),
    };
    let mut scopes = scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let record = TokenRecord { id: ambient::new_id(), name, scopes: TokenScopes(scopes), created_at, expires_at, last_used_at: None };
    let text = auth::new_token();
    core.store.by(author).add_token(tenant, &record, auth::token_hash(&text)).await?;
    answer::json(StatusCode::CREATED, &wire(record, Some(text)))
}

fn wire(record: TokenRecord, token: Option<String>) -> TokenAnswer {
    let TokenRecord { id, name, scopes, created_at, expires_at, last_used_at } = record;
    TokenAnswer { id, name, scopes, created_at, expires_at, last_used_at, token }
}
