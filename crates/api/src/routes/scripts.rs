//! Scripts: uploads and lists.

use axum::extract::{Request, State};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use snaphook_model::{Code, Dialect, Invalid, Language, Name, ScriptVersion, Tenant};
use snaphook_store::AddedVersion;

use crate::answer::{self, Answer};
use crate::author::By;
use crate::body::{BodyLimit, ReadBody};
use crate::extract::{At, Deploy, Query, Read};
use crate::page::{self, PageQuery};
use crate::problem::{Problem, ProblemDetails};
use crate::programs::SentScript;
use crate::room::Sender;
use crate::shared::{Core, Shared};

/// How an upload is to be read.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    /// The convention that the source is written for: `native` (the default), `patchworks`, `braincloud` or `prismatic`. Wasm has none.
    #[param(value_type = Option<String>)]
    dialect: Option<String>,
}

/// One immutable version of a script.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes `model::ScriptVersion`, which is what goes out")]
pub(crate) struct VersionAnswer {
    name: String,
    version: u32,
    /// Equal uploads have equal hashes.
    hash: String,
    /// `script` or `component`.
    kind: String,
    /// `javascript`, `typescript` or `wasm`.
    language: String,
    dialect: String,
    /// Hooks that may be bound. None: other scripts can import it.
    hooks: Vec<String>,
    /// What it imports, as resolved at its deploy, each with `script` and `version`. Absent: nothing.
    imports: Option<Vec<serde_json::Value>>,
    source_bytes: u64,
    component_bytes: u64,
    deploy_ms: u64,
    /// Each with `message`, and `line`, `column` and `origin` where there is a place, as in problems.
    warnings: Vec<serde_json::Value>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A script with its versions, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ScriptAnswer {
    name: String,
    /// The latest.
    version: u32,
    #[schema(value_type = Vec<VersionAnswer>)]
    versions: Vec<ScriptVersion>,
    /// Where the versions go on; null at their end.
    next_cursor: Option<String>,
}

/// Upload a version of a script
///
/// The body is the source or the wasm. The same bytes and dialect as the latest version give that version, 200, unless what it imports is newer.
#[utoipa::path(put, path = "/v1/scripts/{script}", tag = "scripts", security(("token" = ["deploy"])),
    params(("script" = String, Path), UploadQuery),
    request_body(content(("application/javascript"), ("application/typescript"), ("application/wasm"))),
    responses((status = 201, body = VersionAnswer), (status = 200, body = VersionAnswer),
        (status = 413, body = ProblemDetails<'static>), (status = 422, body = ProblemDetails<'static>)))]
pub(crate) async fn put(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    By(author): By,
    At(name): At<Name>,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Answer {
    let (sent, _body) = read_upload(&core, &tenant, name, query, request).await?;
    match core.programs.deploy(&author, &tenant, sent).await? {
        AddedVersion::Created(version) => answer::json(StatusCode::CREATED, &version),
        AddedVersion::Unchanged(version) => answer::ok(&version),
    }
}

/// Reads an upload inside the tenant's limits. The body holds its room until it is dropped.
pub(crate) async fn read_upload(
    core: &Core,
    tenant: &Tenant,
    name: Name,
    query: UploadQuery,
    request: Request,
) -> Result<(SentScript, ReadBody), Problem> {
    let dialect = query.dialect.as_deref().map_or(Ok(Dialect::Native), str::parse).map_err(|what| Invalid::new("dialect", what))?;
    let language = language_of(&request)?;
    if language == Language::Wasm && dialect != Dialect::Native {
        return Err(Invalid::new("dialect", "a component is called as the contract says; a dialect is for source text").into());
    }
    let limit = match language {
        Language::Wasm => {
            BodyLimit { bytes: tenant.limits.component_bytes, code: Code::SourceSize, name: "the tenant's limit `component_bytes`" }
        }
        Language::JavaScript | Language::TypeScript => {
            BodyLimit { bytes: tenant.limits.source_bytes, code: Code::SourceSize, name: "the tenant's limit `source_bytes`" }
        }
    };
    let body = core.read(request.into_body(), limit, Sender::Tenant(tenant.name.clone())).await?;
    Ok((SentScript { name, language, dialect, bytes: body.bytes.clone() }, body))
}

/// List scripts with their latest version
#[utoipa::path(get, path = "/v1/scripts", tag = "scripts", security(("token" = ["read"])), params(PageQuery),
    responses((status = 200, body = page::List<VersionAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<PageQuery>) -> Answer {
    page::list(core.store.scripts(&tenant.name, &query.request()?).await?, |version| version)
}

/// Read a script with its versions
#[utoipa::path(get, path = "/v1/scripts/{script}", tag = "scripts", security(("token" = ["read"])),
    params(("script" = String, Path), PageQuery),
    responses((status = 200, body = ScriptAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(name): At<Name>, Query(query): Query<PageQuery>) -> Answer {
    let request = query.request()?;
    let unknown = || Problem::not_found(format!("script `{name}`"));
    let latest = core.store.latest_version(&tenant.name, &name).await?.ok_or_else(unknown)?;
    let page = core.store.versions(&tenant.name, &name, &request).await?;
    let next_cursor = page.next.map(|cursor| cursor.0);
    answer::ok(&ScriptAnswer { name: name.to_string(), version: latest.version, versions: page.items, next_cursor })
}

fn language_of(request: &Request) -> Result<Language, Problem> {
    let text = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = || {
        let list = [Language::JavaScript, Language::TypeScript, Language::Wasm].map(Language::content_type).join(", ");
        Invalid::new("content-type", format!("`{text}` is no content type of a script; there are {list}")).into()
    };
    Language::of_content_type(text).ok_or_else(accepted)
}
