//! What only PostgreSQL reads. Everything else in this folder is one text for both databases. The differences, all of them:
//!
//! * **Turns.** SQLite has one writer at a time. Here, [`CHANGE`] makes changes of one tenant's definitions take turns, [`KEEP_TENANT`] and
//!   [`LOCK_TENANT`] keep runs from being written for a tenant who is being deleted, [`LOCK_CALLBACK`] and [`LOCK_QUEUED`] make those take turns
//!   who write a run down, call it back or cancel it, and [`CLAIM_DUE`] passes by what another node is claiming (`FOR UPDATE SKIP LOCKED`). Rows
//!   are locked in this order: tenant, callback, queue, run.
//! * **Leases** end by the database's clock ([`NOW`]), so that nodes whose clocks differ agree. On SQLite they do not end.
//! * **Notices.** `LISTEN` and `NOTIFY` where the server has them. They wake who reads [`CHANGES_SINCE`], which is also read without them: the
//!   table is the truth, so a lost notice, a pooler between or a server without them delays it by half a second.
//! * **Order of text.** Columns are made with [`COLLATION`], so that lists have SQLite's order and a new version of the system's collations
//!   damages no index.
//! * **Migrations** run under an advisory lock, which sqlx takes.
//! * **Codes of errors** are told apart in `database/failure.rs`.

use super::runs::around;

/// Replaces the name of the type in migrations.
pub(crate) const COLLATION: (&str, &str) = (" TEXT", " TEXT COLLATE \"C\"");

/// Channels of notices. The payload of the first is a tenant's name, or empty; of the second, when the run is due.
pub(crate) const CHANGES_CHANNEL: &str = "snaphook_changes";
pub(crate) const DUE_CHANNEL: &str = "snaphook_due";

/// Microseconds since 1970.
pub(crate) const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// The first statement of whatever changes a tenant's definitions: the row is locked until the end.
pub(crate) const CHANGE: &str = "INSERT INTO changes (tenant, revision, changed_at) \
     VALUES ($1, 1, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) \
     ON CONFLICT (tenant) DO UPDATE SET revision = changes.revision + 1, changed_at = excluded.changed_at";
pub(crate) const NOTIFY_CHANGE: &str = "SELECT CAST(pg_notify('snaphook_changes', $1) AS TEXT)";
pub(crate) const NOTIFY_DUE: &str = "SELECT CAST(pg_notify('snaphook_due', $1) AS TEXT)";
/// Oldest first, so that a list that was cut off goes on after its last row.
pub(crate) const CHANGES_SINCE: &str =
    "SELECT tenant, revision, changed_at FROM changes WHERE changed_at >= $1 ORDER BY changed_at LIMIT $2";

pub(crate) const KEEP_TENANT: &str = " FOR KEY SHARE";
pub(crate) const LOCK_TENANT: &str = "SELECT name FROM tenants WHERE name = $1 FOR UPDATE";

pub(crate) const LOCK_CALLBACK: &str = "SELECT run FROM callbacks WHERE tenant = $1 AND correlation = $2 FOR UPDATE";
/// As [`super::runs::RENEW`], unless somebody holds the row.
pub(crate) const RENEW_UNLESS_HELD: &str = "UPDATE run_queue SET lease_until = $4 WHERE tenant = $1 AND id IN ( \
     SELECT id FROM run_queue WHERE tenant = $1 AND id = $2 AND lease_token = $3 FOR UPDATE SKIP LOCKED) RETURNING cancelled";
pub(crate) const LOCK_QUEUED: &str = "SELECT id FROM run_queue WHERE tenant = $1 AND id = $2 FOR UPDATE";

/// Rows of the queue that are due. Only those: the database finds them one after the other in an index, however many there are, where it would
/// sort them all to join them with something first.
macro_rules! due {
    ($whose:literal, $limit:literal) => {
        concat!(
            "SELECT q.tenant, q.id, q.due_at, q.content_type, q.input, q.input_object, q.checkpoint, q.checkpoint_object, q.writes, \
             q.subject_values, q.cancelled FROM run_queue AS q WHERE q.claimed = 0 AND q.due_at <= $1",
            $whose,
            " ORDER BY q.due_at LIMIT ",
            $limit,
            " FOR UPDATE SKIP LOCKED"
        )
    };
}
/// Runs whose tenant is being deleted are passed by too: who deletes holds a run first and wants its row of the queue then.
macro_rules! claim_due {
    ($($due:expr),+) => {
        concat!(
            "WITH due AS (",
            $($due,)+
            "), found AS ( \
             SELECT due.*, r.record FROM due JOIN runs AS r ON r.tenant = due.tenant AND r.id = due.id FOR NO KEY UPDATE OF r SKIP LOCKED \
             ), claimed AS ( \
             UPDATE run_queue AS q SET claimed = 1, lease_token = $3, \
             lease_until = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + $4 \
             FROM found WHERE q.tenant = found.tenant AND q.id = found.id \
             ), running AS ( \
             UPDATE runs AS r SET status = 'running', started_at = CASE r.status WHEN 'queued' THEN $1 ELSE r.started_at END \
             FROM found WHERE r.tenant = found.tenant AND r.id = found.id \
             ) SELECT tenant, record, content_type, input, writes, subject_values, id, checkpoint, input_object, checkpoint_object, ",
            around!("found"),
            ", cancelled FROM found ORDER BY due_at"
        )
    };
}
/// Claims under token $3 for $4 microseconds what is due at $1, up to $2 runs, and gives rows as [`super::runs::DUE`] does.
pub(crate) const CLAIM_DUE: &str = claim_due!(due!("", "$2"));
/// The same of the tenants $5, as many of each as $2 says at its place; both are lists with commas.
pub(crate) const CLAIM_DUE_OF: &str = claim_due!(
    "SELECT of_one.* FROM unnest(string_to_array($5, ','), CAST(string_to_array($2, ',') AS BIGINT[])) AS turn(tenant, share) CROSS JOIN LATERAL (",
    due!(" AND q.tenant = turn.tenant", "turn.share"),
    ") AS of_one"
);

/// Whether writes are taken: off on a standby and where the operator says so.
pub(crate) const READ_ONLY: &str = "SELECT current_setting('transaction_read_only')";
pub(crate) const SERVER_VERSION: &str = "SELECT current_setting('server_version_num')";
pub(crate) const SHOWN_VERSION: &str = "SELECT current_setting('server_version')";
pub(crate) const MAY_CREATE: &str = "SELECT CAST(has_schema_privilege(current_schema(), 'CREATE') AS TEXT)";
pub(crate) const MIGRATIONS: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
/// Fails without the rights to use what there is.
pub(crate) const MAY_USE: &str = "SELECT revision FROM changes LIMIT 1";
