//! Uploaded wasm, and what is refused of it.

use std::path::Path;

use snaphook_compile::compile_here;
use snaphook_model::{Code, Fault, Hook, Language, ScriptKind};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, SourceMap};

use crate::support::{INTERPRETER, fault, step, upload};

/// A core module of a world, as `wit-bindgen` leaves it. Its functions trap.
pub(crate) fn core_module(world: &str) -> Vec<u8> {
    let mut sources = SourceMap::new();
    for (name, text) in snaphook_interpreter::WIT {
        sources.push(Path::new(name), *text);
    }
    sources.push(Path::new("test.wit"), format!("package snaphook:hook@0.1.0;\nworld test {{ {world} }}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_group(sources.parse().map_err(|(_, error)| error).unwrap()).unwrap();
    let world = resolve.select_world(&[package], Some("test")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

fn refused(bytes: impl Into<bytes::Bytes>) -> Fault {
    fault(compile_here(upload(Language::Wasm, bytes), &INTERPRETER))
}

#[tokio::test]
async fn components_and_core_modules_with_a_world_are_accepted() {
    let module = core_module("include host; export step; export post-fail;");
    let component = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    let from_module = compile_here(upload(Language::Wasm, module), &INTERPRETER).unwrap();
    let from_component = compile_here(upload(Language::Wasm, component.clone()), &INTERPRETER).unwrap();
    for compiled in [from_module, from_component] {
        assert_eq!(compiled.component, component);
        assert_eq!((compiled.kind, compiled.interpreter.as_ref()), (ScriptKind::Component, None));
        assert_eq!(compiled.hooks.iter().collect::<Vec<_>>(), [Hook::PostFail, Hook::Step]);
        assert_eq!(step(&compiled, "{}").await.unwrap_err().code, Code::ScriptTrapped);
    }
}

#[test]
fn foreign_imports_are_named() {
    let component = wat::parse_str(r#"(component (import "acme:db/sql@1.0.0" (instance)))"#).unwrap();
    let fault = refused(component);
    assert_eq!(fault.code, Code::ComponentImports);
    assert!(fault.detail.contains("acme:db/sql@1.0.0"), "{}", fault.detail);
    for name in ["interpreter".to_owned(), INTERPRETER.name.clone()] {
        let component = wat::parse_str(format!(r#"(component (import "{name}" (core module)))"#)).unwrap();
        let fault = refused(component);
        assert_eq!(fault.code, Code::ComponentImports, "{fault:?}");
        assert!(fault.detail.contains(&name), "{}", fault.detail);
    }
}

#[test]
fn what_is_no_component_is_told_apart() {
    let module = core_module("export step;");
    let component = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    let plain = wat::parse_str("(module (func (export \"run\")))").unwrap();
    let cases: [(&str, Vec<u8>, Code); 8] = [
        ("empty", Vec::new(), Code::ComponentInvalid),
        ("garbage", b"\x7fELF and more".to_vec(), Code::ComponentInvalid),
        ("cut component", component[..component.len() / 2].to_vec(), Code::ComponentInvalid),
        ("cut module", module[..module.len() / 2].to_vec(), Code::ComponentInvalid),
        ("no types", plain, Code::ComponentInvalid),
        ("bent types", [&module[..], b"\0\x13\x0ecomponent-type1234"].concat(), Code::ComponentInvalid),
        ("no hook", wat::parse_str("(component)").unwrap(), Code::ScriptNoHook),
        ("wrong hook", wat::parse_str(WRONG_HOOK).unwrap(), Code::ComponentInvalid),
    ];
    for (what, bytes, code) in cases {
        let fault = refused(bytes);
        assert_eq!(fault.code, code, "{what}: {fault:?}");
        assert!(fault.detail.len() > 20, "{what}: {}", fault.detail);
    }
}

const WRONG_HOOK: &str = r#"(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $hook (export "step" (func $f)))
  (export "snaphook:hook/step@0.1.0" (instance $hook)))"#;

#[test]
fn components_above_the_limit_are_refused() {
    let mut upload = upload(Language::Wasm, core_module("export step;"));
    upload.limits.component_bytes = upload.bytes.len() as u64 - 1;
    assert_eq!(fault(compile_here(upload.clone(), &INTERPRETER)).code, Code::SourceSize);
    upload.limits.component_bytes += 1;
    // The module fits, the component around it does not.
    assert_eq!(fault(compile_here(upload, &INTERPRETER)).code, Code::SourceSize);
}
