//! A tenant's runs as a whole.

use std::collections::HashMap;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use snaphook_model::{Invalid, Name, RunStatus};
use snaphook_store::{OverviewRequest, RunsOf};

use crate::ambient;
use crate::answer::{self, Answer};
use crate::extract::{Query, Read};
use crate::problem::ProblemDetails;
use crate::routes::runs::checked_call;
use crate::shared::Shared;
use crate::summary::{self, FlowSummary, NearSummary};

/// How far back an overview goes where nothing is asked for, and at most.
const USUAL: SignedDuration = SignedDuration::from_hours(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who asks for the last seven days means those before it asked.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Buckets at most.
const MAX_BUCKETS: i64 = 120;

/// Widths of buckets in seconds, which people can read off an axis. With the last one, there are few enough for the longest time.
const WIDTHS_S: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/// Which runs.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverviewQuery {
    /// Runs that were asked for at this time or later, RFC 3339; default an hour ago, at most 7 days.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Runs of this flow, or direct calls of this `connector/endpoint`.
    flow: Option<String>,
}

/// Runs over a time: how many ended how, and what they cost.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct OverviewAnswer {
    /// The beginning of the first bucket.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The end of the last bucket, which is now.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Width of a bucket in seconds; they begin at whole multiples of it.
    bucket_s: i64,
    /// Every part of the time without gaps, oldest first; at most 120.
    buckets: Vec<BucketAnswer>,
    /// The hundred with the most runs, those first.
    flows: Vec<FlowSummary>,
    /// The ten invocations that came nearest to a limit, or were stopped by it, worst first; of each script at each hook only one for each limit.
    limits: Vec<NearSummary>,
    /// Whether `flows` and `limits` were made from some of the runs, since there are too many to look at each: numbers of runs are estimates then, and
    /// what is rare may be missing. `buckets` stay exact, unless they are those of one flow or endpoint, or hold hundreds of thousands of runs.
    sampled: bool,
}

/// Runs that were asked for in a part of the time, by where they are now.
#[derive(Serialize, utoipa::ToSchema)]
struct BucketAnswer {
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    succeeded: u64,
    failed: u64,
    partial: u64,
    cancelled: u64,
    blocked: u64,
    /// Queued, running and waiting ones.
    unfinished: u64,
}

/// Read how runs went
///
/// Runs per time and outcome; for each flow and each endpoint that was called directly how long its runs took and where the time went; and limits that
/// are nearly used up.
#[utoipa::path(get, path = "/v1/overview", tag = "runs", security(("token" = ["read"])), params(OverviewQuery),
    responses((status = 200, body = OverviewAnswer), (status = 400, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<OverviewQuery>) -> Answer {
    let until = ambient::now();
    let since = query.since.map_or_else(|| Ok(until - USUAL), |text| asked_since(&text, until))?;
    let (width_s, edges) = edges(since, until);
    let of = query.flow.map(runs_of).transpose()?;
    let request = OverviewRequest { edges, of, wall_ms: tenant.limits.wall_ms };
    let place = core.overviews.place(&tenant.name).await?;
    let buckets = core.store.overview(&tenant.name, &request).await?;
    drop(place);
    answer::ok(&OverviewAnswer {
        since: request.edges[0],
        until,
        bucket_s: width_s,
        buckets: request.edges.iter().zip(&buckets).map(|(at, bucket)| counts(*at, &bucket.runs)).collect(),
        flows: summary::flows(&buckets),
        limits: summary::limits(&buckets),
        sampled: buckets.iter().any(|bucket| bucket.sampled),
    })
}

fn runs_of(text: String) -> Result<RunsOf, Invalid> {
    if text.contains('/') {
        return checked_call("flow", text).map(RunsOf::Call);
    }
    Name::new(&text).map(RunsOf::Flow).map_err(|error| Invalid::new("flow", error.to_string()))
}

fn asked_since(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let since: Timestamp = text.parse().map_err(|_| Invalid::new("since", format!("`{text}` is no time as RFC 3339 writes it")))?;
    match now.duration_since(since) {
        ago if ago < SignedDuration::ZERO => Err(Invalid::new("since", format!("`{text}` is still to come"))),
        ago if ago > LONGEST + PATIENCE => Err(Invalid::new("since", format!("`{text}` is more than 7 days ago"))),
        _ => Ok(since),
    }
}

/// The width of buckets, and their edges. The first one begins at a multiple of the width, the last one ends now.
fn edges(since: Timestamp, until: Timestamp) -> (i64, Vec<Timestamp>) {
    let span_s = until.duration_since(since).as_secs();
    let last = WIDTHS_S[WIDTHS_S.len() - 1];
    // One more than fit into the time, since it seldom begins at a multiple.
    let width_s = WIDTHS_S.into_iter().find(|width| span_s / width + 2 <= MAX_BUCKETS).unwrap_or(last);
    let first = since.as_second().div_euclid(width_s) * width_s;
    let edges = (0..=MAX_BUCKETS).map_while(|edge| Timestamp::from_second(first + edge * width_s).ok().filter(|edge| *edge <= until));
    // An id tells no more than milliseconds: what was asked for in this one counts.
    (width_s, edges.chain([until + SignedDuration::from_millis(1)]).collect())
}

fn counts(at: Timestamp, runs: &HashMap<RunStatus, u64>) -> BucketAnswer {
    let of = |status| runs.get(&status).copied().unwrap_or_default();
    BucketAnswer {
        at,
        succeeded: of(RunStatus::Succeeded),
        failed: of(RunStatus::Failed),
        partial: of(RunStatus::Partial),
        cancelled: of(RunStatus::Cancelled),
        blocked: of(RunStatus::Blocked),
        unfinished: of(RunStatus::Queued) + of(RunStatus::Running) + of(RunStatus::Waiting),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{MAX_BUCKETS, edges};

    #[test]
    fn buckets_cover_the_time_and_are_not_too_many() {
        let until = Timestamp::from_millisecond(1_790_000_123_456).expect("a time");
        for (span_s, width_s) in
            [(0, 1), (1, 1), (118, 1), (119, 2), (3600, 60), (6 * 3600, 300), (24 * 3600, 900), (7 * 24 * 3600 + 300, 7200)]
        {
            let since = until - SignedDuration::from_secs(span_s);
            let (width, edges) = edges(since, until);
            assert_eq!(width, width_s, "{span_s}");
            assert!(edges.len() >= 2 && i64::try_from(edges.len()).expect("a few") - 1 <= MAX_BUCKETS, "{span_s}: {}", edges.len());
            assert!(edges[0] <= since && edges[edges.len() - 1] > until, "{span_s}");
            let widths: Vec<_> = edges.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect();
            let (last, others) = widths.split_last().expect("there is one");
            assert!(others.iter().all(|width| *width == i128::from(width_s) * 1000), "{span_s}: {widths:?}");
            assert!(*last > 0 && *last <= i128::from(width_s) * 1000 + 1, "{span_s}: {widths:?}");
        }
    }
}
