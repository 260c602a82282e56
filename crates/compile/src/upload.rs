//! Uploaded wasm: components as they are, core modules with the metadata of `wit-bindgen` made into components. Checked either way.

use snaphook_model::{Code, Fault};
use snaphook_sandbox::{Checked, ComponentError, check_component};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

/// A component that may be deployed, with its compiled code.
pub(crate) struct Accepted {
    pub(crate) component: Vec<u8>,
    pub(crate) checked: Checked,
}

/// Checks an upload and completes it where needed.
pub(crate) fn accept(bytes: Vec<u8>) -> Result<Accepted, Fault> {
    let component = match encoding(&bytes)? {
        Encoding::Component => bytes,
        Encoding::Module => complete(&bytes)?,
    };
    let checked = check_component(&component, None).map_err(|error| match error {
        ComponentError::Imports(names) => imports(&names),
        other => invalid(&other.to_string()),
    })?;
    if checked.hooks.is_empty() {
        return Err(Fault::new(Code::ScriptNoHook, "the component exports no hook interface of `snaphook:hook`"));
    }
    Ok(Accepted { component, checked })
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
    let mut has_world = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload {
            Ok(Payload::CustomSection(section)) => has_world |= section.name().starts_with("component-type"),
            Ok(_) => {}
            Err(error) => return Err(invalid(&format!("the core module is cut off or damaged: {error}"))),
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

/// Messages quote names from the upload, which may be as long as the upload.
fn excerpt(text: &str) -> String {
    const MOST: usize = 600;
    let mut excerpt: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}
