//! Payloads as hooks are given them.

use bytes::Bytes;
use serde::de::IgnoredAny;
use snaphook_model::{BodyText, Payload};

/// A payload as JSON text: itself where it is JSON, null where it is empty, else a JSON string, or `{"base64": …}` where it is no text.
///
/// Arguments and earlier steps' results cross into guests as JSON; the payload itself is left alone.
#[must_use]
pub fn as_json(payload: &Payload) -> Bytes {
    if payload.bytes.is_empty() {
        return Bytes::from_static(b"null");
    }
    if payload.is_json() && serde_json::from_slice::<IgnoredAny>(&payload.bytes).is_ok() {
        return payload.bytes.clone();
    }
    serde_json::to_vec(&BodyText(payload.bytes.clone())).map_or_else(|_| Bytes::from_static(b"null"), Bytes::from)
}
