//! Subjects: whom runs are about, and the values kept for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Invalid;

/// Names a subject: any text of 1 to 200 bytes without control characters, since people bring along the ids that they have.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(Arc<str>);

/// Values by name. Each is JSON text, kept exactly as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectValues(pub BTreeMap<String, String>);

/// A subject as the start of a run names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Whom the run is about.
    pub id: SubjectId,
    /// Brought along for this run; they stand over those that are kept, which they do not change.
    pub values: SubjectValues,
}

impl SubjectId {
    const MOST_BYTES: usize = 200;

    /// Checks and keeps an id.
    ///
    /// # Errors
    /// What is wrong with it; the path is empty.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > Self::MOST_BYTES {
            return Err(Invalid::new("", format!("the id of a subject is 1 to {} bytes long", Self::MOST_BYTES)));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::new("", "the id of a subject holds no control characters"));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SubjectValues {
    /// Names and values of one subject together. Generous for what is known of a person or a shop, small enough to be read for every run.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Longest name of a value.
    const MOST_NAME_BYTES: usize = 200;

    /// Reads an object of values.
    ///
    /// # Errors
    /// What does not fit, with the path below the object.
    pub fn read(object: &RawValue) -> Result<Self, Invalid> {
        if !object.get().starts_with('{') {
            return Err(Invalid::new("", "must be an object of names and values"));
        }
        let values: BTreeMap<String, &RawValue> =
            serde_json::from_str(object.get()).map_err(|error| Invalid::new("", error.to_string()))?;
        if let Some(name) = values.keys().find(|name| name.is_empty() || name.len() > Self::MOST_NAME_BYTES) {
            return Err(Invalid::new(name, format!("the name of a value is 1 to {} bytes long", Self::MOST_NAME_BYTES)));
        }
        let values = Self(values.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect());
        match values.bytes() {
            bytes if bytes > Self::MOST_BYTES => {
                Err(Invalid::new("", format!("a subject's values take {bytes} bytes; at most {}", Self::MOST_BYTES)))
            }
            _ => Ok(values),
        }
    }

    /// What names and values take together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SubjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(|error| serde::de::Error::custom(error.detail))
    }
}

impl Serialize for SubjectValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = |text: &String| RawValue::from_string(text.clone()).map_err(serde::ser::Error::custom);
        let values: BTreeMap<&str, Box<RawValue>> =
            self.0.iter().map(|(name, text)| Ok((name.as_str(), raw(text)?))).collect::<Result<_, S::Error>>()?;
        values.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SubjectValues {
    /// As it was written before; limits are checked where values come in.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        Ok(Self(values.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SubjectValues, Invalid> {
        SubjectValues::read(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn ids_are_texts_that_people_have() {
        for good in ["p-1", "ada@example.com", "a/b c", "ü", &"x".repeat(200)] {
            assert!(SubjectId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{0}", &"x".repeat(201)] {
            assert!(SubjectId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_stay_as_they_are_written() {
        let text = r#"{"a":12345678901234567890.50,"b":{"c": [ 1 ]}}"#;
        let values = read(text).unwrap();
        assert_eq!(serde_json::to_string(&values).unwrap(), text);
        assert_eq!(serde_json::from_str::<SubjectValues>(text).unwrap(), values);
        assert!(read("[1]").is_err());
        assert_eq!(read(r#"{"":1}"#).unwrap_err().path, "");
        assert!(read(&format!(r#"{{"a":"{}"}}"#, "x".repeat(SubjectValues::MOST_BYTES))).is_err());
    }
}
