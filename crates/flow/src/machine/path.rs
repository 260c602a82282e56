//! Paths into JSON: dotted, list positions as numbers, negative from the end; an empty path is the whole value.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use snaphook_model::{Code, Fault};

/// A `payload_path`, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadPath {
    text: String,
    segments: Vec<String>,
}

impl PayloadPath {
    /// Takes a path apart. Every text is a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let segments = if text.is_empty() { Vec::new() } else { text.split('.').map(str::to_owned).collect() };
        Self { text: text.to_owned(), segments }
    }

    /// The part of a JSON body that the path names, exactly as it is written there.
    ///
    /// # Errors
    /// `response-json`, naming the path, when the body is not JSON or has nothing there.
    pub fn pick(&self, body: &Bytes) -> Result<Bytes, Fault> {
        let fault = |detail: String| Fault::new(Code::ResponseJson, detail).in_field("payload_path");
        let not_json =
            |error: serde_json::Error| fault(format!("payload_path `{}` needs JSON, but the response is none: {error}", self.text));
        let mut value: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
        for (depth, segment) in self.segments.iter().enumerate() {
            let below = match value.get().as_bytes().first() {
                Some(b'{') => {
                    serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(value.get()).map_err(not_json)?.remove(segment.as_str())
                }
                Some(b'[') => item(&serde_json::from_str::<Vec<&RawValue>>(value.get()).map_err(not_json)?, segment),
                _ => None,
            };
            value = below.ok_or_else(|| {
                fault(format!(
                    "the response has nothing at `{}`, which payload_path `{}` needs",
                    self.segments[..=depth].join("."),
                    self.text
                ))
            })?;
        }
        Ok(body.slice_ref(value.get().as_bytes()))
    }
}

fn item<'a>(list: &[&'a RawValue], segment: &str) -> Option<&'a RawValue> {
    let position: i64 = segment.parse().ok()?;
    let from_start = if position < 0 { i64::try_from(list.len()).ok()?.checked_add(position)? } else { position };
    list.get(usize::try_from(from_start).ok()?).copied()
}
