//! What hooks are given. Bodies and arguments cross into the guest when they are read, and not before.

use std::cell::OnceCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::{Body, json_of, parse, readers};
use crate::{Headers, Result, host};

/// The arguments of a call, as JSON text; fetched at the first reading.
#[derive(Debug, Clone, Default)]
struct Arguments(OnceCell<Vec<u8>>);

impl Arguments {
    fn bytes(&self) -> &[u8] {
        self.0.get_or_init(host::arguments)
    }

    fn known<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(OnceCell::from(json_of(value)))
    }
}

macro_rules! arguments {
    () => {
        /// The arguments of the call.
        ///
        /// # Errors
        /// When they are not of this type.
        #[track_caller]
        pub fn arguments<T: DeserializeOwned>(&self) -> Result<T> {
            parse(self.arguments.bytes())
        }

        /// The arguments of the call, as JSON text.
        #[must_use]
        pub fn arguments_json(&self) -> &[u8] {
            self.arguments.bytes()
        }
    };
}

macro_rules! content_type {
    () => {
        /// The media type of what is read: the payload's own where an earlier script or the node made one, else the header's.
        #[must_use]
        pub fn content_type(&self) -> Option<&str> {
            self.body.own_type().or_else(|| self.headers.get("content-type"))
        }
    };
}

/// A call before anything is sent, as a `pre-hook` sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// The connector's name.
    pub connector: String,
    /// The endpoint's name.
    pub endpoint: String,
    arguments: Arguments,
}

impl Call {
    /// A call for a test.
    ///
    /// # Panics
    /// When the arguments cannot be written as JSON.
    #[must_use]
    pub fn new(connector: impl Into<String>, endpoint: impl Into<String>, arguments: &impl Serialize) -> Self {
        Self { connector: connector.into(), endpoint: endpoint.into(), arguments: Arguments::known(arguments) }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(connector: String, endpoint: String) -> Self {
        Self { connector, endpoint, arguments: Arguments::default() }
    }

    arguments!();
}

/// An HTTP request as it would go out, as a `pre-request` hook sees it. What it changes counts when the hook returns it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Absolute, query included.
    pub url: String,
    /// Without credentials and without those that frame the request.
    pub headers: Headers,
    body: Body,
}

impl Request {
    /// A request without headers and body, for a test.
    #[must_use]
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Headers::new(), body: Body::known(Vec::new()) }
    }

    /// The same with a header, for a test.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same with this body as the given one, for a test. A hook uses [`Request::set_body`].
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::known(body.into());
        self
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(method: String, url: String, headers: Vec<(String, String)>) -> Self {
        Self { method, url, headers: headers.into(), body: Body::default() }
    }

    /// Puts another body in place of the given one. The content type stays as it is.
    pub fn set_body(&mut self, body: impl Into<Vec<u8>>) {
        self.body.replaced = Some(body.into());
    }

    /// Puts the JSON text of a value in place of the body. The content type stays as it is.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn set_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.body.replaced = Some(serde_json::to_vec(value)?);
        Ok(())
    }

    /// The body where it was replaced; the host keeps the given one otherwise.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn take_replaced_body(&mut self) -> Option<Vec<u8>> {
        self.body.replaced.take()
    }

    readers!("The body");
}

/// Equal when method, URL, headers and body are.
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        (&self.method, &self.url, &self.headers, self.bytes()) == (&other.method, &other.url, &other.headers, other.bytes())
    }
}

/// An HTTP response, whatever its status, as a `post-request` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// The method of the request that was answered.
    pub method: String,
    /// The URL of the request that was answered.
    pub url: String,
    /// As the upstream gave it.
    pub status: u16,
    /// As the upstream gave them, names in lower case.
    pub headers: Headers,
    body: Body,
}

impl Response {
    /// A response to a GET without headers and body, for a test.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let (method, url) = ("GET".to_owned(), "http://upstream.example/".to_owned());
        Self { method, url, status, headers: Headers::new(), body: Body::known(Vec::new()) }
    }

    /// The same with a header, for a test.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same with a body, for a test.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::known(body.into());
        self
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(method: String, url: String, status: u16, headers: Vec<(String, String)>) -> Self {
        Self { method, url, status, headers: headers.into(), body: Body::default() }
    }

    readers!("The body, or what an earlier script made of it");
    content_type!();
}

/// The result of a call that succeeded, as a `post-hook` sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallResult {
    /// The upstream's status.
    pub status: u16,
    /// The upstream's headers, names in lower case.
    pub headers: Headers,
    body: Body,
    arguments: Arguments,
}

impl CallResult {
    /// A result for a test, with the call's arguments and the payload.
    ///
    /// # Panics
    /// When the arguments cannot be written as JSON.
    #[must_use]
    pub fn new(status: u16, arguments: &impl Serialize, payload: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Headers::new(), body: Body::known(payload.into()), arguments: Arguments::known(arguments) }
    }

    /// The same with a header, for a test.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.append(name, value);
        self
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(status: u16, headers: Vec<(String, String)>) -> Self {
        Self { status, headers: headers.into(), body: Body::default(), arguments: Arguments::default() }
    }

    readers!("The payload");
    content_type!();
    arguments!();
}

/// A call's final failure, as a `post-fail` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// 0 when there was no response.
    pub status: u16,
    /// One of the codes of the HTTP contract, or the reason code of a rejection as text.
    pub code: String,
    /// In a sentence.
    pub message: String,
    arguments: Arguments,
}

impl Failure {
    /// A failure for a test, with the call's arguments.
    ///
    /// # Panics
    /// When the arguments cannot be written as JSON.
    #[must_use]
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>, arguments: &impl Serialize) -> Self {
        Self { status, code: code.into(), message: message.into(), arguments: Arguments::known(arguments) }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(status: u16, code: String, message: String) -> Self {
        Self { status, code, message, arguments: Arguments::default() }
    }

    arguments!();
}

/// The payload that a script step is given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepInput {
    /// The payload's media type, such as `application/json`.
    pub content_type: String,
    body: Body,
}

impl StepInput {
    /// A payload for a test.
    #[must_use]
    pub fn new(content_type: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), body: Body::known(payload.into()) }
    }

    /// A payload of JSON, for a test.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    #[must_use]
    pub fn of_json(value: &impl Serialize) -> Self {
        Self::new("application/json", json_of(value))
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(content_type: String) -> Self {
        Self { content_type, body: Body::default() }
    }

    readers!("The payload");
}
