//! Around the API: health, the API's description, and what codes mean.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use axum::extract::State;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use snaphook_model::Code;

use crate::answer::{self, Answer};
use crate::extract::At;
use crate::problem::{Problem, ProblemDetails};
use crate::shared::Shared;
use crate::{openapi, status, watch};

/// Where metrics are.
pub(crate) const METRICS: &str = "/metrics";

/// From where a request comes, as far as the connection shows. Only requests for metrics are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How the node feels.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// What a code means and what to do.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CodeAnswer {
    code: &'static str,
    title: &'static str,
    /// `caller`, `guest`, `upstream` or `platform`.
    blame: &'static str,
    /// The HTTP status of an answer with this code; for `rejected`, the hook's own stands over it.
    status: u16,
    /// Whether the same again may succeed.
    retryable: bool,
    help: &'static str,
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Answer {
    answer::ok(&Health { status: "ok" })
}

/// Whether the node may be used: the store answers, and no shutdown has begun
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, body = Health), (status = 503, body = ProblemDetails<'static>)))]
pub(crate) async fn readyz(State(core): State<Shared>) -> Answer {
    if core.draining.load(Ordering::Relaxed) {
        return Err(Problem::overloaded("this node is shutting down"));
    }
    core.store.ping().await?;
    answer::ok(&Health { status: "ready" })
}

/// The node's metrics, in Prometheus' text form
///
/// For the operator. A client on the node's own machine needs no token, unless a proxy there hands its request on for somebody else, or the node has a
/// public address.
#[utoipa::path(get, path = "/metrics", tag = "node", security(("operator" = []), ()),
    responses((status = 200, content(("text/plain"))), (status = "4XX", body = ProblemDetails<'static>, content_type = "application/problem+json")))]
pub(crate) async fn metrics(State(core): State<Shared>, request: Parts) -> Answer {
    let peer = request.extensions.get::<Peer>().map(|Peer(address)| *address);
    // A node with an address for the world stands behind something that need not say for whom it asks.
    let is_of_this_machine = core.config.public_url.is_none() && watch::is_of_this_machine(peer, &request.uri, &request.headers);
    if request.headers.contains_key(header::AUTHORIZATION) || !is_of_this_machine {
        core.auth.operator(&request.headers).await?;
    }
    core.runner.observe().await;
    Ok(answer::bytes(StatusCode::OK, HeaderValue::from_static(snaphook_telemetry::RENDERED), snaphook_telemetry::render().into()))
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "node", responses((status = 200, content(("application/json")))))]
pub(crate) async fn openapi() -> Answer {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| openapi::openapi_json().into());
    Ok(answer::bytes(StatusCode::OK, HeaderValue::from_static("application/json"), TEXT.clone()))
}

/// What a code means and what to do, as JSON or for a browser
#[utoipa::path(get, path = "/errors/{code}", tag = "node", params(("code" = String, Path)),
    responses((status = 200, content((CodeAnswer = "application/json"), ("text/html"))), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn error(At(text): At<String>, headers: HeaderMap) -> Answer {
    let code = Code::parse(&text).ok_or_else(|| Problem::not_found(format!("code `{text}`")))?;
    let wants_page = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        return Ok(answer::bytes(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), page(code).into()));
    }
    answer::ok(&CodeAnswer {
        code: code.as_str(),
        title: code.title(),
        blame: code.blame().as_str(),
        status: status::of(code),
        retryable: code.retryable(),
        help: code.help(),
    })
}

/// All texts are our own; none needs escaping but those with angle brackets, of which there are none.
fn page(code: Code) -> String {
    let (title, blame, help, http) = (code.title(), code.blame().as_str(), code.help(), status::of(code));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code}: {title}</title>\
         <body style=\"font: 1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem\">\
         <p><code>{code}</code> · HTTP {http} · {blame}</p><h1>{title}</h1><p>{help}</p></body></html>"
    )
}

#[cfg(test)]
mod tests {
    use snaphook_model::Code;

    #[test]
    fn no_text_of_a_code_needs_escaping() {
        assert!(Code::ALL.iter().all(|code| !code.title().contains(['<', '&']) && !code.help().contains(['<', '&'])));
    }
}
