//! Scripts and their versions.

use serde::{Deserialize, Serialize};

use crate::{HookSet, Name};

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
}

/// The record of one immutable version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptVersion {
    /// The script.
    pub name: Name,
    /// From 1, without gaps at the time of upload.
    pub version: u32,
    /// BLAKE3 of the upload with its language and dialect, in hexadecimal: equal uploads have equal hashes.
    pub hash: String,
    /// From source or uploaded whole.
    pub kind: ScriptKind,
    /// Language of the upload.
    pub language: Language,
    /// Convention of the source.
    pub dialect: Dialect,
    /// Hooks that may be bound.
    pub hooks: HookSet,
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
