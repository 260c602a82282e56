//! The statements, one text for every backend: numbered parameters, `ON CONFLICT`, and nothing that only one database reads.

pub(crate) mod documents;
pub(crate) mod recordings;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod secrets;
pub(crate) mod subjects;
pub(crate) mod tenants;
pub(crate) mod waiting;
