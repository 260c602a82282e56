//! Secrets.

pub(crate) const INSERT: &str =
    "INSERT INTO secrets (tenant, name, sealed, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, name) DO NOTHING";
pub(crate) const UPDATE: &str = "UPDATE secrets SET sealed = $3, updated_at = $4 WHERE tenant = $1 AND name = $2";
pub(crate) const GET: &str = "SELECT sealed FROM secrets WHERE tenant = $1 AND name = $2";
pub(crate) const LIST: &str = "SELECT name, updated_at FROM secrets WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3";
pub(crate) const DELETE: &str = "DELETE FROM secrets WHERE tenant = $1 AND name = $2";
