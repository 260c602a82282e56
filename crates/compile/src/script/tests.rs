//! What becomes of types, and where positions stay.

use oxc::allocator::Allocator;
use oxc::ast::ast::{Program, Statement};
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::codegen::{Codegen, CodegenOptions};
use oxc::parser::{ParseOptions, Parser};
use oxc::semantic::SemanticBuilder;
use oxc::span::SourceType;
use oxc::transformer::{TransformOptions, Transformer};
use proptest::prelude::*;
use snaphook_model::{Code, Dialect, Language};

use super::prepare;

fn erased(source: &str) -> String {
    let prepared = prepare(source.as_bytes(), Language::TypeScript, Dialect::Native).unwrap_or_else(|fault| panic!("{source}\n{fault:?}"));
    assert!(prepared.map.is_none(), "needed the transformer: {source}");
    prepared.text.into_owned()
}

/// Each pair: as uploaded, as evaluated. Same length, same lines.
const ERASED: &[(&str, &str)] = &[
    ("let x: number = 1;", "let x         = 1;"),
    ("let x!: number\nlet y", "let x ;       \nlet y"),
    ("export function preHook(call: Call, context?: Context): void {}", "export function preHook(call      , context          )       {}"),
    ("function f(this: Foo, a: B) {}", "function f(           a   ) {}"),
    ("const a = b as any\n(c)", "const a = b;      \n(c)"),
    ("const a = (b as any as C).d!.e", "const a = (b            ).d .e"),
    ("const a = b satisfies C;", "const a = b            ;"),
    ("interface A { b: string }\n(c)", ";                        \n(c)"),
    ("a\ntype B = string\n[c]", "a\n;              \n[c]"),
    ("export type { A } from 'b';\nexport const c = 1", ";                          \nexport const c = 1"),
    ("import { reject, type Call } from \"snaphook\"; reject()", "import { reject,           } from \"snaphook\"; reject()"),
    ("import { Call, reject } from \"snaphook\"; reject() as Call", "import {       reject } from \"snaphook\"; reject();       "),
    ("import type { Call } from \"snaphook\"", ";                                   "),
    ("import { Call } from \"snaphook\"; let c: Call", ";                                let c;     "),
    ("import d, { e } from 'f'; e", "import    { e } from 'f'; e"),
    ("type T = 1; const u = 2; export { T, u }", ";           const u = 2; export {    u }"),
    ("f<string>(1); new M<A, B>()", "f        (1); new M      ()"),
    ("const f = async <T,>(x: T): Promise<T> => x", "const f = async     (x   )             => x"),
    ("class A<T> extends B<T> implements C, D<T> { }", "class A    extends B                       { }"),
    ("abstract class A { abstract b(): void; c() {} }", "         class A { ;                   c() {} }"),
    ("class A { private x = 1\n public [y] = 2 }", "class A { ;       x = 1\n ;      [y] = 2 }"),
    ("class A { static readonly x: number\n *g() {} }", "class A { static          x;       \n *g() {} }"),
    (
        "class A { x?: number; y!: string; [k: string]: any; declare z: 1 }",
        "class A { x         ; y         ; ;                 ;            }",
    ),
    ("class A { f(): void\n f(a?: 1) {} }", "class A { ;        \n f(a    ) {} }"),
    ("function f(): void\nfunction f(a?: any) {}", ";                 \nfunction f(a      ) {}"),
    ("declare const x: number; declare global { var y: 1 }", ";                        ;                          "),
    ("declare module 'm' { }\ndeclare enum E { A }", ";                     \n;                   "),
    ("try {} catch (e: unknown) {}", "try {} catch (e         ) {}"),
    ("for (const x of y as any[]) z!", "for (const x of y         ) z;"),
    ("let ä: 'ö' = 1; x", "let ä      = 1; x"),
    ("export default interface A { }", ";                             "),
    ("let f = (a: {\n b: 1\n}) => a", "let f = (a   \n     \n ) => a"),
    ("function isA(x: any): x is A { return true }", "function isA(x     )         { return true }"),
    ("const o = { m<T>(this: X, a: T): T { return a } }", "const o = { m   (         a   )    { return a } }"),
    ("let t = tag<string>`x`", "let t = tag        `x`"),
    ("const e = f<string>\nconst g = 1", "const e = f;       \nconst g = 1"),
    ("if (a) b as T\nelse c", "if (a) b;    \nelse c"),
];

#[test]
fn types_become_spaces() {
    for (source, expected) in ERASED {
        assert_eq!(&erased(source), expected, "{source}");
        assert_eq!(source.chars().count(), expected.chars().count(), "{source}");
    }
}

struct DropEmpty;

impl<'a> VisitMut<'a> for DropEmpty {
    fn visit_statements(&mut self, it: &mut oxc::allocator::ArenaVec<'a, Statement<'a>>) {
        it.retain(|statement| !matches!(statement, Statement::EmptyStatement(_)));
        walk_mut::walk_statements(self, it);
    }
}

fn normal(program: &mut Program<'_>) -> String {
    DropEmpty.visit_program(program);
    Codegen::new().with_options(CodegenOptions::minify()).build(program).code.replace("export{};", "")
}

/// What the transformer makes of the source: an independent opinion.
fn transformed(source: &str) -> String {
    let allocator = Allocator::default();
    let options = ParseOptions { preserve_parens: false, ..ParseOptions::default() };
    let mut program = Parser::new(&allocator, source, SourceType::ts().with_module(true)).with_options(options).parse().program;
    let scoping = SemanticBuilder::new().with_enum_eval(true).build(&program).semantic.into_scoping();
    let done = Transformer::new(&allocator, "x.ts".as_ref(), &TransformOptions::default()).build_with_scoping(scoping, &mut program);
    assert!(done.diagnostics.is_empty(), "{source}");
    normal(&mut program)
}

fn parsed(javascript: &str) -> String {
    let allocator = Allocator::default();
    let options = ParseOptions { preserve_parens: false, ..ParseOptions::default() };
    let mut parsed = Parser::new(&allocator, javascript, SourceType::mjs()).with_options(options).parse();
    assert!(parsed.diagnostics.is_empty(), "{javascript}\n{:?}", parsed.diagnostics);
    normal(&mut parsed.program)
}

#[test]
fn spaces_mean_what_the_transformer_means() {
    for (source, _) in ERASED {
        assert_eq!(parsed(&erased(source)), transformed(source), "{source}");
    }
}

proptest! {
    /// Any order of statements without semicolons: nothing grows together, and every position stays.
    #[test]
    fn statements_stay_apart(picks in prop::collection::vec(0..PIECES.len(), 1..8)) {
        let source = picks.iter().enumerate().map(|(i, pick)| PIECES[*pick].replace('$', &format!("v{i}"))).collect::<Vec<_>>().join("\n");
        // Some neighbours are one statement, and a wrong one, in TypeScript too.
        prop_assume!(prepare(source.as_bytes(), Language::TypeScript, Dialect::Native).is_ok());
        let text = erased(&source);
        for (before, after) in source.chars().zip(text.chars()) {
            prop_assert!(before == after || after == ' ' || after == ';', "{source}\n{text}");
        }
        prop_assert_eq!(source.chars().count(), text.chars().count());
        prop_assert_eq!(parsed(&text), transformed(&source), "{}\n{}", source, text);
    }
}

const PIECES: &[&str] = &[
    "const $ = a as any",
    "let $: number",
    "(b as any).c()",
    "[d] = e as [number]",
    "`f`.g!",
    "+h",
    "interface $ { x: string }",
    "type $ = { y: 1 }",
    "i!",
    ";/j/.test(k as string)",
    "abstract class $<T> implements L { private m?: 1\n ['n'] = 2 as any;\n *o() {}\n protected get p(): 1 { return 1 } }",
    "if (q) r as T\nelse s!",
    "export const $ = <T,>(x: T): T => x as T",
    "declare const $: string",
    "function $(): void\nfunction $(x?: any) { return x! }",
    "u<string>",
    "export type { V } from 'w'",
    "for (const x of y as any) z satisfies T",
];

#[test]
fn typescript_that_means_code_is_mapped() {
    let source = "type A = 1;\nenum Color { Red = 1, Green }\nclass P { constructor(private readonly x: number) {} }\nexport function preHook() {\n  throw new Error(`${Color.Red}`);\n}\n";
    let prepared = prepare(source.as_bytes(), Language::TypeScript, Dialect::Native).unwrap();
    assert!(prepared.text.contains("Color"), "{}", prepared.text);
    let at = prepared.text.find("throw").unwrap();
    let (line, column) = super::position(&prepared.text, at);
    assert_eq!(prepared.maps().place((line, column)).uploaded, Some((5, 3)));
    for code in ["namespace N { export const a = 1 }", "const x = <any>y", "a = 1 + b as number == 2", "let f = (a): A<\n1> => a"] {
        assert!(prepare(code.as_bytes(), Language::TypeScript, Dialect::Native).unwrap().map.is_some(), "{code}");
    }
}

#[test]
fn javascript_is_left_alone() {
    let source = "// ä\nexport default (payload) => payload;\n";
    let prepared = prepare(source.as_bytes(), Language::JavaScript, Dialect::Native).unwrap();
    assert_eq!(prepared.text, source);
    assert!(prepared.map.is_none());
}

#[test]
fn errors_have_a_place_in_the_upload() {
    let cases: &[(&[u8], Language, u32, u32)] = &[
        (b"export function preHook() {\n  return 1 +;\n}\n", Language::JavaScript, 2, 13),
        (b"let a: number = 1;", Language::JavaScript, 1, 6),
        ("let ä = 1; let ä = 2;".as_bytes(), Language::JavaScript, 1, 5),
        (b"type A = {;\n", Language::TypeScript, 1, 11),
        (b"let a = 1;\n\xff\n", Language::JavaScript, 2, 1),
        (b"x\n @dec class A {}", Language::TypeScript, 2, 2),
        (b"return 1", Language::JavaScript, 1, 1),
        (b"export const a = 1;\nexport = a;", Language::TypeScript, 2, 1),
        (b"import fs = require('fs');\nfs.x;", Language::TypeScript, 1, 1),
        (b"const a = <div/>;", Language::JavaScript, 1, 11),
    ];
    for (source, language, line, column) in cases {
        let fault = prepare(source, *language, Dialect::Native).unwrap_err();
        assert_eq!(fault.code, Code::ScriptSyntax);
        assert_eq!((fault.line, fault.column), (Some(*line), Some(*column)), "{fault:?}");
    }
}
