//! Direct calls: the hot path.

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use serde::de::IgnoredAny;
use snaphook_model::{Name, RunId, Tenant, TokenScope};
use std::sync::Arc;

use crate::answer::Answer;
use crate::body::BodyLimit;
use crate::extract::{At, Invoke, Raw, not_json};
use crate::idempotency;
use crate::outcome::{self, RejectionAnswer};
use crate::problem::{Problem, ProblemDetails};
use crate::room::Sender;
use crate::shared::{Core, Shared};

const PREFIX: &str = "/v1/call/";

/// The pattern of these addresses.
pub(crate) const ROUTE: &str = "/v1/call/{connector}/{endpoint}";

/// Whether a request is an ordinary call. Others, such as those with a query, take the way through the router.
pub(crate) fn is_ordinary<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    request.method() == Method::POST && uri.query().is_none() && names(uri.path()).is_some()
}

fn names(path: &str) -> Option<(&str, &str)> {
    let (connector, endpoint) = path.strip_prefix(PREFIX)?.split_once('/')?;
    (!path.contains('%') && !connector.is_empty() && !endpoint.is_empty() && !endpoint.contains('/')).then_some((connector, endpoint))
}

/// Answers an ordinary call.
pub(crate) async fn answer<B>(core: &Core, request: Request<B>) -> Result<Response<Body>, Problem>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let (parts, body) = request.into_parts();
    let tenant = core.caller(&parts, TokenScope::Invoke).await?;
    let (connector, endpoint) = names(parts.uri.path()).ok_or_else(|| Problem::not_found("path"))?;
    let (connector, endpoint) = (Name::new(connector)?, Name::new(endpoint)?);
    let body = core.read(body, BodyLimit::request(tenant.limits.request_body_bytes), Sender::Tenant(tenant.name.clone())).await?;
    run(core, &tenant, connector, endpoint, &parts.headers, &body.bytes).await
}

/// Call an endpoint with its hooks
///
/// The JSON body is the arguments. A rejection has the hook's own status and body.
#[utoipa::path(post, path = "/v1/call/{connector}/{endpoint}", tag = "calls", security(("token" = ["invoke"])),
    params(("connector" = String, Path), ("endpoint" = String, Path)), request_body(content(("application/json"))),
    responses((status = 200, description = "the payload", headers(("x-run-id" = String))),
        (status = "4XX", description = "a rejection, or a problem", content((RejectionAnswer = "application/json"), (ProblemDetails<'static> = "application/problem+json"))),
        (status = "5XX", body = ProblemDetails<'static>, content_type = "application/problem+json")))]
pub(crate) async fn call(
    State(core): State<Shared>,
    Invoke(tenant): Invoke,
    At((connector, endpoint)): At<(Name, Name)>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Answer {
    run(&core, &tenant, connector, endpoint, &headers, &body.bytes).await
}

async fn run(core: &Core, tenant: &Arc<Tenant>, connector: Name, endpoint: Name, headers: &HeaderMap, arguments: &Bytes) -> Answer {
    if !headers.contains_key(idempotency::KEY) {
        return once(core, tenant, connector, endpoint, (None, arguments)).await;
    }
    let path = format!("{PREFIX}{connector}/{endpoint}");
    let work = |run| Box::pin(once(core, tenant, connector, endpoint, (run, arguments)));
    Box::pin(idempotency::once(core, tenant, &path, headers, arguments, work)).await
}

async fn once(core: &Core, tenant: &Arc<Tenant>, connector: Name, endpoint: Name, (run, arguments): (Option<RunId>, &Bytes)) -> Answer {
    check_json(arguments)?;
    let prepared = core.definitions.endpoint(&tenant.name, connector, endpoint).await?;
    let run = run.unwrap_or_else(|| core.runner.new_run());
    outcome::answer(core.runner.call_as(run, tenant, &prepared, arguments.clone(), core.run_deadline()).await)
}

/// Whether a body is JSON text, or empty.
pub(crate) fn check_json(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    // `IgnoredAny` skips over strings without looking for broken UTF-8 in them.
    let text = std::str::from_utf8(body).map_err(|_| Problem::new(snaphook_model::Code::Invalid, "the body is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| not_json(&error))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{check_json, is_ordinary};

    #[test]
    fn only_plain_addresses_take_the_short_way() {
        for (uri, short) in [
            ("/v1/call/a/b", true),
            ("/v1/call/a/b?x=1", false),
            ("/v1/call/a/b/c", false),
            ("/v1/call/a", false),
            ("/v1/call//b", false),
            ("/v1/call/a/", false),
            ("/v1/call/a/%62", false),
            ("/v1/calls/a/b", false),
        ] {
            assert_eq!(is_ordinary(&Request::post(uri).body(()).expect("a request")), short, "{uri}");
        }
        assert!(!is_ordinary(&Request::get("/v1/call/a/b").body(()).expect("a request")));
    }

    #[test]
    fn arguments_are_json() {
        assert!(check_json(b"").is_ok());
        assert!(check_json(br#" {"a": [1, "b"]} "#).is_ok());
        assert!(check_json(b"\"\xff\"").is_err());
        let problem = check_json(b"{\"a\": 1,\n}").expect_err("a comma too many");
        assert_eq!((problem.fault().line, problem.fault().column), (Some(2), Some(1)));
    }
}
