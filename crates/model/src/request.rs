//! What requests of endpoints and of steps with a URL have in common: how data is encoded, what must hold for the run to go on, what is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Invalid;

/// How `data` becomes a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encode {
    /// As JSON.
    Json,
    /// As a form: an object whose lists repeat their name.
    Form,
    /// As it is written.
    Text,
    /// As a form of several parts: an object whose lists repeat their name. What sends files is one.
    Multipart,
}

impl Encode {
    /// How a request in an `execute` list sends its data, as the product behaves that such lists are written for: as a form unless
    /// `cast_data_to_json` is false, whatever the flag's name promises. What is no object makes no form there and goes out as the text that it is.
    #[must_use]
    pub fn of_execute(cast_data_to_json: Option<bool>, data: &Value) -> Self {
        match (cast_data_to_json, data) {
            (Some(false), _) => Self::Json,
            (_, Value::Object(_)) => Self::Form,
            (_, Value::String(_)) => Self::Text,
            _ => Self::Json,
        }
    }
}

/// What a response must hold for the run to go on; else it ends `blocked`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinueIf {
    /// A path into the JSON response.
    pub response_notation: String,
    /// What must stand there. Numbers and booleans compare by their JSON text; a text may hold templates.
    pub value: Value,
}

/// Words that templates have of their own. A value of such a name could never be reached.
pub const TEMPLATE_WORDS: [&str; 9] = ["config", "connection", "meta", "payload", "responses", "secrets", "steps", "subject", "variables"];

/// Values that one document generates or one step stores. More of them are data, which belongs into the payload.
const MAX_NAMES: usize = 100;

/// Longest generated value. A password of more characters is refused by most who check them.
const MAX_GENERATED: u32 = 128;

/// Whether a text is a template. Others are sent as they are written.
#[must_use]
pub fn has_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether templates can name a value by this text: `[A-Za-z_][A-Za-z0-9_]{0,62}`.
#[must_use]
pub fn is_value_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 63
}

pub(crate) fn check_continue_if(path: &str, condition: Option<&ContinueIf>) -> Result<(), Invalid> {
    match condition.map(|condition| &condition.value) {
        Some(Value::Array(_) | Value::Object(_)) => {
            Err(Invalid::new(format!("{path}.value"), "must be a text, a number, true, false or null"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_store_data(path: &str, store_data: &BTreeMap<String, String>) -> Result<(), Invalid> {
    check_names(path, store_data.keys())
}

pub(crate) fn check_generate(path: &str, generate: &BTreeMap<String, u32>) -> Result<(), Invalid> {
    check_names(path, generate.keys())?;
    match generate.iter().find(|(_, length)| !(1..=MAX_GENERATED).contains(*length)) {
        Some((name, _)) => Err(Invalid::new(format!("{path}.{name}"), format!("must be 1 to {MAX_GENERATED} characters"))),
        None => Ok(()),
    }
}

fn check_names<'a>(path: &str, names: impl ExactSizeIterator<Item = &'a String>) -> Result<(), Invalid> {
    if names.len() > MAX_NAMES {
        return Err(Invalid::new(path, format!("holds {} names; at most {MAX_NAMES}", names.len())));
    }
    for name in names {
        if !is_value_name(name) {
            return Err(Invalid::new(format!("{path}.{name}"), "names of values match [A-Za-z_][A-Za-z0-9_]{0,62}"));
        }
        if TEMPLATE_WORDS.contains(&name.as_str()) {
            return Err(Invalid::new(format!("{path}.{name}"), "templates use this word for something else; choose another name"));
        }
    }
    Ok(())
}
