//! Decides what happens next in a call or a flow, and makes it happen.
//!
//! [`machine`] decides and is pure; [`Runner`] drives: hooks in the sandbox, requests through egress, records into the store.
//! Not here: HTTP status codes of our answers, and what any of the stores, sandboxes or sockets is made of.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod authorize;
mod awaiting;
mod callbacks;
mod clock;
mod connections;
mod definitions;
mod drive;
mod driven;
pub mod events;
mod fetch;
mod files;
mod history;
mod keys;
pub mod machine;
mod mask;
mod multipart;
mod outcome;
mod prepare;
mod prepared;
mod programs;
mod record;
mod recording;
mod replay;
mod requeue;
mod reseal;
mod retention;
mod runner;
mod runs;
mod secrets;
pub mod template;
mod used;
mod variables;
mod watched;

pub use clock::{Clock, SystemClock};
pub use definitions::{Definitions, DefinitionsFuture};
pub use files::FileSpace;
pub use outcome::{Finished, Outcome};
pub use prepared::{PreparedBinding, PreparedEndpoint, PreparedFlow};
pub use programs::{Programs, ProgramsFuture};
pub use record::MAX_BODY_BYTES;
pub use replay::{Made, Replayed};
pub use reseal::{Resealed, reseal_all};
pub use runner::{RunInput, Runner, RunnerConfig, RunnerParts};
