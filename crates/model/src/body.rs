//! Bodies inside JSON documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A body in a JSON document: text when it is UTF-8, else `{"base64": "…"}`. A JSON value given where a body belongs is its JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyText(pub Bytes);

impl Serialize for BodyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_map([("base64", STANDARD.encode(&self.0))]),
        }
    }
}

impl<'de> Deserialize<'de> for BodyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let bytes = match Value::deserialize(deserializer)? {
            Value::String(text) => text.into_bytes(),
            Value::Object(map) if map.len() == 1 && map.get("base64").is_some_and(Value::is_string) => {
                let text = map.get("base64").and_then(Value::as_str).unwrap_or_default();
                STANDARD.decode(text).map_err(|_| serde::de::Error::custom("`base64` does not hold base64"))?
            }
            value => value.to_string().into_bytes(),
        };
        Ok(Self(bytes.into()))
    }
}
