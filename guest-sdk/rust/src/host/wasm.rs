//! The host's functions as the WIT world has them.

use crate::bindings::host::snaphook::hook as wit;
use crate::context::{Refusal, Scope};
use crate::crypto::{Algorithm, Scheme};
use crate::http;
use crate::log::Level;

pub(crate) fn body() -> Vec<u8> {
    wit::input::body()
}

pub(crate) fn payload_type() -> Option<String> {
    wit::input::payload_type()
}

pub(crate) fn arguments() -> Vec<u8> {
    wit::input::arguments()
}

pub(crate) fn log(level: Level, message: &str) {
    use wit::log::Level as L;
    let level = match level {
        Level::Metric => L::Metric,
        Level::Trace => L::Trace,
        Level::Debug => L::Debug,
        Level::Info => L::Info,
        Level::Log => L::Log,
        Level::Warn => L::Warn,
        Level::Error => L::Error,
    };
    wit::log::write(level, message);
}

/// The scope as the contract numbers it; the connection has an interface of its own.
fn scope_of(scope: Scope) -> Option<wit::variables::Scope> {
    use wit::variables::Scope as S;
    Some(match scope {
        Scope::Variables => S::Variables,
        Scope::Meta => S::Meta,
        Scope::Config => S::Config,
        Scope::StepResults => S::StepResults,
        Scope::FlowState => S::FlowState,
        Scope::TenantState => S::TenantState,
        Scope::Connection => return None,
    })
}

pub(crate) fn get(scope: Scope, key: &str) -> Option<String> {
    match scope_of(scope) {
        Some(scope) => wit::variables::get(scope, key),
        None => wit::connection::get(key),
    }
}

pub(crate) fn set(scope: Scope, key: &str, value: Option<&str>) -> Result<(), Refusal> {
    use wit::variables::Refusal as R;
    let Some(scope) = scope_of(scope) else { return Err(Refusal::ReadOnly) };
    wit::variables::set(scope, key, value).map_err(|refusal| match refusal {
        R::ReadOnly => Refusal::ReadOnly,
        R::Invalid => Refusal::Invalid,
        R::TooLarge => Refusal::TooLarge,
    })
}

pub(crate) fn keys(scope: Scope) -> Vec<String> {
    match scope_of(scope) {
        Some(scope) => wit::variables::keys(scope),
        None => wit::connection::fields(),
    }
}

pub(crate) fn http_start(request: http::Request) -> Result<u32, http::Failure> {
    let http::Request { method, url, headers, body } = request;
    wit::http::start(&wit::http::Request { method, url, headers: headers.into(), body }).map_err(failure)
}

pub(crate) fn http_wait(tickets: &[u32]) -> (u32, Result<http::Response, http::Failure>) {
    let (ticket, outcome) = wit::http::wait(tickets);
    let outcome = outcome.map(|response| http::Response::from_host(response.status, response.headers.into(), response.body));
    (ticket, outcome.map_err(failure))
}

fn failure(failure: wit::http::Failure) -> http::Failure {
    http::Failure::new(failure.code, failure.message)
}

fn algorithm_of(algorithm: Algorithm) -> wit::crypto::Algorithm {
    use wit::crypto::Algorithm as A;
    match algorithm {
        Algorithm::Sha1 => A::Sha1,
        Algorithm::Sha256 => A::Sha256,
        Algorithm::Sha384 => A::Sha384,
        Algorithm::Sha512 => A::Sha512,
    }
}

pub(crate) fn digest(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
    wit::crypto::digest(algorithm_of(algorithm), data)
}

pub(crate) fn hmac(algorithm: Algorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
    wit::crypto::hmac(algorithm_of(algorithm), key, data)
}

pub(crate) fn sign(scheme: Scheme, key: &[u8], data: &[u8]) -> Result<Vec<u8>, String> {
    use wit::crypto::Scheme as S;
    let scheme = match scheme {
        Scheme::Hmac(Algorithm::Sha1) => S::HmacSha1,
        Scheme::Hmac(Algorithm::Sha256) => S::HmacSha256,
        Scheme::Hmac(Algorithm::Sha384) => S::HmacSha384,
        Scheme::Hmac(Algorithm::Sha512) => S::HmacSha512,
        Scheme::RsaPkcs1Sha256 => S::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384 => S::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512 => S::RsaPkcs1Sha512,
        Scheme::RsaPssSha256 => S::RsaPssSha256,
        Scheme::RsaPssSha384 => S::RsaPssSha384,
        Scheme::RsaPssSha512 => S::RsaPssSha512,
        Scheme::EcdsaP256Sha256 => S::EcdsaP256Sha256,
        Scheme::Ed25519 => S::Ed25519,
    };
    wit::crypto::sign(scheme, key, data)
}

pub(crate) fn random(count: u32) -> Vec<u8> {
    wit::crypto::random(count)
}
