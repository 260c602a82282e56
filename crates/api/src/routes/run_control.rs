//! What can be done about a run: cancel it, or do the same again.

use axum::extract::State;
use http::StatusCode;
use snaphook_model::RunStatus;

use crate::answer::{self, Answer};
use crate::author::By;
use crate::extract::{At, Invoke};
use crate::outcome::{self, StartedAnswer};
use crate::problem::ProblemDetails;
use crate::routes::runs::run_id;
use crate::shared::Shared;

/// Cancel a run
///
/// One that waits ends at once; one that is under way ends at the next occasion, and what it has asked of an upstream is not taken back.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", tag = "runs", security(("token" = ["invoke"])), params(("run" = String, Path)),
    responses((status = 200, body = StartedAnswer), (status = 404, body = ProblemDetails<'static>),
        (status = 409, description = "it has ended", body = ProblemDetails<'static>)))]
pub(crate) async fn cancel(State(core): State<Shared>, Invoke(tenant): Invoke, By(author): By, At(id): At<String>) -> Answer {
    let run = run_id(&id)?;
    core.runner.cancel(&author, &tenant.name, run).await?;
    answer::json(StatusCode::OK, &StartedAnswer { run, status: RunStatus::Cancelled })
}

/// Run a flow again with a run's original input and flow version
#[utoipa::path(post, path = "/v1/runs/{run}/retry", tag = "runs", security(("token" = ["invoke"])), params(("run" = String, Path)),
    responses((status = 202, body = StartedAnswer, headers(("x-run-id" = String), ("location" = String))),
        (status = 404, body = ProblemDetails<'static>),
        (status = 409, description = "it has not ended, belongs to no flow, or its input is not kept any more", body = ProblemDetails<'static>)))]
pub(crate) async fn retry(State(core): State<Shared>, Invoke(tenant): Invoke, By(author): By, At(id): At<String>) -> Answer {
    let run = run_id(&id)?;
    outcome::started(core.runner.retry(&author, &tenant, run).await?, None, None)
}
