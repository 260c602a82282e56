//! The second wall: takes from a process, for good, what it does not need. What breaks out of a sandbox finds no more than that.
//!
//! Files, ports and signals are landlock's, system calls seccomp's; both are the kernel's, need no rights, and hold for children too. A process
//! calls [`confine`] or [`close`] while it has one thread, and nothing of it can be taken back. This crate alone knows either of them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod calls;
mod files;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether there is a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None.
    Off,
    /// As much of it as the kernel has.
    #[default]
    On,
    /// All of it; a process that cannot have it does not go on.
    Require,
}

/// What a process may still do outside of itself. A path stands for all that is below it; one that does not exist is passed over.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// To be read.
    pub read: Vec<PathBuf>,
    /// To be read, made, changed and removed.
    pub write: Vec<PathBuf>,
    /// To be read and started as a program.
    pub run: Vec<PathBuf>,
    /// Ports of TCP to listen on; 0 stands for any that the system gives.
    pub listen: Vec<u16>,
    /// Sockets in the file system, of any server of the machine: landlock does not tell them apart.
    pub local_servers: bool,
}

/// What holds from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InForce {
    /// Each a few words.
    pub stands: Vec<String>,
    /// What the kernel does not have, with what follows from it.
    pub missing: Vec<String>,
}

/// The wall is required, and not all of it is to be had.
#[derive(Debug, thiserror::Error)]
#[error("the second wall is required, and not all of it can be had here: {0}")]
pub struct WallError(String);

/// Confines a node: its own files, its own port, no calls that only an administrator or an attacker has use for.
///
/// # Errors
/// With [`Mode::Require`] only: what is missing.
pub fn confine(mode: Mode, allowed: &Allowed) -> Result<InForce, WallError> {
    build(mode, || files::confine(allowed), || calls::confine(allowed.local_servers))
}

/// Closes a process that works on what it has been handed: no file, no socket, no other program, nothing but memory, threads of its own, and what
/// is open already.
///
/// # Errors
/// With [`Mode::Require`] only: what is missing.
pub fn close(mode: Mode) -> Result<InForce, WallError> {
    build(mode, files::close, calls::close)
}

/// What this kernel would give, without taking anything from the process.
#[must_use]
pub fn offered() -> InForce {
    let mut offered = files::offered();
    calls::offered(&mut offered);
    offered
}

/// System calls last: what sets up the rest is among them.
fn build(mode: Mode, files: impl FnOnce() -> InForce, calls: impl FnOnce() -> InForce) -> Result<InForce, WallError> {
    if mode == Mode::Off {
        return Ok(InForce::missing("it is switched off"));
    }
    let mut all = files();
    let calls = calls();
    all.stands.extend(calls.stands);
    all.missing.extend(calls.missing);
    match mode {
        Mode::Require if !all.missing.is_empty() => Err(WallError(all.missing.join("; "))),
        _ => Ok(all),
    }
}

impl InForce {
    fn missing(why: impl Into<String>) -> Self {
        Self { stands: Vec::new(), missing: vec![why.into()] }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stands.as_slice() {
            [] => formatter.write_str("none")?,
            stands => formatter.write_str(&stands.join(", "))?,
        }
        match self.missing.as_slice() {
            [] => Ok(()),
            missing => write!(formatter, " (missing: {})", missing.join("; ")),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "require" => Ok(Self::Require),
            _ => Err(format!("`{text}` is none of off, on and require")),
        }
    }
}
