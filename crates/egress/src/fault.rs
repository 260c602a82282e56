//! From what went wrong to a fault that a caller may read. Decided by the types of errors, never by their texts.

use std::error::Error;
use std::io;
use std::iter;

use snaphook_model::{Code, Fault};

use crate::address::Special;

/// A fault on its way through the HTTP client, which knows boxed errors only.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Stopped(pub(crate) Fault);

/// An address written in the URL is special.
pub(crate) fn refused_address(host: &str, special: Special) -> Fault {
    refused(&format!("`{host}` is {} ({})", special.what, special.net))
}

/// A name leads to nothing but special addresses. They are not repeated: what an internal name means is nothing for the outside.
pub(crate) fn refused_name(name: &str, special: Special) -> Fault {
    refused(&format!("`{name}` resolves to {} ({})", special.what, special.net))
}

fn refused(reason: &str) -> Fault {
    Fault::new(
        Code::EgressRefused,
        format!(
            "{reason}, which the tenant's `egress.allow_private` does not hold; the operator can add it there, in the tenant's document"
        ),
    )
}

/// What the client's error means. `host` is the only part of the URL that gets into the fault.
pub(crate) fn of_client(error: reqwest::Error, host: &str) -> Fault {
    // The log has no use for a query with secrets either.
    let error = error.without_url();
    tracing::debug!(host, error = &error as &dyn Error, "request failed");
    for cause in causes(&error) {
        if let Some(Stopped(fault)) = cause.downcast_ref() {
            return fault.clone();
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Fault::new(Code::Tls, format!("TLS with `{host}` failed: {tls}"));
        }
        if let Some(http) = cause.downcast_ref::<hyper::Error>() {
            if http.is_parse_too_large() {
                return Fault::new(Code::ResponseHeader, format!("`{host}` answered with headers that are too large or too many"));
            }
            if http.is_parse() {
                return Fault::new(Code::ResponseHeader, format!("`{host}` answered with something that is not HTTP: {http}"));
            }
        }
    }
    if error.is_connect() {
        return of_connecting(&error, host);
    }
    if error.is_builder() {
        return Fault::new(Code::Url, "the URL cannot be sent in a request");
    }
    // Bytes arrived, but they do not unpack: the error comes from the decoder, not from the connection below it.
    if error.is_decode() && !causes(&error).any(<dyn Error>::is::<hyper::Error>) {
        return Fault::new(Code::ResponseHeader, format!("the body from `{host}` is not what its `content-encoding` says"));
    }
    Fault::new(Code::Reset, format!("`{host}` closed the connection before its answer was whole"))
}

fn of_connecting(error: &reqwest::Error, host: &str) -> Fault {
    let kinds = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    // TCP has no end of file while it connects; TLS does.
    if kinds().any(|kind| kind == io::ErrorKind::UnexpectedEof) {
        return Fault::new(Code::Tls, format!("`{host}` closed the connection during the TLS handshake"));
    }
    if error.is_timeout() {
        return Fault::new(Code::Connect, format!("`{host}` did not accept a connection in time"));
    }
    let reason = match kinds().next() {
        Some(io::ErrorKind::ConnectionRefused) => "refused the connection",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "cannot be reached from here",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => "reset the connection while it was made",
        _ => "could not be connected to",
    };
    Fault::new(Code::Connect, format!("`{host}` {reason}"))
}

/// The error and everything behind it. An I/O error's source skips the error it wraps, so that is looked at as well.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    })
}
