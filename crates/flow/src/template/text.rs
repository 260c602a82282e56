//! A text with places to be filled in.

use std::borrow::Cow;

use snaphook_model::{Code, Fault, Invalid};

use super::engine::{MAX_OUTPUT, Place, Program};
use super::json;
use super::parse::{self, Read};
use super::values::{Needs, Reference, Values};

/// A text, read once.
#[derive(Debug)]
pub(super) enum Text {
    /// Without a template.
    Literal(Box<str>),
    /// Names between literal text: nearly all templates are of this kind, and need no engine.
    Parts(Vec<Part>),
    /// Anything else.
    Program(Box<Program>),
}

#[derive(Debug)]
pub(super) enum Part {
    Literal(Box<str>),
    Reference(Reference),
}

/// A text of a document, with its path for complaints.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) path: Box<str>,
    pub(super) text: Text,
}

impl Text {
    /// Whether nothing is filled in.
    pub(super) const fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// What the text becomes, values as they are.
    pub(super) fn render(&self, values: &Values) -> Result<Cow<'_, str>, Fault> {
        let parts = match self {
            Self::Literal(text) => return Ok(Cow::Borrowed(text)),
            Self::Program(program) => return program.render(values).map(Cow::Owned),
            Self::Parts(parts) => parts,
        };
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Reference(reference) => {
                    if let Some(json) = values.find(reference)? {
                        out.push_str(&json::as_text(&json));
                    }
                }
            }
            check_length(&out)?;
        }
        Ok(Cow::Owned(out))
    }

    /// Appends what the text becomes, escaped for the inside of a JSON text.
    pub(super) fn render_escaped(&self, values: &Values, out: &mut String) -> Result<(), Fault> {
        match self {
            Self::Literal(text) => json::write_escaped(out, text),
            Self::Program(program) => json::write_escaped(out, &program.render(values)?),
            Self::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Literal(text) => json::write_escaped(out, text),
                        Part::Reference(reference) => {
                            if let Some(json) = values.find(reference)? {
                                json::write_text_escaped(out, &json);
                            }
                        }
                    }
                    check_length(out)?;
                }
            }
        }
        check_length(out)
    }
}

impl Field {
    /// Reads a text of a document.
    pub(super) fn read(path: &str, text: &str, place: Place, needs: &mut Needs) -> Result<Self, Fault> {
        let text = if snaphook_model::request::has_template(text) {
            match parse::read(text, place, false, needs).map_err(|bad| bad.in_field(path))? {
                Read::Text(text) => text,
                Read::Reference(reference) => Text::Parts(vec![Part::Reference(reference)]),
                Read::Expression(_) => return Err(Fault::new(Code::Internal, "a text was read as an expression")),
            }
        } else {
            Text::Literal(text.into())
        };
        Ok(Self { path: path.into(), text })
    }

    /// What the text becomes.
    pub(super) fn render(&self, values: &Values) -> Result<Cow<'_, str>, Fault> {
        self.text.render(values).map_err(|fault| self.about(fault))
    }

    /// The same failure, of this field.
    pub(super) fn about(&self, fault: Fault) -> Fault {
        if fault.path.is_some() { fault } else { fault.in_field(&*self.path) }
    }

    /// A value that the field cannot hold.
    pub(super) fn refuse(&self, detail: impl Into<String>) -> Fault {
        Fault::new(Code::Template, detail).in_field(&*self.path)
    }
}

impl parse::BadTemplate {
    /// As a complaint about a field of a document.
    pub(super) fn in_field(self, path: &str) -> Fault {
        Fault::from(Invalid::new(path, self.detail)).at(self.line, self.column)
    }
}

/// What a template becomes is bounded while it becomes it.
pub(super) fn check_length(out: &str) -> Result<(), Fault> {
    if out.len() <= MAX_OUTPUT {
        return Ok(());
    }
    let limit = MAX_OUTPUT as u64;
    Err(Fault::new(Code::TemplateLimit, format!("a template became longer than {limit} bytes")).of_limit(limit, Some(out.len() as u64)))
}
