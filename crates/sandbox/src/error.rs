//! What can go wrong outside an invocation. What goes wrong inside one is a fault of the model.

use std::io;
use std::path::PathBuf;

use snaphook_model::{Code, Fault};

/// The sandbox cannot be set up, or its directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine refuses to start.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The interpreter's code does not load.
    #[error("the interpreter's compiled code does not load: {0}")]
    Interpreter(String),
    /// The directory of compiled code cannot be used.
    #[error("{}: {source}", path.display())]
    CodeDirectory {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn engine(error: impl Into<wasmtime::Error>) -> Self {
        Self::Engine(chain(&error.into()))
    }
}

/// A component is not what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// It imports what is not offered.
    #[error("the component imports what is not offered: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It does not validate, has a hook of the wrong type, or is larger than a sandbox.
    #[error("{0}")]
    Invalid(String),
    /// Its code was made by another release or with other settings, or belongs to another build of the interpreter. Compile it again.
    #[error("the compiled code belongs to another build: {0}")]
    Stale(String),
}

impl From<ComponentError> for Fault {
    fn from(error: ComponentError) -> Self {
        let code = match error {
            ComponentError::Imports(_) => Code::ComponentImports,
            ComponentError::Invalid(_) => Code::ComponentInvalid,
            ComponentError::Stale(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let line = cause.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(line.trim());
    }
    text
}
