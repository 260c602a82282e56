//! The HTTP front end: listener, routes, tokens, admission, answers. It alone knows our status codes.
//!
//! [`serve`] takes connections for an [`Api`]; [`Programs`] deploys uploads and loads them for whoever runs them.
//! Not here: what a hook may do (sandbox), what happens in a call (flow), and what is durable (store).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod activity;
mod admission;
mod ambient;
mod answer;
mod auth;
mod author;
mod body;
mod cache;
mod compiled;
mod definitions;
mod extract;
mod finish;
mod flights;
mod follow;
mod front;
mod generated_pages;
mod idempotency;
mod library;
mod openapi;
mod outcome;
mod overviews;
mod page;
mod peers;
mod prefer;
mod problem;
mod programs;
mod quotas;
mod room;
mod routes;
mod serve;
mod shared;
mod status;
mod summary;
mod taken;
mod tenants;
mod tls;
mod turn;
mod uses;
mod watch;

pub use auth::{new_token, token_hash};
pub use front::Api;
pub use generated_pages::{errors_page, routes_page};
pub use openapi::openapi_json;
pub use programs::{Programs, ProgramsParts};
pub use serve::serve;
pub use shared::{ApiConfig, ApiParts};
pub use tls::{Identity, IdentityError, Tls};
