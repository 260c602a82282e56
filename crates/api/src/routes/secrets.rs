//! Secrets: written, listed by name, deleted, and never read.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use snaphook_model::{Code, SecretName};
use snaphook_store::{Change, StoredSecret};

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Deploy, Query, Raw, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::Shared;

/// What may be known of a secret.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SecretAnswer {
    #[schema(value_type = String)]
    name: SecretName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<jiff::Timestamp>,
}

/// Create or replace a secret
///
/// The body is its text, as it stands. It is sealed before it is stored, and nothing gives it back.
#[utoipa::path(put, path = "/v1/secrets/{secret}", tag = "secrets", security(("token" = ["deploy"])),
    params(("secret" = String, Path)), request_body(content = String, content_type = "text/plain"),
    responses((status = 201, body = SecretAnswer), (status = 200, body = SecretAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn put(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    By(author): By,
    At(name): At<SecretName>,
    Raw(body): Raw,
) -> Answer {
    let put = match std::str::from_utf8(&body.bytes) {
        Ok(text) => core.runner.put_secret(&author, &tenant.name, &name, text).await.map_err(Problem::from),
        Err(_) => Err(Problem::new(Code::Invalid, "the text of a secret must be UTF-8")),
    };
    body.wipe();
    let status = if put? == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &SecretAnswer { name, updated_at: None })
}

/// List the names of secrets
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<SecretAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    let wire = |StoredSecret { name, updated_at }| SecretAnswer { name, updated_at: Some(updated_at) };
    page::list(core.store.secrets(&tenant.name, &query.request()?).await?, wire)
}

/// Delete a secret
///
/// What names it fails from then on and says so.
#[utoipa::path(delete, path = "/v1/secrets/{secret}", tag = "secrets", security(("token" = ["deploy"])), params(("secret" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(name): At<SecretName>) -> Answer {
    let deleted = core.store.by(&author).delete_secret(&tenant.name, &name).await?;
    if deleted { answer::nothing() } else { Err(Problem::not_found(format!("secret `{name}`"))) }
}
