//! Black-box tests: a real node over HTTP, a real upstream on loopback. Tests named `f001_…` hold a row of the conformance list,
//! those named `limit_…` a limit.

#![expect(clippy::unwrap_used, reason = "what a test relies on, it may unwrap")]

mod braincloud;
mod brought;
mod callbacks;
mod canary;
mod cases;
mod chaos;
mod commands;
mod connection_failures;
mod connections;
mod contract;
mod crash;
mod determinism;
mod examples;
mod failures;
mod files;
mod folders;
mod full_disk;
mod headers;
mod hostile;
mod hostile_wasm;
mod idempotency;
mod imports;
mod isolation;
mod kept_code;
mod library;
mod limits;
mod manifests;
mod many_nodes;
mod objects;
mod on_error;
mod patchworks;
mod polling;
mod post_hooks;
mod post_request;
mod pre_hooks;
mod precedence;
mod prismatic;
mod replay;
mod replay_many;
mod retention;
mod runs;
mod saving;
mod scripts;
mod shared_database;
mod signatures;
mod ssrf;
mod state;
mod streaming;
mod subjects;
mod support;
mod templates;
mod tenancy;
mod triggers;
