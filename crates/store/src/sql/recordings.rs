//! Recordings of runs.

use std::fmt::Write;

/// Columns of a row that [`put`] takes.
pub(crate) const COLUMNS: usize = 4;

/// Puts `rows` recordings at once; those of runs that were left out are left out too.
pub(crate) fn put(rows: usize) -> String {
    let mut values = String::new();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d] = [1, 2, 3, 4].map(|column| row * COLUMNS + column);
        write!(values, "{comma}(${a}, ${b}, ${c}, ${d})").expect("a String takes every text");
    }
    format!(
        "INSERT INTO run_recordings (tenant, id, recording, object) \
         SELECT column1, column2, column3, column4 FROM (VALUES {values}) AS new \
         WHERE EXISTS (SELECT 1 FROM runs AS r WHERE r.tenant = new.column1 AND r.id = new.column2) \
         ON CONFLICT (tenant, id) DO UPDATE SET recording = excluded.recording, object = excluded.object"
    )
}

pub(crate) const GET: &str = "SELECT recording, object FROM run_recordings WHERE tenant = $1 AND id = $2";
