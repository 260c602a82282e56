//! Templates in definitions: read once per version, filled in for each request. Pure: the values are handed in.
//!
//! What is only names between literal text is filled in by this module itself, from JSON text and without building values; it is exact (numbers
//! keep every digit) and cheap. Everything else is run by the template engine, under fuel; all templates of a request have one budget together.
//! Either way substitution is safe for its place: a value
//! is one segment in a URL, one value in JSON, and one line in a header.

mod count;
mod data;
mod engine;
mod files;
mod filling;
mod header;
pub(crate) mod json;
mod parse;
mod request;
#[cfg(test)]
mod tests;
mod text;
mod url;
mod values;

pub(crate) use count::TemplateCount;
pub use files::{FilePlan, FilledFiles, Form};
pub(crate) use header::OwnHeaders;
pub use request::{Body, Condition, Filled, RequestTemplate, RequestTemplates};
pub(crate) use request::{Source, SourceUrl};
pub use values::{Needs, RunValues, Values};
