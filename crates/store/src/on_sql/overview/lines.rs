//! What the database tells of the runs of a bucket: one text, a line for each run. Rows would come one by one from a thread or a server, and each
//! would cost more than what is in it.

use jiff::Timestamp;
use snaphook_model::{RunCost, RunId, RunStatus, RunSummary};

use crate::StoreError;
use crate::on_sql::rows::form;
use crate::sql::overview as sql;

/// A run of which no more than this is known yet.
pub(super) struct Known {
    pub(super) status: RunStatus,
    /// Of its record.
    bytes: u64,
}

/// Which of a bucket's runs are looked at: the newest, as far as its part of the bytes goes, without those whose records are long beside it.
pub(super) struct Part {
    pub(super) runs: usize,
    pub(super) longest: u64,
}

impl Known {
    /// Reads a line of [`sql::sizes`].
    pub(super) fn read(line: &str) -> Result<Self, StoreError> {
        let mut fields = line.split(' ');
        Ok(Self { status: status(fields.next())?, bytes: parsed(fields.next())? })
    }
}

impl Part {
    /// One long record must not stand for a whole bucket. Where all of them are long, the shortest are looked at.
    pub(super) fn of(runs: &[Known], quota: u64) -> Self {
        let shortest = runs.iter().map(|run| run.bytes).min().unwrap_or_default();
        let longest = (quota / 4).max(shortest.saturating_mul(2).min(quota));
        let mut sum = 0;
        let fitting = runs.iter().filter(|run| run.bytes <= longest).take_while(|run| {
            sum += run.bytes;
            sum <= quota
        });
        Self { runs: fitting.count(), longest }
    }
}

/// Reads a line of [`sql::costs`]. The inner failure is one of the run's summary or record alone.
pub(super) fn cost(line: &str, wall_ms: u64) -> Result<Result<RunCost, serde_json::Error>, StoreError> {
    let mut fields = line.splitn(5, ' ');
    let id: RunId = parsed(fields.next())?;
    let status = status(fields.next())?;
    let started_at = Timestamp::from_microsecond(parsed(fields.next())?).map_err(|error| form(OVERVIEW, error))?;
    let flow = fields.next().unwrap_or_default();
    let told = fields.next().unwrap_or_default();
    if let Some(record) = told.strip_prefix(sql::RECORD) {
        return Ok(RunCost::read(record, wall_ms).map(|cost| RunCost { status, started_at, ..cost }));
    }
    // Of a flow's run that has not ended there is nothing to tell.
    let summary = told.strip_prefix(sql::SUMMARY).map_or_else(|| Ok(RunSummary::default()), RunSummary::read);
    Ok(summary.map(|mut summary| {
        let of = if flow.is_empty() { summary.call.take().unwrap_or_default() } else { flow.to_owned() };
        RunCost::of(summary, (id, of), status, started_at, wall_ms)
    }))
}

/// What an overview is called in a [`StoreError::Form`].
const OVERVIEW: &str = "an overview";

fn status(word: Option<&str>) -> Result<RunStatus, StoreError> {
    word.and_then(RunStatus::parse).ok_or_else(|| form(OVERVIEW, "a run's status is unknown"))
}

fn parsed<T: std::str::FromStr>(text: Option<&str>) -> Result<T, StoreError> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| form(OVERVIEW, "what is told of a run has another form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_record_keeps_none_of_the_others_out() {
        let part = |bytes: &[u64], quota| {
            let runs: Vec<_> = bytes.iter().map(|bytes| Known { status: RunStatus::Succeeded, bytes: *bytes }).collect();
            let Part { runs, longest } = Part::of(&runs, quota);
            (runs, longest)
        };
        assert_eq!(part(&[], 100), (0, 25));
        assert_eq!(part(&[10, 10, 10], 100), (3, 25), "all of them fit");
        assert_eq!(part(&[100, 10, 10, 10], 100), (3, 25), "one that is as long as all that is read is left out");
        assert_eq!(part(&[20; 9], 100), (5, 40), "no more than the quota is read");
        assert_eq!(part(&[60, 45, 45, 90], 100), (1, 90), "where all are long, it is the newest of the shorter ones");
        assert_eq!(part(&[101, 200], 100), (0, 100), "what does not fit is not read");
    }
}
