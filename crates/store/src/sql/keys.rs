//! Idempotency keys.

pub(crate) const FORGET_OLD: &str = "DELETE FROM idempotency_keys WHERE tenant = $1 AND begun_at < $2";
pub(crate) const INSERT: &str = "INSERT INTO idempotency_keys (tenant, path, name, body, begun_at, run) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (tenant, path, name) DO NOTHING";
pub(crate) const GET: &str = "SELECT body, begun_at, answer, run FROM idempotency_keys WHERE tenant = $1 AND path = $2 AND name = $3";
pub(crate) const ANSWER: &str = "UPDATE idempotency_keys SET answer = $4 WHERE tenant = $1 AND path = $2 AND name = $3";
pub(crate) const FORGET: &str = "DELETE FROM idempotency_keys WHERE tenant = $1 AND path = $2 AND name = $3";
