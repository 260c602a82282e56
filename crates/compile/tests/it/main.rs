//! Source and wasm through the whole compiler, into the sandbox.

mod children;
mod measure;
mod scripts;
mod support;
mod wasm;
