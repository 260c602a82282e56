//! Reads a manifest: JSON or YAML, with no key lost because another one has its name.

use std::path::Path;

use serde_json::Value;
use snaphook_model::strict::{self, NotStrict};

use crate::problem::{CliError, InFile};

/// A manifest as it was written.
pub(super) struct Source {
    pub(super) text: String,
    pub(super) document: Value,
    /// How it was read, where that is not as its name says.
    pub(super) note: Option<String>,
}

/// The largest document that a node takes.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or is neither JSON nor YAML.
pub(super) fn file(path: &Path) -> Result<Source, CliError> {
    let unreadable = |source| CliError::File { what: format!("cannot read {}", path.display()), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES as u64 {
        return Err(CliError::Usage(format!("{} has {size} bytes; a document has at most {MAX_BYTES}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let read = if yaml { strict::from_yaml(text.as_bytes()).map(|document| (document, None)) } else { from_json(&text) };
    match read {
        Ok((document, note)) => Ok(Source { text, document, note }),
        Err(error) => Err(CliError::InFile(Box::new(InFile::new(error.into(), &path.display().to_string(), text)))),
    }
}

/// As JSON; else as YAML, which lets the comma after the last entry pass that examples on web pages have.
fn from_json(text: &str) -> Result<(Value, Option<String>), NotStrict> {
    let error = match strict::from_json(text.as_bytes()) {
        Ok(document) => return Ok((document, None)),
        Err(error) => error,
    };
    if error.path.is_some() {
        return Err(error);
    }
    match strict::from_yaml(text.as_bytes()) {
        Ok(document) => {
            let NotStrict { detail, line, column, .. } = error;
            Ok((document, Some(format!("is no JSON ({detail} at line {line} column {column}) and was read as YAML"))))
        }
        // It is YAML, and what is wrong is something else.
        Err(other) if other.path.is_some() => Err(other),
        Err(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_and_nothing_of_it_lost() {
        let text = r#"{"a": [1, -2, 1.5, "x", null, true], "b": {"c": {}}}"#;
        assert_eq!(from_json(text).unwrap(), (json!({"a": [1, -2, 1.5, "x", null, true], "b": {"c": {}}}), None));
        for twice in [r#"{"a": 1, "a": 2}"#, r#"{"x": [{"a": 1, "b": 2, "a": 3}]}"#] {
            let wrong = from_json(twice).unwrap_err();
            assert!(wrong.detail.contains("`a` stands here twice") && wrong.line == 1, "{wrong:?}");
        }
    }

    #[test]
    fn a_comma_too_many_is_let_pass_with_a_note() {
        let (document, note) = from_json("{\n\"interval\": 5,\n\"amount\": 60,\n}").unwrap();
        assert_eq!(document, json!({"interval": 5, "amount": 60}));
        assert!(note.unwrap().contains("was read as YAML"));
        assert_eq!(from_json("{\"a\": \n [1, }").unwrap_err().line, 2);
        let wrong = from_json("{\"a\": [1,\n0.12345678901234567890,\n]}").unwrap_err();
        assert_eq!((wrong.path.as_deref(), wrong.line), (Some("a[1]"), 2), "the number is worse than the comma: {wrong:?}");
    }
}
