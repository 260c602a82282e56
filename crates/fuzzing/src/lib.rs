//! What is done with hostile bytes: one function for each way in that a tenant, an upstream or a stranger has.
//!
//! A function returns when the bytes were taken or refused in order, and panics when something that must hold does not. `fuzz/` has a target of a
//! fuzzer for each; `tests/seeds.rs` runs the seeds, and what comes of them by small changes, wherever the tests run.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answers;
mod documents;
mod front;
mod sources;
mod templates;
mod uploads;

pub use answers::answers;
pub use documents::documents;
pub use front::front;
pub use sources::sources;
pub use templates::templates;
pub use uploads::uploads;

/// A way in, by the name that its target and the folder of its seeds have.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// What is done with bytes.
    pub run: fn(&[u8]),
    /// How many changed inputs a test may afford: some cost microseconds, others a sandbox or a database.
    pub tries: u32,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "answers", run: answers, tries: 2_000 },
    Target { name: "documents", run: documents, tries: 4_000 },
    Target { name: "front", run: front, tries: 600 },
    Target { name: "sources", run: sources, tries: 1_000 },
    Target { name: "templates", run: templates, tries: 4_000 },
    Target { name: "uploads", run: uploads, tries: 2_000 },
];
