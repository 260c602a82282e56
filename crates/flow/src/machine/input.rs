//! Arguments and payloads as hooks are given them.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use snaphook_model::{BodyText, Payload};

/// JSON for nothing.
const NULL: &[u8] = b"null";

/// The arguments of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arguments {
    payload: Payload,
    /// Whether somebody has looked that they are JSON; a direct call's are checked at the door.
    known_json: bool,
}

impl Arguments {
    /// JSON text that was checked, or empty for none.
    #[must_use]
    pub fn checked(json: Bytes) -> Self {
        Self { payload: Payload::json(json), known_json: true }
    }

    /// What goes out as the body.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What hooks see. Without a body there are no arguments, whatever the step before called its payload.
    pub(super) fn as_json(&self) -> Bytes {
        match &self.payload.bytes {
            bytes if bytes.is_empty() => Bytes::from_static(NULL),
            bytes if self.known_json => bytes.clone(),
            _ => as_json(&self.payload),
        }
    }
}

impl From<Payload> for Arguments {
    fn from(payload: Payload) -> Self {
        Self { payload, known_json: false }
    }
}

/// A payload as JSON text: itself where it is JSON, null where it is empty and not said to be text, else a JSON string, or `{"base64": …}`
/// where it is no text.
///
/// Arguments and earlier steps' results cross into guests as JSON; the payload itself is left alone.
#[must_use]
pub fn as_json(payload: &Payload) -> Bytes {
    if payload.bytes.is_empty() {
        return Bytes::from_static(if payload.is_text() { b"\"\"" } else { NULL });
    }
    // `IgnoredAny` skips over strings without looking for broken UTF-8 in them.
    let text = std::str::from_utf8(&payload.bytes).ok().filter(|_| payload.is_json());
    if text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
        return payload.bytes.clone();
    }
    serde_json::to_vec(&BodyText(payload.bytes.clone())).map_or_else(|_| Bytes::from_static(NULL), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_null_and_an_empty_text_a_text() {
        let json = |content_type: &str| as_json(&Payload { bytes: Bytes::new(), content_type: content_type.to_owned() });
        for nothing in ["application/json", "application/octet-stream", "image/png", ""] {
            assert_eq!(json(nothing), "null", "{nothing}");
        }
        for text in ["text/plain", "Text/CSV; charset=utf-8"] {
            assert_eq!(json(text), "\"\"", "{text}");
        }
    }
}
