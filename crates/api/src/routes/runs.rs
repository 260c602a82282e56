//! Runs: starting them and reading their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use snaphook_flow::{Outcome, RunInput};
use snaphook_model::{Invalid, Name, Payload, RunId, RunStatus, Tenant};
use snaphook_store::RunFilter;

use crate::answer::{self, Answer};
use crate::extract::{At, Invoke, Query, Raw, Read, not_json};
use crate::idempotency;
use crate::outcome::{self, RejectionAnswer, StartedAnswer};
use crate::page::{self, PageQuery};
use crate::prefer::Prefer;
use crate::problem::{Problem, ProblemDetails};
use crate::routes::calls::check_json;
use crate::routes::subjects;
use crate::shared::{Core, Shared};

/// What a run begins with.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read without taking its payload apart")]
pub(crate) struct StartRun {
    /// Any JSON value; absent: null.
    payload: Option<serde_json::Value>,
    /// Whom the run is about: an id, or `{"id", "values"}` with values that stand over the kept ones for this run.
    subject: Option<serde_json::Value>,
}

/// The record of a run or of a direct call.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes `model::RunRecord`, which is what goes out")]
pub(crate) struct RunAnswer {
    id: String,
    /// Absent for a direct call.
    flow: Option<String>,
    flow_version: Option<u32>,
    /// `connector/endpoint` of a direct call.
    call: Option<String>,
    /// Whom the run is about.
    subject: Option<String>,
    /// `queued`, `running`, `waiting`, `succeeded`, `partial`, `failed`, `blocked` or `cancelled`.
    status: String,
    code: Option<String>,
    message: Option<String>,
    /// The run that this one repeats.
    retry_of: Option<String>,
    attempt: u32,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// What became of the document that the run is about: `status`, `technical_status`, `error_code`, `error_text`. Absent for a direct call.
    document: Option<serde_json::Value>,
    /// Below what span the run hangs, as `traceparent` and `tracestate`; absent where nobody had begun a trace, or the node exports none.
    trace: Option<serde_json::Value>,
    /// Sums over all invocations: `fuel`, `wall_us`.
    usage: serde_json::Value,
    /// The invocation of the trigger's script; absent where none ran.
    trigger: Option<serde_json::Value>,
    /// Each with `name`, `status`, `code`, `message`, `hooks` and `attempts`.
    steps: Vec<serde_json::Value>,
}

/// Which runs, and which page of them.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    /// Runs of this flow.
    flow: Option<String>,
    /// Direct calls of this `connector/endpoint`. A page may be short, or empty, although the list goes on.
    call: Option<String>,
    /// Runs that invoked this script, whichever version of it. A page may be short, or empty, as with `call`.
    script: Option<String>,
    /// `queued`, `running`, `waiting`, `succeeded`, `partial`, `failed`, `blocked` or `cancelled`.
    status: Option<String>,
    /// Runs that began at this time or later, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Items wanted, 1 to 200; default 50.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Run a flow and wait for its end
///
/// `Prefer: respond-async` does not wait, `Prefer: wait=N` waits N seconds at most, 30 at the most. A run that has not ended by then, or that begins to
/// wait for a time or a callback where nothing is preferred, is answered with 202 and goes on.
#[utoipa::path(post, path = "/v1/flows/{flow}/runs", tag = "runs", security(("token" = ["invoke"])),
    params(("flow" = String, Path)), request_body = StartRun,
    responses((status = 200, description = "the last payload", headers(("x-run-id" = String))),
        (status = 202, body = StartedAnswer, description = "the run goes on", headers(("x-run-id" = String), ("location" = String))),
        (status = "4XX", description = "a rejection, or a problem", content((RejectionAnswer = "application/json"), (ProblemDetails<'static> = "application/problem+json"))),
        (status = "5XX", body = ProblemDetails<'static>, content_type = "application/problem+json")))]
pub(crate) async fn start(
    State(core): State<Shared>,
    Invoke(tenant): Invoke,
    At(flow): At<Name>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Answer {
    let path = format!("/v1/flows/{flow}/runs");
    let start = |run| Box::pin(begin(&core, &tenant, flow, &headers, (run, &body.bytes)));
    Box::pin(idempotency::once(&core, &tenant, &path, &headers, &body.bytes, start)).await
}

async fn begin(core: &Core, tenant: &Arc<Tenant>, flow: Name, headers: &HeaderMap, (run, body): (Option<RunId>, &Bytes)) -> Answer {
    let input = RunInput { run, ..start_input(body)? };
    let prepared = core.definitions.flow(&tenant.name, flow).await?;
    let deadline = core.run_deadline();
    let (finished, applied) = match Prefer::of(headers)? {
        Prefer::End => (core.runner.run_flow(tenant, &prepared, input, deadline).await, None),
        Prefer::RespondAsync => (core.runner.accept_flow(tenant, &prepared, input).await?, Some("respond-async")),
        Prefer::Wait(patience) => (Box::pin(core.runner.run_flow_within(tenant, &prepared, input, patience)).await?, Some("wait")),
    };
    // Who waited for so long learns whether the run waits as well, or works.
    let status = match (&finished.outcome, applied) {
        (Outcome::Waiting, Some("wait")) => core.store.run(&tenant.name, finished.run).await?.map(|run| run.status),
        _ => None,
    };
    outcome::started(finished, applied, status)
}

/// List runs and direct calls, newest first
#[utoipa::path(get, path = "/v1/runs", tag = "runs", security(("token" = ["read"])), params(RunsQuery),
    responses((status = 200, body = page::List<RunAnswer>)))]
pub(crate) async fn list(State(core): State<Shared>, Read(tenant): Read, Query(query): Query<RunsQuery>) -> Answer {
    let RunsQuery { flow, call, script, status, since, limit, cursor } = query;
    let name = |parameter, text: Option<String>| {
        text.map(|text| Name::new(&text).map_err(|error| Invalid::new(parameter, error.to_string()))).transpose()
    };
    let (flow, script) = (name("flow", flow)?, name("script", script)?);
    let call = call.map(|text| checked_call("call", text)).transpose()?;
    let status = status.map(|word| {
        RunStatus::parse(&word).ok_or_else(|| {
            let known = RunStatus::ALL.map(RunStatus::as_str).join(", ");
            Invalid::new("status", format!("`{word}` is no status; there are {known}"))
        })
    });
    let since = since.map(|text| text.parse().map_err(|_| Invalid::new("since", format!("`{text}` is no time as RFC 3339 writes it"))));
    let filter = RunFilter { flow, call, script, status: status.transpose()?, since: since.transpose()? };
    let request = PageQuery::new(limit, cursor).request()?;
    page::list(core.store.runs(&tenant.name, &filter, &request).await?, |record| record)
}

/// Read a run or a direct call
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs", security(("token" = ["read"])), params(("run" = String, Path)),
    responses((status = 200, body = RunAnswer), (status = 404, body = ProblemDetails<'static>)))]
pub(crate) async fn get(State(core): State<Shared>, Read(tenant): Read, At(id): At<String>) -> Answer {
    let run = run_id(&id)?;
    answer::ok(&core.store.run(&tenant.name, run).await?.ok_or_else(|| unknown(&id))?)
}

/// A run's id in a path. What is none names nothing.
pub(crate) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| unknown(text))
}

pub(crate) fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("run `{id}`"))
}

/// A `connector/endpoint` in a query.
pub(crate) fn checked_call(parameter: &str, text: String) -> Result<String, Invalid> {
    match text.split_once('/').map(|(connector, endpoint)| (Name::new(connector), Name::new(endpoint))) {
        Some((Ok(_), Ok(_))) => Ok(text),
        _ => Err(Invalid::new(parameter, format!("`{text}` is no `connector/endpoint`"))),
    }
}

/// The body of a start; its payload stays exactly as it is written there.
fn start_input(body: &Bytes) -> Result<RunInput, Problem> {
    check_json(body)?;
    if body.is_empty() {
        return Ok(RunInput::default());
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Invalid::new("", "the body is an object such as {\"payload\": …}").into());
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let mut input = RunInput::default();
    for (name, value) in fields {
        match name.as_str() {
            "payload" => input.payload = Payload::json(body.slice_ref(value.get().as_bytes())),
            "subject" => input.subject = subjects::given(value)?,
            other => return Err(Invalid::new(other, "unknown field, expected `payload` or `subject`").into()),
        }
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::start_input;

    #[test]
    fn a_payload_stays_as_it_is_written() {
        let payload = |text: &'static str| start_input(&Bytes::from_static(text.as_bytes())).map(|input| input.payload);
        assert_eq!(
            payload(r#"{"payload": {"n": 12345678901234567890.50, "a": 1}}"#).expect("fine").bytes,
            r#"{"n": 12345678901234567890.50, "a": 1}"#
        );
        assert_eq!(payload("{}").expect("fine").bytes, "null");
        assert_eq!(payload("").expect("fine").bytes, "null");
        for (text, path) in [(r#"{"payload": 1, "x": 2}"#, "x"), (r#"{"subject": 1}"#, "subject"), ("[1]", "")] {
            assert_eq!(payload(text).expect_err(text).fault().path.as_deref(), Some(path));
        }
    }
}
