//! How calls and runs end, as answers.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use snaphook_flow::{Finished, Outcome};
use snaphook_model::connector::is_framing_header;
use snaphook_model::{Code, Headers, NewResponse, Payload, ReasonCode, Rejection, RunId, RunStatus, TriggerResponse};

use crate::answer::{self, Answer, RUN_ID};
use crate::problem::Problem;
use crate::status;

/// What the caller of a rejected call gets, with the hook's own status.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct RejectionAnswer {
    status: u16,
    /// A number or a text, as the hook gave it.
    #[schema(value_type = Option<serde_json::Value>)]
    reason_code: Option<ReasonCode>,
    status_message: String,
}

/// What the caller of a trigger gets where its script gave no body.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TriggeredAnswer {
    /// The run.
    #[serde(rename = "executionId")]
    #[schema(value_type = String)]
    execution_id: RunId,
}

/// What whoever started a run gets when it has not ended.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct StartedAnswer {
    /// The run.
    #[schema(value_type = String)]
    pub(crate) run: RunId,
    /// `queued`, `running` or `waiting`; another one where it has ended and its answer was lost.
    #[schema(value_type = String)]
    pub(crate) status: RunStatus,
}

/// The answer to whoever started a run of a flow: as [`answer`], but for a run that has not ended.
/// `status` is that of a run that goes on, where it is known.
pub(crate) fn started(finished: Finished, applied: Option<&'static str>, status: Option<RunStatus>) -> Answer {
    let status = match finished.outcome {
        Outcome::Accepted => RunStatus::Queued,
        Outcome::Waiting => status.unwrap_or(RunStatus::Waiting),
        _ => return answer(finished),
    };
    let run = finished.run;
    let mut response = answer::json(StatusCode::ACCEPTED, &StartedAnswer { run, status })?;
    response.headers_mut().insert(header::LOCATION, location(run)?);
    response.headers_mut().insert(RUN_ID, run_id(run));
    if let Some(applied) = applied {
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static(applied));
    }
    Ok(response)
}

fn location(run: RunId) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(format!("/v1/runs/{run}")).map_err(Problem::internal)
}

/// The answer to whoever waited for a call or a run.
pub(crate) fn answer(finished: Finished) -> Answer {
    let Finished { run, outcome } = finished;
    let mut response = match outcome {
        Outcome::Payload(payload) | Outcome::Partial(payload) => of_payload(payload),
        Outcome::Responded(response) => of_response(response).map_err(|problem| problem.of_run(run, None))?,
        Outcome::Triggered { response, .. } => of_trigger(run, response).map_err(|problem| problem.of_run(run, None))?,
        Outcome::Accepted => of_accepted(run, true)?,
        Outcome::Waiting => of_accepted(run, false)?,
        Outcome::Rejected(rejection) => of_rejection(rejection)?,
        Outcome::Failed { fault, reason_code, retry_run } => {
            return Err(Problem::from(fault).with_reason(reason_code).of_run(run, retry_run));
        }
    };
    response.headers_mut().insert(RUN_ID, run_id(run));
    Ok(response)
}

/// A run's id as a header.
pub(crate) fn run_id(run: RunId) -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    HeaderValue::from_str(run.0.hyphenated().encode_lower(&mut text)).expect("hexadecimal digits are fit for a header")
}

fn of_payload(payload: Payload) -> Response<Body> {
    let content_type = match payload.content_type.as_str() {
        "application/json" => HeaderValue::from_static("application/json"),
        other => HeaderValue::try_from(other).unwrap_or(HeaderValue::from_static("application/octet-stream")),
    };
    answer::bytes(StatusCode::OK, content_type, payload.bytes)
}

fn of_response(made: NewResponse) -> Result<Response<Body>, Problem> {
    let status = final_status(made.status).ok_or_else(|| {
        Problem::new(Code::ScriptContract, format!("a hook answered with {}, which is no status of an answer", made.status))
    })?;
    let mut response = Response::new(Body::from(made.body));
    *response.status_mut() = status;
    for (name, value) in made.headers.0 {
        // The sandbox refused what is no header; what frames the message is set here alone.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&name), HeaderValue::try_from(&value))
            && !is_framing_header(name.as_str())
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// What a trigger's script answered. The run's id stands in for a body that it left out, where the status has one at all.
fn of_trigger(run: RunId, made: Option<TriggerResponse>) -> Answer {
    let TriggerResponse { status, headers, body } =
        made.unwrap_or_else(|| TriggerResponse { status: StatusCode::OK.as_u16(), headers: Headers::default(), body: None });
    let bodiless = matches!(status, 204 | 205 | 304);
    let given = body.filter(|_| !bodiless);
    let named = given.is_none() && !bodiless;
    let mut response = of_response(NewResponse { status, headers, body: given.unwrap_or_default() })?;
    if named {
        let text = serde_json::to_vec(&TriggeredAnswer { execution_id: run }).map_err(Problem::internal)?;
        *response.body_mut() = Body::from(text);
        response.headers_mut().remove(header::CONTENT_ENCODING);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// What the caller gets who does not wait, or whose run does.
fn of_accepted(run: RunId, preferred: bool) -> Answer {
    let mut response = answer::json(StatusCode::ACCEPTED, &TriggeredAnswer { execution_id: run })?;
    response.headers_mut().insert(header::LOCATION, location(run)?);
    if preferred {
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static("respond-async"));
    }
    Ok(response)
}

fn of_rejection(rejection: Rejection) -> Answer {
    let Rejection { status, code, message } = rejection;
    let http = final_status(status).or(StatusCode::from_u16(status::of(Code::Rejected)).ok()).unwrap_or_default();
    answer::json(http, &RejectionAnswer { status, reason_code: code, status_message: message })
}

/// A status that can end an exchange; 1xx cannot, and beyond 599 nobody knows what it means.
fn final_status(status: u16) -> Option<StatusCode> {
    (200..600).contains(&status).then(|| StatusCode::from_u16(status).ok()).flatten()
}
