//! Whether a URL may be asked at all: its form, the tenant's rules for schemes, methods, ports and hosts, and addresses written out in it.

use std::fmt::Display;
use std::net::IpAddr;

use http::Method;
use snaphook_model::{Code, EgressPolicy, Fault};
use url::{Host, Url};

use crate::{address, fault};

/// Reads a URL.
///
/// # Errors
/// `url`. The text itself is not repeated, since it may hold secrets.
pub(crate) fn parse(text: &str) -> Result<Url, Fault> {
    Url::parse(text).map_err(|error| Fault::new(Code::Url, format!("the URL is not valid: {error}")))
}

/// Checks what can be checked before a name is resolved. Done anew for every hop of a redirect.
///
/// # Errors
/// `url` or `egress-refused`.
pub(crate) fn check(url: &Url, method: &Method, policy: &EgressPolicy) -> Result<(), Fault> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::new(
            Code::Url,
            format!("`{}:` is no scheme of HTTP; the URL must begin with http:// or https://", url.scheme()),
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(Code::Url, "the URL holds user name or password; send them in the header `authorization`"));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(Fault::new(Code::Url, "the URL has no host"));
    };
    check_listed("schemes", url.scheme(), policy.schemes.as_deref())?;
    check_listed("methods", method.as_str(), policy.methods.as_deref())?;
    check_listed("ports", &port, policy.ports.as_deref())?;
    check_allowed(&host, port, policy)?;
    // The client connects to an address written in the URL without resolving anything. The last case cannot come from the URL
    // parser, which reads every form of IPv4 as an address; it stands here because everything hangs on it.
    let literal = match host {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(name) => name.trim_end_matches('.').parse().ok(),
    };
    match literal.map(|literal| address::check(literal, &policy.allow_private)) {
        Some(Err(special)) => Err(fault::refused_address(&host.to_string(), special)),
        _ => Ok(()),
    }
}

/// Whether one of the tenant's lists, where there is one, holds what is asked for.
fn check_listed<T, U>(rule: &str, asked: &U, allowed: Option<&[T]>) -> Result<(), Fault>
where
    T: PartialEq<U> + ToString,
    U: Display + ?Sized,
{
    let Some(allowed) = allowed.filter(|allowed| !allowed.iter().any(|one| *one == *asked)) else { return Ok(()) };
    let held = if allowed.is_empty() { "nothing".to_owned() } else { allowed.iter().map(T::to_string).collect::<Vec<_>>().join(", ") };
    let detail = format!(
        "the tenant's `egress.{rule}` holds {held} and not `{asked}`; the operator can add it there, in the tenant's document, or leave \
         `egress.{rule}` out to allow all"
    );
    Err(Fault::new(Code::EgressRefused, detail))
}

/// Whether the tenant's list names the host. Names are in lower case and in their ASCII form here, as the URL parser leaves them.
fn check_allowed(host: &Host<&str>, port: u16, policy: &EgressPolicy) -> Result<(), Fault> {
    let Some(rules) = &policy.allow else { return Ok(()) };
    let written;
    let host = match host {
        // `example.com.` is `example.com`, said to be complete.
        Host::Domain(name) => name.trim_end_matches('.'),
        Host::Ipv4(address) => {
            written = address.to_string();
            &written
        }
        Host::Ipv6(address) => {
            written = address.to_string();
            &written
        }
    };
    if rules.iter().any(|rule| rule.allows(host, port)) {
        return Ok(());
    }
    let detail = format!(
        "no rule of the tenant's `egress.allow` ({} in all) holds `{host}` at port {port}; the operator can add one there, in the tenant's document",
        rules.len()
    );
    Err(Fault::new(Code::EgressRefused, detail))
}

/// Host and, where it is written, port: all of a URL that an answer may repeat.
pub(crate) fn label(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether two URLs have scheme, host and port in common, so that what is meant for one may be shown to the other.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}
