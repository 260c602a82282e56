//! Reads a manifest: JSON or YAML, with no key lost because another one has its name.

use std::path::Path;

use serde_json::Value;
use snaphook_model::strict::{self, NotStrict};

use crate::problem::{CliError, InFile, Problem, place_in};

/// A manifest as it was written.
pub(super) struct Source {
    pub(super) text: String,
    pub(super) document: Value,
    /// How it was read, where that is not as its name says.
    pub(super) note: Option<String>,
}

/// Larger than any document that a node takes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or is neither JSON nor YAML.
pub(super) fn file(path: &Path) -> Result<Source, CliError> {
    let unreadable = |source| CliError::File { what: format!("cannot read {}", path.display()), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(CliError::Usage(format!("{} has {size} bytes; a document has at most {MAX_BYTES}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let read = if yaml { from_yaml(&text).map(|document| (document, None)) } else { from_json(&text) };
    match read {
        Ok((document, note)) => Ok(Source { text, document, note }),
        Err((detail, line, column)) => {
            let problem = Problem {
                status: 400,
                code: "invalid".to_owned(),
                detail,
                path: None,
                line: Some(line),
                column: Some(column),
                request_id: None,
                origin: None,
            };
            Err(CliError::InFile(Box::new(InFile::new(problem, &path.display().to_string(), text))))
        }
    }
}

/// What is wrong, in which line and column.
type Wrong = (String, usize, usize);

/// As JSON; else as YAML, which lets the comma after the last entry pass that examples on web pages have.
fn from_json(text: &str) -> Result<(Value, Option<String>), Wrong> {
    match strict::from_json(text.as_bytes()) {
        Ok(document) => Ok((document, None)),
        Err(NotStrict { path: Some(path), detail, line, column }) => Err((format!("{path}: {detail}"), line, column)),
        Err(NotStrict { path: None, detail, line, column }) => match from_yaml(text) {
            Ok(document) => {
                let note = format!("is no JSON ({detail} at line {line} column {column}) and was read as YAML");
                Ok((document, Some(note)))
            }
            Err(_) => Err((detail, line, column)),
        },
    }
}

fn from_yaml(text: &str) -> Result<Value, Wrong> {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let document = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = |n: u64| usize::try_from(n).unwrap_or(1);
        let (line, column) = error.location().map_or((1, 1), |at| (place(at.line()), place(at.column())));
        (error.to_string(), line, column)
    })?;
    strict::numbers_are_kept(&document).map_err(|invalid| {
        let (line, column) = place_in(text, &invalid.path).unwrap_or((1, 1));
        (invalid.to_string(), line, column)
    })?;
    Ok(document)
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
            let (detail, line, _) = from_json(twice).unwrap_err();
            assert!(detail.contains("`a` stands here twice") && line == 1, "{detail}");
        }
        assert!(from_yaml("a: 1\na: 2\n").is_err());
    }

    #[test]
    fn a_comma_too_many_is_let_pass_with_a_note() {
        let (document, note) = from_json("{\n\"interval\": 5,\n\"amount\": 60,\n}").unwrap();
        assert_eq!(document, json!({"interval": 5, "amount": 60}));
        assert!(note.unwrap().contains("was read as YAML"));
        assert_eq!(from_json("{\"a\": \n [1, }").unwrap_err().1, 2);
    }
}
