//! Failures on their way to the caller: RFC 9457 problem details.
//!
//! A handler returns a `Problem`; only the front end turns it into bytes, since it alone knows the request's id.

use std::error::Error as StdError;
use std::fmt;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use snaphook_model::{Code, Fault, Invalid, NameError, Origin, ReasonCode, RunId};

use snaphook_store::StoreError;

use crate::programs::ProgramsError;
use crate::status;

/// A failure with what its answer needs beyond the fault.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    fault: Fault,
    run: Option<RunId>,
    retry_run: Option<RunId>,
    reason: Option<ReasonCode>,
    /// One more header, such as `allow` or `retry-after`.
    header: Option<(HeaderName, HeaderValue)>,
    /// What the log may know and the caller may not.
    private: Option<String>,
}

/// The wire form.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemDetails<'a> {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// Stable, kebab-case.
    code: &'a str,
    /// `caller`, `guest`, `upstream`, `platform`, or `nobody` where nothing failed.
    blame: &'a str,
    detail: &'a str,
    /// The field it is about, such as `steps[2].foo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    /// In the uploaded source, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    /// The file that it is really about when the source imports another script or was bundled: `file`, `line`, `column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    origin: Option<&'a Origin>,
    /// The limit that was reached, in its own unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    request_id: &'a str,
    /// What a script gave as the code of its failure, a number or a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    reason_code: Option<&'a ReasonCode>,
    /// The run that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// The run that repeats it.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_run: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Fault::new(code, detail).into()
    }

    /// Nothing of this name, or nothing that this caller may know of: both read the same.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// Ours; the caller learns no more than that.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self::new(Code::Internal, "something failed on our side").because(cause)
    }

    /// The same with what only the log may know.
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.private = Some(cause.to_string());
        self
    }

    pub(crate) fn of_run(mut self, run: RunId, retry_run: Option<RunId>) -> Self {
        self.0.run = Some(run);
        self.0.retry_run = retry_run;
        self
    }

    pub(crate) fn with_reason(mut self, reason: Option<ReasonCode>) -> Self {
        self.0.reason = reason;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// The node takes no more work for the moment.
    pub(crate) fn overloaded(detail: &str) -> Self {
        Self::new(Code::Overloaded, detail)
    }

    /// The same with the place of its path in an uploaded document, which `place_of` finds.
    pub(crate) fn placed(mut self, place_of: impl FnOnce(&str) -> Option<(u32, u32)>) -> Self {
        let fault = &mut self.0.fault;
        if fault.origin.is_some() {
            return self;
        }
        // Of a template, which has a place of its own.
        let own = fault.line.zip(fault.column);
        if let Some((line, column)) = fault.path.as_deref().filter(|path| !path.is_empty()).and_then(place_of) {
            if let Some((line, column)) = own {
                fault.detail += &format!(" (at line {line}, column {column} of this text)");
            }
            (fault.line, fault.column) = (Some(line), Some(column));
        }
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.0.fault.code
    }

    /// What it says of a run; none where no run was made.
    pub(crate) fn of_a_run(&self) -> Option<(&Fault, RunId, Option<RunId>, Option<&ReasonCode>)> {
        Some((&self.0.fault, self.0.run?, self.0.retry_run, self.0.reason.as_ref()))
    }

    #[cfg(test)]
    pub(crate) fn fault(&self) -> &Fault {
        &self.0.fault
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(status::of(self.code())).expect("the table holds statuses only")
    }

    /// The answer for the caller; what is ours also goes to the log, under the same request id.
    pub(crate) fn render(&self, request_id: &str) -> Response<Body> {
        let Inner { fault, run, retry_run, reason, header, private } = self.0.as_ref();
        let status = self.status();
        if status.is_server_error() && fault.blame() == snaphook_model::Blame::Platform && fault.code != Code::Overloaded {
            tracing::error!(request_id, code = fault.code.as_str(), detail = fault.detail, cause = private.as_deref(), "request failed");
        }
        let details = ProblemDetails {
            kind: format!("/errors/{}", fault.code),
            title: fault.code.title(),
            status: status.as_u16(),
            code: fault.code.as_str(),
            blame: fault.blame().as_str(),
            detail: &fault.detail,
            path: fault.path.as_deref().filter(|path| !path.is_empty()),
            line: fault.line,
            column: fault.column,
            origin: fault.origin.as_deref(),
            limit: fault.limit,
            used: fault.used,
            request_id,
            reason_code: reason.as_ref(),
            run: run.map(|run| run.to_string()),
            retry_run: retry_run.map(|run| run.to_string()),
        };
        let body = serde_json::to_vec(&details).expect("texts and numbers always serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) && fault.code.retryable() {
            // A second: work in flight is bounded by deadlines of seconds, and a client that waits less only adds to the load.
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some((name, value)) = header {
            headers.insert(name, value.clone());
        }
        if let Some(run) = run {
            headers.insert(crate::answer::RUN_ID, crate::outcome::run_id(*run));
        }
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self(Box::new(Inner { fault, run: None, retry_run: None, reason: None, header: None, private: None }))
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Fault::from(invalid).into()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = chain(&error);
        Self::from(Fault::from(error)).because(cause)
    }
}

impl From<ProgramsError> for Problem {
    fn from(error: ProgramsError) -> Self {
        match error {
            ProgramsError::Fault(fault) => fault.into(),
            ProgramsError::Store(error) => error.into(),
            ProgramsError::Ours(cause) => Self::internal(cause),
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Code::Name, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error with all its sources, for the log.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
