//! Records of changes.

pub(crate) const ADD: &str = "INSERT INTO audit (tenant, id, at, action, record) VALUES ($1, $2, $3, $4, $5)";
/// Newest first, before $2 and not before $3, made at $4 or later.
pub(crate) const LIST: &str =
    "SELECT id, record FROM audit WHERE tenant = $1 AND id < $2 AND id >= $3 AND at >= $4 ORDER BY id DESC LIMIT $5";
pub(crate) const LIST_OF_ACTION: &str =
    "SELECT id, record FROM audit WHERE tenant = $1 AND id < $2 AND id >= $3 AND at >= $4 AND action = $6 ORDER BY id DESC LIMIT $5";

pub(crate) const ANY_BEFORE: &str = "SELECT id FROM audit WHERE tenant = $1 AND id < $2 LIMIT 1";
/// The oldest of those before $2, $3 at most.
pub(crate) const DELETE_BEFORE: &str = "DELETE FROM audit WHERE tenant = $1 AND id IN \
     (SELECT a.id FROM audit AS a WHERE a.tenant = $1 AND a.id < $2 ORDER BY a.id LIMIT $3)";
