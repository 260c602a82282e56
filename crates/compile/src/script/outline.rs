//! What a module asks of others and offers to them, and which names it uses that nobody defines: read off its text, before it runs.

use oxc::allocator::Allocator;
use oxc::ast::ast::{Argument, Expression, Program, Statement};
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::{SourceType, Span};
use oxc::syntax::module_record::{ExportExportName, ExportImportName, ImportImportName, ModuleRecord};

use snaphook_model::{Dialect, Language};

use super::globals::{self, Unknown};
use super::lines::position;
use crate::library::SCHEME;

/// Places are those of the text that was read.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Imports in the order of the text, one for each specifier.
    pub(crate) requests: Vec<Request>,
    /// Names that it exports, `default` among them.
    pub(crate) exports: Vec<String>,
    /// `export * from …`: there are more names than those.
    pub(crate) exports_all: bool,
    /// Names that are used and defined nowhere, each once.
    pub(crate) unknown: Vec<Unknown>,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) specifier: String,
    /// As it is written, where that is in an include call.
    pub(crate) included: Option<String>,
    pub(crate) at: (u32, u32),
    /// What is wanted from there, with its place.
    pub(crate) names: Vec<(String, (u32, u32))>,
}

/// An import of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportStatement {
    /// What is imported, as it is written.
    pub specifier: String,
}

/// What a source imports at run time, for tools that handle sources before they are uploaded. Nothing when it does not parse: the upload says why.
#[must_use]
pub fn imports(source: &[u8], language: Language, dialect: Dialect) -> Vec<ImportStatement> {
    let Ok(prepared) = super::prepare(source, language, dialect) else { return Vec::new() };
    Outline::of(&prepared.text, dialect).requests.into_iter().map(|request| ImportStatement { specifier: request.specifier }).collect()
}

impl Outline {
    /// Reads a source in JavaScript whose syntax was checked.
    pub(crate) fn of(text: &str, dialect: Dialect) -> Self {
        match dialect {
            Dialect::Native => Self::of_module(text),
            Dialect::BrainCloud | Dialect::Patchworks | Dialect::Prismatic => Self::of_program(text, dialect),
        }
    }

    fn of_module(text: &str) -> Self {
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, text, SourceType::mjs()).parse();
        let checked = SemanticBuilder::new().build(&parsed.program);
        let place = |span: Span| position(text, span.start as usize);
        let mut outline = Self::of_record(&parsed.module_record, place);
        outline.unknown = globals::unknown(checked.semantic.scoping(), &parsed.program, Dialect::Native, place);
        outline
    }

    fn of_program(text: &str, dialect: Dialect) -> Self {
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, text, super::source_type(dialect)).parse();
        let checked = SemanticBuilder::new().build(&parsed.program);
        let place = |span: Span| position(text, span.start as usize);
        let requests = if dialect == Dialect::BrainCloud { includes(text, &parsed.program) } else { Vec::new() };
        let mut unknown = globals::unknown(checked.semantic.scoping(), &parsed.program, dialect, place);
        // What is included may define anything; it does not define what belongs to other platforms.
        unknown.retain(|unknown| requests.is_empty() || unknown.is_elsewhere());
        Self { requests, unknown, ..Self::default() }
    }

    /// Whether other scripts can import anything from it.
    pub(crate) fn exports_anything(&self) -> bool {
        self.exports_all || !self.exports.is_empty()
    }

    fn of_record(record: &ModuleRecord<'_>, place: impl Fn(Span) -> (u32, u32)) -> Self {
        let mut spans: Vec<_> =
            record.requested_modules.iter().filter_map(|(name, found)| Some((found.first()?.span, name.as_str()))).collect();
        spans.sort_unstable_by_key(|(span, _)| span.start);
        let request = |(span, specifier): (Span, &str)| Request {
            specifier: specifier.to_owned(),
            included: None,
            at: place(span),
            names: names(record, specifier).map(|(name, span)| (name.to_owned(), place(span))).collect(),
        };
        let requests = spans.into_iter().map(request).collect();
        let exported = record.local_export_entries.iter().chain(&record.indirect_export_entries);
        let exports = exported.filter_map(|entry| match &entry.export_name {
            ExportExportName::Name(name) => Some(name.name.as_str().to_owned()),
            ExportExportName::Default(_) => Some("default".to_owned()),
            ExportExportName::Null => None,
        });
        Self { requests, exports: exports.collect(), exports_all: !record.star_export_entries.is_empty(), unknown: Vec::new() }
    }
}

/// What brainCloud scripts include: `bridge.include("name")` in their first lines, before anything else.
fn includes(text: &str, program: &Program<'_>) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for (name, span) in program.body.iter().map_while(included) {
        let specifier = format!("{SCHEME}{}", script_of(name));
        if !requests.iter().any(|known| known.specifier == specifier) {
            let (at, included) = (position(text, span.start as usize), Some(name.to_owned()));
            requests.push(Request { specifier, included, at, names: Vec::new() });
        }
    }
    requests
}

/// The script that an include call means. Where the original takes a path, scripts here have names: the path's last part, without its ending.
fn script_of(name: &str) -> &str {
    let Some((_, last)) = name.rsplit_once('/') else { return name };
    ["js", "ccjs", "cjs", "mjs"].iter().find_map(|ending| last.strip_suffix(ending)?.strip_suffix('.')).unwrap_or(last)
}

fn included<'a>(statement: &Statement<'a>) -> Option<(&'a str, Span)> {
    let Statement::ExpressionStatement(statement) = statement else { return None };
    let Expression::CallExpression(call) = &statement.expression else { return None };
    let Expression::StaticMemberExpression(callee) = &call.callee else { return None };
    let Expression::Identifier(object) = &callee.object else { return None };
    match call.arguments.as_slice() {
        [Argument::StringLiteral(name)] if object.name == "bridge" && callee.property.name == "include" => {
            Some((name.value.as_str(), name.span))
        }
        _ => None,
    }
}

/// Names that a module takes from another one.
fn names<'r>(record: &'r ModuleRecord<'_>, specifier: &'r str) -> impl Iterator<Item = (&'r str, Span)> {
    let imported = record.import_entries.iter().filter(move |entry| entry.module_request.name.as_str() == specifier);
    let imported = imported.filter_map(|entry| match &entry.import_name {
        ImportImportName::Name(name) => Some((name.name.as_str(), name.span)),
        ImportImportName::Default(span) => Some(("default", *span)),
        ImportImportName::NamespaceObject => None,
    });
    let passed_on = record.indirect_export_entries.iter();
    let passed_on = passed_on.filter(move |entry| entry.module_request.as_ref().is_some_and(|request| request.name.as_str() == specifier));
    imported.chain(passed_on.filter_map(|entry| match &entry.import_name {
        ExportImportName::Name(name) => Some((name.name.as_str(), name.span)),
        ExportImportName::All | ExportImportName::AllButDefault | ExportImportName::Null => None,
    }))
}

#[cfg(test)]
mod tests {
    use snaphook_model::Dialect;

    use super::Outline;

    #[test]
    fn includes_stand_in_the_first_lines() {
        let source = "'use strict';\n// helpers\nbridge.include(\"a\");\nbridge.include('b'); bridge.include('a')\nvar x = 1;\nbridge.include('late');\n";
        let requests = Outline::of(source, Dialect::BrainCloud).requests;
        let found: Vec<_> = requests.iter().map(|request| (request.specifier.as_str(), request.at)).collect();
        assert_eq!(found, [("script:a", (3, 16)), ("script:b", (4, 16))]);
        let paths = "bridge.include('../lib/helper');\nbridge.include('/scripts/other.ccjs');\nbridge.include('plain.js');\n";
        let requests = Outline::of(paths, Dialect::BrainCloud).requests;
        let found: Vec<_> = requests.iter().map(|request| request.specifier.as_str()).collect();
        assert_eq!(found, ["script:helper", "script:other", "script:plain.js"]);
        for none in ["bridge.include(name);", "bridge.log('a');", "x.include('a');", "include('a');", ""] {
            assert_eq!(Outline::of(none, Dialect::BrainCloud).requests.len(), 0, "{none}");
        }
        assert_eq!(Outline::of("bridge.include('a');", Dialect::Patchworks).requests.len(), 0);
    }

    #[test]
    fn imports_and_exports_are_read() {
        let outline = Outline::of_module(
            "import a, { b as c } from 'script:x@2';\nimport * as all from \"script:y\";\nexport { d } from 'script:x@2';\nexport * from 'z';\nexport default 1;\nexport const [e, { f }] = g();\nfunction g() {}\nimport 'snaphook';\n",
        );
        let requests: Vec<_> =
            outline.requests.iter().map(|request| (request.specifier.as_str(), request.at, request.names.len())).collect();
        assert_eq!(requests, [("script:x@2", (1, 27), 3), ("script:y", (2, 22), 0), ("z", (4, 15), 0), ("snaphook", (8, 8), 0)]);
        let mut names: Vec<_> = outline.requests[0].names.iter().map(|(name, place)| (name.as_str(), *place)).collect();
        names.sort_unstable();
        assert_eq!(names, [("b", (1, 13)), ("d", (3, 10)), ("default", (1, 8))]);
        let mut exports = outline.exports.clone();
        exports.sort_unstable();
        assert_eq!((exports.as_slice(), outline.exports_all), (&["d", "default", "e", "f"].map(str::to_owned)[..], true));
        assert!(!Outline::of_module("const a = 1;").exports_anything());
    }
}
