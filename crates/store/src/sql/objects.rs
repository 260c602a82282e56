//! Which objects belong to a row.

/// The size of an object of the tenant whose row this is, which its key ends with: an id of 32 digits, a hash of 64 and a hyphen after each stand
/// before it, and every prefix is one letter. Zero where there is no object.
macro_rules! object_bytes {
    ($row:literal, $column:literal, $kind:literal) => {
        concat!("COALESCE(CAST(substr(", $row, ".", $column, ", length('t/' || ", $row, ".tenant || '/", $kind, "/') + 99) AS BIGINT), 0)")
    };
}
pub(super) use object_bytes;

/// Keys that [`used`] takes; fewer are filled up with empty ones.
pub(crate) const AT_ONCE: usize = 64;

/// Those of some keys that a row names. Each part has an index.
pub(crate) fn used() -> String {
    let keys = (1..=AT_ONCE).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
    let part = |table: &str, column: &str| format!("SELECT {column} FROM {table} WHERE {column} IN ({keys})");
    [
        part("script_bytes", "component_object"),
        part("script_bytes", "source_object"),
        part("run_recordings", "object"),
        part("run_queue", "input_object"),
        part("run_queue", "checkpoint_object"),
    ]
    .join(" UNION ALL ")
}

/// Takes the recordings that are objects out of a tenant's rows, $2 at most.
pub(crate) const TAKE_RECORDINGS: &str = "DELETE FROM run_recordings WHERE tenant = $1 AND id IN \
     (SELECT o.id FROM run_recordings AS o WHERE o.tenant = $1 AND o.object IS NOT NULL LIMIT $2) RETURNING object";
/// The same for queued runs with objects; only those are gone through.
pub(crate) const TAKE_QUEUED: &str = "DELETE FROM run_queue WHERE tenant = $1 AND id IN \
     (SELECT o.id FROM run_queue AS o WHERE o.tenant = $1 AND (o.input_object IS NOT NULL OR o.checkpoint_object IS NOT NULL) LIMIT $2) \
     RETURNING input_object, checkpoint_object";
/// The bytes of a tenant's versions go with those; only rows with objects are gone through.
pub(crate) const TAKE_BYTES: &str = "DELETE FROM script_bytes WHERE tenant = $1 AND (component_object IS NOT NULL OR source_object IS NOT NULL) \
     RETURNING component_object, source_object";
