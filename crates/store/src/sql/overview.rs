//! Runs as a whole. Each statement looks at every bucket in one term: its runs lie together in an index, and a term stops at its own bound.

use std::fmt::Write;

/// Which runs a statement is about, and how it finds them.
#[derive(Clone, Copy)]
pub(crate) struct Which<'a> {
    /// How many buckets there are.
    pub(crate) buckets: usize,
    /// Those of one flow.
    pub(crate) of_flow: bool,
    /// As [`crate::database::Database::by_index`] says it.
    pub(crate) by_index: &'a str,
    /// Values of each bucket: from which id, before which id, how many at most, and further ones.
    pub(crate) values: usize,
}

/// One term for each bucket, put together. $1 is the tenant, $2 the flow where there is one, then the values of each bucket. A term gets its number,
/// its rows, and the numbers of how many at most and of what follows it.
fn terms(which: Which<'_>, term: impl Fn(usize, &str, usize) -> String) -> String {
    let Which { buckets, of_flow, by_index, values } = which;
    let (mut text, flow) = (String::new(), if of_flow { " AND flow = $2" } else { "" });
    for bucket in 0..buckets {
        let [from, end, most] = [0, 1, 2].map(|value| 2 + usize::from(of_flow) + bucket * values + value);
        let union = if bucket == 0 { "" } else { " UNION ALL " };
        let rows = format!("FROM runs{by_index} WHERE tenant = $1{flow} AND id >= ${from} AND id < ${end}");
        write!(text, "{union}{}", term(bucket, &rows, most)).expect("a String takes every text");
    }
    text
}

/// How many runs each bucket has, and the earliest of those that were counted. Looks at an index alone.
pub(crate) fn counts(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        format!(
            "SELECT CAST({bucket} AS BIGINT), COUNT(*), MIN(id) \
             FROM (SELECT id {rows} ORDER BY id DESC LIMIT ${most}) AS newest"
        )
    })
}

/// How many runs of each bucket did not succeed, by status. Looks at an index alone, for which the second condition asks.
pub(crate) fn outcomes(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        format!(
            "SELECT * FROM (SELECT CAST({bucket} AS BIGINT) AS bucket, status, COUNT(*) AS runs {rows} \
             AND status IN ('queued', 'running', 'waiting', 'partial', 'failed', 'blocked', 'cancelled') AND status <> 'succeeded' \
             GROUP BY status LIMIT ${most}) AS outcomes"
        )
    })
}

/// Before a run's summary, or before its record.
pub(crate) const SUMMARY: char = 'S';
pub(crate) const RECORD: char = 'R';

/// The newest runs of each bucket, newest first, a line for each: where it is, and how long its record is. Neither database reads a record to tell that.
pub(crate) fn sizes(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        format!(
            "SELECT CAST({bucket} AS BIGINT), string_agg(line, '\n' ORDER BY id DESC) \
             FROM (SELECT id, status || ' ' || CAST(octet_length(record) AS TEXT) AS line {rows} ORDER BY id DESC LIMIT ${most}) AS newest"
        )
    })
}

/// What the newest runs of each bucket came to, of those whose records are not longer than a further value says, a line for each: id, status, beginning,
/// flow, and the summary. The record itself is there where nothing shorter is, and neither of a flow's run that has not ended. No text as JSON has it
/// goes over the end of a line.
pub(crate) fn costs(which: Which<'_>) -> String {
    terms(which, |bucket, rows, most| {
        let longest = most + 1;
        format!(
            "SELECT CAST({bucket} AS BIGINT), string_agg(line, '\n') FROM (SELECT id || ' ' || status || ' ' || CAST(started_at AS TEXT) || ' ' || COALESCE(flow, '') || ' ' || \
             CASE WHEN summary IS NOT NULL THEN '{SUMMARY}' || summary \
             WHEN flow IS NOT NULL AND status IN ('queued', 'running', 'waiting') THEN '' ELSE '{RECORD}' || record END AS line \
             {rows} AND octet_length(record) <= ${longest} ORDER BY id DESC LIMIT ${most}) AS newest"
        )
    })
}
