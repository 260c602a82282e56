//! What has had its time.

/// Runs that have ended and go by the tenant's usual times, between two ids.
macro_rules! usual {
    ($head:literal, $last:literal) => {
        concat!(
            $head,
            " FROM runs WHERE tenant = $1 AND id > $2 AND id ",
            $last,
            " AND logs_until IS NULL AND status NOT IN ('queued', 'running', 'waiting')"
        )
    };
    ($head:literal, $last:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM runs WHERE tenant = $1 AND id > $2 AND id ",
            $last,
            " AND logs_until IS NULL AND status NOT IN ('queued', 'running', 'waiting')",
            $tail
        )
    };
}

pub(crate) const MARKS: &str = "SELECT payloads_before, logs_before FROM sweeps WHERE tenant = $1";
/// Keeps others from going through a tenant's runs until the end; no row for a tenant who does not exist.
pub(crate) const HOLD: &str = "INSERT INTO sweeps (tenant, payloads_before, logs_before) SELECT name, '', '' FROM tenants WHERE name = $1 \
     ON CONFLICT (tenant) DO UPDATE SET tenant = excluded.tenant RETURNING payloads_before, logs_before";
pub(crate) const SET_PAYLOADS_MARK: &str = "UPDATE sweeps SET payloads_before = $2 WHERE tenant = $1";
pub(crate) const SET_LOGS_MARK: &str = "UPDATE sweeps SET logs_before = $2 WHERE tenant = $1";

pub(crate) const USUAL_IDS: &str = usual!("SELECT id", "< $3", " ORDER BY id LIMIT $4");
pub(crate) const USUAL_RECORDS: &str = usual!("SELECT id, record", "< $3", " ORDER BY id LIMIT $4");
pub(crate) const DELETE_USUAL: &str = usual!("DELETE", "<= $3");

pub(crate) const OWN_IDS: &str = "SELECT id FROM runs WHERE tenant = $1 AND logs_until <= $2 LIMIT 1";
pub(crate) const OWN_RECORDS: &str = "SELECT id, record FROM runs WHERE tenant = $1 AND payloads_until <= $2 LIMIT $3";
/// Runs whose own time is over, $3 at most; in an order, so that two statements mean the same ones.
macro_rules! own {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " WHERE tenant = $1 AND id IN (SELECT r.id FROM runs AS r WHERE r.tenant = $1 AND r.logs_until <= $2 \
             ORDER BY r.logs_until, r.id LIMIT $3)",
            $tail
        )
    };
}

pub(crate) const DELETE_OWN: &str = own!("DELETE FROM runs", "");

/// Takes the recordings that are objects from the runs that [`DELETE_OWN`] deletes next.
pub(crate) const TAKE_OWN: &str = own!("DELETE FROM run_recordings", " AND object IS NOT NULL RETURNING object");
/// The same for [`DELETE_USUAL`].
pub(crate) const TAKE_USUAL: &str = "DELETE FROM run_recordings WHERE tenant = $1 AND id > $2 AND id <= $3 AND object IS NOT NULL AND EXISTS \
     (SELECT 1 FROM runs AS r WHERE r.tenant = run_recordings.tenant AND r.id = run_recordings.id AND r.logs_until IS NULL \
     AND r.status NOT IN ('queued', 'running', 'waiting')) RETURNING object";

pub(crate) const SET_RECORD: &str = "UPDATE runs SET record = $3, payloads_until = NULL WHERE tenant = $1 AND id = $2";
pub(crate) const SET_REMOVED: &str = "UPDATE runs SET payloads_until = NULL WHERE tenant = $1 AND id = $2";
pub(crate) const DELETE_RECORDING: &str = "DELETE FROM run_recordings WHERE tenant = $1 AND id = $2 RETURNING object";
/// Of those that were not heard, and of those that a release before took: their text is $3, which is [`super::waiting::TAKEN`].
pub(crate) const EMPTY_CALLBACKS: &str = "UPDATE callbacks SET callback = $3, body = NULL, sealed = NULL \
     WHERE tenant = $1 AND run = $2 AND (body IS NOT NULL OR sealed IS NOT NULL)";

pub(crate) const ANY_KEY: &str = "SELECT path FROM idempotency_keys WHERE tenant = $1 AND begun_at < $2 LIMIT 1";
