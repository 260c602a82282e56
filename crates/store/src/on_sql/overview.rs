//! Overviews of runs. Counts come from the indexes of the lists, and what runs cost from the summaries of the newest runs of each bucket, within a
//! number of rows and of bytes: a summary is written with its record when the run ends, and where there is none, the record itself is read.

mod lines;

use std::cmp::Reverse;
use std::ops::ControlFlow;

use jiff::Timestamp;
use snaphook_model::{RunId, RunStatus, TenantName};

use self::lines::{Known, Part};
use super::OnSql;
use super::rows::form;
use super::run_lists::ids_from;
use super::runs::status;
use crate::database::{Database, Query, Row, rare_query};
use crate::sql::{overview as sql, runs as runs_sql};
use crate::{OverviewBucket, OverviewRequest, OverviewStore, RunsOf, StoreError, StoreFuture};

/// Runs that are counted for one overview; beyond it, buckets go by how dense their newest runs lie.
const COUNTED: usize = 500_000;
/// Runs that are looked at for one overview.
const LOOKED_AT: usize = 4_000;
/// Text of records that one overview may have to go through.
const READ_BYTES: u64 = 16 << 20;

impl<S: OnSql> OverviewStore for S {
    fn overview<'a>(&'a self, tenant: &'a TenantName, request: &'a OverviewRequest) -> StoreFuture<'a, Vec<OverviewBucket>> {
        Box::pin(async move {
            self.queue().flush().await?;
            let look = Look::new(self.database(), tenant, request);
            let counted = look.count().await?;
            let mut buckets = vec![OverviewBucket::default(); counted.len()];
            if counted.iter().all(|bucket| bucket.rows == 0) {
                return Ok(buckets);
            }
            if request.of.is_none() {
                look.add_outcomes(&counted, &mut buckets).await?;
            }
            let known = look.sizes(&counted).await?;
            if let Some(RunsOf::Flow(_)) = request.of {
                for ((bucket, counted), known) in buckets.iter_mut().zip(&counted).zip(&known) {
                    bucket.count(known.iter().map(|run| run.status), counted.runs());
                }
            }
            look.add_costs(&counted, &known, &mut buckets).await?;
            Ok(buckets)
        })
    }
}

/// What is asked of the database.
struct Look<'a> {
    database: &'a Database,
    tenant: &'a TenantName,
    request: &'a OverviewRequest,
    /// Before the ids of all runs that were asked for at an edge or later.
    edges: Vec<String>,
}

/// A bucket's runs as counted.
struct Counted {
    rows: u64,
    /// Before the ids of those that were counted.
    from: String,
    /// How many runs each of them stands for.
    scale: f64,
}

impl Counted {
    /// How many runs there are.
    fn runs(&self) -> f64 {
        self.rows as f64 * self.scale
    }
}

impl OverviewBucket {
    /// Counts so many runs in all, divided as these are.
    fn count(&mut self, these: impl Iterator<Item = RunStatus> + Clone, in_all: f64) {
        let part = in_all / these.clone().count().max(1) as f64;
        for status in RunStatus::ALL {
            self.put(status, these.clone().filter(|other| *other == status).count() as f64 * part);
        }
    }

    fn put(&mut self, status: RunStatus, runs: f64) {
        let runs = runs.round() as u64;
        if runs > 0 {
            self.runs.insert(status, runs);
        }
    }
}

impl<'a> Look<'a> {
    fn new(database: &'a Database, tenant: &'a TenantName, request: &'a OverviewRequest) -> Self {
        Self { database, tenant, request, edges: request.edges.iter().map(|edge| ids_from(*edge)).collect() }
    }

    fn buckets(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Counts the runs of each bucket. What is left of the rows that may be counted, since others have few, is for those that have more than their part.
    async fn count(&self) -> Result<Vec<Counted>, StoreError> {
        let mut counted: Vec<_> = self.edges.iter().map(|edge| Counted { rows: 0, from: edge.clone(), scale: 1.0 }).collect();
        counted.truncate(self.buckets());
        let part = COUNTED / self.buckets().max(1);
        self.count_up_to(&vec![part; counted.len()], &mut counted).await?;
        let is_full = |counted: &Counted| counted.rows >= part as u64;
        let full = counted.iter().filter(|counted| is_full(counted)).count();
        let in_others: u64 = counted.iter().filter(|counted| !is_full(counted)).map(|counted| counted.rows).sum();
        let left = COUNTED.saturating_sub(usize::try_from(in_others).unwrap_or(COUNTED)) / full.max(1);
        if full > 0 && left > part {
            let most: Vec<_> = counted.iter().map(|counted| if is_full(counted) { left } else { 0 }).collect();
            self.count_up_to(&most, &mut counted).await?;
        }
        Ok(counted)
    }

    /// Counts the newest runs of each bucket, at most so many; a bucket of which none are to be counted stays as it is.
    async fn count_up_to(&self, most: &[usize], counted: &mut [Counted]) -> Result<(), StoreError> {
        let query = self.query(sql::counts, 3);
        let query = self.bind(query, |bucket| (&self.edges[bucket], most[bucket]));
        self.each(query, |bucket, row| {
            let (rows, most) = (count(row, 1)?, most[bucket] as u64);
            if most == 0 {
                return Ok(());
            }
            counted[bucket] = Counted { rows, from: self.edges[bucket].clone(), scale: 1.0 };
            if rows >= most
                && let Some(earliest) = row.get::<Option<&str>>(2)?
            {
                counted[bucket].from = earliest.to_owned();
                counted[bucket].scale = scale(self.request.edges[bucket], self.request.edges[bucket + 1], earliest);
            }
            Ok(())
        })
        .await
    }

    /// How the runs of all kinds ended.
    async fn add_outcomes(&self, counted: &[Counted], buckets: &mut [OverviewBucket]) -> Result<(), StoreError> {
        let by_index = self.database.by_index(runs_sql::BY_STATUS);
        let outcomes = sql::outcomes(sql::Which { buckets: self.buckets(), of_flow: false, by_index: &by_index, values: 3 });
        let query = rare_query(outcomes.into()).bind(self.tenant.as_str());
        let query = self.bind(query, |bucket| (&counted[bucket].from, RunStatus::ALL.len()));
        let mut others = vec![0.0; buckets.len()];
        self.each(query, |bucket, row| {
            let runs = count(row, 2)? as f64 * counted[bucket].scale;
            buckets[bucket].put(status(row, 1)?, runs);
            others[bucket] += runs;
            Ok(())
        })
        .await?;
        for ((bucket, counted), others) in buckets.iter_mut().zip(counted).zip(others) {
            // One may have ended between the two looks.
            bucket.put(RunStatus::Succeeded, (counted.runs() - others).max(0.0));
        }
        Ok(())
    }

    /// The newest runs of each bucket, as many as are looked at.
    async fn sizes(&self, counted: &[Counted]) -> Result<Vec<Vec<Known>>, StoreError> {
        let most = LOOKED_AT / with_runs(counted);
        let query = self.query(sql::sizes, 3);
        let query = self.bind(query, |bucket| (&self.edges[bucket], most));
        let mut known: Vec<Vec<Known>> = counted.iter().map(|_| Vec::new()).collect();
        self.each(query, |bucket, row| {
            for line in told(row)? {
                known[bucket].push(Known::read(line)?);
            }
            Ok(())
        })
        .await?;
        Ok(known)
    }

    /// Reads what the newest runs of each bucket came to.
    async fn add_costs(&self, counted: &[Counted], known: &[Vec<Known>], buckets: &mut [OverviewBucket]) -> Result<(), StoreError> {
        let quota = READ_BYTES / with_runs(counted) as u64;
        let parts: Vec<Part> = known.iter().map(|runs| Part::of(runs, quota)).collect();
        let query = self.query(sql::costs, 4);
        let query = (0..self.buckets()).fold(query, |query, bucket| {
            let Part { runs, longest } = parts[bucket];
            query.bind(self.edges[bucket].as_str()).bind(self.edges[bucket + 1].as_str()).bind(number(runs)).bind(number(longest))
        });
        let mut read = vec![0_u64; buckets.len()];
        self.each(query, |bucket, row| {
            for line in told(row)? {
                read[bucket] += 1;
                match lines::cost(line, self.request.wall_ms)? {
                    Ok(cost) if matches!(&self.request.of, Some(RunsOf::Call(call)) if *call != cost.of) => {}
                    Ok(cost) => buckets[bucket].costs.push(cost),
                    Err(error) => {
                        tracing::warn!(tenant = self.tenant.as_str(), %error, "the record of a run cannot be read, and an overview lacks it");
                    }
                }
            }
            // Newest first: the database puts them together as it finds them.
            buckets[bucket].costs.sort_unstable_by_key(|cost| Reverse(cost.id));
            Ok(())
        })
        .await?;
        for ((bucket, counted), read) in buckets.iter_mut().zip(counted).zip(read) {
            let weight = counted.runs() / read.max(1) as f64;
            (bucket.weight, bucket.sampled) = (weight, counted.scale > 1.0 || read < counted.rows);
            if let Some(RunsOf::Call(_)) = self.request.of {
                let in_all = bucket.costs.len() as f64 * weight;
                let these: Vec<_> = bucket.costs.iter().map(|cost| cost.status).collect();
                bucket.count(these.into_iter(), in_all);
            }
        }
        Ok(())
    }

    /// A statement about the runs that are asked for, with so many values for each bucket. Of direct calls only what is read of them says which
    /// endpoint's they are.
    fn query(&self, made: impl Fn(sql::Which<'_>) -> String, values: usize) -> Query<'a> {
        let buckets = self.buckets();
        match &self.request.of {
            Some(RunsOf::Flow(flow)) => {
                let by_index = self.database.by_index(runs_sql::BY_FLOW);
                let sql = made(sql::Which { buckets, of_flow: true, by_index: &by_index, values });
                rare_query(sql.into()).bind(self.tenant.as_str()).bind(flow.as_str())
            }
            _ => rare_query(made(sql::Which { buckets, of_flow: false, by_index: "", values }).into()).bind(self.tenant.as_str()),
        }
    }

    /// Binds the values of every bucket: where it begins, and how many rows of it are looked at.
    fn bind<'q>(&'q self, query: Query<'q>, values: impl Fn(usize) -> (&'q String, usize)) -> Query<'q> {
        (0..self.buckets()).fold(query, |query, bucket| {
            let (from, most) = values(bucket);
            query.bind(from.as_str()).bind(self.edges[bucket + 1].as_str()).bind(number(most))
        })
    }

    /// Reads rows that begin with the number of their bucket.
    async fn each(&self, query: Query<'_>, mut take: impl FnMut(usize, &Row) -> Result<(), StoreError> + Send) -> Result<(), StoreError> {
        let buckets = self.buckets();
        let row = |row: &Row| {
            let bucket = usize::try_from(count(row, 0)?).ok().filter(|bucket| *bucket < buckets);
            take(bucket.ok_or_else(|| form("an overview", "its bucket is unknown"))?, row)?;
            Ok(ControlFlow::Continue(()))
        };
        query.read_each(self.database, row).await
    }
}

/// How many buckets have runs; what there is of rows and bytes is shared between these.
fn with_runs(counted: &[Counted]) -> usize {
    counted.iter().filter(|bucket| bucket.rows > 0).count().max(1)
}

/// How many runs each of those stands for that were counted back from the end of a bucket, when they reach to this one and no further.
fn scale(from: Timestamp, end: Timestamp, earliest: &str) -> f64 {
    let covered = earliest.parse().ok().and_then(made_at).map_or(0.0, |earliest| end.duration_since(earliest).as_secs_f64());
    // Ids tell milliseconds apart.
    (end.duration_since(from).as_secs_f64() / covered.max(0.001)).max(1.0)
}

/// A number as the databases have it.
fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The lines of a bucket.
fn told(row: &Row) -> Result<std::str::Lines<'_>, StoreError> {
    Ok(row.get::<Option<&str>>(1)?.unwrap_or_default().lines())
}

fn count(row: &Row, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>(column)?).map_err(|error| form("a count", error))
}

/// When a run was asked for, which its id begins with.
fn made_at(id: RunId) -> Option<Timestamp> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::run_id;

    #[test]
    fn runs_stand_for_those_that_lie_as_dense() {
        let at = |number| made_at(run_id(number)).unwrap();
        let all = |earliest| scale(at(1_000), at(5_000), &run_id(earliest).to_string());
        assert!((all(4_000) - 4.0).abs() < 1e-9 && (all(3_000) - 2.0).abs() < 1e-9, "{} {}", all(4_000), all(3_000));
        assert!((all(1_000) - 1.0).abs() < 1e-9 && (all(500) - 1.0).abs() < 1e-9, "no run counts for less than one");
    }
}
