//! Uploaded wasm: components as they are, core modules with the metadata of `wit-bindgen` made into components. Checked either way.

use snaphook_model::{Code, Fault};
use snaphook_sandbox::{Checked, ComponentError, check_component};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::text::excerpt;

/// A component that may be deployed, with its compiled code.
pub(crate) struct Accepted {
    pub(crate) component: Vec<u8>,
    pub(crate) checked: Checked,
}

/// Checks an upload and completes it where needed.
pub(crate) fn accept(bytes: Vec<u8>) -> Result<Accepted, Fault> {
    let component = as_component(bytes)?;
    let checked = check_component(&component, None).map_err(|error| match error {
        ComponentError::Imports(names) => imports(&names),
        other => invalid(&other.to_string()),
    })?;
    if checked.hooks.is_empty() {
        return Err(Fault::new(Code::ScriptNoHook, "the component exports no hook interface of `snaphook:hook`"));
    }
    Ok(Accepted { component, checked })
}

/// The component that an upload is or can be made into. Whether it may be deployed is another question.
///
/// # Errors
/// `component-invalid` or `component-imports` for bytes that are neither.
pub fn as_component(bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    match encoding(&bytes)? {
        Encoding::Component => Ok(bytes),
        Encoding::Module => complete(&bytes),
    }
}

fn imports(names: &[String]) -> Fault {
    let detail = format!("the component imports what is not offered: {}", names.join(", "));
    Fault::new(Code::ComponentImports, excerpt(&detail))
}

fn invalid(why: &str) -> Fault {
    Fault::new(Code::ComponentInvalid, excerpt(why))
}

fn encoding(bytes: &[u8]) -> Result<Encoding, Fault> {
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        _ => Err(invalid("the upload is no WebAssembly: it does not begin as a component or a module does")),
    }
}

/// A core module that `wit-bindgen` prepared carries its world; the component is written from it.
fn complete(module: &[u8]) -> Result<Vec<u8>, Fault> {
    let damaged = |error| invalid(&format!("the core module is cut off or damaged: {error}"));
    let mut has_world = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(damaged)? {
            Payload::CustomSection(section) => has_world |= section.name().starts_with("component-type"),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(damaged)?;
                    if import.module.starts_with("wasi_") {
                        // WASI 0.1: the metadata says nothing of it, and no adapter for it is at hand.
                        return Err(imports(&[format!("{}.{}", import.module, import.name)]));
                    }
                }
            }
            _ => {}
        }
    }
    if !has_world {
        return Err(invalid(
            "the upload is a core module without a component's types; build it with the guest SDK, or make it a component",
        ));
    }
    let component = ComponentEncoder::default().validate(true).module(module).and_then(|mut encoder| encoder.encode());
    component.map_err(|error| {
        let causes: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
        invalid(&format!("no component can be made of the core module: {}", causes.join(": ")))
    })
}
