//! What runs that have ended take. What goes where that is too much is in `relief`.
//!
//! Counting all of a tenant's runs reads its whole history, so that is done seldom: what was counted is written down, and later only what has come
//! since is added. That is an upper bound, as what goes by its time is not taken off; once it passes what may be kept, all is counted.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use snaphook_model::TenantName;

use super::OnSql;
use super::relief::{END, Step, between, later, micros, run_id, signed};
use super::retention::first_id;
use super::rows::amount;
use crate::database::query;
use crate::sql::history as sql;
use crate::{Excess, HistoryLook, HistoryStore, Relief, Relieved, RunPart, StoreError, StoreFuture};

/// Runs that are counted at once: some milliseconds.
const COUNTED_AT_ONCE: u32 = 500;

/// Between two looks at a tenant; longer where a look takes long, so that they are a twentieth of the time at most, and where much is left of what
/// may be kept: nearly all tenants are far from it.
const PAUSE: SignedDuration = SignedDuration::from_secs(20);
const PAUSE_PER_LOOK: u32 = 20;
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// A tenant's runs hardly ever take more bytes than this in a second.
const BYTES_PER_S: u64 = 16 << 20;

/// Nobody else looks for so long while a node counts; one that dies at it is followed by another then.
const COUNTING: SignedDuration = SignedDuration::from_mins(15);

/// All is counted again after so long: runs that waited long end with old ids, and are not among those that have come since.
const WHOLE_AGAIN: SignedDuration = SignedDuration::from_hours(1);

impl<S: OnSql> HistoryStore for S {
    fn history_bytes<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, u64> {
        Box::pin(async move { Ok(Known::of(self, tenant).await?.map_or(0, |known| known.bytes)) })
    }

    fn look_at_history<'a>(&'a self, tenant: &'a TenantName, look: HistoryLook) -> StoreFuture<'a, Option<Excess>> {
        Box::pin(async move {
            let Some(known) = Known::of(self, tenant).await?.filter(|known| known.may_be_more(&look)) else { return Ok(None) };
            let Some(claimed_until) = claim(self, tenant, look.now).await? else { return Ok(None) };
            let begun = Instant::now();
            // What is settled stays so, also for a node whose clock is behind.
            let settled_before = first_id(look.settled_before).max(known.upto.clone());
            let newer = if known.is_old(look.now) { None } else { Some(count(self, tenant, &known, &settled_before).await?) };
            let (counted, whole_at) = match newer.filter(|counted| counted.bytes() <= look.most) {
                Some(counted) => (counted, known.whole_at),
                None => (count(self, tenant, &Known::default(), &settled_before).await?, Some(look.now.as_microsecond())),
            };
            let kept = counted.bytes();
            let looking = SignedDuration::try_from(begun.elapsed() * PAUSE_PER_LOOK).unwrap_or(COUNTING);
            let next = later(look.now, pause(look.most.saturating_sub(kept)).max(looking));
            let noted = note(self, tenant, &counted, claimed_until, (settled_before.as_str(), whole_at, next)).await?;
            if !noted || kept <= look.most {
                return Ok(None);
            }
            Ok(Some(Excess { kept, middle: run_id(counted.middle())? }))
        })
    }

    fn relieve<'a>(&'a self, tenant: &'a TenantName, relief: Relief) -> StoreFuture<'a, Relieved> {
        Box::pin(async move {
            let Some(step) = Step::of(self, tenant, relief).await? else { return Ok(Relieved::default()) };
            match relief.part {
                RunPart::Payloads => step.remove_payloads(self, tenant).await,
                RunPart::Whole => step.delete(self, tenant).await,
            }
        })
    }
}

/// Until the next look at a tenant who may keep so many bytes more.
fn pause(left: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(left / BYTES_PER_S).unwrap_or(i64::MAX)).clamp(PAUSE, LONGEST_PAUSE)
}

/// What was written down of a tenant's runs.
#[derive(Debug, Default)]
struct Known {
    bytes: u64,
    /// Of the runs up to `upto`.
    settled: u64,
    /// Empty where nothing was counted.
    upto: String,
    whole_at: Option<i64>,
    due_at: Option<i64>,
    /// The last run; empty where there is none.
    newest: String,
}

impl Known {
    /// None for a tenant who does not exist.
    async fn of(store: &impl OnSql, tenant: &TenantName) -> Result<Option<Self>, StoreError> {
        let row = query(sql::KNOWN).bind(tenant.as_str()).read_optional(store.database()).await?;
        row.map(|row| {
            let id = |column| Ok::<_, StoreError>(row.get::<Option<String>>(column)?.unwrap_or_default());
            Ok(Self {
                bytes: amount(&row, 0)?,
                settled: amount(&row, 1)?,
                upto: id(2)?,
                whole_at: row.get(3)?,
                due_at: row.get(4)?,
                newest: id(5)?,
            })
        })
        .transpose()
    }

    /// Whether it is time to count, and worth it: there are runs that were not counted, or too many bytes, or the last count is old.
    fn may_be_more(&self, look: &HistoryLook) -> bool {
        let is_due = self.due_at.is_none_or(|due_at| due_at <= look.now.as_microsecond());
        is_due && !self.newest.is_empty() && (self.newest > self.upto || self.bytes > look.most || self.is_old(look.now))
    }

    fn is_old(&self, now: Timestamp) -> bool {
        self.whole_at.is_none_or(|whole_at| whole_at <= now.as_microsecond() - micros(WHOLE_AGAIN))
    }
}

/// What runs take.
#[derive(Debug, Default)]
struct Counted {
    settled: u64,
    recent: u64,
    /// Last runs of some hundred each, and what those take together.
    parts: Vec<(String, u64)>,
}

impl Counted {
    const fn bytes(&self) -> u64 {
        self.settled.saturating_add(self.recent)
    }

    /// The run up to which half of what was counted is; empty where nothing was.
    fn middle(&self) -> &str {
        let half = self.parts.iter().map(|(_, bytes)| bytes).sum::<u64>() / 2;
        let mut before = 0_u64;
        let part = self.parts.iter().find(|(_, bytes)| {
            before += bytes;
            before >= half
        });
        part.map_or("", |(last, _)| last.as_str())
    }
}

/// Adds to what is known what has come since.
async fn count(store: &impl OnSql, tenant: &TenantName, known: &Known, settled_before: &str) -> Result<Counted, StoreError> {
    let mut parts = Vec::new();
    let settled = count_between(store, tenant, (known.upto.as_str(), settled_before), &mut parts).await?;
    let recent = count_between(store, tenant, (settled_before, END), &mut parts).await?;
    Ok(Counted { settled: known.settled.saturating_add(settled), recent, parts })
}

/// Some runs at a time, so that no reader keeps the database from tidying up for long.
async fn count_between(
    store: &impl OnSql,
    tenant: &TenantName,
    (after, until): (&str, &str),
    parts: &mut Vec<(String, u64)>,
) -> Result<u64, StoreError> {
    let (mut after, mut bytes) = (after.to_owned(), 0_u64);
    loop {
        let some = between(sql::COUNT, tenant, &after, until).bind(COUNTED_AT_ONCE).read_optional(store.database()).await?;
        let Some(row) = some else { return Ok(bytes) };
        let Some(last) = row.get::<Option<String>>(0)? else { return Ok(bytes) };
        let (runs, of_these) = (row.get::<i64>(1)?, amount(&row, 2)?);
        drop(row);
        bytes = bytes.saturating_add(of_these);
        parts.push((last.clone(), of_these));
        if runs < i64::from(COUNTED_AT_ONCE) {
            return Ok(bytes);
        }
        after = last;
    }
}

/// Keeps other nodes from counting until the time that it gives. None: one of them does, or the tenant is gone.
async fn claim(store: &impl OnSql, tenant: &TenantName, now: Timestamp) -> Result<Option<i64>, StoreError> {
    let until = later(now, COUNTING);
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    let claim = query(sql::CLAIM).bind(tenant.as_str()).bind(until).bind(now.as_microsecond());
    let claimed = claim.fetch_optional(&mut transaction).await?.is_some();
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(claimed.then_some(until))
}

/// Writes down what was counted: up to where it is settled, when all was counted, and when to look again. False where somebody else counts since
/// then: it took longer than it was claimed for, and what is too much is removed by that one.
async fn note(
    store: &impl OnSql,
    tenant: &TenantName,
    counted: &Counted,
    claimed_until: i64,
    (upto, whole_at, next): (&str, Option<i64>, i64),
) -> Result<bool, StoreError> {
    let mut writer = store.database().write().await?;
    let mut transaction = writer.begin_batch().await?;
    let note = query(sql::COUNTED).bind(tenant.as_str()).bind(signed(counted.bytes())).bind(signed(counted.settled));
    let noted = note.bind(upto).bind(whole_at).bind(next).bind(claimed_until).execute(&mut transaction).await? > 0;
    let committed = transaction.commit().await?;
    writer.finish(committed).await?;
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(newest: &str, upto: &str, bytes: u64) -> Known {
        let at = Timestamp::UNIX_EPOCH.as_microsecond();
        Known { bytes, settled: bytes, upto: upto.to_owned(), whole_at: Some(at), due_at: Some(at), newest: newest.to_owned() }
    }

    #[test]
    fn a_look_is_taken_where_there_may_be_more() {
        let look =
            |seconds| HistoryLook { now: Timestamp::from_second(seconds).unwrap(), settled_before: Timestamp::UNIX_EPOCH, most: 100 };
        assert!(known("02", "01", 0).may_be_more(&look(0)), "a run has come");
        assert!(!known("02", "02", 100).may_be_more(&look(0)));
        assert!(known("02", "02", 101).may_be_more(&look(0)), "there is too much still, or less may be kept now");
        assert!(known("02", "02", 100).may_be_more(&look(3600)), "the count is an hour old");
        assert!(!known("02", "01", 101).may_be_more(&look(-1)), "it is not time yet");
        assert!(!Known::default().may_be_more(&look(0)), "there is nothing");
    }

    #[test]
    fn who_is_far_from_the_bound_is_looked_at_seldom() {
        let seconds = |left| pause(left).as_secs();
        assert_eq!([0, 300 << 20, 1 << 30, 10 << 30, u64::MAX].map(seconds), [20, 20, 64, 600, 600]);
    }

    #[test]
    fn the_middle_is_where_half_of_the_bytes_are() {
        let counted = |parts: &[(&str, u64)]| {
            let parts = parts.iter().map(|(last, bytes)| ((*last).to_owned(), *bytes)).collect();
            Counted { parts, ..Counted::default() }.middle().to_owned()
        };
        assert_eq!(counted(&[("1", 10), ("2", 50), ("3", 40)]), "2");
        assert_eq!(counted(&[("1", 50), ("2", 50)]), "1");
        assert_eq!(counted(&[("1", 7)]), "1");
        assert_eq!(counted(&[]), "");
    }
}
