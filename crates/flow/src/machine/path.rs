//! Paths into JSON: dotted, list positions as numbers, negative from the end; an empty path is the whole value.

use bytes::Bytes;
use serde_json::value::RawValue;
use snaphook_model::{Code, Fault};

use crate::template::json;

/// A path into a response, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePath {
    text: String,
    segments: Vec<String>,
}

/// What a path leads to.
enum Found<'a> {
    Value(&'a RawValue),
    /// Nothing, from this segment on.
    Nothing(usize),
}

impl ResponsePath {
    /// Takes a path apart. Every text is a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let segments = if text.is_empty() { Vec::new() } else { text.split('.').map(str::to_owned).collect() };
        Self { text: text.to_owned(), segments }
    }

    /// The path as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of a JSON body that a `payload_path` names, exactly as it is written there.
    ///
    /// # Errors
    /// `response-json`, naming the path, when the body is not JSON or has nothing there.
    pub fn pick(&self, body: &Bytes) -> Result<Bytes, Fault> {
        let fault = |detail: String| Fault::new(Code::ResponseJson, detail).in_field("payload_path");
        match self.walk(body) {
            Ok(Found::Value(value)) => Ok(body.slice_ref(value.get().as_bytes())),
            Ok(Found::Nothing(depth)) => Err(fault(format!(
                "the response has nothing at `{}`, which payload_path `{}` needs",
                self.segments[..=depth].join("."),
                self.text
            ))),
            Err(error) => Err(fault(format!("payload_path `{}` needs JSON, but the response is none: {error}", self.text))),
        }
    }

    /// The part of a JSON body under the path, exactly as it is written there; none where there is nothing.
    ///
    /// # Errors
    /// `response-json` when the body is not JSON; `field` says what needed it.
    pub fn find(&self, body: &Bytes, field: &str) -> Result<Option<Bytes>, Fault> {
        match self.walk(body) {
            Ok(Found::Value(value)) => Ok(Some(body.slice_ref(value.get().as_bytes()))),
            Ok(Found::Nothing(_)) => Ok(None),
            Err(error) => {
                let detail = format!("`{field}` looks for `{}`, which needs JSON, but the response is none: {error}", self.text);
                Err(Fault::new(Code::ResponseJson, detail).in_field(field))
            }
        }
    }

    fn walk<'a>(&self, body: &'a Bytes) -> serde_json::Result<Found<'a>> {
        let mut value: &RawValue = serde_json::from_slice(body)?;
        for (depth, segment) in self.segments.iter().enumerate() {
            match json::below(value.get(), segment)? {
                Some(below) => value = below,
                None => return Ok(Found::Nothing(depth)),
            }
        }
        Ok(Found::Value(value))
    }
}
