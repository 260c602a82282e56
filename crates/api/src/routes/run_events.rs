//! What has happened in a run: as a list, or live until its end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::{HeaderMap, header};
use serde::Serialize;
use snaphook_model::{Invalid, RunEvent, RunId, TenantName};

use crate::admission::Permit;
use crate::answer::{self, Answer};
use crate::extract::{At, Query, Read};
use crate::page::PageQuery;
use crate::problem::ProblemDetails;
use crate::routes::runs::{run_id, unknown};
use crate::shared::{Core, Shared};

/// How often a live history is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// One fact of a run.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes `model::RunEvent`, which is what goes out")]
pub(crate) struct EventAnswer {
    /// From 1, without gaps.
    seq: u32,
    #[schema(format = DateTime)]
    at: String,
    /// `run-started`, `hook-called`, `request-started`, `request-ended`, `waiting`, `resumed`, `step-ended` or `run-ended`.
    kind: String,
    step: Option<String>,
    attempt: Option<u32>,
}

/// A page of them.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct EventsAnswer {
    #[schema(value_type = Vec<EventAnswer>)]
    items: Vec<RunEvent>,
    next_cursor: Option<String>,
}

/// Read what has happened in a run
///
/// With `Accept: text/event-stream` the answer lasts until the run has ended, a quarter of an hour at most; `Last-Event-ID` goes on where a broken one ended.
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "runs", security(("token" = ["read"])), params(("run" = String, Path), PageQuery),
    responses((status = 200, content((EventsAnswer = "application/json"), (EventAnswer = "text/event-stream"))),
        (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn events(
    State(core): State<Shared>,
    Read(tenant): Read,
    At(id): At<String>,
    Query(query): Query<PageQuery>,
    permit: Option<Extension<Arc<Permit>>>,
    headers: HeaderMap,
) -> Answer {
    let run = run_id(&id)?;
    let request = query.request()?;
    let seq = |text: &str| text.parse::<u32>().map_err(|_| Invalid::new("cursor", "is no cursor of this list"));
    let after = request.after.as_ref().map(|cursor| seq(&cursor.0)).transpose()?;
    let live = headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains("text/event-stream")));
    if live {
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        // A run that is not there is said so before the stream begins.
        core.runner.events(&tenant.name, run, 0).await?.ok_or_else(|| unknown(&id))?;
        let until = core.run_deadline();
        let stream = follow((core, permit), tenant.name.clone(), run, after.or(last).unwrap_or(0), until);
        return Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))).into_response());
    }
    let found = core.runner.events(&tenant.name, run, after.unwrap_or(0)).await?;
    let (_, mut items) = found.ok_or_else(|| unknown(&id))?;
    let more = items.len() > request.limit as usize;
    items.truncate(request.limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|event| event.seq.to_string());
    answer::ok(&EventsAnswer { items, next_cursor })
}

/// Where a live history is.
struct Live {
    core: Arc<Core>,
    /// A place among the node's requests and the tenant's, as long as the stream lasts.
    _permit: Option<Extension<Arc<Permit>>>,
    tenant: TenantName,
    run: RunId,
    after: u32,
    until: Instant,
    ready: std::collections::VecDeque<RunEvent>,
    ended: bool,
}

/// Events as they come, until the run has ended or the deadline has passed.
fn follow(
    (core, permit): (Shared, Option<Extension<Arc<Permit>>>),
    tenant: TenantName,
    run: RunId,
    after: u32,
    until: Instant,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let live = Live { core, _permit: permit, tenant, run, after, until, ready: std::collections::VecDeque::new(), ended: false };
    stream::unfold(live, async |mut live| {
        loop {
            if let Some(event) = live.ready.pop_front() {
                live.after = event.seq;
                let data = serde_json::to_string(&event).unwrap_or_default();
                let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
                return Some((Ok(Event::default().id(event.seq.to_string()).event(kind).data(data)), live));
            }
            if live.ended || Instant::now() >= live.until {
                return None;
            }
            match live.core.runner.events(&live.tenant, live.run, live.after).await {
                Ok(Some((status, events))) => {
                    live.ended = status.has_ended() && events.is_empty();
                    live.ready.extend(events);
                }
                // The run went with its tenant, or the store is away: the reader comes again with what it saw last.
                Ok(None) | Err(_) => return None,
            }
            if live.ready.is_empty() && !live.ended {
                tokio::time::sleep(LOOK).await;
            }
        }
    })
}
