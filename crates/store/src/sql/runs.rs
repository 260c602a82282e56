//! Runs and the queue of those that wait.

use std::fmt::Write;

use super::objects::object_bytes;
use crate::RunFilter;
use snaphook_model::RunStatus;

/// Columns of a row that [`put`] takes.
pub(crate) const COLUMNS: usize = 9;

/// Puts `rows` records at once; those of tenants who do not exist are left out. `keep_tenant` is added to the look at the tenant.
pub(crate) fn put(rows: usize, keep_tenant: &str) -> String {
    let mut values = String::new();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d, e, f, g, h, i] = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|column| row * COLUMNS + column);
        write!(values, "{comma}(${a}, ${b}, ${c}, ${d}, CAST(${e} AS BIGINT), ${f}, CAST(${g} AS BIGINT), CAST(${h} AS BIGINT), ${i})")
            .expect("a String takes every text");
    }
    format!(
        "INSERT INTO runs (tenant, id, flow, status, started_at, record, payloads_until, logs_until, summary) \
         SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9 FROM (VALUES {values}) AS new \
         WHERE EXISTS (SELECT 1 FROM tenants WHERE name = new.column1{keep_tenant}) \
         ON CONFLICT (tenant, id) DO UPDATE SET \
         flow = excluded.flow, status = excluded.status, started_at = excluded.started_at, record = excluded.record, \
         payloads_until = excluded.payloads_until, logs_until = excluded.logs_until, summary = excluded.summary"
    )
}

pub(crate) const STATUS: &str = "SELECT status FROM runs WHERE tenant = $1 AND id = $2";
pub(crate) const GET: &str = "SELECT id, status, started_at, record FROM runs WHERE tenant = $1 AND id = $2";

/// The index that a list goes by; none where that is the primary key. Most runs succeed, so that no index holds those.
pub(crate) fn index(filter: &RunFilter) -> Option<&'static str> {
    match (filter.flow.is_some(), filter.status) {
        (true, _) => Some(BY_FLOW),
        (false, None | Some(RunStatus::Succeeded)) => None,
        (false, Some(_)) => Some(BY_STATUS),
    }
}

/// Indexes by name, which [`crate::database::Database::by_index`] asks for.
pub(crate) const BY_FLOW: &str = "runs_by_flow";
pub(crate) const BY_STATUS: &str = "runs_by_status";

/// Lists what the filter lets through: $1 tenant, $2 the cursor, $3 since, $4 the limit, $5 the oldest id, then flow, status, call and script, each
/// where it is filtered; of the last two what a summary holds, as `LIKE` has it. `by_index` names the index. Last comes the record, which is absent
/// where a summary shows that it does not fit, and how long it is.
pub(crate) fn list(filter: &RunFilter, by_index: &str) -> String {
    let succeeded = filter.status == Some(RunStatus::Succeeded);
    let also = match (filter.flow.is_some(), filter.status.is_some()) {
        (false, false) => "",
        (true, false) => " AND flow = $6",
        (false, true) if succeeded => " AND status = $6",
        // The second condition is what the index of runs that did not succeed asks for.
        (false, true) => " AND status = $6 AND status <> 'succeeded'",
        (true, true) => " AND flow = $6 AND status = $7",
    };
    let next = 6 + usize::from(filter.flow.is_some()) + usize::from(filter.status.is_some());
    let record = match usize::from(filter.call.is_some()) + usize::from(filter.script.is_some()) {
        0 => "record".to_owned(),
        1 => format!("CASE WHEN summary IS NULL OR summary LIKE ${next} THEN record END"),
        _ => format!("CASE WHEN summary IS NULL OR (summary LIKE ${next} AND summary LIKE ${}) THEN record END", next + 1),
    };
    format!(
        "SELECT id, status, started_at, {record}, CAST(octet_length(record) AS BIGINT) FROM runs{by_index} WHERE tenant = $1 AND id < $2 AND id >= $5 AND started_at >= $3{also} \
         ORDER BY id DESC LIMIT $4"
    )
}

/// Where a page ends at the latest that looks at $3 + 1 rows; nothing where there are fewer. $1 tenant, $2 the cursor, $4 what the index of the
/// list is asked for. Absent for lists whose every row fits, so that they look at no more than they give.
pub(crate) fn end_of_look(filter: &RunFilter) -> Option<&'static str> {
    macro_rules! end {
        ($filter:literal) => {
            concat!("SELECT id FROM runs WHERE tenant = $1 AND id < $2", $filter, " ORDER BY id DESC LIMIT 1 OFFSET $3")
        };
    }
    let RunFilter { flow, status, since, .. } = filter;
    match (flow.is_some(), status) {
        (false, Some(RunStatus::Succeeded)) => Some(end!("")),
        (true, Some(_)) => Some(end!(" AND flow = $4")),
        _ if since.is_none() => None,
        (false, None) => Some(end!("")),
        (true, None) => Some(end!(" AND flow = $4")),
        (false, Some(_)) => Some(end!(" AND status = $4 AND status <> 'succeeded'")),
    }
}

/// Puts `rows` runs into the queue.
pub(crate) fn enqueue(rows: usize) -> String {
    let mut text =
        "INSERT INTO run_queue (tenant, id, due_at, claimed, content_type, input, input_object, flow, flow_version, writes, subject_values) VALUES "
            .to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d, e, f, g, h, i, j] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|column| row * 10 + column);
        write!(text, "{comma}(${a}, ${b}, ${c}, 0, ${d}, ${e}, ${f}, ${g}, ${h}, ${i}, ${j})").expect("a String takes every text");
    }
    text
}

/// How many runs of a tenant wait for their beginning, counted up to $2. Those that wait in the middle are bounded by nothing but the disk.
pub(crate) const WAITING: &str =
    "SELECT COUNT(*) FROM (SELECT id FROM run_queue WHERE tenant = $1 AND checkpoint IS NULL LIMIT $2) AS waiting";
/// The same, and what they take beside their records; no input is read for it.
pub(crate) const WAITING_WITH_BYTES: &str = concat!(
    "SELECT COUNT(*), CAST(COALESCE(SUM(w.bytes), 0) AS BIGINT) FROM (SELECT octet_length(q.input) + ",
    object_bytes!("q", "input_object", "inputs"),
    " + COALESCE(octet_length(q.writes), 0) + COALESCE(octet_length(q.subject_values), 0) AS bytes \
     FROM run_queue AS q WHERE q.tenant = $1 AND q.checkpoint IS NULL LIMIT $2) AS w"
);
/// The objects of a run in the queue: those of its row, and that of what was recorded of it so far.
macro_rules! objects {
    () => {
        "input_object, checkpoint_object, \
         (SELECT r.object FROM run_recordings AS r WHERE r.tenant = run_queue.tenant AND r.id = run_queue.id)"
    };
}
/// Columns of those.
pub(crate) const OBJECTS: usize = 3;
/// The objects of a queued run.
pub(crate) const QUEUED_OBJECTS: &str = concat!("SELECT ", objects!(), " FROM run_queue WHERE tenant = $1 AND id = $2");
/// The same where others may write: the row is locked until the end.
pub(crate) const LOCK_QUEUED_OBJECTS: &str = concat!("SELECT ", objects!(), " FROM run_queue WHERE tenant = $1 AND id = $2 FOR UPDATE");
/// Takes a run out of the queue and says which objects it had, and by which token it was claimed.
pub(crate) const DEQUEUE: &str = concat!("DELETE FROM run_queue WHERE tenant = $1 AND id = $2 RETURNING ", objects!(), ", lease_token");
/// Takes `rows` runs out of the queue, each where it is held by a token: tenant, id and token of each. Gives their objects, and whose they were.
pub(crate) fn dequeue_held(rows: usize) -> String {
    let mut text = "DELETE FROM run_queue WHERE ".to_owned();
    for row in 0..rows {
        let or = if row == 0 { "" } else { " OR " };
        let [a, b, c] = [1, 2, 3].map(|column| row * 3 + column);
        write!(text, "{or}(tenant = ${a} AND id = ${b} AND lease_token = ${c})").expect("a String takes every text");
    }
    text.push_str(concat!(" RETURNING ", objects!(), ", tenant, id"));
    text
}
pub(crate) const ANY_DUE: &str = "SELECT id FROM run_queue WHERE claimed = 0 AND due_at <= $1 LIMIT 1";
/// Of a run, whether somebody may wait for its end elsewhere, and whether something was recorded of it.
macro_rules! around {
    ($run:literal) => {
        concat!(
            "CASE WHEN EXISTS (SELECT 1 FROM awaited_runs AS a WHERE a.tenant = ",
            $run,
            ".tenant AND a.id = ",
            $run,
            ".id) \
             THEN CAST(1 AS BIGINT) ELSE 0 END, \
             CASE WHEN EXISTS (SELECT 1 FROM run_recordings AS c WHERE c.tenant = ",
            $run,
            ".tenant AND c.id = ",
            $run,
            ".id) \
             THEN CAST(1 AS BIGINT) ELSE 0 END"
        )
    };
}
pub(super) use around;
macro_rules! due {
    ($whose:literal) => {
        concat!(
            "SELECT q.tenant, r.record, q.content_type, q.input, q.writes, q.subject_values, q.id, q.checkpoint, q.input_object, q.checkpoint_object, ",
            around!("q"),
            ", q.cancelled FROM run_queue AS q JOIN runs AS r ON r.tenant = q.tenant AND r.id = q.id WHERE q.claimed = 0 AND q.due_at <= $1",
            $whose,
            " ORDER BY q.due_at LIMIT $2"
        )
    };
}
pub(crate) const DUE: &str = due!("");
pub(crate) const DUE_OF: &str = due!(" AND q.tenant = $3");
/// Tenants after $2 that have runs due at $1. Steps from one tenant to the next in the index, so that a long queue of one is one step; stops when
/// it has found $3.
pub(crate) const DUE_TENANTS: &str = "WITH RECURSIVE turn(tenant) AS ( \
     SELECT (SELECT MIN(tenant) FROM run_queue WHERE claimed = 0 AND tenant > $2) \
     UNION ALL SELECT (SELECT MIN(q.tenant) FROM run_queue AS q WHERE q.claimed = 0 AND q.tenant > turn.tenant) FROM turn WHERE turn.tenant IS NOT NULL \
     ) SELECT tenant FROM turn WHERE (SELECT q.due_at FROM run_queue AS q WHERE q.claimed = 0 AND q.tenant = turn.tenant AND q.due_at <= $1 LIMIT 1) IS NOT NULL LIMIT $3";
/// Claims `rows` runs under the token $2: tenant and id of each from $3 on. Claimed runs have no other time than their lease's: $1 is left alone.
pub(crate) fn claim(rows: usize) -> String {
    of_runs("UPDATE run_queue SET claimed = 1, lease_token = $2", rows)
}
/// Says of `rows` claimed runs that they run, since $1 where they have not begun before: tenant and id of each from $3 on. $2 is left alone.
pub(crate) fn set_running(rows: usize) -> String {
    of_runs("UPDATE runs SET status = 'running', started_at = CASE status WHEN 'queued' THEN $1 ELSE started_at END", rows)
}
/// One condition per run, each of which the primary key finds; SQLite would look through all rows for a list of pairs.
fn of_runs(update: &str, rows: usize) -> String {
    let runs: Vec<_> = (1..=rows).map(|row| format!("(tenant = ${} AND id = ${})", row * 2 + 1, row * 2 + 2)).collect();
    format!("{update} WHERE {}", runs.join(" OR "))
}
/// Lets go of a run until $3, and of the word that it is being run.
pub(crate) const PUT_ASIDE: &str = "UPDATE run_queue SET claimed = 0, lease_token = NULL, lease_until = NULL, due_at = $3 WHERE tenant = $1 AND id = $2 AND lease_token = $4";
/// Says whether somebody has cancelled the run.
pub(crate) const RENEW: &str =
    "UPDATE run_queue SET lease_until = $4 WHERE tenant = $1 AND id = $2 AND lease_token = $3 RETURNING cancelled";
/// Whether a run is held by a token.
pub(crate) const HELD: &str = "SELECT id FROM run_queue WHERE tenant = $1 AND id = $2 AND lease_token = $3";
/// A run that ended without being taken out of the queue must not be run again.
pub(crate) const DEQUEUE_ENDED: &str = "DELETE FROM run_queue WHERE claimed = 1 AND (lease_until IS NULL OR lease_until <= $1) \
     AND EXISTS (SELECT 1 FROM runs AS r WHERE r.tenant = run_queue.tenant AND r.id = run_queue.id AND r.status NOT IN ('queued', 'running', 'waiting')) \
     RETURNING input_object, checkpoint_object";
/// Gives back what is held by leases that had ended at $1, and by those that do not end.
pub(crate) const RELEASE: &str = "UPDATE run_queue SET claimed = 0, lease_token = NULL, lease_until = NULL \
     WHERE claimed = 1 AND (lease_until IS NULL OR lease_until <= $1) RETURNING tenant, id";
/// A run that has begun is not queued again: it goes on.
pub(crate) const SET_QUEUED: &str = "UPDATE runs SET status = 'queued' WHERE tenant = $1 AND id = $2 AND EXISTS \
     (SELECT 1 FROM run_queue AS q WHERE q.tenant = $1 AND q.id = $2 AND q.checkpoint IS NULL)";

/// Deletes some of a tenant's runs, so that a tenant with millions of them does not hold up every writer.
pub(crate) const DELETE_SOME: &str =
    "DELETE FROM runs WHERE tenant = $1 AND id IN (SELECT r.id FROM runs AS r WHERE r.tenant = $1 LIMIT $2)";
pub(crate) const DELETE_ALL: &str = "DELETE FROM runs WHERE tenant = $1";
