//! Requests of a run that is written down: what is about to happen comes first, and what nobody knows the outcome of is repeated only where
//! that does no harm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use snaphook_model::{Code, CorrelationId, Fault, HttpRequest, StepRecord};
use snaphook_store::Wake;

use super::call::Done;
use super::checkpoint::{Sending, UnderWay};
use super::{Scope, cancelled, internal, send};
use crate::files::SavedFile;
use crate::machine::{Action, Call, Event};
use crate::prepared::PreparedEndpoint;
use crate::record;

/// Sends the request. In a run that is written down, what is about to happen is written down first.
pub(super) async fn send_request(
    scope: &mut Scope<'_>,
    endpoint: &PreparedEndpoint,
    call: &Call<'_>,
    unknown: Option<Sending>,
    step: &mut StepRecord,
    saved: &mut Option<SavedFile>,
) -> Done {
    let Action::SendRequest(request) = call.next() else { return Done::Broken(internal("no request is next")) };
    let mut request = request.clone();
    if unknown.is_some() && !endpoint.plan.idempotent {
        let detail = "the node went down between sending the request and writing down its answer; it was not sent again";
        return Done::Event(Event::NotAnswered(Fault::new(Code::OutcomeUnknown, detail)));
    }
    let cancel = scope.cancel.clone();
    match cancel.run_until_cancelled(Box::pin(scope.token(false))).await {
        Some(Ok(_)) => {}
        Some(Err(fault)) => return Done::Event(Event::NotAnswered(fault)),
        None => return Done::Broken(cancelled()),
    }
    let sending = match named(scope, call, unknown, &mut request) {
        Ok(sending) => sending,
        Err(fault) => return Done::Event(Event::NotAnswered(fault)),
    };
    // Before it is written down that it is about to leave, so that whoever looks meanwhile, or after a crash, sees what it asks for.
    let outgoing = match send::outgoing(&scope.files, call, request, step.attempts.last_mut()) {
        Ok(outgoing) => outgoing,
        // Nothing was sent, and nothing is recorded as if it had been.
        Err(fault) => return Done::Event(Event::NotAnswered(fault)),
    };
    if let Some(sending) = sending
        && let Err(fault) = intend(scope, call, sending, step).await
    {
        // It was not allowed to leave. The history may have it all the same: a store that broke off may have written it before.
        if let Some(attempt) = step.attempts.last_mut() {
            record::broken_off(attempt, &fault);
        }
        return Done::Event(Event::NotAnswered(fault));
    }
    let send = Box::pin(send::send(scope, endpoint, call, outgoing, step.attempts.last_mut()));
    let Some(answered) = cancel.run_until_cancelled(send).await else { return Done::Broken(cancelled()) };
    *saved = answered.saved;
    Done::Event(answered.event)
}

/// Gives a request what the upstream may know it by; none in a run that is not written down.
fn named(scope: &mut Scope<'_>, call: &Call<'_>, unknown: Option<Sending>, request: &mut HttpRequest) -> Result<Option<Sending>, Fault> {
    if scope.ledger.lease.is_none() {
        return Ok(None);
    }
    let sending = unknown.unwrap_or_else(|| {
        let (run, step) = (scope.start.id, scope.step_index);
        Sending { key: format!("{run}-{step}-{}", call.intents()) }
    });
    if call.repeatable() && request.headers.get("idempotency-key").is_none() {
        request.headers.set("idempotency-key", sending.key.as_str());
    }
    if call.awaits_callback() {
        // All requests of a step bear the same: an upstream that took one of which nobody heard may call back by what that one bore.
        let correlation = match scope.ledger.correlation.clone() {
            Some(known) => known,
            None => correlation_id(scope)?,
        };
        request.headers.set("x-link-correlation-id", correlation.0.as_str());
        request.headers.set("x-link-callback-url", scope.inner.config.callback_url.as_str());
        scope.ledger.correlation = Some(correlation);
    }
    Ok(Some(sending))
}

/// Writes down that a request is about to leave.
async fn intend(scope: &mut Scope<'_>, call: &Call<'_>, sending: Sending, step: &StepRecord) -> Result<(), Fault> {
    let expects = scope.ledger.correlation.clone().filter(|_| call.awaits_callback());
    let under_way = UnderWay::Call(Box::new(call.so_far().clone()), Some(sending));
    scope.save(under_way, Some(step), Wake::Held, expects.as_ref()).await
}

/// 22 letters that nobody can guess.
fn correlation_id(scope: &Scope<'_>) -> Result<CorrelationId, Fault> {
    let mut bytes = [0; 16];
    scope.inner.parts.clock.chance(&mut bytes)?;
    Ok(CorrelationId(URL_SAFE_NO_PAD.encode(bytes)))
}
