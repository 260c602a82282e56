//! Connections.

/// Revisions begin with the time, so that one of the same name that is made later has none that an earlier one had.
pub(crate) const INSERT: &str = "INSERT INTO connections (tenant, name, document, sealed, revision, status, updated_at) \
     VALUES ($1, $2, $3, $4, $6, $5, $6) ON CONFLICT (tenant, name) DO NOTHING";
/// Another document with the same credentials: the token stays.
pub(crate) const CHANGE: &str = "UPDATE connections SET document = $3, sealed = $4, revision = revision + 1, updated_at = $5, \
     fetching_until = NULL WHERE tenant = $1 AND name = $2 AND revision = $6";
/// Other credentials: the token goes along with those that it was fetched with.
pub(crate) const REPLACE: &str = "UPDATE connections SET document = $3, sealed = $4, revision = revision + 1, status = $5, updated_at = $6, \
     status_detail = NULL, token = NULL, token_expires_at = NULL, fetching_until = NULL WHERE tenant = $1 AND name = $2 AND revision = $7";
pub(crate) const GET: &str = "SELECT name, document, sealed, revision, token, token_expires_at, status, status_detail, updated_at \
     FROM connections WHERE tenant = $1 AND name = $2";
pub(crate) const LIST: &str = "SELECT name, document, sealed, revision, token, token_expires_at, status, status_detail, updated_at \
     FROM connections WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3";
pub(crate) const DELETE: &str = "DELETE FROM connections WHERE tenant = $1 AND name = $2";
pub(crate) const BEGIN_FETCHING: &str = "UPDATE connections SET fetching_until = $5 WHERE tenant = $1 AND name = $2 AND revision = $3 \
     AND (fetching_until IS NULL OR fetching_until < $4)";
pub(crate) const END_FETCHING: &str = "UPDATE connections SET token = COALESCE($4, token), \
     token_expires_at = CASE WHEN $4 IS NULL THEN token_expires_at ELSE $5 END, status = $6, status_detail = $7, \
     revision = revision + 1, fetching_until = NULL WHERE tenant = $1 AND name = $2 AND revision = $3";

/// Those that were begun with other credentials.
pub(crate) const FORGET_AUTHORIZATIONS: &str = "DELETE FROM authorizations WHERE tenant = $1 AND connection = $2";
pub(crate) const FORGET_EXPIRED: &str = "DELETE FROM authorizations WHERE expires_at <= $1";
pub(crate) const BEGIN_AUTHORIZATION: &str =
    "INSERT INTO authorizations (state, tenant, connection, verifier, expires_at) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const HAS_AUTHORIZATION: &str = "SELECT 1 FROM authorizations WHERE state = $1 AND expires_at > $2";
pub(crate) const TAKE_AUTHORIZATION: &str =
    "DELETE FROM authorizations WHERE state = $1 AND expires_at > $2 RETURNING tenant, connection, verifier";
