//! Successful answers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::problem::Problem;

/// What a handler returns.
pub(crate) type Answer = Result<Response<Body>, Problem>;

/// Names the run behind an answer.
pub(crate) const RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
/// Names the request in an answer and in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A JSON document.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(|error| Problem::internal(format!("an answer does not serialise: {error}")))?;
    Ok(bytes(status, HeaderValue::from_static("application/json"), text.into()))
}

/// A JSON document, 200.
pub(crate) fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// Done, and nothing to say about it.
pub(crate) fn nothing() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Bytes of a media type.
pub(crate) fn bytes(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
