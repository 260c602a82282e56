//! Source text to text that the interpreter evaluates: syntax checked, TypeScript's types taken out, positions kept or mapped.

mod bundle;
mod erase;
mod globals;
mod lines;
mod outline;
#[cfg(test)]
mod tests;
mod transform;
mod whole;

use std::borrow::Cow;

use oxc::allocator::Allocator;
use oxc::ast::ast::Program;
use oxc::diagnostics::OxcDiagnostic;
use oxc::parser::Parser;
use oxc::parser::config::TokensParserConfig;
use oxc::semantic::SemanticBuilder;
use oxc::span::{GetSpan, SourceType};
use oxc_sourcemap::SourceMap;
use snaphook_model::{Code, Dialect, Fault, Language};
use snaphook_sandbox::SourceMaps;

pub use globals::DEFINED as KNOWN_GLOBALS;
pub use outline::{ImportStatement, imports};
pub(crate) use outline::{Outline, Request};

use lines::position;

use crate::text::excerpt;

/// Text for the interpreter.
#[derive(Debug)]
pub(crate) struct Prepared<'s> {
    pub(crate) text: Cow<'s, str>,
    /// Present when lines and columns differ from those of the upload.
    pub(crate) map: Option<SourceMap<'static>>,
}

impl Prepared<'_> {
    /// What tells places in the upload, and in the files that a bundler made it of.
    pub(crate) fn maps(&self) -> SourceMaps {
        // What is transformed was no bundler's output.
        let bundle = if self.map.is_none() { bundle::map_of(&self.text) } else { None };
        SourceMaps { map: self.map.as_ref().map(SourceMap::to_json_string), bundle }
    }
}

/// Further errors named beside the first: enough to fix in one go, few enough to read.
const MORE_ERRORS: usize = 4;

/// What a source of a dialect is to the parser. A module is strict, the others are not unless they say so.
fn source_type(dialect: Dialect) -> SourceType {
    match dialect {
        Dialect::Native => SourceType::mjs(),
        Dialect::Patchworks | Dialect::Prismatic => SourceType::cjs(),
        Dialect::BrainCloud => SourceType::script(),
    }
}

/// Checks the syntax and takes the types out.
pub(crate) fn prepare(bytes: &[u8], language: Language, dialect: Dialect) -> Result<Prepared<'_>, Fault> {
    let source = utf8(bytes)?;
    let typescript = language == Language::TypeScript;
    let source_type = source_type(dialect).with_typescript(typescript);
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, source_type).parse();
    if dialect != Dialect::Native {
        refuse_modules(source, dialect, &parsed.program)?;
    }
    refuse(source, &parsed.diagnostics)?;
    // Enum members are evaluated for the transformer, which inlines them into each other.
    let checked = SemanticBuilder::new().with_check_syntax_error(true).with_enum_eval(typescript).build(&parsed.program);
    refuse(source, &checked.diagnostics)?;
    if !typescript {
        return Ok(Prepared { text: Cow::Borrowed(source), map: None });
    }
    let scoping = checked.semantic.into_scoping();
    // The parser collects tokens reliably only where there is no error, so it does that once it is known that there is none.
    let tokens = Parser::new(&allocator, source, source_type).with_config(TokensParserConfig).parse().tokens;
    match erase::erase(source, &tokens, &scoping, &parsed.program) {
        erase::Erased::Whole(text) => Ok(Prepared { text: Cow::Owned(text), map: None }),
        erase::Erased::Unsupported { offset, what } => Err(syntax(source, offset as usize, format!("{what} are not supported"))),
        erase::Erased::NeedsCode => {
            let mut program = parsed.program;
            transform::transform(&allocator, source, scoping, &mut program)
        }
    }
}

/// What the interpreter would be given of a source, and whether its places are mapped; what else is learnt from the text is looked up on the way. For
/// whoever tries out what reads sources: nothing is evaluated.
///
/// # Errors
/// `script-syntax`.
pub fn read_source(source: &[u8], language: Language, dialect: Dialect) -> Result<(String, bool), Fault> {
    let prepared = prepare(source, language, dialect)?;
    let maps = prepared.maps();
    drop((Outline::of(&prepared.text, dialect), maps));
    Ok((prepared.text.into_owned(), prepared.map.is_some()))
}

/// `import` and `export` belong to modules, which no dialect but the native one has.
fn refuse_modules(source: &str, dialect: Dialect, program: &Program<'_>) -> Result<(), Fault> {
    let Some(statement) = program.body.iter().find(|statement| statement.is_module_declaration()) else { return Ok(()) };
    let detail = format!("a source of the dialect `{dialect}` has no `import` and `export`; those belong to the dialect `native`");
    Err(syntax(source, statement.span().start as usize, detail))
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        syntax(&valid, valid.len(), "the source is not UTF-8".to_owned())
    })
}

fn syntax(source: &str, offset: usize, detail: String) -> Fault {
    let (line, column) = position(source, offset);
    Fault::new(Code::ScriptSyntax, detail).at(line, column)
}

/// The first error with its place; further ones are named in its sentence.
fn refuse(source: &str, diagnostics: &oxc::diagnostics::Diagnostics) -> Result<(), Fault> {
    let mut errors = diagnostics.errors();
    let Some(first) = errors.next() else { return Ok(()) };
    let mut detail = sentence(first);
    for (i, error) in errors.enumerate() {
        if i == MORE_ERRORS {
            detail.push_str("; and more");
            break;
        }
        match offset(error) {
            Some(offset) => {
                let (line, column) = position(source, offset);
                detail.push_str(&format!("; at {line}:{column}: {}", sentence(error)));
            }
            None => detail.push_str(&format!("; {}", sentence(error))),
        }
    }
    match offset(first) {
        Some(offset) => Err(syntax(source, offset, detail)),
        None => Err(Fault::new(Code::ScriptSyntax, detail)),
    }
}

fn sentence(error: &OxcDiagnostic) -> String {
    excerpt(&match &error.help {
        Some(help) => format!("{} ({help})", error.message.trim_end_matches('.')),
        None => error.message.clone().into_owned(),
    })
}

fn offset(error: &OxcDiagnostic) -> Option<usize> {
    error.labels.first().map(|label| label.offset() as usize)
}
