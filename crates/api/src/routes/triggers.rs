//! Triggers: the flows' own addresses, for the outside world.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};
use snaphook_flow::PreparedFlow;
use snaphook_model::connector::is_framing_header;
use snaphook_model::{Headers, Name, Tenant, TenantName, TokenScope, TriggerAuth, TriggerRequest};

use crate::answer::Answer;
use crate::body::BodyLimit;
use crate::outcome::{self, RejectionAnswer, TriggeredAnswer};
use crate::prefer::Prefer;
use crate::problem::{Problem, ProblemDetails};
use crate::quotas::Kind;
use crate::room::Sender;
use crate::shared::{Core, Shared};

/// Begins every trigger's address.
pub(crate) const PREFIX: &str = "/t/";
/// How the router knows such an address, and how everybody else does.
pub(crate) const MATCHED: &str = "/t/{*address}";
pub(crate) const ROUTE: &str = "/t/{tenant}/{flow}";

/// Begin a run of a flow from outside
///
/// The flow's `trigger` says who may: everybody, who has a token with the scope `invoke`, or who signs the body as Standard Webhooks has it.
/// Every method, and every path below this one, is taken. The answer comes when the run has ended, or with `Prefer: respond-async` as soon as the
/// trigger's script has ended and the run is durable: what the trigger's script answered (with
/// `executionId` where it gave no body), or the last payload where there is no script. A run that fails is answered as such.
#[utoipa::path(method(get, post, put, patch, delete), path = "/t/{tenant}/{flow}", tag = "runs",
    params(("tenant" = String, Path), ("flow" = String, Path)), request_body(content(("*/*"))),
    responses((status = 200, body = TriggeredAnswer, description = "what the trigger's script answered, or the last payload", headers(("x-run-id" = String))),
        (status = 202, body = TriggeredAnswer, description = "with `Prefer: respond-async`", headers(("x-run-id" = String), ("location" = String))),
        (status = "4XX", description = "a rejection, or a problem", content((RejectionAnswer = "application/json"), (ProblemDetails<'static> = "application/problem+json"))),
        (status = "5XX", body = ProblemDetails<'static>, content_type = "application/problem+json")))]
pub(crate) async fn trigger(State(core): State<Shared>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let Some((tenant, found, below)) = find(&core, parts.uri.path()).await? else {
        // As at a flow that wants a token: whether there is one is for its tenant to know.
        let known = core.auth.known(&parts.headers).await?;
        core.admitted(&known, Kind::Look, &parts).await?;
        return Err(unknown());
    };
    let by_token = found.auth == TriggerAuth::Token;
    if by_token {
        let known = core.auth.known(&parts.headers).await?;
        if known.tenant != tenant.name {
            return Err(unknown());
        }
        known.check(TokenScope::Invoke)?;
    }
    let kind = if matches!(found.auth, TriggerAuth::Signature { .. }) { Kind::Outside } else { Kind::Work };
    core.admission.admit_for(&tenant, kind, &parts.extensions).await?;
    let sender = if by_token { Sender::Tenant(tenant.name.clone()) } else { Sender::Outsider(tenant.name.clone()) };
    let mut body = core.read(body, BodyLimit::request(tenant.limits.request_body_bytes), sender).await?;
    let request = TriggerRequest {
        method: parts.method.as_str().to_owned(),
        url: url(&parts, core.config.public_url.as_deref(), core.scheme()),
        path: below.to_owned(),
        headers: headers(&parts.headers, by_token),
        body: body.bytes.clone(),
    };
    if let TriggerAuth::Signature { secret } = &found.auth {
        core.runner.check_signature(&tenant.name, secret, &request).await?;
        body.is_of(&tenant.name)?;
        core.admission.admit_for(&tenant, Kind::Work, &parts.extensions).await?;
    }
    // Only who may call learns what is wrong with the flow.
    let prepared = found.prepared?;
    let finished = match Prefer::of(&parts.headers)? == Prefer::RespondAsync {
        true => core.runner.accept_trigger(&tenant, &prepared, request, core.run_deadline()).await?,
        false => core.runner.trigger_flow(&tenant, &prepared, request, core.run_deadline()).await?,
    };
    outcome::answer(finished)
}

/// A flow with a trigger.
struct Found {
    auth: TriggerAuth,
    /// Or why it cannot run.
    prepared: Result<Arc<PreparedFlow>, Problem>,
}

/// The tenant, the flow and what follows in an address; none where there is no flow with a trigger.
async fn find<'p>(core: &Core, path: &'p str) -> Result<Option<(Arc<Tenant>, Found, &'p str)>, Problem> {
    let Some((tenant, flow, below)) = place(path) else { return Ok(None) };
    let Some(tenant) = core.programs.tenants().get(&tenant).await? else { return Ok(None) };
    Ok(Found::look(core, &tenant, flow).await?.map(|found| (tenant, found, below)))
}

impl Found {
    async fn look(core: &Core, tenant: &Tenant, flow: Name) -> Result<Option<Self>, Problem> {
        let prepared = match core.definitions.find_flow(&tenant.name, &flow).await {
            Ok(None) => return Ok(None),
            Ok(Some(prepared)) => Ok(prepared),
            Err(problem) => Err(problem),
        };
        let auth = match &prepared {
            Ok(prepared) => prepared.trigger_auth().cloned(),
            Err(_) => core.definitions.trigger_auth(&tenant.name, &flow).await?,
        };
        Ok(auth.map(|auth| Self { auth, prepared }))
    }
}

/// No such tenant, no such flow, a flow without a trigger, or one of another tenant's: all read the same.
fn unknown() -> Problem {
    Problem::not_found("trigger at this address")
}

/// Tenant, flow and what follows in an address, as it is written.
fn place(path: &str) -> Option<(TenantName, Name, &str)> {
    let (tenant, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let (flow, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((TenantName::new(tenant).ok()?, Name::new(flow).ok()?, below))
}

/// The address as the caller wrote it. What stands between us and the caller may have changed how it began, which the node's own setting says.
fn url(parts: &Parts, public_url: Option<&str>, scheme: &str) -> String {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if let Some(public_url) = public_url {
        return format!("{public_url}{path}");
    }
    let host = || parts.headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let authority = parts.uri.authority().cloned().or_else(host);
    let authority = authority.as_ref().map_or("localhost", Authority::as_str);
    format!("{scheme}://{authority}{path}")
}

/// What a script sees of the headers: not those between us and the next hop, and not the token that let the caller in.
fn headers(given: &HeaderMap, by_token: bool) -> Headers {
    let shown = |name: &str| match name {
        "host" | "content-length" => true,
        "authorization" => !by_token,
        name => !is_framing_header(name),
    };
    let pairs = given.iter().filter(|(name, _)| shown(name.as_str()));
    pairs.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{headers, place, url};

    #[test]
    fn addresses_name_tenant_flow_and_what_follows() {
        let shown = |path: &'static str| place(path).map(|(tenant, flow, below)| format!("{tenant} {flow} {below}"));
        assert_eq!(shown("/t/acme/orders").as_deref(), Some("acme orders "));
        assert_eq!(shown("/t/acme/orders/").as_deref(), Some("acme orders /"));
        assert_eq!(shown("/t/acme/orders/a%2Fb//c").as_deref(), Some("acme orders /a%2Fb//c"));
        for nothing in ["/t/", "/t/acme", "/t//orders", "/t/acme/", "/t/acme//x", "/t/ac%6De/orders", "/v1/acme/orders"] {
            assert_eq!(shown(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_script_sees_the_request_without_what_let_it_in() {
        let request = Request::post("/t/a/f/x?q=1&q=2").header("host", "hooks.example:8080").header("authorization", "Bearer t");
        let request = request.header("connection", "close").header("te", "trailers").header("content-length", "3").header("X-A", "b");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(url(&parts, None, "https"), "https://hooks.example:8080/t/a/f/x?q=1&q=2");
        assert_eq!(url(&parts, Some("https://public.example/in"), "http"), "https://public.example/in/t/a/f/x?q=1&q=2");
        let names = |by_token| headers(&parts.headers, by_token).0.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(true), ["host", "content-length", "x-a"]);
        assert_eq!(names(false), ["host", "authorization", "content-length", "x-a"]);
    }
}
