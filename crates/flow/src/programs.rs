//! What the runner asks of whoever owns scripts.

use std::pin::Pin;

use snaphook_model::{Fault, Name, TenantName};
use snaphook_sandbox::Program;

/// A program, some time from now.
pub type ProgramsFuture<'a> = Pin<Box<dyn Future<Output = Result<Program, Fault>> + Send + 'a>>;

/// Finds the programs of script versions.
pub trait Programs: Send + Sync {
    /// The program of a script version, compiled again where its compiled code is gone.
    ///
    /// # Errors
    /// `not-found` when the tenant has no such version, else why it cannot be made ready.
    fn load<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> ProgramsFuture<'a>;
}
