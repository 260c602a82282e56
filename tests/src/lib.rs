//! What the black-box tests, the demo and the benchmark share: a real node as a process, an HTTP client, tenants.

#![forbid(unsafe_code)]

pub mod browser;
pub mod client;
pub mod examples;
pub mod neighbours;
pub mod node;
pub mod pages;
pub mod process;
pub mod shell;
mod webdriver;

pub use browser::Browser;
pub use client::{Client, Response};
pub use node::{NodeProcess, OPERATOR, Tenant};
pub use process::NodeOptions;
