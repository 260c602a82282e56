//! HTTP messages and payloads as hooks and flows see them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Header names and values in order; a name may be repeated. Names compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Replaces every value of a header by one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// Removes every value of a header.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A request to an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// In capitals.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Without those that frame or route the request.
    pub headers: Headers,
    /// Empty when there is none.
    #[serde(with = "crate::raw")]
    pub body: Bytes,
}

/// A response, from an upstream or made by a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// 100 to 999.
    pub status: u16,
    /// As received; names in lower case.
    pub headers: Headers,
    /// Decompressed.
    #[serde(with = "crate::raw")]
    pub body: Bytes,
}

/// Data passed from step to step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The data.
    #[serde(with = "crate::raw")]
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: String,
}

impl Payload {
    /// A payload of JSON text.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), content_type: "application/json".to_owned() }
    }

    /// Whether the media type says text: a `text/` type.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.content_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
    }

    /// Whether the media type says JSON: `application/json` or a `+json` type.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
    }
}

impl Default for Payload {
    /// JSON's null.
    fn default() -> Self {
        Self::json(Bytes::from_static(b"null"))
    }
}
