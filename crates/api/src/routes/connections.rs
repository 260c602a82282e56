//! Connections: a tenant's credentials, written, shown without their secrets, authorized in a browser.

use axum::extract::State;
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use snaphook_model::{Code, ConnectionDraft, ConnectionStatus, Name, Tenant};
use snaphook_store::{Change, StoredConnection};

use crate::answer::{self, Answer};
use crate::author::{By, ByBrowser};
use crate::extract::{At, Deploy, Document, Query, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::{Core, Shared};

/// Where a browser comes back to.
pub(crate) const CALLBACK: &str = "/oauth/callback";

/// A connection as it is shown.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ConnectionAnswer {
    #[schema(value_type = String)]
    name: Name,
    /// `api-key`, `api-key-secret`, `basic`, `bearer`, `private-key`, `oauth2-client-credentials` or `oauth2-authorization-code`.
    kind: Value,
    /// Those that are secret are `{"set": true}`, which sent back keeps the value.
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Option<Object>)]
    place: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<String>>,
    /// `ok`, `unauthorized` or `broken`.
    #[schema(value_type = String)]
    status: ConnectionStatus,
    /// Why it is not `ok`, or what the last attempt to fetch a token ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<String>,
    /// When its token ends, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    token_expires_at: Option<jiff::Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: jiff::Timestamp,
}

/// The address to open in a browser.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AuthorizeAnswer {
    /// Good for one authorization within ten minutes.
    url: String,
}

/// What a browser brings back.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackQuery {
    /// As the authorization's address had it.
    state: Option<String>,
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    error_description: Option<String>,
}

/// Create or replace a connection
///
/// Secret fields are sealed before they are stored, and nothing gives them back. A secret field left out is removed.
#[utoipa::path(put, path = "/v1/connections/{connection}", tag = "connections", security(("token" = ["deploy"])),
    params(("connection" = String, Path)), request_body(content((Object = "application/json"), (Object = "application/yaml"))),
    responses((status = 201, body = ConnectionAnswer), (status = 200, body = ConnectionAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn put(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    By(author): By,
    At(name): At<Name>,
    Document { value, text }: Document,
) -> Answer {
    let draft = ConnectionDraft::parse(value).map_err(|invalid| text.place(Problem::from(invalid)));
    text.wipe();
    let change = core.runner.put_connection(&author, &tenant.name, &name, draft?).await?;
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &shown(stored(&core, &tenant, &name).await?))
}

/// Read a connection
#[utoipa::path(get, path = "/v1/connections/{connection}", tag = "connections", security(("token" = ["read"])),
    params(("connection" = String, Path)),
    responses((status = 200, body = ConnectionAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(name): At<Name>) -> Answer {
    answer::ok(&shown(stored(&core, &tenant, &name).await?))
}

/// List connections
#[utoipa::path(get, path = "/v1/connections", tag = "connections", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<ConnectionAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.connections(&tenant.name, &query.request()?).await?, shown)
}

/// Delete a connection
///
/// What names it fails from then on and says so.
#[utoipa::path(delete, path = "/v1/connections/{connection}", tag = "connections", security(("token" = ["deploy"])),
    params(("connection" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(name): At<Name>) -> Answer {
    if core.store.by(&author).delete_connection(&tenant.name, &name).await? { answer::nothing() } else { Err(unknown(&name)) }
}

/// Begin an authorization
///
/// The address asks whoever opens it in a browser to agree, and sends the browser back to `/oauth/callback`. Doing so again replaces the token.
#[utoipa::path(post, path = "/v1/connections/{connection}/authorize", tag = "connections", security(("token" = ["deploy"])),
    params(("connection" = String, Path)),
    responses((status = 200, body = AuthorizeAnswer), (status = 400, body = ProblemDetails<'static>), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn authorize(State(core): State<Shared>, Deploy(tenant): Deploy, By(author): By, At(name): At<Name>) -> Answer {
    let url = core.runner.begin_authorization(&author, &tenant, &name, &redirect_url(&core)).await?;
    answer::ok(&AuthorizeAnswer { url })
}

/// Come back from an authorization
///
/// For browsers; the `state` says whose authorization it is.
#[utoipa::path(get, path = "/oauth/callback", tag = "connections", params(CallbackQuery),
    responses((status = 200, description = "a page that says that it is done", content_type = "text/html"),
        (status = 400, description = "`oauth-state`", body = ProblemDetails<'static>), (status = 502, body = ProblemDetails<'static>)))]
pub(crate) async fn callback(State(core): State<Shared>, ByBrowser(author): ByBrowser, Query(query): Query<CallbackQuery>) -> Answer {
    let CallbackQuery { state, code, error, error_description } = query;
    let begun = core.runner.take_authorization(&state.unwrap_or_default()).await?;
    let tenant = core.store.tenant(&begun.tenant).await?.ok_or_else(|| Problem::new(Code::OAuthState, "the tenant is gone"))?;
    let tenant = Tenant::new(tenant.name, tenant.document)?;
    match code {
        Some(code) => core.runner.finish_authorization(&author, &tenant, &begun, (&code, &redirect_url(&core))).await?,
        None => {
            let said = [error.as_deref(), error_description.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            core.runner.refuse_authorization(&tenant, &begun, if said.is_empty() { "no reason was given" } else { &said }).await?;
        }
    }
    Ok(page(&begun.connection))
}

/// The names of connections hold nothing that a page would read as its own.
fn page(name: &Name) -> Response<axum::body::Body> {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Authorized</title><body><h1>Authorized</h1>\
         <p>The connection <code>{name}</code> can be used now. This window can be closed.</p></body></html>"
    );
    let mut response = answer::bytes(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), text.into());
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    headers.insert(http::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same for every authorization, as whoever gives tokens out has to know it beforehand.
fn redirect_url(core: &Core) -> String {
    format!("{}{CALLBACK}", core.config.base_url)
}

async fn stored(core: &Core, tenant: &Tenant, name: &Name) -> Result<StoredConnection, Problem> {
    core.store.connection(&tenant.name, name).await?.ok_or_else(|| unknown(name))
}

fn unknown(name: &Name) -> Problem {
    Problem::not_found(format!("connection `{name}`"))
}

fn shown(stored: StoredConnection) -> ConnectionAnswer {
    let StoredConnection { name, connection, sealed, token_expires_at, status, status_detail, updated_at, .. } = stored;
    let mut fields: Map<String, Value> = connection.fields.into_iter().collect();
    fields.extend(sealed.into_keys().map(|field| (field, json!({"set": true}))));
    ConnectionAnswer {
        name,
        kind: json!(connection.kind),
        fields,
        place: json!(connection.place),
        hosts: connection.hosts,
        status,
        status_detail,
        token_expires_at,
        updated_at,
    }
}
