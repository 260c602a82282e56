//! State of flows and tenants.

use std::fmt::Write;

pub(crate) const READ: &str = "SELECT name, value FROM state WHERE tenant = $1 AND flow = $2";

/// Keeps others from writing a tenant's state until the end, and says what all of it counts; no row for a tenant who does not exist.
pub(crate) const HOLD: &str = "INSERT INTO state_totals (tenant, bytes) SELECT name, 0 FROM tenants WHERE name = $1 \
     ON CONFLICT (tenant) DO UPDATE SET bytes = state_totals.bytes RETURNING bytes";
pub(crate) const SET_TOTAL: &str = "UPDATE state_totals SET bytes = $2 WHERE tenant = $1";

/// Whether a flow is there.
pub(crate) const FLOW: &str = "SELECT version FROM flow_versions WHERE tenant = $1 AND flow = $2 LIMIT 1";
pub(crate) const FLOW_BYTES: &str = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM state WHERE tenant = $1 AND flow = $2";
pub(crate) const DELETE_FLOW: &str = "DELETE FROM state WHERE tenant = $1 AND flow = $2";

/// Takes `keys` values away at once, and says what each counted: $1 tenant, $2 flow, then the keys.
pub(crate) fn take(keys: usize) -> String {
    let mut text = "DELETE FROM state WHERE tenant = $1 AND flow = $2 AND name IN (".to_owned();
    for key in 0..keys {
        let comma = if key == 0 { "" } else { ", " };
        write!(text, "{comma}${}", key + 3).expect("a String takes every text");
    }
    text.push_str(") RETURNING bytes");
    text
}

/// Puts `rows` values where there are none: $1 tenant, $2 flow, then key, value and what it counts of each.
pub(crate) fn put(rows: usize) -> String {
    let mut text = "INSERT INTO state (tenant, flow, name, value, bytes) VALUES ".to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [name, value, bytes] = [3, 4, 5].map(|column| row * 3 + column);
        write!(text, "{comma}($1, $2, ${name}, ${value}, ${bytes})").expect("a String takes every text");
    }
    text
}
