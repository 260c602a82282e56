//! Runs components inside budgets: every invocation in a fresh sandbox of its own, which is thrown away afterwards.
//!
//! One path for every component, whatever language it came from: [`Sandbox::load`] makes compiled code a [`Program`], and
//! [`Sandbox::invoke`] calls one hook of it in a new store under the given limits. Nothing in here can reach a network or a
//! database; HTTP goes out through a [`GuestHttp`] that the caller lends. This crate alone knows wasmtime.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod abi;
mod artifact;
mod background;
mod chance;
mod check;
mod code;
mod convert;
mod data;
mod engine;
mod error;
mod fault;
mod host;
mod inspect;
mod invoke;
mod log;
mod meter;
mod parts;
mod positions;
mod post_mortem;
mod program;
mod sandbox;
mod short;
mod ticker;
pub mod wasm;

pub use code::{CodeStore, ProgramKey};
pub use engine::{Settings, engine_for_compile};
pub use error::{ComponentError, SandboxError};
pub use host::http::{GuestHttp, HttpFuture, MAX_EXCHANGE_BYTES};
pub use host::keys::{GuestKeys, GuestMac, SignFuture};
pub use host::state::{GuestState, StateFuture};
pub use inspect::{Checked, InterpreterCode, check_component, precompile_component, precompile_module};
pub use invoke::{Invocation, Outcome, Recorded};
pub use positions::{ImportedSource, Place, SourceMaps, Sources};
pub use program::Program;
pub use sandbox::{Sandbox, SandboxConfig};
