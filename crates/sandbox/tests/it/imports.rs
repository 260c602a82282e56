//! What a component may import and export, and how it is told what it may not.

use snaphook_model::{Code, Fault, Hook, HookSet};
use snaphook_sandbox::{ComponentError, check_component};

use crate::guests::{KEEP, component, stepper};
use crate::support::{Bench, code, limits, with_input};

fn refused(text: &str) -> ComponentError {
    let bytes = wat::parse_str(text).expect("text");
    check_component(&bytes, None).err().expect("refused")
}

#[test]
fn imports_that_are_not_offered_are_named() {
    let error = refused(
        r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "f" (func))))
             (import "wasi:sockets/tcp@0.2.0" (instance (export "f" (func))))
             (import "wasi:cli/exit@0.3.0" (instance (export "f" (func))))
             (import "read-my-disk" (func)))"#,
    );
    let names = ["wasi:http/outgoing-handler@0.2.0", "wasi:sockets/tcp@0.2.0", "wasi:cli/exit@0.3.0", "read-my-disk"];
    assert_eq!(error, ComponentError::Imports(names.map(str::to_owned).to_vec()));
    assert_eq!(Fault::from(error).code, Code::ComponentImports);
}

#[test]
fn the_interpreter_is_not_offered_to_uploads() {
    let error = refused(r#"(component (import "interpreter-h0123456789abcdef" (core module)))"#);
    assert_eq!(error, ComponentError::Imports(vec!["interpreter-h0123456789abcdef".to_owned()]));
}

#[test]
fn a_known_interface_with_an_unknown_function_is_refused() {
    let error = refused(r#"(component (import "snaphook:hook/log@0.1.0" (instance (export "read" (func)))))"#);
    assert!(matches!(&error, ComponentError::Imports(_)) && error.to_string().contains("snaphook:hook/log@0.1.0"), "{error}");
}

#[test]
fn a_known_function_of_another_type_is_refused() {
    let error = refused(r#"(component (import "snaphook:hook/input@0.1.0" (instance (export "body" (func (result string))))))"#);
    assert!(matches!(&error, ComponentError::Imports(_)), "{error}");
}

#[test]
fn a_hook_of_another_type_is_refused() {
    let error = refused(
        r#"(component
             (core module $m (func (export "f")))
             (core instance $i (instantiate $m))
             (func $f (canon lift (core func $i "f")))
             (instance $hook (export "step" (func $f)))
             (export "snaphook:hook/step@0.1.0" (instance $hook)))"#,
    );
    assert_eq!(Fault::from(error.clone()).code, Code::ComponentInvalid);
    assert!(error.to_string().contains("`step` has another type"), "{error}");
}

#[test]
fn hooks_are_found() {
    let found = check_component(&stepper(&[], "", KEEP), None).expect("a guest").hooks;
    assert_eq!(found, HookSet::from_iter([Hook::Step]));
    let none = check_component(&wat::parse_str("(component)").expect("text"), None).expect("empty").hooks;
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_hook_that_is_not_there_is_a_fault() {
    let bench = Bench::new();
    let program = bench.program(&stepper(&[], "", KEEP));
    let input = snaphook_model::HookInput::PreRequest { request: snaphook_model::HttpRequest::default() };
    let outcome = bench.sandbox.invoke(&program, with_input(input, limits())).await;
    assert_eq!(code(&outcome), Code::ScriptNoHook);
}

#[test]
fn every_hook_has_the_type_of_the_world() {
    let exports = Hook::ALL.map(|hook| format!("export {hook}"));
    let functions: String =
        Hook::ALL.map(|hook| format!("(func (export \"snaphook:hook/{hook}@0.1.0#{hook}\") (param i32) (result i32) {KEEP})\n")).concat();
    let module = crate::guests::module(&functions, KEEP);
    let start =
        module.find("(func (export \"snaphook:hook/step@0.1.0#step\") (param i32) (result i32) (i32.const 1024)))").expect("the step");
    let module = format!("{})", &module[..start]);
    let world: Vec<&str> = exports.iter().map(String::as_str).collect();
    let found = check_component(&component(&world, &module), None).unwrap_or_else(|error| panic!("{error}")).hooks;
    assert_eq!(found.iter().collect::<Vec<_>>(), Hook::ALL);
}

#[test]
fn every_host_interface_has_the_type_of_the_world() {
    let imports = ["import input", "import log", "import variables", "import http", "import crypto"];
    let functions = [
        ("input", "body", "i32"),
        ("input", "arguments", "i32"),
        ("log", "write", "i32 i32 i32"),
        ("variables", "get", "i32 i32 i32 i32"),
        ("variables", "set", "i32 i32 i32 i32 i32 i32 i32"),
        ("variables", "keys", "i32 i32"),
        ("http", "start", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
        ("http", "wait", "i32 i32 i32"),
        ("crypto", "digest", "i32 i32 i32 i32"),
        ("crypto", "hmac", "i32 i32 i32 i32 i32 i32"),
        ("crypto", "random", "i32 i32"),
    ];
    let text: String = functions
        .map(|(interface, function, params)| {
            format!("(import \"snaphook:hook/{interface}@0.1.0\" \"{function}\" (func (param {params})))\n")
        })
        .concat();
    let checked = check_component(&stepper(&imports, &text, KEEP), None);
    assert!(checked.is_ok(), "{}", checked.err().expect("an error"));
}
