//! Calls and flows against real parts: sandbox, egress, SQLite, and an upstream on loopback.

#![expect(clippy::unwrap_used, reason = "what a test relies on, it may unwrap")]

mod calls;
mod flows;
mod hooks;
mod killed;
mod queued;
mod retention;
mod rig;
mod scripts;
