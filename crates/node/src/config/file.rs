//! The file of `--config`: TOML, read so that what is wrong in it can be shown where it stands.

use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};
use similar::get_close_matches;
use toml::de::DeTable;

use crate::problem::{CliError, InFile, Problem};

/// Settings with values that nobody else may see.
const SECRET: [&str; 3] = ["database_url", "operator_token", "secrets_key"];

/// A configuration file, as a source of settings.
pub(super) struct ConfigFile {
    shown: String,
    text: String,
    values: Dict,
    /// Where the value of each key stands.
    places: Vec<(String, Range<usize>)>,
}

impl ConfigFile {
    /// Reads a file that may have these keys.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key that is no setting; with the place.
    pub(super) fn read(path: &Path, keys: &[String]) -> Result<Self, CliError> {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return Err(CliError::Usage(format!("the configuration file {shown} cannot be read: {error}"))),
        };
        let at = |text: &str, span: Option<Range<usize>>, detail: String| configuration(&shown, text, span, detail);
        let table = DeTable::parse(&text).map_err(|error| at(&text, error.span(), error.message().to_owned()))?;
        let mut places = Vec::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref();
            if !keys.iter().any(|known| known == name.as_ref()) {
                return Err(at(&text, Some(key.span()), unknown(name, keys)));
            }
            places.push((name.to_string(), value.span()));
        }
        let values: toml::Table = toml::from_str(&text).map_err(|error| at(&text, error.span(), error.message().to_owned()))?;
        let values = match Value::serialize(values) {
            // A table is nothing else.
            Ok(values) => values.into_dict().unwrap_or_default(),
            Err(error) => return Err(at(&text, None, error.to_string())),
        };
        Ok(Self { shown, text, values, places })
    }

    /// Whether a value came from here.
    pub(super) fn is_source(&self, metadata: &Metadata) -> bool {
        metadata.name == self.metadata().name
    }

    /// What is wrong with the value of a key.
    pub(super) fn problem_with(&self, key: &str, detail: String) -> CliError {
        let first = key.split('.').next().unwrap_or(key);
        let place = self.places.iter().find(|(name, _)| name == first).map(|(_, place)| place.clone());
        configuration(&self.shown, &self.text, place, format!("{key}: {detail}"))
    }
}

impl Provider for ConfigFile {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("the file {}", self.shown))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Says what is meant where a name is nearly right, else what there is.
fn unknown(name: &str, keys: &[String]) -> String {
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    match get_close_matches(name, &known, 1, 0.7).first() {
        Some(meant) => format!("`{name}` is no setting; `{meant}` is one"),
        None => format!("`{name}` is no setting; there are {}", known.join(", ")),
    }
}

fn configuration(file: &str, text: &str, span: Option<Range<usize>>, detail: String) -> CliError {
    let place = span.map(|span| place_of(text, span.start));
    CliError::Configuration(Box::new(InFile::new(Problem::invalid(detail, None, place), file, masked(text))))
}

/// The text as it may be shown: what a node prints is kept in logs, and lines beside the wrong one are shown too. Nothing changes its place.
fn masked(text: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((key, value)) if SECRET.contains(&key.trim().trim_matches('"')) => {
            let end = if value.ends_with('\n') { "\n" } else { "" };
            format!("{key}={}{end}", "*".repeat(value.len() - end.len()))
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Line and column of an offset, from 1; columns are bytes, as everywhere.
fn place_of(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::{masked, place_of, unknown};

    #[test]
    fn names_that_are_nearly_right_are_understood() {
        let keys = ["listen", "data_dir"].map(str::to_owned);
        assert_eq!(unknown("lisen", &keys), "`lisen` is no setting; `listen` is one");
        assert_eq!(unknown("data-dir", &keys), "`data-dir` is no setting; `data_dir` is one");
        assert_eq!(unknown("x", &keys), "`x` is no setting; there are listen, data_dir");
    }

    #[test]
    fn secrets_are_not_shown_and_nothing_moves() {
        let shown = masked("lease_s = 1\noperator_token = \"geheim\"\n \"secrets_key\" = 'x=y'\nx = \"operator_token\"");
        assert_eq!(shown, "lease_s = 1\noperator_token =*********\n \"secrets_key\" =******\nx = \"operator_token\"");
    }

    #[test]
    fn places_count_from_one() {
        assert_eq!([0, 1, 3, 4, 99].map(|offset| place_of("ab\nc\n", offset)), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]);
    }
}
