//! `fetch` of a script step: only for tenants who have the grant, only to their connectors or to hosts the operator named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snaphook_egress::Outbound;
use snaphook_model::connector::DEFAULT_TIMEOUT_S;
use snaphook_model::{Code, Connector, Fault, HttpRequest, HttpResponse, Name, RunId, Tenant};
use snaphook_sandbox::{GuestHttp, HttpFuture};
use snaphook_telemetry::{Opened, SpanName, TraceContext};
use url::Url;

use crate::connections::{CallSecrets, Uses, host_of};
use crate::prepare::{DEFAULT_REDIRECTS, parse_url, read_connector};
use crate::runner::Inner;
use crate::template::{OwnHeaders, Values};
use crate::used::Used;
use crate::watched::exchanged;

/// The grant, lent to one invocation.
pub(crate) struct Fetch {
    inner: Arc<Inner>,
    tenant: Arc<Tenant>,
    /// For the templates of connectors' headers.
    values: Values,
    run: RunId,
    /// The run's.
    deadline: Instant,
    /// The span of the invocation.
    hook: Option<TraceContext>,
    secrets: RunSecrets,
}

/// What of the tenant's secrets a script's own requests have to do with.
#[derive(Clone)]
pub(crate) struct RunSecrets {
    /// Those of its call or step, whose placeholders it has.
    pub(crate) own: Option<CallSecrets>,
    /// By the run's requests so far.
    pub(crate) used: Used,
}

impl Fetch {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        tenant: &Arc<Tenant>,
        values: Values,
        run: RunId,
        deadline: Instant,
        hook: Option<TraceContext>,
        secrets: RunSecrets,
    ) -> Self {
        Self { inner: inner.clone(), tenant: tenant.clone(), values, run, deadline, hook, secrets }
    }
}

impl GuestHttp for Fetch {
    fn start(&self, request: HttpRequest) -> HttpFuture {
        let Self { inner, tenant, values, run, deadline, hook, secrets } = self;
        let span = hook.as_ref().and_then(|hook| Opened::below(Some(hook), SpanName::Request, inner.parts.clock.now()));
        // Each request has a budget of its own.
        let (inner, tenant, values, of_run) = (inner.clone(), tenant.clone(), values.afresh(), (*run, *deadline));
        let secrets = secrets.clone();
        Box::pin(async move {
            let method = request.method.clone();
            let trace = span.as_ref().map(Opened::context);
            let answer = send(inner, tenant.clone(), values, of_run, request, secrets, trace).await;
            if let Some(span) = span {
                span.end(answer.as_ref().err().map(|fault| fault.code), |told| {
                    told.set("snaphook.tenant", tenant.name.as_str());
                    told.set("snaphook.run", &*of_run.0.to_string());
                    exchanged(told, &method, answer.as_ref().ok());
                });
            }
            answer
        })
    }
}

async fn send(
    inner: Arc<Inner>,
    tenant: Arc<Tenant>,
    values: Values,
    (run, deadline): (RunId, Instant),
    mut request: HttpRequest,
    RunSecrets { own, used }: RunSecrets,
    trace: Option<&TraceContext>,
) -> Result<HttpResponse, Fault> {
    let (mut timeout_s, mut secrets) = (None, None);
    match target(&request.url)? {
        Target::Connector { name, path } => {
            let connector = read_connector(&*inner.parts.store, &tenant.name, &name).await?;
            timeout_s = connector.timeout_s;
            request.url = below(&connector, path)?;
            // The guest's own stand over the connector's, as an endpoint's do.
            let wide = connector.headers.iter().filter(|(name, _)| request.headers.get(name).is_none());
            let headers = OwnHeaders::read(wide)?;
            let uses =
                Uses { connection: connector.connection.clone(), secrets: headers.secrets(), own_host: host_of(&connector.base_url) };
            let mut values = values;
            secrets = CallSecrets::read(&inner, &tenant.name, run, &uses).await?;
            if let Some(secrets) = &mut secrets {
                secrets.ready(&inner, &tenant, deadline, false).await?;
                values = values.with_secrets(secrets.named(&inner, &tenant.name).into());
            }
            for (name, value) in inner.fill(&tenant, &values, deadline, move |values| headers.render(values)).await?.0 {
                if request.headers.get(&name).is_none() {
                    request.headers.0.push((name, value));
                }
            }
        }
        Target::Absolute(url) => check_host(&tenant, &url)?,
    }
    let mut sealed = secrets.map(|secrets| secrets.sealed(&inner, &tenant.name)).unwrap_or_default();
    // What the script may put in itself, towards its own hosts as ever. Nothing of it is put in unasked.
    if let Some(mut own) = own.filter(|own| own.stand_in(&inner, &tenant.name, &request)) {
        own.ready(&inner, &tenant, deadline, false).await?;
        for value in own.sealed(&inner, &tenant.name).values {
            if !sealed.values.contains(&value) {
                sealed.values.push(value);
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Duration::from_secs(timeout_s.unwrap_or(DEFAULT_TIMEOUT_S).into()).min(left);
    if timeout.is_zero() {
        return Err(Fault::new(Code::Timeout, "the time for the whole run was over before the request could be sent"));
    }
    let sealed = used.with(Some(sealed));
    let outbound = Outbound {
        tenant: &tenant.name,
        request,
        policy: &tenant.egress,
        timeout,
        max_response_bytes: tenant.limits.response_body_bytes,
        secrets: sealed.as_ref(),
        trace,
        redirects: DEFAULT_REDIRECTS,
    };
    inner.parts.egress.send(outbound).await
}

#[derive(Debug, PartialEq)]
enum Target<'a> {
    Connector { name: Name, path: &'a str },
    Absolute(Url),
}

/// `crm:/contacts` names a connector, `https://host/path` a host. `//` after the colon tells them apart, so a connector may be called `https`.
fn target(url: &str) -> Result<Target<'_>, Fault> {
    if let Some((name, path)) = url.split_once(':')
        && path.starts_with('/')
        && !path.starts_with("//")
        && let Ok(name) = Name::new(name)
    {
        return Ok(Target::Connector { name, path });
    }
    let url = parse_url(url)?;
    match url.scheme() {
        "http" | "https" => Ok(Target::Absolute(url)),
        _ => Err(Fault::new(Code::Url, format!("`{url}` is neither an http or https URL nor `connector:/path`"))),
    }
}

/// A path of the guest's under a connector's base URL, which it cannot leave.
fn below(connector: &Connector, path: &str) -> Result<String, Fault> {
    let (front, query) = connector.base_url.split_once('?').map_or((connector.base_url.as_str(), None), |(f, q)| (f, Some(q)));
    let base = parse_url(front)?;
    let mut url = parse_url(&format!("{}{path}", front.trim_end_matches('/')))?;
    let root = base.path().trim_end_matches('/');
    let inside = url.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if url.origin() != base.origin() || !inside {
        return Err(Fault::new(Code::EgressRefused, format!("`{path}` leads out of the connector's base URL")));
    }
    if let Some(query) = query {
        let both = [query, url.query().unwrap_or_default()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("&");
        url.set_query(Some(&both));
    }
    url.set_fragment(None);
    Ok(url.into())
}

/// A guest's own URLs go only where the operator said so by name; that every public host is open to connectors does not open it to scripts.
fn check_host(tenant: &Tenant, url: &Url) -> Result<(), Fault> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let port = url.port_or_known_default().unwrap_or_default();
    let allowed = tenant.egress.allow.iter().flatten().any(|rule| rule.allows(&host, port));
    if allowed {
        return Ok(());
    }
    let detail = format!(
        "`fetch` may go to the tenant's connectors by name, and to hosts in `egress.allow`; `{host}:{port}` is not among them, and the operator can \
         add it there, in the tenant's document"
    );
    Err(Fault::new(Code::EgressRefused, detail))
}

#[cfg(test)]
mod tests {
    use snaphook_model::TenantDocument;

    use super::*;

    fn connector(base_url: &str) -> Connector {
        Connector::parse(serde_json::json!({"base_url": base_url, "endpoints": {}})).unwrap()
    }

    #[test]
    fn a_url_names_a_connector_or_a_host() {
        let name = Name::new("crm").unwrap();
        assert_eq!(target("crm:/a?b=1"), Ok(Target::Connector { name, path: "/a?b=1" }));
        assert!(matches!(target("https://a.example/x"), Ok(Target::Absolute(_))));
        for bad in ["crm:contacts", "/contacts", "ftp://a.example/", "file:///etc/passwd", ""] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_stays_below_the_base_url() {
        let crm = connector("https://a.example/v2?key=1");
        assert_eq!(below(&crm, "/x?y=2").unwrap(), "https://a.example/v2/x?key=1&y=2");
        for out in ["/../v1/x", "/%2e%2e/x", "/../v2x"] {
            assert_eq!(below(&crm, out).unwrap_err().code, Code::EgressRefused, "{out}");
        }
        assert_eq!(below(&connector("https://a.example"), "/@evil.example/").unwrap(), "https://a.example/@evil.example/");
    }

    #[test]
    fn a_host_must_be_named_by_the_operator() {
        let tenant = |allow: serde_json::Value| {
            let document: TenantDocument = serde_json::from_value(serde_json::json!({ "egress": allow })).unwrap();
            Tenant::new("t".parse().unwrap(), document).unwrap()
        };
        let url = Url::parse("https://api.example.com/x").unwrap();
        assert!(check_host(&tenant(serde_json::json!({"allow": ["*.example.com"]})), &url).is_ok());
        for closed in [serde_json::json!({}), serde_json::json!({"allow": ["other.example"]}), serde_json::json!({"allow": []})] {
            assert_eq!(check_host(&tenant(closed), &url).unwrap_err().code, Code::EgressRefused);
        }
    }
}
