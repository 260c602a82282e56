//! Errors of hooks: a message and the place where it arose.

use std::fmt;
use std::panic::Location;

/// What a hook returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a hook failed. The run records it as the fault `script-threw`, or `script-contract` when made with [`Error::contract`].
///
/// Every error type converts into it with `?`, which also records the line of the `?`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    at: &'static Location<'static>,
}

/// Which fault the run records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// `script-threw`: something failed in the hook.
    Threw,
    /// `script-contract`: the hook was asked for something that it cannot do.
    Contract,
}

impl Error {
    /// A failure with a message.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Self {
        Self::at(ErrorKind::Threw, message.into(), Location::caller())
    }

    /// A breach of the hook's contract, such as parameters that a binding should not have.
    #[track_caller]
    pub fn contract(message: impl Into<String>) -> Self {
        Self::at(ErrorKind::Contract, message.into(), Location::caller())
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Which fault the run records.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where in the guest's source it arose. A conversion by `map_err(Into::into)` in place of `?` has lost that place and gives one in the
    /// standard library.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.at
    }

    fn at(kind: ErrorKind, message: String, at: &'static Location<'static>) -> Self {
        Self(Box::new(Inner { kind, message, at }))
    }
}

// `Error` does not implement `std::error::Error` itself: the conversion from all types that do would then overlap with `From<T> for T`.
impl<E: std::error::Error> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        let at = Location::caller();
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            source = inner.source();
        }
        Self::at(ErrorKind::Threw, message, at)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {})", self.0.message, self.0.at)
    }
}

/// Leaves the hook with an error whose message is formatted like `format!`'s.
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::std::result::Result::Err($crate::Error::new(::std::format!($($message)+)))
    };
}
