//! What runs that have ended take, and the oldest of them.

use super::objects::object_bytes;

/// Bytes of a recording, in its row or beside the database.
macro_rules! recording {
    () => {
        concat!(
            "COALESCE((SELECT COALESCE(octet_length(c.recording), 0) + ",
            object_bytes!("c", "object", "recordings"),
            " FROM run_recordings AS c WHERE c.tenant = r.tenant AND c.id = r.id), 0)"
        )
    };
}
/// All that goes with a run. No value is read for it, however long it is.
macro_rules! whole {
    () => {
        concat!(
            "CAST(octet_length(r.record) + COALESCE(octet_length(r.summary), 0) + ",
            recording!(),
            " + COALESCE((SELECT SUM(octet_length(e.event)) FROM run_events AS e WHERE e.tenant = r.tenant AND e.id = r.id), 0) \
             + COALESCE((SELECT SUM(COALESCE(octet_length(b.callback), 0) + COALESCE(octet_length(b.body), 0)) FROM callbacks AS b \
             WHERE b.tenant = r.tenant AND b.run = r.id), 0) AS BIGINT)"
        )
    };
}
/// What goes with its payloads, but for what becomes of the record.
macro_rules! payloads {
    () => {
        concat!(
            "CAST(",
            recording!(),
            " + COALESCE((SELECT SUM(COALESCE(octet_length(b.body), 0)) FROM callbacks AS b WHERE b.tenant = r.tenant AND b.run = r.id), 0) \
             AS BIGINT)"
        )
    };
}
/// Runs that have ended, after one and up to another.
macro_rules! ended {
    () => {
        "r.tenant = $1 AND r.id > $2 AND r.id <= $3 AND r.status NOT IN ('queued', 'running', 'waiting')"
    };
}
/// Those that may go as a whole: the ones that say how long they are kept, and of the others those before $4.
macro_rules! may_go {
    () => {
        concat!(ended!(), " AND (r.logs_until IS NOT NULL OR r.id < $4)")
    };
}

/// What is known of a tenant's runs, and the last of them; no row for a tenant who does not exist.
pub(crate) const KNOWN: &str = "SELECT s.history_bytes, s.history_settled, s.history_upto, s.history_whole_at, s.history_due_at, \
     (SELECT r.id FROM runs AS r WHERE r.tenant = t.name ORDER BY r.id DESC LIMIT 1) \
     FROM tenants AS t LEFT JOIN sweeps AS s ON s.tenant = t.name WHERE t.name = $1";
/// Keeps others from looking until $2, unless somebody looks at $3.
pub(crate) const CLAIM: &str = "INSERT INTO sweeps (tenant, payloads_before, logs_before, history_due_at) \
     SELECT name, '', '', CAST($2 AS BIGINT) FROM tenants WHERE name = $1 ON CONFLICT (tenant) DO UPDATE \
     SET history_due_at = excluded.history_due_at WHERE sweeps.history_due_at IS NULL OR sweeps.history_due_at <= $3 RETURNING tenant";
/// Nothing where it is not claimed until $7 any more.
pub(crate) const COUNTED: &str = "UPDATE sweeps SET history_bytes = $2, history_settled = $3, history_upto = $4, history_whole_at = $5, \
     history_due_at = $6 WHERE tenant = $1 AND history_due_at = $7";
/// So much less, $3 of it of what is settled; nobody looks before $4.
pub(crate) const LESS: &str = "UPDATE sweeps SET history_bytes = CASE WHEN history_bytes > $2 THEN history_bytes - $2 ELSE 0 END, \
     history_settled = CASE WHEN history_settled > $3 THEN history_settled - $3 ELSE 0 END, \
     history_due_at = CASE WHEN history_due_at > $4 THEN history_due_at ELSE $4 END WHERE tenant = $1";

/// Up to $4 runs, whether they have ended or not: the last one, how many, and what those take that have ended.
pub(crate) const COUNT: &str = concat!(
    "SELECT MAX(counted.id), COUNT(*), CAST(COALESCE(SUM(counted.bytes), 0) AS BIGINT) FROM (SELECT r.id AS id, \
     CASE WHEN r.status IN ('queued', 'running', 'waiting') THEN 0 ELSE ",
    whole!(),
    " END AS bytes FROM runs AS r WHERE r.tenant = $1 AND r.id > $2 AND r.id <= $3 ORDER BY r.id LIMIT $4) AS counted"
);

pub(crate) const OLDEST: &str = concat!("SELECT r.id, ", whole!(), " FROM runs AS r WHERE ", may_go!(), " ORDER BY r.id LIMIT $5");
pub(crate) const DELETE: &str = concat!("DELETE FROM runs WHERE tenant = $1 AND id IN (SELECT r.id FROM runs AS r WHERE ", may_go!(), ")");
/// Takes the recordings that are objects from the runs that [`DELETE`] deletes next.
pub(crate) const TAKE: &str = concat!(
    "DELETE FROM run_recordings WHERE tenant = $1 AND object IS NOT NULL AND id IN (SELECT r.id FROM runs AS r WHERE ",
    may_go!(),
    ") RETURNING object"
);

/// Records that still have their payloads: of runs that say how long those are kept, and of the others those between the mark $4 and $5.
pub(crate) const OLDEST_RECORDS: &str = concat!(
    "SELECT r.id, r.record, ",
    payloads!(),
    " FROM runs AS r WHERE ",
    ended!(),
    " AND (r.payloads_until IS NOT NULL OR (r.logs_until IS NULL AND r.id > $4 AND r.id < $5)) ORDER BY r.id LIMIT $6"
);
/// The mark of payloads, and up to where runs were counted as settled.
pub(crate) const MARKS: &str = "SELECT payloads_before, history_upto FROM sweeps WHERE tenant = $1";
