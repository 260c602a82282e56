//! Names that a script uses and nobody defines: mistyped ones, and those of platforms that a sandbox is not.

use oxc::ast::ast::*;
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::Scoping;
use oxc::span::Span;
use snaphook_model::Dialect;

/// A name that is used and defined nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// As in `Buffer`, or `require("fs")`.
    pub(crate) name: String,
    /// Where it is used first.
    pub(crate) at: (u32, u32),
    /// How often it is used.
    pub(crate) count: usize,
    /// What the source is written for.
    dialect: Dialect,
}

/// Names beyond these are not told: somebody who has so many reads no list.
const MAX_NAMES: usize = 20;

/// Every global that the interpreter has. A test compares them with the interpreter's own.
pub const DEFINED: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "AsyncDisposableStack",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "CryptoKey",
    "DOMException",
    "DataView",
    "Date",
    "DisposableStack",
    "Error",
    "EvalError",
    "FinalizationRegistry",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Headers",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "InternalError",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "SharedArrayBuffer",
    "String",
    "SuppressedError",
    "Symbol",
    "SyntaxError",
    "TextDecoder",
    "TextEncoder",
    "TypeError",
    "URIError",
    "URL",
    "URLSearchParams",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakRef",
    "WeakSet",
    "atob",
    "btoa",
    "clearTimeout",
    "console",
    "crypto",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "eval",
    "fetch",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "queueMicrotask",
    "setTimeout",
    "structuredClone",
    "undefined",
    "unescape",
];

/// Names that the scripts of a dialect are given beside the globals.
const fn given(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Native => &[],
        Dialect::Patchworks | Dialect::Prismatic => &["exports", "module", "require"],
        Dialect::BrainCloud => &["bridge", "data"],
    }
}

/// What people expect of other platforms, and what there is instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("AbortController", "requests end by themselves at the invocation's deadline"),
    ("Blob", "use `Uint8Array`"),
    ("Buffer", "it is Node's; use `Uint8Array` with `TextEncoder`, `TextDecoder`, `atob` and `btoa`"),
    ("File", "use `Uint8Array`"),
    ("FormData", "write the body as text, or have the document encode it"),
    ("WebSocket", "a script sees one call and keeps no connection"),
    ("XMLHttpRequest", "it is a browser's; use `fetch` where it is granted"),
    ("__dirname", "there is no file system"),
    ("__filename", "there is no file system"),
    ("clearInterval", "use `setTimeout`"),
    ("document", "it is a browser's"),
    ("exports", "a script is an ES module: write `export`"),
    ("global", "it is Node's; use `globalThis`"),
    ("localStorage", "it is a browser's; keep values in the context's `state`"),
    ("module", "a script is an ES module: write `export`"),
    ("navigator", "it is a browser's"),
    ("performance", "the clock stands still within an invocation"),
    ("process", "it is Node's; values come with the context's `parms` and `config`"),
    ("require", "a script is an ES module: write `import`, and bundle packages from npm with `snaphook deploy`"),
    ("self", "it is a browser's; use `globalThis`"),
    ("setImmediate", "it is Node's; use `queueMicrotask` or `setTimeout`"),
    ("setInterval", "use `setTimeout`"),
    ("window", "it is a browser's; use `globalThis`"),
];

impl Unknown {
    /// A sentence for a warning.
    pub(crate) fn sentence(&self) -> String {
        let Self { name, count, .. } = self;
        let often = if *count > 1 { format!(" (used {count} times)") } else { String::new() };
        if name.contains('(') {
            return format!("`{name}`{often} cannot work: there are no modules of Node in a sandbox");
        }
        match self.elsewhere() {
            // What there is instead belongs to modules, which no other dialect has.
            Some(_) if matches!(name.as_str(), "exports" | "module" | "require") && self.dialect != Dialect::Native => {
                format!("`{name}`{often} does not exist in a sandbox: a script is one file")
            }
            Some(i) => format!("`{name}`{often} does not exist in a sandbox: {}", ELSEWHERE[i].1),
            None => format!("`{name}`{often} is defined nowhere"),
        }
    }

    /// Whether it belongs to another platform.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.name.contains('(') || self.elsewhere().is_some()
    }

    fn elsewhere(&self) -> Option<usize> {
        ELSEWHERE.binary_search_by_key(&self.name.as_str(), |(name, _)| name).ok()
    }
}

/// Unknown names in the order of their first use. What stands behind a test such as `typeof process !== "undefined"` is not counted.
pub(super) fn unknown(scoping: &Scoping, program: &Program<'_>, dialect: Dialect, place: impl Fn(Span) -> (u32, u32)) -> Vec<Unknown> {
    let mut finder = Finder { scoping, dialect, tested: Vec::new(), found: Vec::new() };
    finder.visit_program(program);
    let mut unknown: Vec<Unknown> = Vec::new();
    for (name, span) in finder.found {
        if let Some(known) = unknown.iter_mut().find(|known| known.name == name) {
            known.count += 1;
        } else if unknown.len() < MAX_NAMES {
            unknown.push(Unknown { name, at: place(span), count: 1, dialect });
        }
    }
    unknown
}

struct Finder<'s> {
    scoping: &'s Scoping,
    dialect: Dialect,
    /// Names that `typeof` was asked about on the way here.
    tested: Vec<String>,
    found: Vec<(String, Span)>,
}

impl Finder<'_> {
    /// Whether it is neither defined in the source nor asked for before.
    fn is_free(&self, name: &IdentifierReference<'_>) -> bool {
        let resolved = name.reference_id.get().is_some_and(|id| self.scoping.get_reference(id).symbol_id().is_some());
        !resolved && !self.tested.iter().any(|tested| tested == name.name.as_str())
    }

    fn is_unknown(&self, name: &IdentifierReference<'_>) -> bool {
        let text = name.name.as_str();
        let known = text == "arguments" || DEFINED.binary_search(&text).is_ok() || given(self.dialect).contains(&text);
        self.is_free(name) && !known && !self.is_made(text)
    }

    /// Sloppy code makes a global by setting it. A module is strict and cannot.
    fn is_made(&self, name: &str) -> bool {
        let mut references = self.scoping.root_unresolved_references().get(name).into_iter().flatten();
        self.dialect != Dialect::Native && references.any(|id| self.scoping.get_reference(*id).is_write())
    }

    /// Visits what runs only after a test.
    fn behind(&mut self, test: &Expression<'_>, visit: impl FnOnce(&mut Self)) {
        let before = self.tested.len();
        let mut asked = Asked(Vec::new());
        asked.visit_expression(test);
        self.tested.append(&mut asked.0);
        visit(self);
        self.tested.truncate(before);
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        if self.is_unknown(it) {
            self.found.push((it.name.as_str().to_owned(), it.span));
        }
    }

    fn visit_unary_expression(&mut self, it: &UnaryExpression<'a>) {
        let asks = it.operator == UnaryOperator::Typeof && matches!(it.argument, Expression::Identifier(_));
        if !asks {
            walk::walk_unary_expression(self, it);
        }
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        // Bundlers keep a `require` that they could not resolve as a call of a function of their own.
        if let (Expression::Identifier(callee), [Argument::StringLiteral(module)]) = (&it.callee, it.arguments.as_slice())
            && (callee.name == "__require" || callee.name == "require" && self.is_free(callee))
        {
            self.found.push((format!("require({:?})", module.value.as_str()), it.span));
            return;
        }
        walk::walk_call_expression(self, it);
    }

    fn visit_if_statement(&mut self, it: &IfStatement<'a>) {
        self.visit_expression(&it.test);
        self.behind(&it.test, |this| {
            this.visit_statement(&it.consequent);
            if let Some(alternate) = &it.alternate {
                this.visit_statement(alternate);
            }
        });
    }

    fn visit_conditional_expression(&mut self, it: &ConditionalExpression<'a>) {
        self.visit_expression(&it.test);
        self.behind(&it.test, |this| {
            this.visit_expression(&it.consequent);
            this.visit_expression(&it.alternate);
        });
    }

    fn visit_logical_expression(&mut self, it: &LogicalExpression<'a>) {
        self.visit_expression(&it.left);
        self.behind(&it.left, |this| this.visit_expression(&it.right));
    }
}

/// Names that an expression asks `typeof` about.
struct Asked(Vec<String>);

impl<'a> Visit<'a> for Asked {
    fn visit_unary_expression(&mut self, it: &UnaryExpression<'a>) {
        match (&it.operator, &it.argument) {
            (UnaryOperator::Typeof, Expression::Identifier(name)) => self.0.push(name.name.as_str().to_owned()),
            _ => walk::walk_unary_expression(self, it),
        }
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::Dialect;

    use super::super::outline::Outline;
    use super::{DEFINED, ELSEWHERE};

    fn found(source: &str) -> Vec<(String, (u32, u32), usize)> {
        found_in(source, Dialect::Native)
    }

    fn found_in(source: &str, dialect: Dialect) -> Vec<(String, (u32, u32), usize)> {
        Outline::of(source, dialect).unknown.into_iter().map(|unknown| (unknown.name, unknown.at, unknown.count)).collect()
    }

    #[test]
    fn unknown_names_are_found_where_they_are_used() {
        let source = "import { x } from 'snaphook';\nconst b = Buffer.from(x);\nfunction f(process) { return process.env + Buffer.y; }\nimport('fs');\nf(require(\"fs\"), new XMLHttpRequest(), arguments2, { window: 1 }, f.document);\nlate = 1;\nlabel: for (;;) break label;\n";
        let expected = [
            ("Buffer", (2, 11), 2),
            ("require(\"fs\")", (5, 3), 1),
            ("XMLHttpRequest", (5, 22), 1),
            ("arguments2", (5, 40), 1),
            ("late", (6, 1), 1),
        ];
        assert_eq!(found(source), expected.map(|(name, at, count)| (name.to_owned(), at, count)));
    }

    #[test]
    fn what_is_asked_for_first_is_not_counted() {
        for source in [
            "typeof process",
            "if (typeof process !== 'undefined' && process.env.A) process.exit();",
            "const g = typeof window === 'undefined' ? 1 : window.a;",
            "const r = (typeof require !== 'undefined' ? require : 1);",
        ] {
            assert_eq!(found(source), [], "{source}");
        }
        assert_eq!(found("if (typeof process !== 'undefined') {}\nprocess.exit();").len(), 1);
    }

    #[test]
    fn a_dialect_has_names_of_its_own_and_sloppy_code_makes_some() {
        let names = |source: &str, dialect| found_in(source, dialect).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
        let common = "exports.a = 1;\nmodule.exports = function (data) { made = Buffer.from(arguments[0]); return made + misspelt; };";
        for dialect in [Dialect::Patchworks, Dialect::Prismatic] {
            assert_eq!(names(common, dialect), ["Buffer", "misspelt"], "{dialect}");
            assert_eq!(names("return (x) => require('axios')(x);", dialect), ["require(\"axios\")"], "{dialect}");
        }
        let program = "message = data.message;\nbridge.logInfo(process.env.A + other);\nmessage;";
        assert_eq!(names(program, Dialect::BrainCloud), ["process", "other"]);
        // What is included may have made it.
        assert_eq!(names(&format!("bridge.include('lib');\n{program}"), Dialect::BrainCloud), ["process"]);
        let require = &Outline::of("var a = require;", Dialect::BrainCloud).unknown[0];
        assert_eq!(require.sentence(), "`require` does not exist in a sandbox: a script is one file");
    }

    #[test]
    fn lists_are_sorted() {
        assert!(DEFINED.is_sorted() && ELSEWHERE.is_sorted());
        assert!(ELSEWHERE.iter().all(|(name, _)| DEFINED.binary_search(name).is_err()));
    }
}
