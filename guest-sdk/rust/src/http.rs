//! HTTP requests of the guest's own, for invocations that were granted them. Started ones overlap until they are waited for.

use serde::Serialize;

use crate::body::{Body, readers};
use crate::{Error, Headers, Result, host};

/// A request of the guest's own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// `connector:/path` for one of the tenant's connectors, or an absolute URL to a host that the operator allowed.
    pub url: String,
    /// In order.
    pub headers: Headers,
    /// Absent when there is none.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Headers::new(), body: None }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST without a body yet.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same with a body. The content type stays as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same with a value as JSON and its content type.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.body = Some(serde_json::to_vec(value)?);
        self.headers.set("content-type", "application/json");
        Ok(self)
    }

    /// Starts the request without waiting for its response.
    ///
    /// # Errors
    /// When the invocation was not granted requests, or this one is not allowed.
    #[track_caller]
    pub fn start(self) -> Result<Pending> {
        match host::http_start(self) {
            Ok(ticket) => Ok(Pending(ticket)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Sends the request and waits for its response, whatever its status.
    ///
    /// # Errors
    /// As [`Request::start`], and when there was no response.
    #[track_caller]
    pub fn send(self) -> Result<Response> {
        self.start()?.wait()
    }
}

/// A request under way.
#[derive(Debug)]
#[must_use = "a response that nobody waits for is lost"]
pub struct Pending(u32);

impl Pending {
    /// Waits for the response, whatever its status.
    ///
    /// # Errors
    /// When there was no response.
    #[track_caller]
    pub fn wait(self) -> Result<Response> {
        Ok(host::http_wait(&[self.0]).1?)
    }
}

/// Waits for all responses and gives them in the order of the requests.
pub fn wait_all(pending: impl IntoIterator<Item = Pending>) -> Vec<Result<Response>> {
    // The host answers each ticket once and does the work meanwhile, so waiting in order costs no time.
    pending.into_iter().map(Pending::wait).collect()
}

/// The response to a request of the guest's own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// As the other side gave it.
    pub status: u16,
    /// As the other side gave them, names in lower case.
    pub headers: Headers,
    body: Body,
}

impl Response {
    /// A response without headers, for a test.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::from_host(status, Headers::new(), body.into())
    }

    pub(crate) fn from_host(status: u16, headers: Headers, body: Vec<u8>) -> Self {
        Self { status, headers, body: Body::known(body) }
    }

    readers!("The body");
}

/// Why there was no response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// A stable code of the HTTP contract.
    pub code: String,
    /// In a sentence.
    pub message: String,
}

impl Failure {
    /// A failure with a code of the HTTP contract and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl From<Failure> for Error {
    #[track_caller]
    fn from(failure: Failure) -> Self {
        Self::new([failure.code.as_str(), ": ", failure.message.as_str()].concat())
    }
}
