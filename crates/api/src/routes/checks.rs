//! Uploads that are only looked at: an editor asks while its user types.

use axum::extract::{Request, State};
use serde::Serialize;
use snaphook_compile::Compiled;
use snaphook_model::{Blame, Fault, HookSet, Name, ScriptKind, Warning};

use crate::answer::{self, Answer};
use crate::extract::{At, Deploy, Query};
use crate::problem::ProblemDetails;
use crate::programs::ProgramsError;
use crate::routes::scripts::{self, UploadQuery};
use crate::shared::Shared;

/// What an upload would become.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CheckAnswer {
    /// Whether it would be taken. What follows until `warnings` is there only then.
    ok: bool,
    /// `script` or `component`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    kind: Option<ScriptKind>,
    /// Hooks that could be bound. None: other scripts could import it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    hooks: Option<HookSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component_bytes: Option<u64>,
    /// Each with `message`, and `line`, `column` and `origin` where there is a place.
    #[schema(value_type = Vec<serde_json::Value>)]
    warnings: Vec<Warning>,
    /// Why it would be refused: each with `code` and `detail`, and `line`, `column`, `origin`, `path`, `limit` and `used` where they mean something.
    #[schema(value_type = Vec<serde_json::Value>)]
    errors: Vec<Fault>,
}

impl CheckAnswer {
    fn taken(compiled: Compiled, source_bytes: usize) -> Self {
        Self {
            ok: true,
            kind: Some(compiled.kind),
            hooks: Some(compiled.hooks),
            source_bytes: Some(source_bytes as u64),
            component_bytes: Some(compiled.component.len() as u64),
            warnings: compiled.warnings,
            errors: Vec::new(),
        }
    }

    fn refused(fault: Fault) -> Self {
        let (warnings, errors) = (Vec::new(), vec![fault]);
        Self { ok: false, kind: None, hooks: None, source_bytes: None, component_bytes: None, warnings, errors }
    }
}

/// Check an upload and store nothing
///
/// The upload is compiled as `PUT /v1/scripts/{script}` would, and counts against the same quotas. What is wrong with the script itself is part of
/// the answer; an error is what is wrong with the request, such as a content type that no script has.
#[utoipa::path(post, path = "/v1/scripts/{script}/check", tag = "scripts", security(("token" = ["deploy"])),
    params(("script" = String, Path), UploadQuery),
    request_body(content(("application/javascript"), ("application/typescript"), ("application/wasm"))),
    responses((status = 200, body = CheckAnswer), (status = 400, body = ProblemDetails<'static>), (status = 413, body = ProblemDetails<'static>)))]
pub(crate) async fn check(
    State(core): State<Shared>,
    Deploy(tenant): Deploy,
    At(name): At<Name>,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Answer {
    let (sent, _body) = scripts::read_upload(&core, &tenant, name, query, request).await?;
    match core.programs.check(&tenant, &sent).await {
        Ok(compiled) => answer::ok(&CheckAnswer::taken(compiled, sent.bytes.len())),
        Err(ProgramsError::Fault(fault)) if fault.blame() == Blame::Guest => answer::ok(&CheckAnswer::refused(fault)),
        Err(error) => Err(error.into()),
    }
}
