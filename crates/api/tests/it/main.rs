//! The front end over a real store, sandbox and egress: requests in, answers out.

#![expect(clippy::unwrap_used, reason = "what a test relies on, it may unwrap")]

mod calls;
mod connectors;
mod documents;
mod flows;
mod listener;
mod memory;
mod node;
mod openapi;
mod runs;
mod support;
mod tenants;
mod tls;
mod tokens;
mod versions;
