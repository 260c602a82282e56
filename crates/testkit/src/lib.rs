//! What tests share, for development only: an upstream on loopback that answers as told, well or badly, a PostgreSQL cluster, a storage of objects,
//! and a link that breaks.
//!
//! Nothing here sleeps. A test that needs two things in order holds one of them with a [`Gate`] and waits for the other with [`Upstream::received`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answer;
mod gate;
pub mod keys;
mod large;
mod link;
pub mod postgres;
mod s3;
mod serve;
mod tls;
mod upstream;

pub use answer::Answer;
pub use gate::Gate;
pub use large::{Skimmed, pattern};
pub use link::{Link, Replacement};
pub use s3::S3;
pub use tls::Certificate;
pub use upstream::{Recorded, Upstream};
