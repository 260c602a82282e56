//! Runs whose end somebody waits for.

pub(crate) const FORGET_OLD: &str = "DELETE FROM awaited_runs WHERE kept_until < $1";
pub(crate) const INSERT: &str = "INSERT INTO awaited_runs (tenant, id, kept_until) VALUES ($1, $2, $3) ON CONFLICT (tenant, id) DO NOTHING";
pub(crate) const TELL: &str = "UPDATE awaited_runs SET outcome = $3 WHERE tenant = $1 AND id = $2";
pub(crate) const GET: &str = "SELECT a.outcome, r.status FROM awaited_runs AS a LEFT JOIN runs AS r ON r.tenant = a.tenant AND r.id = a.id \
     WHERE a.tenant = $1 AND a.id = $2";
pub(crate) const FORGET: &str = "DELETE FROM awaited_runs WHERE tenant = $1 AND id = $2";
