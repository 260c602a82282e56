//! The statements, one text for both databases: numbered parameters, `ON CONFLICT`, `RETURNING`. What only one of them reads is in [`postgres`].

pub(crate) mod audit;
pub(crate) mod awaited;
pub(crate) mod connections;
pub(crate) mod documents;
pub(crate) mod history;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod objects;
pub(crate) mod overview;
pub(crate) mod postgres;
pub(crate) mod recordings;
pub(crate) mod reseal;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod subjects;
pub(crate) mod tenants;
pub(crate) mod waiting;

/// The tables, in steps that both databases take; see [`postgres::COLLATION`] for the one word that is replaced.
pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
