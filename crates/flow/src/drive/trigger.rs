//! The beginning of a run that a request to the flow's own address starts: the trigger's script, and the payload that comes of it.
//!
//! The script runs once, when the request comes in, and is not run again: a run that repeats this one begins with the same payload and the
//! same variables. Its answer is held until the run has ended, since a sender who is told that all is well will not send again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_model::{
    Author, Code, Decision, DocumentRecord, Fault, HookInput, Invocation, Payload, RunRecord, RunStatus, Tenant, TriggerDecision,
    TriggerRequest, TriggerResponse,
};
use snaphook_store::{QueueRoom, QueuedRun, StoreError};
use tokio_util::sync::CancellationToken;

use super::ending::{blank_record, close_record, finish_run, next_run};
use super::{Scope, Start, call, flow, internal};
use crate::outcome::{Finished, Outcome};
use crate::prepared::PreparedFlow;
use crate::record::store_fault;
use crate::recording::Opening;
use crate::retention;
use crate::runner::Inner;

/// Runs of a tenant that may wait for their beginning or their end: an hour of steady work for one that keeps every place of the node busy
/// with runs of five seconds.
const MAX_WAITING: u32 = 10_000;

/// How much of a tenant's runs may wait.
fn room(tenant: &Tenant) -> QueueRoom {
    QueueRoom { runs: MAX_WAITING, bytes: tenant.quota.queue_bytes }
}

/// What came of a trigger.
#[derive(Default)]
pub(super) struct Begun {
    /// Of its script; none where it has none.
    pub(super) invocation: Option<Invocation>,
    /// What the script answered, where there is one.
    pub(super) answer: Option<Option<TriggerResponse>>,
    /// Why the run cannot go on.
    pub(super) fault: Option<Fault>,
}

/// Takes the request of a run that begins with one, and puts the payload in its place.
pub(super) async fn begin(scope: &mut Scope<'_>, flow: &PreparedFlow) -> Begun {
    let Some(request) = scope.start.request.take() else { return Begun::default() };
    let brought = payload_of(&request);
    let Some(binding) = flow.trigger.as_ref().and_then(|trigger| trigger.binding.as_ref()) else {
        scope.start.input = brought;
        return Begun::default();
    };
    let place = call::Place { index: 0, attempt: 1 };
    let (invocation, result) = call::invoke(scope, binding, place, HookInput::Trigger { request }, Some(brought.clone())).await;
    let (answer, fault) = match result {
        Ok(Decision::Trigger(TriggerDecision { payload, response })) => {
            scope.start.input = payload.unwrap_or(brought);
            scope.start.writes = scope.variables.values().writes_since(&flow.variables);
            (Some(response), None)
        }
        Ok(_) => (None, Some(internal("a trigger gave another hook's decision").fault)),
        Err(fault) => (None, Some(fault)),
    };
    Begun { invocation: Some(invocation), answer, fault }
}

/// Takes a request whose sender does not wait for the end: the trigger's script runs at once, so that what is wrong with the request is said
/// at once, and the rest begins as soon as there is a place. Durable when it returns.
pub(crate) async fn accept(
    inner: &Arc<Inner>,
    tenant: &Arc<Tenant>,
    flow: &PreparedFlow,
    start: Start,
    deadline: Instant,
) -> Result<Finished, Fault> {
    let mut scope = flow::scope(inner, tenant, flow, start, deadline, CancellationToken::new());
    let begun = Box::pin(begin(&mut scope, flow)).await;
    let mut record = blank_record(&scope.start, scope.usage);
    record.flow = Some(flow.name.clone());
    record.flow_version = Some(flow.version);
    record.trigger = begun.invocation;
    let run = scope.start.id;
    if let Some(fault) = begun.fault {
        let outcome = Outcome::Failed { fault, reason_code: None, retry_run: None };
        close_record(&mut record, &outcome, inner.parts.clock.now());
        record.document = Some(DocumentRecord::of(record.status));
        Box::pin(finish_run(scope, record, None)).await;
        return Ok(Finished { run, outcome });
    }
    record.status = RunStatus::Queued;
    record.retention = retention::of_run(tenant, Some(flow), &record, true);
    record.document = Some(DocumentRecord::of(RunStatus::Queued));
    let recording = scope.recorder.finish();
    let start = scope.start;
    let subject_values = start.subject.map(|subject| subject.values).unwrap_or_default();
    let queued = QueuedRun { record, input: start.input, writes: start.writes, subject_values };
    let put = inner.parts.store.queue_run(&tenant.name, &queued, recording.as_ref(), room(tenant)).await;
    begin_when_due(inner, &queued, put)?;
    Ok(Finished { run, outcome: Outcome::Accepted })
}

/// Queues a run that begins as another one did.
pub(crate) async fn repeat(
    inner: &Inner,
    author: &Author,
    tenant: &Tenant,
    of: &RunRecord,
    opening: Option<(Opening, Bytes)>,
) -> Result<Finished, Fault> {
    let Some(flow) = &of.flow else {
        let detail = format!("run `{}` is a direct call, which belongs to no flow; make the call again", of.id);
        return Err(Fault::new(Code::Conflict, detail));
    };
    let Some((opening, bytes)) = opening else {
        let detail = format!("the input of run `{}` is not kept any more; start flow `{flow}` with it", of.id);
        return Err(Fault::new(Code::Conflict, detail));
    };
    let now = inner.parts.clock.now();
    let retention = Some(of.retention.unwrap_or_else(|| tenant.retention()));
    let record = next_run(&inner.parts.clock.run_id(), &RunRecord { ended_at: Some(now), retention, ..of.clone() }, Duration::ZERO);
    let run = record.id;
    let subject_values = opening.subject_values();
    let Opening { content_type, writes, .. } = opening;
    let queued = QueuedRun { record, input: Payload { bytes, content_type }, writes, subject_values };
    let put = inner.parts.store.by(author).queue_run(&tenant.name, &queued, None, room(tenant)).await;
    begin_when_due(inner, &queued, put)?;
    Ok(Finished { run, outcome: Outcome::Accepted })
}

/// Lets a queued run begin when it is due, if it is durable.
fn begin_when_due(inner: &Inner, queued: &QueuedRun, put: Result<(), StoreError>) -> Result<(), Fault> {
    if let Err(error) = put {
        // A tenant that queues too much is no failure of ours. No run was made.
        return Err(if matches!(error, StoreError::Full(_) | StoreError::QueueSize { .. }) { error.into() } else { store_fault(error) });
    }
    inner.due.at(queued.record.started_at);
    Ok(())
}

/// What a request brings as a payload: its body with its media type, and JSON's null where there is no body.
pub(crate) fn payload_of(request: &TriggerRequest) -> Payload {
    if request.body.is_empty() {
        return Payload::default();
    }
    let usable = |text: &&str| text.is_ascii() && text.contains('/');
    let content_type = request.headers.get("content-type").filter(usable).unwrap_or("application/octet-stream");
    Payload { bytes: request.body.clone(), content_type: content_type.to_owned() }
}

/// Refuses a body that says it is JSON and is not, where no script reads it first.
pub(crate) fn check_body(request: &TriggerRequest) -> Result<(), Fault> {
    let payload = payload_of(request);
    if !payload.is_json() {
        return Ok(());
    }
    // `IgnoredAny` skips over strings without looking for broken UTF-8 in them.
    let text =
        std::str::from_utf8(&payload.bytes).map_err(|_| Fault::new(Code::Invalid, "the body is said to be JSON and is not UTF-8"))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| {
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let fault = Fault::new(Code::Invalid, format!("the body is said to be JSON and is not: {error}"));
        fault.at(place(error.line()), place(error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: Option<&str>, body: &'static [u8]) -> TriggerRequest {
        let headers = content_type.map(|text| ("content-type", text)).into_iter().collect();
        TriggerRequest { headers, body: body.into(), ..TriggerRequest::default() }
    }

    #[test]
    fn a_request_brings_its_body() {
        let payload = |content_type, body| payload_of(&request(content_type, body));
        assert_eq!(payload(Some("application/json"), b""), Payload::default());
        assert_eq!(payload(Some("application/json; charset=utf-8"), b"1").content_type, "application/json; charset=utf-8");
        assert_eq!(payload(None, b"\xff").content_type, "application/octet-stream");
        assert_eq!(payload(Some("nonsense"), b"a").content_type, "application/octet-stream");
    }

    #[test]
    fn only_what_says_that_it_is_json_must_be() {
        assert!(check_body(&request(Some("text/plain"), b"{")).is_ok());
        assert!(check_body(&request(None, b"{")).is_ok());
        assert!(check_body(&request(Some("application/cloudevents+json"), b"{\"a\": [1]}")).is_ok());
        let fault = check_body(&request(Some("application/json"), b"{\"a\": 1,\n}")).unwrap_err();
        assert_eq!((fault.code, fault.line, fault.column), (Code::Invalid, Some(2), Some(1)));
        assert!(check_body(&request(Some("application/json"), b"\"\xff\"")).is_err());
    }
}
