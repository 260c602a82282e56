//! Where bodies stand in an entry. The same order in writing and in reading.

use bytes::Bytes;
use snaphook_model::{
    Decision, Exchange, HookInput, PostFailDecision, PostHookDecision, PostRequestDecision, PreHookDecision, PreRequestDecision,
    StepDecision, TriggerDecision,
};

use super::Entry;

/// Shows every body of an entry, in a fixed order.
pub(super) fn visit(entry: &mut Entry, each: &mut dyn FnMut(&mut Bytes)) {
    input(&mut entry.input, each);
    for Exchange { request, told, .. } in &mut entry.exchanges {
        each(&mut request.body);
        if let Some(Ok(response)) = told.as_mut().map(|told| told.answer.as_mut()) {
            each(&mut response.body);
        }
    }
    if let Ok(decided) = &mut entry.result {
        decision(decided, each);
    }
}

fn input(input: &mut HookInput, each: &mut dyn FnMut(&mut Bytes)) {
    match input {
        HookInput::PreHook { arguments, .. } | HookInput::PostFail { arguments, .. } => each(arguments),
        HookInput::PreRequest { request } => each(&mut request.body),
        HookInput::PostRequest { payload, .. } => each(payload),
        HookInput::PostHook { payload, arguments, .. } => {
            each(payload);
            each(arguments);
        }
        HookInput::Step { payload } => each(&mut payload.bytes),
        HookInput::Trigger { request } => each(&mut request.body),
    }
}

fn decision(decision: &mut Decision, each: &mut dyn FnMut(&mut Bytes)) {
    match decision {
        Decision::PreHook(PreHookDecision::Call(Some(arguments))) => each(arguments),
        Decision::PreHook(PreHookDecision::Respond(response)) | Decision::PreRequest(PreRequestDecision::Respond(response)) => {
            each(&mut response.body);
        }
        Decision::PreRequest(PreRequestDecision::Send(Some(request))) => {
            if let Some(body) = &mut request.body {
                each(body);
            }
        }
        Decision::PostRequest(PostRequestDecision::None(Some(payload)) | PostRequestDecision::Proceed(Some(payload)))
        | Decision::PostHook(PostHookDecision::Replace(payload))
        | Decision::PostFail(PostFailDecision::Recover(payload))
        | Decision::Step(StepDecision(Some(payload))) => each(&mut payload.bytes),
        Decision::Trigger(TriggerDecision { payload, response }) => {
            if let Some(payload) = payload {
                each(&mut payload.bytes);
            }
            if let Some(body) = response.as_mut().and_then(|response| response.body.as_mut()) {
                each(body);
            }
        }
        Decision::PreHook(PreHookDecision::Call(None) | PreHookDecision::Reject(_))
        | Decision::PreRequest(PreRequestDecision::Send(None) | PreRequestDecision::Reject(_))
        | Decision::PostRequest(
            PostRequestDecision::None(None)
            | PostRequestDecision::Proceed(None)
            | PostRequestDecision::RetryStep(_)
            | PostRequestDecision::RetryRun(_)
            | PostRequestDecision::Fail(_)
            | PostRequestDecision::Reauthenticate(_),
        )
        | Decision::PostHook(PostHookDecision::Keep | PostHookDecision::Reject(_))
        | Decision::PostFail(PostFailDecision::Keep | PostFailDecision::Replace(_))
        | Decision::Step(StepDecision(None)) => {}
    }
}
