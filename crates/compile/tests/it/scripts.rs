//! From source to a decision.

use snaphook_compile::Upload;
use snaphook_model::{Code, Dialect, Hook, Language, Limits, ScriptKind};

use crate::support::{INTERPRETER, fault, js, step, ts, upload};

#[tokio::test]
async fn a_script_becomes_a_small_component_that_runs() {
    let compiled = js("const greeting = 'hello';\nexport default (payload) => ({ ...payload, greeting });\n").unwrap();
    assert_eq!(compiled.kind, ScriptKind::Script);
    assert_eq!(compiled.interpreter.as_deref(), Some(INTERPRETER.name.as_str()));
    assert_eq!(compiled.hooks.iter().collect::<Vec<_>>(), [Hook::Step]);
    assert!(compiled.component.len() < 24_000, "{} bytes", compiled.component.len());
    assert_eq!(step(&compiled, r#"{"a":1}"#).await.unwrap(), r#"{"a":1,"greeting":"hello"}"#);
}

#[test]
fn scripts_of_dialects_are_as_small() {
    let sources = [
        (Dialect::Patchworks, "function handle(data) { data.logs = ['a']; return data; }"),
        (Dialect::BrainCloud, "var answer = { status: 200 }; answer;"),
        (Dialect::Prismatic, "module.exports = async ({ logger }, stepResults) => ({ data: null });"),
    ];
    for (dialect, source) in sources {
        let upload = Upload { dialect, ..upload(Language::JavaScript, source) };
        let compiled = snaphook_compile::compile_here(upload, &INTERPRETER).unwrap();
        assert!(compiled.component.len() < 24_000, "{dialect}: {} bytes", compiled.component.len());
    }
}

#[test]
fn components_validate_and_are_the_same_every_time() {
    let source = "export function preHook() {}\nexport function postFail() {}\nexport const at = Date.now();\n";
    let compiled = js(source).unwrap();
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    validator.validate_all(&compiled.component).unwrap();
    assert_eq!(compiled.component, js(source).unwrap().component);
    assert_eq!(compiled.hooks.iter().collect::<Vec<_>>(), [Hook::PreHook, Hook::PostFail]);
}

#[tokio::test]
async fn large_state_grows_the_memory_again() {
    let compiled = js("const list = Array.from({ length: 200000 }, (_, i) => ({ i }));\nexport default () => list[199999].i;\n").unwrap();
    assert_eq!(step(&compiled, "{}").await.unwrap(), "199999");
}

#[tokio::test]
async fn typescript_runs_and_its_faults_have_a_place_in_the_upload() {
    let erased =
        "interface P { n: number }\nexport default function (p: P): P {\n  if (p.n > 1) throw new Error('too many');\n  return p;\n}\n";
    let compiled = ts(erased).unwrap();
    assert_eq!(step(&compiled, r#"{"n":1}"#).await.unwrap(), r#"{"n":1}"#);
    let thrown = step(&compiled, r#"{"n":2}"#).await.unwrap_err();
    assert_eq!((thrown.code, thrown.line), (Code::ScriptThrew, Some(3)), "{thrown:?}");

    let mapped = "interface P { n: number }\nenum Most {\n  Items = 1,\n}\n\nexport default function (p: P): P {\n\n  if (p.n > Most.Items)\n    throw new Error('too many');\n  return p;\n}\n";
    let compiled = ts(mapped).unwrap();
    assert_eq!(step(&compiled, r#"{"n":1}"#).await.unwrap(), r#"{"n":1}"#);
    let thrown = step(&compiled, r#"{"n":2}"#).await.unwrap_err();
    assert_eq!((thrown.code, thrown.line), (Code::ScriptThrew, Some(9)), "{thrown:?}");
}

#[test]
fn top_level_faults_name_their_line() {
    let cases = [
        ("let a = 1;\nthrow new Error('no');\nexport default () => 1;", Code::ScriptCompile, Some(2)),
        ("export default () => 1;\n\nundefinedName.x;", Code::ScriptCompile, Some(3)),
        ("import { missing } from 'snaphook';\nexport default () => missing;", Code::ScriptCompile, None),
        ("\nimport fs from 'fs';\nexport default () => fs;", Code::ScriptCompile, Some(2)),
        ("import 'script:other';\nexport default () => 1;", Code::ScriptCompile, Some(1)),
        ("export default () => {\n  return 1 +;\n};", Code::ScriptSyntax, Some(2)),
        ("const a = 1;", Code::ScriptNoHook, None),
        ("export const preHook = 1;", Code::ScriptCompile, None),
        ("export default () => 1;\nfor (;;) {}", Code::Compile, Some(2)),
        (
            "export default () => 1;\nfunction f() {\n  return f() + 1;\n}\ntry { f(); } catch { throw new TypeError('deep'); }",
            Code::ScriptCompile,
            Some(5),
        ),
        ("export default () => 1;\nawait new Promise(() => {});", Code::ScriptCompile, None),
    ];
    for (source, code, line) in cases {
        let fault = fault(js(source));
        assert_eq!(fault.code, code, "{source}\n{fault:?}");
        if line.is_some() {
            assert_eq!(fault.line, line, "{source}\n{fault:?}");
        }
    }
    let mapped = fault(ts("enum E { A }\n\ntype T = 1;\nthrow new Error(`${E.A}`);\nexport default () => 1;"));
    assert_eq!((mapped.code, mapped.line), (Code::ScriptCompile, Some(4)), "{mapped:?}");
}

#[test]
fn top_level_memory_has_the_limit_of_an_invocation() {
    let mut upload =
        upload(Language::JavaScript, "const all = [];\nfor (;;) all.push(new Uint8Array(1 << 20).fill(1));\nexport default () => 1;");
    upload.limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    let fault = fault(snaphook_compile::compile_here(upload, &INTERPRETER));
    assert_eq!((fault.code, fault.limit), (Code::Compile, Some(16 << 20)), "{fault:?}");
}

#[test]
fn chance_and_time_at_top_level_are_warned_about() {
    let compiled = js("const born = Date.now();\nexport default () => born;\n").unwrap();
    assert_eq!(compiled.warnings.len(), 1, "{:?}", compiled.warnings);
    assert_eq!(compiled.warnings[0].line, Some(1));
}

#[test]
fn sources_above_the_limit_are_refused() {
    let mut large = upload(Language::JavaScript, "export default () => 1; // padding");
    large.limits.source_bytes = 10;
    let refused = fault(snaphook_compile::compile_here(large, &INTERPRETER));
    assert_eq!((refused.code, refused.limit, refused.used), (Code::SourceSize, Some(10), Some(34)));
    let mut grown = upload(Language::JavaScript, "export default () => 1;");
    grown.limits.component_bytes = 100;
    assert_eq!(fault(snaphook_compile::compile_here(grown, &INTERPRETER)).code, Code::SourceSize);
}

/// Memory grows by more than is asked for where that is granted; being refused that much is no lack of memory.
#[tokio::test]
async fn an_exception_near_the_memory_limit_is_the_scripts_own() {
    let source = "export default function ({ mib, all }) {
      const kept = [];
      for (; mib > 0; mib--) kept.push(new Uint8Array(1 << 20).fill(1));
      while (all) kept.push(new Uint8Array(1 << 20).fill(1));
      throw new Error('bad input');
    }";
    let compiled = js(source).unwrap();
    for mib in 44..=60 {
        let thrown = step(&compiled, format!("{{\"mib\":{mib}}}").leak()).await.unwrap_err();
        assert_eq!((thrown.code, thrown.line), (Code::ScriptThrew, Some(5)), "{mib} MiB: {thrown:?}");
        assert!(thrown.detail.contains("bad input"), "{thrown:?}");
    }
    let spent = step(&compiled, r#"{"all":true}"#).await.unwrap_err();
    assert_eq!((spent.code, spent.limit), (Code::Memory, Some(64 << 20)), "{spent:?}");
    assert!(spent.detail.contains("needed"), "{spent:?}");
}

/// The list of known names must be the interpreter's own, or warnings would be wrong.
#[tokio::test]
async fn globals_of_the_interpreter_are_known() {
    let compiled = js("export default () => Object.getOwnPropertyNames(globalThis).sort();\n").unwrap();
    let names: Vec<String> = serde_json::from_str(&step(&compiled, "{}").await.unwrap()).unwrap();
    let source = names.iter().map(|name| format!("{name};\n")).collect::<String>() + "export default () => notDefined;\n";
    let unknown: Vec<_> = js(&source).unwrap().warnings.into_iter().map(|warning| warning.message).collect();
    assert_eq!(unknown, ["`notDefined` is defined nowhere"]);
    let listed = snaphook_compile::KNOWN_GLOBALS;
    assert_eq!(listed.iter().filter(|name| !names.iter().any(|known| known == *name)).collect::<Vec<_>>(), [] as [&&str; 0]);
}

/// Each file is a module whose default function throws when the interpreter does not behave.
#[tokio::test]
async fn the_interpreters_own_tests_pass() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/interpreter/tests");
    let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "js"));
    names.sort();
    for path in names {
        let source = std::fs::read_to_string(&path).unwrap();
        let compiled = js(&source).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        if let Err(fault) = step(&compiled, "{}").await {
            panic!("{}: {fault:?}", path.display());
        }
    }
}

#[test]
fn the_examples_compile() {
    let mut compiled = 0;
    for example in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).unwrap() {
        let Ok(scripts) = std::fs::read_dir(example.unwrap().path().join("scripts")) else { continue };
        for script in scripts {
            let path = script.unwrap().path();
            let Some(language) = Language::of_file_name(&path.to_string_lossy()) else { continue };
            let mut upload = upload(language, std::fs::read(&path).unwrap());
            (_, upload.dialect) = Dialect::of_file_stem(&path.file_stem().unwrap().to_string_lossy());
            snaphook_compile::compile_here(upload, &INTERPRETER).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
            compiled += 1;
        }
    }
    assert!(compiled > 0);
}
