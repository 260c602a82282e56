//! Source or wasm to a checked component: `design.md`, "How a script becomes a component".
//!
//! [`Compiler`] hands each upload to a child process with limits, [`child_main`] is that process. Alone owns oxc and wit-component; the engine
//! is the sandbox's.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod child;
mod compiler;
mod evaluate;
mod frame;
mod fresh;
mod image;
mod interpreter;
mod job;
mod library;
mod places;
mod script;
mod shape;
mod text;
mod upload;
mod world;

pub use child::child_main;
pub use compiler::{Compiler, CompilerConfig};
pub use interpreter::{Interpreter, PrepareError, prepare_interpreter};
pub use job::{CompileError, Compiled, Upload, compile_here};
pub use library::{EmptyLibrary, Library, LibraryFuture, LibraryScript};
pub use places::Turn;
pub use script::{ImportStatement, KNOWN_GLOBALS, imports, read_source};
pub use upload::as_component;
