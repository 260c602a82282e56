//! Decides, and does nothing else: a definition and the facts so far give the next action. No I/O, no clock, no chance.
//!
//! [`call`] is one call of an endpoint with its hooks, [`script`] one script step, [`run`] is a flow's steps and what follows a failed run.

pub mod call;
mod input;
pub mod path;
pub mod plan;
mod retry_after;
pub mod run;
pub mod script;

pub use call::{Action, Call, End, Event, Failure, IllegalEvent, Repeat};
pub use input::{Arguments, as_json};
pub use path::ResponsePath;
pub use plan::{Accept, BoundHooks, CallPlan};
pub use run::{Run, RunAction, RunEnd, RunPlan};
pub use script::{ScriptAction, ScriptEvent, ScriptStep};

#[cfg(test)]
mod tests;
