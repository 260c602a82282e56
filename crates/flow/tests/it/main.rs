//! Calls and flows against real parts: sandbox, egress, SQLite, and an upstream on loopback.

mod calls;
mod flows;
mod hooks;
mod queued;
mod rig;
mod scripts;
