//! A small HTTP client: what a test sends and gets, and nothing more clever than that.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A test that waits longer than this has found a hang.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An HTTP client with an address and a token.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    pub url: String,
    pub token: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("status {}, no JSON: {}", self.status, self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The same, when the status is the one that is expected.
    ///
    /// # Panics
    /// When it is another one; the message has the body.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Client {
    #[must_use]
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { http, url: url.to_owned(), token: token.map(str::to_owned) }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], Bytes::new()).await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    /// Sends anything.
    ///
    /// # Panics
    /// When no whole answer comes within a minute.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Response {
        let sent = self.try_send(method, path, headers, body).await;
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends anything; a connection that breaks is an error and no panic, for tests that kill nodes.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn try_send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response, String> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let (head, body) = self.http.request(request).await.map_err(|error| format!("{error:?}"))?.into_parts();
            let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| "no answer within a minute".to_owned())?
    }
}
