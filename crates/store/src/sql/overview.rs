//! Runs as a whole. Each statement looks at every bucket in one term: its runs lie together in an index, and a term stops at its own bound.

use std::fmt::Write;

/// Values of a bucket: from which id, before which id, and how many at most.
pub(crate) const VALUES: usize = 3;

/// One term for each bucket, put together. $1 is the tenant, $2 the flow where there is one, then the values of each bucket.
fn terms(buckets: usize, of_flow: bool, term: impl Fn(usize, &str, &str) -> String) -> String {
    let (mut text, flow) = (String::new(), if of_flow { " AND flow = $2" } else { "" });
    for bucket in 0..buckets {
        let [from, end, most] = [0, 1, 2].map(|value| 2 + usize::from(of_flow) + bucket * VALUES + value);
        let union = if bucket == 0 { "" } else { " UNION ALL " };
        let of_bucket = format!("tenant = $1{flow} AND id >= ${from} AND id < ${end}");
        write!(text, "{union}{}", term(bucket, &of_bucket, &format!("${most}"))).expect("a String takes every text");
    }
    text
}

/// How many runs each bucket has, and the earliest of those that were counted. Looks at an index alone.
pub(crate) fn counts(buckets: usize, of_flow: bool) -> String {
    terms(buckets, of_flow, |bucket, of_bucket, most| {
        format!(
            "SELECT CAST({bucket} AS BIGINT), COUNT(*), MIN(id) \
             FROM (SELECT id FROM runs WHERE {of_bucket} ORDER BY id DESC LIMIT {most}) AS newest"
        )
    })
}

/// How many runs of each bucket did not succeed, by status. Looks at an index alone, for which the second condition asks.
pub(crate) fn outcomes(buckets: usize) -> String {
    terms(buckets, false, |bucket, of_bucket, most| {
        format!(
            "SELECT * FROM (SELECT CAST({bucket} AS BIGINT) AS bucket, status, COUNT(*) AS runs FROM runs WHERE {of_bucket} \
             AND status IN ('queued', 'running', 'waiting', 'partial', 'failed', 'blocked', 'cancelled') AND status <> 'succeeded' \
             GROUP BY status LIMIT {most}) AS outcomes"
        )
    })
}

/// Where the newest runs of each bucket are, and how long their records are: neither database reads a record to tell that.
pub(crate) fn sizes(buckets: usize, of_flow: bool) -> String {
    newest(buckets, of_flow, "status, CAST(octet_length(record) AS BIGINT) AS bytes")
}

/// The newest runs of each bucket.
pub(crate) fn records(buckets: usize, of_flow: bool) -> String {
    newest(buckets, of_flow, "status, started_at, record")
}

fn newest(buckets: usize, of_flow: bool, columns: &str) -> String {
    terms(buckets, of_flow, |bucket, of_bucket, most| {
        format!(
            "SELECT * FROM (SELECT CAST({bucket} AS BIGINT) AS bucket, {columns} FROM runs WHERE {of_bucket} ORDER BY id DESC LIMIT {most}) AS newest"
        )
    })
}
