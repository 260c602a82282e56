//! Claims on runs that are due, and the runs behind them.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use snaphook_model::{Payload, RunRecord, RunStatus, SubjectValues, TenantName};
use uuid::Uuid;

use super::Parts;
use super::objects::Held;
use super::rows::{from_json, tenant_name, text};
use super::runs::{RECORD, VALUES, WITH_OBJECTS, WRITES};
use crate::database::{Database, Row, query};
use crate::sql::runs as sql;
use crate::{ClaimedRun, Lease, QueuedRun, StoreError};

/// A run that cannot be read is looked at again after this long, by when a release that can may have been put in place.
const ASIDE: SignedDuration = SignedDuration::from_hours(1);

/// The same where what it needs did not answer, and may soon.
const ASIDE_AWAY: SignedDuration = SignedDuration::from_secs(10);

/// Those come back over so long a time, in milliseconds, so that they do not all ask at once again.
const SPREAD_MS: u128 = 10_000;

/// A claim on a run, whose large parts are not read yet; see [`crate::RunStore::claimed_run`].
pub struct Claim {
    tenant: TenantName,
    row: Row,
    token: Uuid,
    now: Timestamp,
    made: Instant,
}

/// Whose runs to claim, and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// The earliest of all.
    All(u32),
    /// Up to so many of each.
    Of(&'a [(TenantName, u32)]),
}

impl Claim {
    /// Whose run it is.
    #[must_use]
    pub const fn tenant(&self) -> &TenantName {
        &self.tenant
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Claims what is due.
pub(super) async fn claim(parts: &Parts, whose: Whose<'_>, now: Timestamp) -> Result<Vec<Claim>, StoreError> {
    // Whoever claimed in another round, on another node or here, has another token.
    let token = Uuid::now_v7();
    let made = Instant::now();
    let rows = parts.database.claim(whose, now.as_microsecond(), token).await?;
    let of_row = |row| match tenant_name(&row, 0) {
        Ok(tenant) => Some(Claim { tenant, row, token, now, made }),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a queued run of nobody stays claimed");
            None
        }
    };
    Ok(rows.into_iter().filter_map(of_row).collect())
}

/// The run behind a claim. One that cannot be read has been put aside when this fails.
pub(super) async fn claimed_run(parts: &Parts, claim: Claim) -> Result<ClaimedRun, StoreError> {
    let read = read(parts, &claim).await;
    if let Err(error) = &read {
        put_aside(&parts.database, &claim, error).await;
    }
    read
}

async fn read(parts: &Parts, Claim { tenant, row, token, now, .. }: &Claim) -> Result<ClaimedRun, StoreError> {
    let mut record: RunRecord = from_json(RECORD, text(row, 1)?)?;
    let (input, checkpoint) = (parts.bytes_of(Held::of(row, 3, 8)?), checkpoint(parts, row));
    let (bytes, checkpoint) = tokio::try_join!(input, checkpoint)?;
    record.status = RunStatus::Running;
    if checkpoint.is_none() {
        record.started_at = *now;
    }
    let input = Payload { content_type: row.get(2)?, bytes };
    let writes = row.get::<Option<&str>>(4)?.map(|text| text.strip_prefix(WITH_OBJECTS).unwrap_or(text));
    let writes = writes.map_or_else(|| Ok(Vec::new()), |text| from_json(WRITES, text))?;
    let subject_values = row.get::<Option<&str>>(5)?.map_or_else(|| Ok(SubjectValues::default()), |text| from_json(VALUES, text))?;
    let lease = Lease { tenant: tenant.clone(), run: record.id, token: *token };
    let run = QueuedRun { record, input, writes, subject_values };
    let (is_awaited, has_recording) = (row.get::<i64>(10)? != 0, row.get::<i64>(11)? != 0);
    Ok(ClaimedRun { tenant: tenant.clone(), lease, run, checkpoint, is_awaited, has_recording })
}

/// Where a claimed run is; none where it has not begun.
async fn checkpoint(parts: &Parts, row: &Row) -> Result<Option<Bytes>, StoreError> {
    match row.get::<Option<&[u8]>>(7)? {
        Some(_) => parts.bytes_of(Held::of(row, 7, 9)?).await.map(Some),
        None => Ok(None),
    }
}

/// Moves a run that cannot be read out of the way of those behind it. What hinders that hinders none of the others.
async fn put_aside(database: &Database, claim: &Claim, why: &StoreError) {
    let done = async {
        let (tenant, id) = (claim.tenant.as_str(), text(&claim.row, 6)?);
        let waited = SignedDuration::try_from(claim.made.elapsed()).unwrap_or_default();
        let later = waited.checked_add(aside_for(tenant, id, why)).and_then(|after| claim.now.checked_add(after).ok());
        let mut writer = database.write().await?;
        let mut transaction = writer.begin().await?;
        let aside = query(sql::PUT_ASIDE).bind(tenant).bind(id).bind(later.unwrap_or(claim.now).as_microsecond());
        // Another may have it by now, or it has ended.
        if aside.bind(claim.token.to_string()).execute(&mut transaction).await? > 0 {
            query(sql::SET_QUEUED).bind(tenant).bind(id).execute(&mut transaction).await?;
        }
        let committed = transaction.commit().await?;
        writer.finish(committed).await
    };
    if let Err(error) = done.await {
        tracing::error!(error = &error as &dyn std::error::Error, "a queued run that cannot be read stays claimed until it is given back");
    }
}

/// Says that a run cannot be read, and for how long it is put aside.
fn aside_for(tenant: &str, run: &str, why: &StoreError) -> SignedDuration {
    let error = why as &dyn std::error::Error;
    if why.may_pass() {
        tracing::warn!(tenant, run, error, "a queued run cannot be read now and is put aside for some seconds");
        // Its last bits are random.
        let spread = Uuid::now_v7().as_u128() % SPREAD_MS;
        return ASIDE_AWAY + SignedDuration::from_millis(i64::try_from(spread).unwrap_or_default());
    }
    tracing::error!(tenant, run, error, "a queued run cannot be read and is put aside for an hour");
    ASIDE
}
