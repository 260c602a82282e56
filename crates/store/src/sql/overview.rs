//! Runs as a whole. Each statement looks at every bucket in one term: its runs lie together in an index, and a term stops at its own bound.

use std::fmt::Write;

/// Values of a bucket: from which id, before which id, and how many at most.
pub(crate) const VALUES: usize = 3;

/// Which runs a statement is about, and how it finds them.
#[derive(Clone, Copy)]
pub(crate) struct Which<'a> {
    /// How many buckets there are.
    pub(crate) buckets: usize,
    /// Those of one flow.
    pub(crate) of_flow: bool,
    /// As [`crate::database::Database::by_index`] says it.
    pub(crate) by_index: &'a str,
}

/// One term for each bucket, put together. $1 is the tenant, $2 the flow where there is one, then the values of each bucket. A term gets its number,
/// its rows, and how many of them.
fn terms(which: Which<'_>, term: impl Fn(usize, &str, &str) -> String) -> String {
    let Which { buckets, of_flow, by_index } = which;
    let (mut text, flow) = (String::new(), if of_flow { " AND flow = $2" } else { "" });
    for bucket in 0..buckets {
        let [from, end, most] = [0, 1, 2].map(|value| 2 + usize::from(of_flow) + bucket * VALUES + value);
        let union = if bucket == 0 { "" } else { " UNION ALL " };
        let rows = format!("FROM runs{by_index} WHERE tenant = $1{flow} AND id >= ${from} AND id < ${end}");
        write!(text, "{union}{}", term(bucket, &rows, &format!("${most}"))).expect("a String takes every text");
    }
    text
}

/// How many runs each bucket has, and the earliest of those that were counted. Looks at an index alone.
pub(crate) fn counts(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        format!(
            "SELECT CAST({bucket} AS BIGINT), COUNT(*), MIN(id) \
             FROM (SELECT id {rows} ORDER BY id DESC LIMIT {most}) AS newest"
        )
    })
}

/// How many runs of each bucket did not succeed, by status. Looks at an index alone, for which the second condition asks.
pub(crate) fn outcomes(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        format!(
            "SELECT * FROM (SELECT CAST({bucket} AS BIGINT) AS bucket, status, COUNT(*) AS runs {rows} \
             AND status IN ('queued', 'running', 'waiting', 'partial', 'failed', 'blocked', 'cancelled') AND status <> 'succeeded' \
             GROUP BY status LIMIT {most}) AS outcomes"
        )
    })
}

/// Where the newest runs of each bucket are, and how long their records are: neither database reads a record to tell that.
pub(crate) fn sizes(which: Which<'_>) -> String {
    newest(which, "status, CAST(octet_length(record) AS BIGINT) AS bytes")
}

/// The newest runs of each bucket.
pub(crate) fn records(which: Which<'_>) -> String {
    newest(which, "status, started_at, record")
}

fn newest(which: Which<'_>, columns: &str) -> String {
    terms(which, |bucket, rows, most| {
        format!("SELECT * FROM (SELECT CAST({bucket} AS BIGINT) AS bucket, {columns} {rows} ORDER BY id DESC LIMIT {most}) AS newest")
    })
}
