//! One version of a script.

use axum::extract::State;
use http::{HeaderValue, StatusCode};
use snaphook_model::{Code, Fault, Language, Name};
use snaphook_store::DeletedVersion;

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Deploy, Read};
use crate::problem::{Problem, ProblemDetails};
use crate::routes::scripts::VersionAnswer;
use crate::shared::Shared;

/// Read a version
#[utoipa::path(get, path = "/v1/scripts/{script}/versions/{version}", tag = "scripts", security(("token" = ["read"])),
    params(("script" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = VersionAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At((name, number)): At<(Name, u32)>) -> Answer {
    let version = core.store.version(&tenant.name, &name, number).await?.ok_or_else(|| unknown(&name, number))?;
    answer::ok(&version)
}

/// Read what was uploaded
#[utoipa::path(get, path = "/v1/scripts/{script}/versions/{version}/source", tag = "scripts", security(("token" = ["read"])),
    params(("script" = String, Path), ("version" = u32, Path)),
    responses((status = 200, content(("application/javascript"), ("application/typescript"), ("application/wasm"))),
        (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn source(State(core): State<Shared>, Read(tenant): Read, At((name, number)): At<(Name, u32)>) -> Answer {
    let version = core.store.version(&tenant.name, &name, number).await?.ok_or_else(|| unknown(&name, number))?;
    let source = core.store.source(&tenant.name, &name, number).await?.ok_or_else(|| unknown(&name, number))?;
    Ok(answer::bytes(StatusCode::OK, HeaderValue::from_static(version.language.content_type()), source))
}

/// Read the component
#[utoipa::path(get, path = "/v1/scripts/{script}/versions/{version}/component", tag = "scripts", security(("token" = ["read"])),
    params(("script" = String, Path), ("version" = u32, Path)),
    responses((status = 200, content(("application/wasm"))), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn component(State(core): State<Shared>, Read(tenant): Read, At((name, number)): At<(Name, u32)>) -> Answer {
    let component = core.store.component(&tenant.name, &name, number).await?.ok_or_else(|| unknown(&name, number))?;
    Ok(answer::bytes(StatusCode::OK, HeaderValue::from_static(Language::Wasm.content_type()), component.bytes))
}

/// Delete a version that is bound nowhere
#[utoipa::path(delete, path = "/v1/scripts/{script}/versions/{version}", tag = "scripts", security(("token" = ["deploy"])),
    params(("script" = String, Path), ("version" = u32, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails<'static>), (status = 409, body = ProblemDetails<'static>)))]
pub(crate) async fn delete(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    By(author): By,
    At((name, number)): At<(Name, u32)>,
) -> Answer {
    match core.programs.delete(&author, &tenant.name, &name, number).await? {
        DeletedVersion::Deleted => answer::nothing(),
        DeletedVersion::Unknown => Err(unknown(&name, number)),
        DeletedVersion::Bound(places) => {
            let detail = format!("version {number} of script `{name}` is bound at {}", places.join("; "));
            Err(Fault::new(Code::ScriptBound, detail).into())
        }
    }
}

pub(crate) fn unknown(name: &Name, number: u32) -> Problem {
    Problem::not_found(format!("version {number} of script `{name}`"))
}
