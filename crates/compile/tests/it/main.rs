//! Source and wasm through the whole compiler, into the sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod children;
mod embedding;
mod given_bytes;
mod measure;
mod platform;
mod prepared;
mod scripts;
mod support;
mod types;
mod unchanged;
mod wasm;
