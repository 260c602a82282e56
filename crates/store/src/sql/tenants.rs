//! Tenants, tokens and the node's own values.

pub(crate) const INSERT: &str =
    "INSERT INTO tenants (name, document, created_at, updated_at) VALUES ($1, $2, $3, $3) ON CONFLICT (name) DO NOTHING";
pub(crate) const UPDATE: &str = "UPDATE tenants SET document = $2, updated_at = $3 WHERE name = $1";
pub(crate) const GET: &str = "SELECT name, document, created_at, updated_at FROM tenants WHERE name = $1";
pub(crate) const LIST: &str = "SELECT name, document, created_at, updated_at FROM tenants WHERE name > $1 ORDER BY name LIMIT $2";
pub(crate) const DELETE: &str = "DELETE FROM tenants WHERE name = $1";

/// What binds or imports a version goes first: PostgreSQL asks about it before it has followed every way that leads there.
pub(crate) const DELETE_BINDINGS: &str = "DELETE FROM bindings WHERE tenant = $1";
pub(crate) const DELETE_IMPORTS: &str = "DELETE FROM script_imports WHERE tenant = $1";

pub(crate) const ADD_TOKEN: &str = "INSERT INTO tokens (tenant, id, hash, record) VALUES ($1, $2, $3, $4)";
pub(crate) const LIST_TOKENS: &str = "SELECT id, record, last_used_at FROM tokens WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(crate) const DELETE_TOKEN: &str = "DELETE FROM tokens WHERE tenant = $1 AND id = $2";
/// Nodes may tell it in another order than it was.
pub(crate) const USE_TOKEN: &str =
    "UPDATE tokens SET last_used_at = $3 WHERE tenant = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $3)";
pub(crate) const FIND_TOKEN: &str = "SELECT tenant, record FROM tokens WHERE hash = $1";

pub(crate) const GET_META: &str = "SELECT value FROM meta WHERE name = $1";
pub(crate) const SET_META: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(crate) const ADD_META: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
pub(crate) const PING: &str = "SELECT name FROM tenants LIMIT 1";
pub(crate) const REMOVE_META: &str = "DELETE FROM meta WHERE name = $1";
