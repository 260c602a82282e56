//! `Idempotency-Key`: a request that comes again is answered as the first one was, and nothing is done a second time.

use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use snaphook_flow::{Finished, Outcome};
use snaphook_model::{Code, Fault, Invalid, ReasonCode, RunId, Tenant};
use snaphook_store::{Keyed, KeyedRequest};

use crate::ambient;
use crate::answer::{Answer, RUN_ID};
use crate::outcome;
use crate::problem::Problem;
use crate::shared::Core;

/// The header.
pub(crate) const KEY: &str = "idempotency-key";

/// How long a key is known.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Longest key. A UUID has 36 characters.
const MOST_BYTES: usize = 255;

/// Says that the answer is the one to an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is kept of an answer, before its body.
#[derive(Serialize, Deserialize)]
enum Head {
    Response { status: u16, headers: Vec<(String, String)> },
    Problem { fault: Fault, run: Option<RunId>, retry_run: Option<RunId>, reason: Option<ReasonCode> },
}

/// Does the work of a request, unless its key says that it is done. `work` is given the name of the run that it makes, which is noted down with
/// the key: whoever asks again when the answer was lost is told of the run.
pub(crate) async fn once<Work: Future<Output = Answer>>(
    core: &Core,
    tenant: &Tenant,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
    work: impl FnOnce(Option<RunId>) -> Work,
) -> Answer {
    let Some(key) = headers.get(KEY) else { return work(None).await };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MOST_BYTES);
    let key = key.ok_or_else(|| Invalid::new(KEY, format!("must be 1 to {MOST_BYTES} visible ASCII characters")))?;
    let hash = blake3::hash(body);
    let run = core.runner.new_run();
    let request = KeyedRequest { path, key, body: hash.as_bytes(), run };
    let now = ambient::now();
    let forget = now.checked_sub(KEPT).unwrap_or(jiff::Timestamp::MIN);
    match core.store.begin_keyed(&tenant.name, request, now, forget).await? {
        Keyed::First => {}
        Keyed::Before { same_body: false, .. } => {
            let detail = format!("another body came with the key `{key}` before");
            return Err(Problem::new(Code::IdempotencyKey, detail));
        }
        Keyed::Before { answer: Some(answer), .. } => return again(answer),
        Keyed::Before { begun_at, run, .. } => return unanswered(core, tenant, key, (now.duration_since(begun_at), run)).await,
    }
    let (answer, kept) = keep(work(Some(run)).await).await?;
    if let Err(error) = core.store.end_keyed(&tenant.name, request, kept.as_deref()).await {
        // The work is done and its caller is answered; whoever asks again learns that nobody knows.
        tracing::error!(error = &error as &dyn std::error::Error, "an answer could not be kept for its idempotency key");
    }
    answer
}

/// Nobody has answered the first request. Either it is under way, or its node went down; a run of a flow may go on all the same.
async fn unanswered(core: &Core, tenant: &Tenant, key: &str, (since, run): (SignedDuration, Option<RunId>)) -> Answer {
    let record = match run {
        Some(run) => core.store.run(&tenant.name, run).await?,
        None => None,
    };
    match record {
        None => Err(without_run(core, key, since)),
        Some(record) if record.call.is_some() => {
            let detail = format!("the answer to the first request with the key `{key}` was lost; the call was made and has a record");
            Err(Problem::new(Code::OutcomeUnknown, detail).of_run(record.id, None))
        }
        Some(record) => {
            let finished = Finished { run: record.id, outcome: Outcome::Waiting };
            let mut response = outcome::started(finished, None, Some(record.status))?;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
    }
}

fn without_run(core: &Core, key: &str, since: SignedDuration) -> Problem {
    let longest = SignedDuration::try_from(core.config.run_deadline + core.config.drain).unwrap_or(SignedDuration::MAX);
    if since > longest {
        let detail = format!("the first request with the key `{key}` was never answered: its node went down meanwhile");
        return Problem::new(Code::OutcomeUnknown, detail);
    }
    let detail = format!("the first request with the key `{key}` is still being answered; ask again later");
    Problem::new(Code::Conflict, detail).with_header(http::header::RETRY_AFTER, HeaderValue::from_static("1"))
}

/// An answer, and what is kept of it. Where no run was made, nothing was done, and the same request may come again.
async fn keep(answer: Answer) -> Result<(Answer, Option<Vec<u8>>), Problem> {
    match answer {
        Err(problem) => {
            let kept = problem.of_a_run().map(|(fault, run, retry_run, reason)| {
                frame(&Head::Problem { fault: fault.clone(), run: Some(run), retry_run, reason: reason.cloned() }, &Bytes::new())
            });
            Ok((Err(problem), kept.transpose()?))
        }
        Ok(response) if !response.headers().contains_key(RUN_ID) => Ok((Ok(response), None)),
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(Problem::internal)?.to_bytes();
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
            let kept = frame(&Head::Response { status: parts.status.as_u16(), headers }, &body)?;
            Ok((Ok(Response::from_parts(parts, Body::from(body))), Some(kept)))
        }
    }
}

/// The head's length, the head, the body.
fn frame(head: &Head, body: &Bytes) -> Result<Vec<u8>, Problem> {
    let head = serde_json::to_vec(head).map_err(Problem::internal)?;
    let mut kept = Vec::with_capacity(4 + head.len() + body.len());
    kept.put_u32(u32::try_from(head.len()).map_err(Problem::internal)?);
    kept.put_slice(&head);
    kept.put_slice(body);
    Ok(kept)
}

/// The answer to the first request, once more.
fn again(mut kept: Bytes) -> Answer {
    let broken = || Problem::internal("an answer that was kept for an idempotency key cannot be read");
    let length = kept.try_get_u32().map_err(|_| broken())? as usize;
    if length > kept.len() {
        return Err(broken());
    }
    let head = kept.split_to(length);
    match serde_json::from_slice(&head).map_err(|_| broken())? {
        Head::Problem { fault, run, retry_run, reason } => {
            let problem = Problem::from(fault).with_reason(reason).with_header(REPLAYED, HeaderValue::from_static("true"));
            Err(match run {
                Some(run) => problem.of_run(run, retry_run),
                None => problem,
            })
        }
        Head::Response { status, headers } => {
            let mut response = Response::new(Body::from(kept));
            *response.status_mut() = StatusCode::from_u16(status).map_err(|_| broken())?;
            for (name, value) in headers {
                let (name, value) =
                    (HeaderName::try_from(name).map_err(|_| broken())?, HeaderValue::try_from(value).map_err(|_| broken())?);
                response.headers_mut().append(name, value);
            }
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
    }
}
