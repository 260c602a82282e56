//! The front end over a real store, sandbox and egress: requests in, answers out.

mod calls;
mod connectors;
mod documents;
mod flows;
mod listener;
mod node;
mod openapi;
mod rights;
mod runs;
mod support;
mod tenants;
mod tokens;
mod versions;
