//! HTTP to a node, for the commands that talk to one.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use crate::problem::{CliError, Problem, chain};

/// Longest wait for an answer: an upload may compile for ten seconds, a flow may take its request timeouts.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A node gives no more of a list at once.
const PAGE: usize = 200;

/// What stands in a segment of a path as it is. RFC 3986 calls these unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as one segment of a path, whatever somebody typed: none of it is read as part of the address.
pub(crate) fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

/// A node and the token to use there.
#[derive(Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: String,
}

/// An answer of a node.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) run_id: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON, or null.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as JSON, or as the text that it is.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into())
    }

    /// The answer, or the problem that it describes.
    pub(crate) fn checked(self) -> Result<Self, CliError> {
        match self.status {
            200..300 => Ok(self),
            _ => Err(CliError::Node(Box::new(Problem::read(self.status, &self.body)))),
        }
    }
}

impl Client {
    /// Without a token, for what anybody may ask, when that is empty.
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { http, url: url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.send("GET", path, None, Bytes::new()).await
    }

    /// Follows a list's cursor until its end, or until `take` has had so many items. The path may have a query.
    pub(crate) async fn each(&self, path: &str, most: usize, mut take: impl FnMut(Value)) -> Result<(), CliError> {
        let start = if path.contains('?') { '&' } else { '?' };
        let (mut left, mut cursor) = (most, String::new());
        while left > 0 {
            let mut page = self.get(&format!("{path}{start}limit={}{cursor}", left.min(PAGE))).await?.checked()?.json();
            let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            left = left.saturating_sub(items.len());
            items.into_iter().for_each(&mut take);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer, CliError> {
        self.send("DELETE", path, None, Bytes::new()).await
    }

    pub(crate) async fn send_json(&self, method: &str, path: &str, body: &Value) -> Result<Answer, CliError> {
        self.send(method, path, Some("application/json"), body.to_string().into()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, content_type: Option<&str>, body: Bytes) -> Result<Answer, CliError> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request =
            request.body(Full::new(body)).map_err(|error| CliError::Usage(format!("`{}` is no address of a node: {error}", self.url)))?;
        let unreachable = |error: &dyn std::error::Error| CliError::Unreachable { url: self.url.clone(), reason: chain(error) };
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
            let (head, body) = response.into_parts();
            let run_id = head.headers.get("x-run-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
            let body = body.collect().await.map_err(|error| unreachable(&error))?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), run_id, body })
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| CliError::Unreachable { url: self.url.clone(), reason: format!("no answer within {} s", TIMEOUT.as_secs()) })?
    }
}
