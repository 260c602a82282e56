//! What those who watch a node are told of its requests: counts, times, and a span each.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request as Routed};
use axum::middleware::Next;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use snaphook_model::Code;
use snaphook_telemetry::{Held, Opened, SpanName, TraceContext, held, metrics, status_class};
use tracing::Span;

use crate::front::is_work;
use crate::{ambient, openapi, routes};

/// A request that is being answered.
pub(crate) struct Watch {
    begun: Instant,
    method: &'static str,
    /// Of a request that goes around the router.
    route: Option<&'static str>,
    span: Option<Opened>,
    _in_flight: Held,
}

/// The pattern of the route that was taken.
#[derive(Debug, Clone, Copy)]
struct Route(&'static str);

/// Patterns of routes, as the description has them.
static PATTERNS: LazyLock<HashSet<String>> = LazyLock::new(openapi::patterns);

/// What stands for a request that finds no route.
const NONE: &str = "none";

impl Watch {
    pub(crate) fn begin<B>(request: &Request<B>) -> Self {
        let parent = |headers: &HeaderMap| {
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
            TraceContext::parse(text("traceparent")?, text("tracestate"))
        };
        let span = if snaphook_telemetry::is_on() && is_work(request) {
            Opened::below(parent(request.headers()).as_ref(), SpanName::Api, ambient::now())
        } else {
            None
        };
        let route = routes::calls::is_ordinary(request).then_some(routes::calls::ROUTE);
        let in_flight = held(&metrics().http_requests_in_flight);
        Self { begun: Instant::now(), method: method(request.method()), route, span, _in_flight: in_flight }
    }

    /// The span below which the request's work hangs.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        self.span.as_ref().map(|span| span.context().clone())
    }

    /// What every line of the log has that is written while the request is answered.
    pub(crate) fn logged(&self, id: &HeaderValue) -> Span {
        let request_id = id.to_str().unwrap_or_default();
        match &self.span {
            Some(span) => tracing::error_span!("request", request_id, trace_id = %span.context().trace),
            None => tracing::error_span!("request", request_id),
        }
    }

    /// The answer is ready. `code` is what it says of a failure.
    pub(crate) fn end(self, response: &mut Response<Body>, id: &HeaderValue, code: Option<Code>) {
        let taken = response.extensions_mut().remove::<Route>().map(|Route(pattern)| pattern);
        let route = self.route.or(taken);
        let (status, shown) = (response.status().as_u16(), route.unwrap_or(NONE));
        let metrics = metrics();
        metrics.http_requests.count([shown, self.method, status_class(status)]);
        metrics.http_request_duration.took([shown], self.begun.elapsed());
        if let Some(code @ (Code::QuotaConcurrency | Code::QuotaRate | Code::Overloaded)) = code {
            metrics.refusals.count([code.as_str()]);
        }
        if let Some(span) = self.span {
            span.end(code, |told| {
                told.set("http.request.method", self.method);
                told.set_some("http.route", route);
                told.set("http.response.status_code", u64::from(status));
                told.set_some("snaphook.request_id", id.to_str().ok());
            });
        }
    }
}

/// Notes which route was taken, where the answer is counted.
pub(crate) async fn note_route(request: Routed, next: Next) -> axum::response::Response {
    let route = request.extensions().get::<MatchedPath>().and_then(|matched| pattern(matched.as_str()));
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

/// A pattern of the router's as the description has it.
fn pattern(matched: &str) -> Option<&'static str> {
    let described = if matched == routes::triggers::MATCHED { routes::triggers::ROUTE } else { matched };
    PATTERNS.get(described).map(String::as_str)
}

/// Whether a request comes from this machine itself. One that a proxy of this machine hands on does not, whoever it is from: it has headers that
/// say so, or asks for the node by the name that others know it by. A browser that was led here by somebody else's name asks by that.
pub(crate) fn is_of_this_machine(peer: Option<IpAddr>, uri: &http::Uri, headers: &HeaderMap) -> bool {
    const HANDED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let named = uri.authority().cloned().or_else(|| headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok());
    let by_own_name = named.is_some_and(|named| {
        let host = named.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    peer.is_some_and(|peer| peer.to_canonical().is_loopback()) && by_own_name && !HANDED_ON.iter().any(|name| headers.contains_key(*name))
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderName, Uri};

    use super::{is_of_this_machine, pattern};

    #[test]
    fn patterns_are_those_of_the_description() {
        assert_eq!(pattern("/v1/runs/{run}"), Some("/v1/runs/{run}"));
        assert_eq!(pattern("/t/{*address}"), Some("/t/{tenant}/{flow}"));
        assert_eq!(pattern(crate::routes::calls::ROUTE), Some(crate::routes::calls::ROUTE));
        assert_eq!(pattern("/v1/runs/0199"), None);
    }

    #[test]
    fn what_a_proxy_hands_on_is_not_of_this_machine() {
        let asks = |peer: &str, headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            is_of_this_machine(Some(peer.parse::<IpAddr>().unwrap()), &Uri::from_static("/metrics"), &HeaderMap::from_iter(headers))
        };
        for own in ["127.0.0.1:7070", "localhost", "LOCALHOST:1", "[::1]:7070", "127.9.9.9"] {
            assert!(
                asks("127.0.0.1", &[("host", own)]) && asks("::ffff:127.0.0.1", &[("host", own)]) && asks("::1", &[("host", own)]),
                "{own}"
            );
        }
        assert!(!asks("192.0.2.1", &[("host", "127.0.0.1")]));
        for other in ["hooks.example.com", "localhost.example.com", "192.0.2.1:7070", "127.0.0.1.example.com"] {
            assert!(!asks("127.0.0.1", &[("host", other)]), "{other}");
        }
        for handed_on in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
            assert!(!asks("127.0.0.1", &[("host", "localhost"), (handed_on, "1.2.3.4")]), "{handed_on}");
        }
        assert!(!asks("127.0.0.1", &[]) && !is_of_this_machine(None, &Uri::from_static("http://localhost/metrics"), &HeaderMap::new()));
    }
}
