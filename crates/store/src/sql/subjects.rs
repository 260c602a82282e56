//! Subjects and their values.

pub(crate) const INSERT: &str = "INSERT INTO subjects (tenant, id, document, updated_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, id) DO NOTHING";
pub(crate) const UPDATE: &str = "UPDATE subjects SET document = $3, updated_at = $4 WHERE tenant = $1 AND id = $2";
pub(crate) const GET: &str = "SELECT id, document, updated_at FROM subjects WHERE tenant = $1 AND id = $2";
pub(crate) const LIST: &str = "SELECT id, document, updated_at FROM subjects WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(crate) const DELETE: &str = "DELETE FROM subjects WHERE tenant = $1 AND id = $2";
/// Makes a subject without values if there is none, keeps others from it until the end, and gives it.
pub(crate) const HOLD: &str = "INSERT INTO subjects (tenant, id, document, updated_at) VALUES ($1, $2, '{}', $3) \
     ON CONFLICT (tenant, id) DO UPDATE SET updated_at = excluded.updated_at RETURNING id, document, updated_at";
