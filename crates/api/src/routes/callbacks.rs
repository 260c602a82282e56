//! Callbacks: how an upstream says that it is done with what it was asked.

use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use snaphook_model::{Callback, Code, CorrelationId, Payload, RunId};

use crate::answer::{self, Answer};
use crate::extract::{CallBack, Raw};
use crate::problem::{Problem, ProblemDetails};
use crate::shared::Shared;

/// Longest text that a header of a callback may bring into a run's record.
const MAX_TEXT: usize = 2_000;

/// A callback was taken.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CallbackAnswer {
    /// The run that goes on.
    #[schema(value_type = String)]
    run: RunId,
}

/// Tell a waiting run that its upstream is done
///
/// The first callback counts. With `Ok` the body becomes the step's payload where the step says so; with `Failed` the run fails.
#[utoipa::path(post, path = "/v1/callbacks", tag = "runs", security(("token" = ["callback"])), request_body(content(("*/*"))),
    params(("X-Link-Correlation-Id" = String, Header), ("X-Link-Status" = String, Header, description = "`Ok` or `Failed`"),
        ("X-Link-Document-Status" = Option<String>, Header), ("X-Link-Error-Code" = Option<String>, Header), ("X-Link-Error-Text" = Option<String>, Header)),
    responses((status = 200, body = CallbackAnswer), (status = 400, description = "a header is missing; the run goes on waiting", body = ProblemDetails<'static>),
        (status = 404, body = ProblemDetails<'static>), (status = 409, description = "another one came before", body = ProblemDetails<'static>)))]
pub(crate) async fn call_back(State(core): State<Shared>, CallBack(tenant): CallBack, headers: HeaderMap, Raw(body): Raw) -> Answer {
    let correlation = required(&headers, "x-link-correlation-id")?;
    let ok = match required(&headers, "x-link-status")? {
        status if status.eq_ignore_ascii_case("ok") => true,
        status if status.eq_ignore_ascii_case("failed") => false,
        other => return Err(Problem::new(Code::CallbackHeader, format!("`X-Link-Status` is `Ok` or `Failed`, not `{other}`"))),
    };
    let content_type = text(&headers, header::CONTENT_TYPE.as_str())?.unwrap_or_else(|| "application/json".to_owned());
    let body = match body.bytes.is_empty() {
        true => Payload::default(),
        false => Payload { bytes: body.bytes.clone(), content_type },
    };
    let callback = Callback {
        ok,
        body,
        document_status: text(&headers, "x-link-document-status")?,
        error_code: text(&headers, "x-link-error-code")?,
        error_text: text(&headers, "x-link-error-text")?,
    };
    let run = core.runner.call_back(&tenant.name, &CorrelationId(correlation), &callback).await?;
    answer::json(StatusCode::OK, &CallbackAnswer { run })
}

fn required(headers: &HeaderMap, name: &str) -> Result<String, Problem> {
    text(headers, name)?.ok_or_else(|| Problem::new(Code::CallbackHeader, format!("the header `{name}` is missing")))
}

/// A header's text; none where it is absent or empty. What is no UTF-8 was meant as Latin-1, which headers once were.
fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let bytes = value.as_bytes();
    let text = std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned);
    if text.len() > MAX_TEXT {
        return Err(Problem::new(Code::CallbackHeader, format!("the header `{name}` is longer than {MAX_TEXT} bytes")));
    }
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}
