//! Runs that have begun and are gone on with later, their events, and callbacks.

use std::fmt::Write;

/// Puts the row of a run that was in nobody's queue before, unless there is one.
pub(crate) const PUT: &str = "INSERT INTO run_queue (tenant, id, due_at, claimed, lease_token, lease_until, checkpoint, \
     checkpoint_object, writes, content_type, input, input_object, flow, flow_version, subject_values) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (tenant, id) DO NOTHING";
/// By what a run is held that was put so, and whether somebody has cancelled it.
pub(crate) const SAVED: &str = "SELECT lease_token, cancelled FROM run_queue WHERE tenant = $1 AND id = $2 AND checkpoint IS NOT NULL";
/// Changes where a run is that is held by the token $10; says whether somebody has cancelled it.
pub(crate) const MOVE: &str = "UPDATE run_queue SET due_at = $3, claimed = $4, lease_token = $5, lease_until = $6, checkpoint = $7, \
     checkpoint_object = $8, writes = $9 WHERE tenant = $1 AND id = $2 AND lease_token = $10 RETURNING cancelled";

/// Columns of a row that [`add_events`] takes.
pub(crate) const EVENT_COLUMNS: usize = 4;

/// Adds `rows` events at once. One that is there already is the same: what has happened does not change.
pub(crate) fn add_events(rows: usize) -> String {
    let mut text = "INSERT INTO run_events (tenant, id, seq, event) VALUES ".to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d] = [1, 2, 3, 4].map(|column| row * EVENT_COLUMNS + column);
        write!(text, "{comma}(${a}, ${b}, ${c}, ${d})").expect("a String takes every text");
    }
    text.push_str(" ON CONFLICT (tenant, id, seq) DO NOTHING");
    text
}

pub(crate) const EVENTS: &str = "SELECT event FROM run_events WHERE tenant = $1 AND id = $2 AND seq > $3 ORDER BY seq LIMIT $4";

pub(crate) const NEXT_DUE: &str = "SELECT due_at FROM run_queue WHERE claimed = 0 ORDER BY due_at LIMIT 1";

/// Each is answered from an index alone. Of the held runs, which are few, rows are looked at.
pub(crate) const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM run_queue WHERE claimed = 0), (SELECT COUNT(*) FROM run_queue WHERE claimed = 1), \
     (SELECT COUNT(*) FROM run_queue WHERE checkpoint IS NULL), \
     (SELECT COUNT(*) FROM run_queue WHERE claimed = 1 AND checkpoint IS NULL), \
     (SELECT COUNT(*) FROM run_queue WHERE claimed = 0 AND due_at <= $1)";

pub(crate) const EXPECT: &str =
    "INSERT INTO callbacks (tenant, correlation, run) VALUES ($1, $2, $3) ON CONFLICT (tenant, correlation) DO NOTHING";
pub(crate) const CALLBACK: &str =
    "SELECT callback, body, sealed FROM callbacks WHERE tenant = $1 AND correlation = $2 AND callback IS NOT NULL";
/// Of a run that has ended nobody will hear it, so that nothing of it is kept.
pub(crate) const TAKE_CALLBACK: &str = "UPDATE callbacks SET callback = $3, body = $4, sealed = CASE WHEN EXISTS \
     (SELECT 1 FROM run_queue AS q WHERE q.tenant = $1 AND q.id = callbacks.run) THEN $5 END \
     WHERE tenant = $1 AND correlation = $2 AND callback IS NULL RETURNING run";
/// What stands in `callback` where that says nothing, as of one that is sealed or kept no more. Releases that know no seals can read it, and ask again
/// for the body that they miss; what they cannot read would end the run.
pub(crate) const TAKEN: &str = r#"{"ok":true,"content_type":""}"#;
/// Keeps of a callback that it came: its text is $3, which is [`TAKEN`].
pub(crate) const HEARD: &str = "UPDATE callbacks SET callback = $3, body = NULL, sealed = NULL \
     WHERE tenant = $1 AND correlation = $2 AND callback IS NOT NULL";
pub(crate) const KNOWN_CALLBACK: &str = "SELECT run FROM callbacks WHERE tenant = $1 AND correlation = $2";
/// Of a run that waits; one that is held finds the callback when it begins to wait.
pub(crate) const WAKE: &str = "UPDATE run_queue SET due_at = $3 WHERE tenant = $1 AND id = $2 AND claimed = 0 AND checkpoint IS NOT NULL";

/// Takes a run out of the queue that nobody holds.
pub(crate) const TAKE_UNHELD: &str = "DELETE FROM run_queue WHERE tenant = $1 AND id = $2 AND claimed = 0 \
     RETURNING input_object, checkpoint_object";
pub(crate) const ASK_TO_CANCEL: &str = "UPDATE run_queue SET cancelled = 1 WHERE tenant = $1 AND id = $2";
