//! The request that begins a run of a flow.

use std::borrow::Cow;

use serde::Serialize;

use crate::Headers;
use crate::body::{Body, json_of, readers};

/// The request that begins a run, as a `trigger` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TriggerRequest {
    /// In capitals.
    pub method: String,
    /// As it came, query included.
    pub url: String,
    /// What follows the trigger's address: empty, or beginning with `/`. Not decoded.
    pub path: String,
    /// Names in lower case.
    pub headers: Headers,
    body: Body,
}

impl TriggerRequest {
    /// A request without headers and body to a trigger at `https://node.example/t/test/flow`, for a test.
    #[must_use]
    pub fn new(method: impl Into<String>, path_and_query: &str) -> Self {
        let path = path_and_query.split(['?', '#']).next().unwrap_or_default().to_owned();
        let url = ["https://node.example/t/test/flow", path_and_query].concat();
        Self { method: method.into(), url, path, headers: Headers::new(), body: Body::known(Vec::new()) }
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

    /// The same with a body of JSON and its content type, for a test.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    #[must_use]
    pub fn with_json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.headers.set("content-type", "application/json");
        self.with_body(json_of(value))
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(method: String, url: String, path: String, headers: Vec<(String, String)>) -> Self {
        Self { method, url, path, headers: headers.into(), body: Body::default() }
    }

    /// The query's parameters in order, decoded as forms are; a name may come more than once.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let query = self.url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    readers!("The body");
}

/// One name or value of a query; a percent sign that begins no code stands for itself, what is no UTF-8 becomes U+FFFD.
fn decoded(part: &str) -> Cow<'_, str> {
    if !part.contains(['+', '%']) {
        return Cow::Borrowed(part);
    }
    let bytes = part.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (value, length) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high << 4 | low).unwrap_or_default(), 3),
            (b'+', ..) => (b' ', 1),
            _ => (byte, 1),
        };
        out.push(value);
        at += length;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::TriggerRequest;

    #[test]
    fn a_query_is_read_as_forms_are() {
        let request = TriggerRequest::new("GET", "/a%2Fb?q=2&r=x+y&r=%C3%BC&odd=%zz%4&flag&&bad=%ff#q=3");
        assert_eq!(request.path, "/a%2Fb");
        assert_eq!(request.query("q").as_deref(), Some("2"));
        assert_eq!(request.query("none"), None);
        let pairs: Vec<_> = request.query_pairs().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(pairs, ["q:2", "r:x y", "r:ü", "odd:%zz%4", "flag:", "bad:\u{fffd}"]);
    }
}
