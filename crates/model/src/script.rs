//! Scripts and their versions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{HookSet, Name, Origin};

/// The language of an upload, told by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the usual names")]
pub enum Language {
    JavaScript,
    TypeScript,
    Wasm,
}

impl Language {
    /// The content type of an upload in this language.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::JavaScript => "application/javascript",
            Self::TypeScript => "application/typescript",
            Self::Wasm => "application/wasm",
        }
    }

    /// The language of a content type, parameters ignored.
    #[must_use]
    pub fn of_content_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/javascript" | "text/javascript" => Some(Self::JavaScript),
            "application/typescript" | "text/typescript" => Some(Self::TypeScript),
            "application/wasm" => Some(Self::Wasm),
            _ => None,
        }
    }

    /// The language of a file, by its extension.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Self> {
        match name.rsplit('.').next()? {
            "js" | "mjs" => Some(Self::JavaScript),
            "ts" | "mts" => Some(Self::TypeScript),
            "wasm" => Some(Self::Wasm),
            _ => None,
        }
    }
}

/// The calling convention a source file is written for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// ES modules whose exports are named after the hooks.
    #[default]
    Native,
    /// `handle(data)` or `module.exports = function (data)`, as Patchworks has them.
    Patchworks,
    /// Global `data` and `bridge`, and the value of the last expression, as brainCloud has them.
    BrainCloud,
    /// `module.exports = async (context, stepResults) => …`, as Prismatic has them.
    Prismatic,
}

impl Dialect {
    /// All dialects, in the order of the numbers under which the interpreter knows them: 0 is native.
    pub const ALL: [Self; 4] = [Self::Native, Self::Patchworks, Self::BrainCloud, Self::Prismatic];

    /// The dialect's name in the API and in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Patchworks => "patchworks",
            Self::BrainCloud => "braincloud",
            Self::Prismatic => "prismatic",
        }
    }

    /// A script's name and its dialect, from the stem of its file: `NAME.DIALECT`, or `NAME` alone for the native one.
    #[must_use]
    pub fn of_file_stem(stem: &str) -> (&str, Self) {
        let named = stem.rsplit_once('.').and_then(|(name, dialect)| Some((name, dialect.parse().ok()?)));
        named.unwrap_or((stem, Self::Native))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no dialect; there are {}", known()))
    }
}

/// Whether a version was made from source or uploaded as a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptKind {
    /// Source text; its component is made again after an upgrade of the interpreter.
    Script,
    /// WebAssembly; stays as it was uploaded.
    Component,
}

/// Something in an upload that works but is likely not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Warning {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// As in [`crate::Fault`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// A version of another script of the same tenant that a script imports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Import {
    pub script: Name,
    pub version: u32,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.script, self.version)
    }
}

/// The record of one immutable version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptVersion {
    /// The script.
    pub name: Name,
    /// From 1, without gaps at the time of upload.
    pub version: u32,
    /// BLAKE3 of the upload with its language, dialect and imports, in hexadecimal: equal uploads have equal hashes.
    pub hash: String,
    /// From source or uploaded whole.
    pub kind: ScriptKind,
    /// Language of the upload.
    pub language: Language,
    /// Convention of the source.
    pub dialect: Dialect,
    /// Hooks that may be bound. None: other scripts can import it.
    pub hooks: HookSet,
    /// What it imports itself, as resolved at its deploy; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// Size of what was uploaded.
    pub source_bytes: u64,
    /// Size of the component.
    pub component_bytes: u64,
    /// Time the upload took to check and compile.
    pub deploy_ms: u64,
    /// What is likely not meant.
    pub warnings: Vec<Warning>,
    /// When it was uploaded.
    pub created_at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn files_name_their_dialect() {
        let cases = [
            ("sign", ("sign", Dialect::Native)),
            ("check.patchworks", ("check", Dialect::Patchworks)),
            ("a.b.prismatic", ("a.b", Dialect::Prismatic)),
            ("a.native", ("a", Dialect::Native)),
            ("v1.2", ("v1.2", Dialect::Native)),
            ("a.Patchworks", ("a.Patchworks", Dialect::Native)),
        ];
        for (stem, expected) in cases {
            assert_eq!(Dialect::of_file_stem(stem), expected, "{stem}");
        }
    }

    #[test]
    fn names_are_those_of_the_documents() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.as_str().parse(), Ok(dialect));
            assert_eq!(serde_json::to_value(dialect).unwrap(), dialect.as_str());
        }
        assert!("rhino".parse::<Dialect>().unwrap_err().contains("braincloud"));
    }
}
