//! Looks for runs that are new, and for what is new in those that have not ended.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::line::Line;
use crate::client::Client;
use crate::problem::CliError;
use crate::records::has_ended;

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// A run that was answered in one go is recorded when it ends, under the time at which it began: so far back one is looked for.
const LATE: Duration = Duration::from_secs(600);

/// As many looks as there are until the next one that goes so far back. The others stop at the first page without anything new.
const THOROUGH: u32 = 10;

/// Runs on a page, and pages of one look: a node's answer stays small, and a flood of runs costs lines and no memory.
const PAGE: usize = 50;
const PAGES: usize = 40;

/// Runs that have not ended are asked for one by one; of more than so many, those that began last.
const OPEN: usize = 100;

/// What is known already.
pub(super) struct Follow {
    /// How many lines of a run were seen, and when it began.
    seen: HashMap<String, Seen>,
    /// Looks since the last one that failed.
    looks: u32,
    /// When the last one began that did not.
    looked_at: Option<Timestamp>,
}

struct Seen {
    lines: usize,
    started_at: Timestamp,
    ended: bool,
}

impl Follow {
    /// Knows nothing yet: the first look finds what was there before.
    pub(super) fn new() -> Self {
        Self { seen: HashMap::new(), looks: 0, looked_at: None }
    }

    /// The lines of a run that were not there before.
    pub(super) fn news(&mut self, run: &Value) -> Vec<Line> {
        let mut lines = Line::of_run(run);
        let started_at = run["started_at"].as_str().and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let seen = Seen { lines: lines.len(), started_at, ended: has_ended(run) };
        let before = self.seen.insert(run["id"].as_str().unwrap_or_default().to_owned(), seen).map_or(0, |seen| seen.lines);
        // A record only grows, but in the middle: by time, what is new comes last.
        lines.sort_by_key(|line| line.at);
        lines.split_off(before.min(lines.len()))
    }

    /// Adds everything that is new on the node. Where it fails, what was added until then is not found again, and the next look goes as far back as
    /// it takes to find the rest.
    pub(super) async fn look(&mut self, client: &Client, filter: &str, lines: &mut Vec<Line>) -> Result<(), CliError> {
        let now = Timestamp::now();
        let since = self.looked_at.unwrap_or(now) - LATE;
        let is_thorough = self.looks.is_multiple_of(THOROUGH);
        // Until it has succeeded.
        let looks = std::mem::take(&mut self.looks);
        self.open(client, since, lines).await?;
        self.newest(client, &format!("{filter}&since={since}"), is_thorough, lines).await?;
        self.seen.retain(|_, seen| !seen.ended || seen.started_at >= since);
        (self.looks, self.looked_at) = (looks.wrapping_add(1), Some(now));
        Ok(())
    }

    /// What is new in the runs that fit.
    async fn newest(&mut self, client: &Client, filter: &str, is_thorough: bool, lines: &mut Vec<Line>) -> Result<(), CliError> {
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let path = format!("/v1/runs?{filter}&limit={PAGE}{cursor}");
            let page = client.get(&path).await?.checked()?.json();
            let runs = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let known = self.seen.len();
            lines.extend(runs.iter().flat_map(|run| self.news(run)));
            match page["next_cursor"].as_str() {
                Some(next) if is_thorough || self.seen.len() > known => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        Ok(())
    }

    /// What is new in runs that began before the time that is looked at, and have not ended.
    async fn open(&mut self, client: &Client, since: Timestamp, lines: &mut Vec<Line>) -> Result<(), CliError> {
        let old = self.seen.iter().filter(|(_, seen)| !seen.ended && seen.started_at < since);
        let mut old: Vec<(Timestamp, String)> = old.map(|(id, seen)| (seen.started_at, id.clone())).collect();
        old.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in old.drain(OPEN.min(old.len())..) {
            self.seen.remove(&id);
        }
        for (_, id) in old {
            let answer = client.get(&format!("/v1/runs/{id}")).await?;
            if answer.status == 404 {
                // Its record has gone, as its tenant's retention says.
                self.seen.remove(&id);
                continue;
            }
            lines.extend(self.news(&answer.checked()?.json()));
        }
        Ok(())
    }
}
