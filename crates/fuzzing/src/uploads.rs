//! Uploads of WebAssembly, up to the compiler, which has a process of its own for them.

use std::panic::{catch_unwind, set_hook, take_hook};

use snaphook_compile::as_component;
use snaphook_model::{Blame, Code};

/// Takes the bytes as an upload. Either there is a component, or a fault that says what is wrong with the upload.
pub fn uploads(bytes: &[u8]) {
    // Libraries that read wasm assert what they expect of it; the child that they run in takes that as a refusal. A fuzzer is not to.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let made = catch_unwind(|| as_component(bytes.to_vec()));
    set_hook(hook);
    match made {
        Ok(Ok(component)) => assert!(component.starts_with(b"\0asm"), "what is no WebAssembly was taken for a component"),
        Ok(Err(fault)) => {
            assert!(matches!(fault.code, Code::ComponentInvalid | Code::ComponentImports) && fault.blame() == Blame::Guest, "{fault:?}");
            // A sentence of the upload's own choice is cut.
            assert!(!fault.detail.is_empty() && fault.detail.len() < 10_000, "{} bytes of detail", fault.detail.len());
        }
        Err(_) => {}
    }
}
