//! Claims on runs that are due, and the runs behind them.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use snaphook_model::{Payload, RunRecord, RunStatus, SubjectValues, TenantName};
use uuid::Uuid;

use super::Parts;
use super::objects::Held;
use super::rows::{form, from_json, tenant_name, text};
use super::runs::{RECORD, VALUES, WITH_OBJECTS, WRITES};
use crate::database::{Database, Query, Row, query};
use crate::sql::runs as sql;
use crate::{ClaimedRun, Lease, QueuedRun, Renewed, StoreError};

/// A run that cannot be read is looked at again after this long, by when a release that can may have been put in place.
const ASIDE: SignedDuration = SignedDuration::from_hours(1);

/// The same where what it needs did not answer, and may soon.
const ASIDE_AWAY: SignedDuration = SignedDuration::from_secs(10);

/// Those come back over so long a time, in milliseconds, so that they do not all ask at once again.
const SPREAD_MS: u128 = 10_000;

/// Leases that one transaction renews: it holds their rows until it ends, and others want them.
const RENEWED_AT_ONCE: usize = 16;

/// A claim on a run, whose large parts are not read yet; see [`crate::RunStore::claimed_run`].
pub struct Claim {
    lease: Lease,
    row: Row,
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
    /// By what the run is held from now on.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// Claims what is due.
pub(super) async fn claim(parts: &Parts, whose: Whose<'_>, now: Timestamp) -> Result<Vec<Claim>, StoreError> {
    // Whoever claimed in another round, on another node or here, has another token.
    let token = Uuid::now_v7();
    let made = Instant::now();
    let rows = parts.database.claim(whose, now.as_microsecond(), token).await?;
    let of_row = |row| match lease(&row, token) {
        Ok(lease) => Some(Claim { lease, row, now, made }),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a queued run without a name stays claimed");
            None
        }
    };
    Ok(rows.into_iter().filter_map(of_row).collect())
}

fn lease(row: &Row, token: Uuid) -> Result<Lease, StoreError> {
    let run = text(row, 6)?.parse().map_err(|error| form(RECORD, error))?;
    Ok(Lease { tenant: tenant_name(row, 0)?, run, token })
}

/// The run behind a claim. One that cannot be read has been put aside when this fails.
pub(super) async fn claimed_run(parts: &Parts, claim: Claim) -> Result<ClaimedRun, StoreError> {
    let read = read(parts, &claim).await;
    if let Err(error) = &read {
        put_aside(&parts.database, &claim, error).await;
    }
    read
}

async fn read(parts: &Parts, Claim { lease, row, now, .. }: &Claim) -> Result<ClaimedRun, StoreError> {
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
    let run = QueuedRun { record, input, writes, subject_values };
    let [is_awaited, has_recording, is_cancelled] = [10, 11, 12].map(|column| row.get::<i64>(column));
    Ok(ClaimedRun {
        tenant: lease.tenant.clone(),
        lease: lease.clone(),
        run,
        checkpoint,
        is_awaited: is_awaited? != 0,
        has_recording: has_recording? != 0,
        is_cancelled: is_cancelled? != 0,
    })
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
        let (tenant, id) = (claim.lease.tenant.as_str(), text(&claim.row, 6)?);
        let waited = SignedDuration::try_from(claim.made.elapsed()).unwrap_or_default();
        let later = waited.checked_add(aside_for(tenant, id, why)).and_then(|after| claim.now.checked_add(after).ok());
        let mut writer = database.write().await?;
        let mut transaction = writer.begin().await?;
        let aside = query(sql::PUT_ASIDE).bind(tenant).bind(id).bind(later.unwrap_or(claim.now).as_microsecond());
        // Another may have it by now, or it has ended.
        if aside.bind(claim.lease.token.to_string()).execute(&mut transaction).await? > 0 {
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

/// Makes leases last as long again.
pub(super) async fn renew(database: &Database, leases: &[Lease]) -> Result<Renewed, StoreError> {
    // Rows that somebody is writing are passed over rather than waited for: who holds many and waits for one more, while another does the same in
    // another order, waits for ever.
    let renew = database.renew();
    let (mut renewed, mut passed_over) = (Renewed::default(), Vec::new());
    for some in leases.chunks(RENEWED_AT_ONCE) {
        let mut writer = database.write().await?;
        let mut transaction = writer.begin_batch().await?;
        let until = database.lease_until(&mut transaction).await?;
        for lease in some {
            match of_lease(renew, lease).bind(until).fetch_optional(&mut transaction).await? {
                None => passed_over.push(lease),
                Some(row) if row.get::<i64>(0)? != 0 => renewed.cancelled.push(lease.clone()),
                Some(_) => {}
            }
        }
        let committed = transaction.commit().await?;
        writer.finish(committed).await?;
    }
    // Those that are there all the same are being saved or ended under this very lease.
    for lease in passed_over {
        if of_lease(sql::HELD, lease).read_optional(database).await?.is_none() {
            renewed.lost.push(lease.clone());
        }
    }
    Ok(renewed)
}

fn of_lease<'q>(sql: &'static str, lease: &'q Lease) -> Query<'q> {
    query(sql).bind(lease.tenant.as_str()).bind(lease.run.to_string()).bind(lease.token.to_string())
}
