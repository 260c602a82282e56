//! A folder of scripts, connectors and flows, as `deploy` and `dev` read it.
//!
//! `scripts/NAME.js|mjs|ts|mts|wasm`, `scripts/NAME.DIALECT.js|ts` for a source in another dialect than the native one, `scripts/NAME/package.json` with
//! the package around it, `connectors/NAME.json|yaml|yml`, `flows/NAME.json|yaml|yml`. Other files are left alone.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use snaphook_model::{Dialect, Language, Name, strict};

use crate::problem::{CliError, InFile};
use crate::scripts::{self, Imported};

/// One thing to upload.
pub(crate) struct Item {
    /// As shown to the person, relative to where they are.
    pub(crate) file: String,
    /// What it is: `script`, `connector` or `flow`.
    pub(crate) kind: &'static str,
    pub(crate) name: Name,
    /// Path in the API.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// The file's own text, where something else than that is sent.
    pub(crate) written: Option<String>,
    /// Other scripts that it imports.
    pub(crate) imports: Vec<Imported>,
    /// Where the files lie that were bundled into it.
    pub(crate) sources: Option<PathBuf>,
    /// Why it cannot be uploaded.
    pub(crate) problem: Option<CliError>,
}

/// Everything in the folder, in the order in which it must be uploaded: a document may bind a script of the same folder.
/// What cannot be read or named is an error of its own beside the rest.
pub(crate) async fn read(folder: &Path, origins: &[(String, String)]) -> Result<Vec<Result<Item, CliError>>, CliError> {
    if folder.is_file() {
        return Ok(vec![complete(folder).await]);
    }
    let mut items = Vec::new();
    for path in entries(&folder.join("scripts"))? {
        if path.join("package.json").is_file() {
            items.push(scripts::package(&path).await);
        } else if path.is_file() && Language::of_file_name(&path.to_string_lossy()).is_some() && !path.to_string_lossy().ends_with(".d.ts")
        {
            items.push(complete(&path).await);
        }
    }
    let mut items = scripts::ordered(items);
    for (kind, directory) in [("connector", "connectors"), ("flow", "flows")] {
        for file in entries(&folder.join(directory))? {
            if let Some(content_type) = document_type(&file).filter(|_| file.is_file()) {
                items.push(document(kind, directory, &file, content_type, origins));
            }
        }
    }
    if items.is_empty() {
        let shown = folder.display();
        return Err(CliError::Usage(format!("nothing to deploy in {shown}: it has no files in scripts/, connectors/ or flows/")));
    }
    Ok(items)
}

async fn complete(file: &Path) -> Result<Item, CliError> {
    let (item, dialect) = script(file)?;
    Ok(scripts::complete(item, dialect, file).await)
}

/// Files and folders of a directory, sorted; none where it does not exist.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| CliError::File { what: format!("cannot read {}", directory.display()), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    // The same order everywhere, so that two deploys print the same.
    entries.sort();
    Ok(entries)
}

fn document_type(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()? {
        "json" => Some("application/json"),
        "yaml" | "yml" => Some("application/yaml"),
        _ => None,
    }
}

fn script(file: &Path) -> Result<(Item, Dialect), CliError> {
    let language = Language::of_file_name(&file.to_string_lossy())
        .ok_or_else(|| CliError::Usage(format!("{} is no script: expected .js, .mjs, .ts, .mts or .wasm", file.display())))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let (stem, dialect) = if language == Language::Wasm { (&*stem, Dialect::Native) } else { Dialect::of_file_stem(&stem) };
    let name = name_of(file, stem)?;
    let item = Item {
        file: file.display().to_string(),
        kind: "script",
        path: format!("/v1/scripts/{name}?dialect={dialect}"),
        name,
        content_type: language.content_type(),
        body: contents(file)?,
        written: None,
        imports: Vec::new(),
        sources: None,
        problem: None,
    };
    Ok((item, dialect))
}

fn document(
    kind: &'static str,
    directory: &str,
    file: &Path,
    content_type: &'static str,
    origins: &[(String, String)],
) -> Result<Item, CliError> {
    let name = name_of(file, &file.file_stem().unwrap_or_default().to_string_lossy())?;
    let body = contents(file)?;
    let (content_type, body, written) = match origins {
        [] => (content_type, body, None),
        origins => {
            let (body, written) = with_origins(file, content_type, &body, origins)?;
            ("application/json", body, Some(written))
        }
    };
    let (file, path) = (file.display().to_string(), format!("/v1/{directory}/{name}"));
    Ok(Item { file, kind, path, name, content_type, body, written, imports: Vec::new(), sources: None, problem: None })
}

/// The document as JSON, with every text that begins with one of the origins moved to another; and the document as it was.
fn with_origins(file: &Path, content_type: &str, body: &[u8], origins: &[(String, String)]) -> Result<(Bytes, String), CliError> {
    let text = String::from_utf8_lossy(body).into_owned();
    let parsed = if content_type == "application/json" { strict::from_json(body) } else { strict::from_yaml(body) };
    match parsed {
        Ok(mut document) => {
            move_origins(&mut document, origins);
            Ok((document.to_string().into(), text))
        }
        Err(error) => Err(CliError::InFile(Box::new(InFile::new(error.into(), &file.display().to_string(), text)))),
    }
}

fn move_origins(value: &mut Value, origins: &[(String, String)]) {
    match value {
        Value::String(text) => {
            let moved = origins.iter().find_map(|(from, to)| {
                let rest = text.strip_prefix(from.as_str())?;
                // `http://a.example` is no part of `http://a.example.org`.
                (rest.is_empty() || rest.starts_with(['/', '?', ':'])).then(|| format!("{to}{rest}"))
            });
            if let Some(moved) = moved {
                *text = moved;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| move_origins(value, origins)),
        Value::Object(map) => map.values_mut().for_each(|value| move_origins(value, origins)),
        _ => {}
    }
}

fn name_of(file: &Path, stem: &str) -> Result<Name, CliError> {
    Name::new(stem).map_err(|error| CliError::Usage(format!("{}: {error}", file.display())))
}

fn contents(file: &Path) -> Result<Bytes, CliError> {
    let read = std::fs::read(file).map_err(|source| CliError::File { what: format!("cannot read {}", file.display()), source })?;
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(name: &str, content_type: &str, text: &str) -> Result<(Bytes, String), CliError> {
        with_origins(Path::new(name), content_type, text.as_bytes(), &[("http://a.example".to_owned(), "http://b.example".to_owned())])
    }

    #[test]
    fn addresses_are_moved_and_the_file_stays_as_it_is_written() {
        let yaml = "base_url: http://a.example/x # ours\nother: http://a.example.org\nn: 1e20\n";
        let (body, written) = moved("a.yaml", "application/yaml", yaml).unwrap();
        assert_eq!(
            (&body[..], written.as_str()),
            (br#"{"base_url":"http://b.example/x","other":"http://a.example.org","n":1e+20}"#.as_slice(), yaml)
        );
    }

    #[test]
    fn what_would_be_lost_on_the_way_is_shown_in_the_file() {
        for (name, content_type, text, place) in [
            ("a.yaml", "application/yaml", "base_url: http://a.example\nx:\n- 0.12345678901234567890\n", "a.yaml:3:3"),
            ("a.json", "application/json", "{\"a\": 1,\n\"b\": 18446744073709551617}", "a.json:2:"),
            ("a.yaml", "application/yaml", "a: [1\n", "a.yaml:1:4"),
        ] {
            let error = moved(name, content_type, text).expect_err("it is refused");
            let shown = format!("{:?}", miette::Report::new(error));
            assert!(shown.contains(place), "{shown}");
        }
    }
}
