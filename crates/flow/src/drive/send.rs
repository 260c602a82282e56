//! Sends one request of a call, with the files that it sends and the one that it brings.

use std::time::Instant;

use bytes::Bytes;
use snaphook_egress::{Outbound, Sink, Streams};
use snaphook_model::{Attempt, Code, Fault, Hook, HttpRequest, HttpResponse};
use snaphook_telemetry::{Opened, SpanName, TraceContext};

use super::Scope;
use crate::files::{RunFiles, SavedFile, Wanted};
use crate::machine::{Call, Event};
use crate::multipart::{Content, Multipart, Part};
use crate::prepared::PreparedEndpoint;
use crate::record;
use crate::template::Form;

/// What came of a request.
pub(super) struct Answered {
    pub(super) event: Event,
    /// The response, where it is to be kept; it gets its name when the call succeeds with it.
    pub(super) saved: Option<SavedFile>,
}

/// A request as it leaves.
pub(super) struct Outgoing {
    request: HttpRequest,
    /// What it sends in place of its body.
    form: Option<Multipart>,
}

/// Makes the request ready to leave, and writes it into the attempt's record.
///
/// # Errors
/// When it would send a file that the run does not have; the record has nothing of it then.
pub(super) fn outgoing(
    files: &RunFiles,
    call: &Call<'_>,
    mut request: HttpRequest,
    attempt: Option<&mut Attempt>,
) -> Result<Outgoing, Fault> {
    let form = framed(files, call)?;
    if let Some(form) = &form {
        request.headers.set("content-type", form.content_type.as_str());
    }
    if let Some(attempt) = attempt {
        attempt.request = Some(record::request(&request, form.as_ref().map(|form| Bytes::from(form.shown.clone()))));
    }
    Ok(Outgoing { request, form })
}

/// Sends a request, and writes what comes back into the attempt's record.
pub(super) async fn send(
    scope: &Scope<'_>,
    endpoint: &PreparedEndpoint,
    call: &Call<'_>,
    outgoing: Outgoing,
    attempt: Option<&mut Attempt>,
) -> Answered {
    let (span, method) = (scope.span(SpanName::Request), outgoing.request.method.clone());
    let answer = exchange(scope, endpoint, call, outgoing, span.as_ref().map(Opened::context)).await;
    scope.requested(span, &method, answer.as_ref().map(|(response, _)| response), call.attempt());
    let name = call.save_as().unwrap_or_default();
    if let Some(attempt) = attempt {
        let shown = answer.as_ref().ok().and_then(|(_, file)| file.as_ref()).map(|file| file.shown(name).into());
        attempt.response = Some(record::response(answer.as_ref().ok().map(|(response, _)| response), shown));
    }
    match answer {
        Err(fault) => Answered { event: Event::NotAnswered(fault), saved: None },
        Ok((response, None)) => Answered { event: Event::Responded(response), saved: None },
        Ok((response, Some(file))) => Answered { event: Event::Saved(response, file.payload(name)), saved: Some(file) },
    }
}

/// The form of the request, from files that the run has.
fn framed(files: &RunFiles, call: &Call<'_>) -> Result<Option<Multipart>, Fault> {
    let Some(Form { texts, files: names }) = call.form() else { return Ok(None) };
    let mut parts: Vec<_> = texts.iter().map(|(field, text)| Part { field, content: Content::Text(text) }).collect();
    for (field, name) in names {
        parts.push(Part { field, content: Content::File(name, files.get(name)?) });
    }
    Ok(Some(Multipart::new(&parts)))
}

/// Sends it and takes the answer, into a file where it is to be kept.
async fn exchange(
    scope: &Scope<'_>,
    endpoint: &PreparedEndpoint,
    call: &Call<'_>,
    Outgoing { request, form }: Outgoing,
    trace: Option<&TraceContext>,
) -> Result<(HttpResponse, Option<SavedFile>), Fault> {
    let left = scope.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Fault::new(Code::Timeout, "the run timed out: its time was over before the request could be sent"));
    }
    let sealed = scope.used.with(scope.secrets.as_ref().map(|secrets| secrets.sealed(scope.inner, &scope.tenant.name)));
    let outbound = Outbound {
        tenant: &scope.tenant.name,
        request,
        policy: &scope.tenant.egress,
        timeout: endpoint.timeout.min(left),
        max_response_bytes: scope.tenant.limits.response_body_bytes,
        secrets: sealed.as_ref(),
        trace,
        redirects: endpoint.redirects,
    };
    let egress = &scope.inner.parts.egress;
    let upload = form.map(|form| form.upload());
    if call.save_as().is_none() {
        return Ok((egress.send_streaming(outbound, Streams { upload, sink: None }).await?, None));
    }
    let plan = &endpoint.plan;
    let mut incoming = scope.files.incoming();
    let response = if plan.reads_response() {
        // Somebody looks into this response as into any other, so it is in memory like any other.
        let response = egress.send_streaming(outbound, Streams { upload, sink: None }).await?;
        // Whatever its status, a script may go on with it; without one it may not.
        if plan.bound.of(Hook::PostRequest) == 0 && !plan.accept.allows(response.status) {
            return Ok((response, None));
        }
        incoming.write(response.body.clone()).await?;
        response
    } else {
        let mut wanted = Wanted { incoming: &mut incoming, accept: &plan.accept, came: false };
        let response = egress.send_streaming(outbound, Streams { upload, sink: Some(&mut wanted) }).await?;
        if !wanted.came {
            return Ok((response, None));
        }
        response
    };
    let file = incoming.finish(response.headers.get("content-type")).await?;
    Ok((response, Some(file)))
}
