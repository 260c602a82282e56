//! What a decision made of the sample: the values that would go on from here.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use snaphook_model::{
    BodyText, Decision, Headers, HookInput, HttpRequest, NewResponse, Payload, PostFailDecision, PostHookDecision, PostRequestDecision,
    PreHookDecision, PreRequestDecision, StepDecision, TriggerDecision, TriggerResponse,
};

/// Values as they stand after the hook, changed or not.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Shown {
    /// After `pre-hook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    arguments: Option<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    payload: Option<Body>,
    /// After `pre-request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<ShownRequest>,
    /// That a hook made in the upstream's place, or a trigger's own. Without a body the trigger's caller gets the run's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ShownResponse>,
}

/// JSON as it is, anything else as a body in a document.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Body {
    Json(Box<RawValue>),
    Other(BodyText),
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownRequest {
    method: String,
    url: String,
    headers: Map<String, Value>,
    #[schema(value_type = Value)]
    body: BodyText,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownResponse {
    status: u16,
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    body: Option<BodyText>,
}

/// The values after a decision on this input.
pub(crate) fn shown(decision: Decision, input: HookInput) -> Shown {
    let nothing = Shown::default();
    match (decision, input) {
        (Decision::PreHook(PreHookDecision::Call(new)), HookInput::PreHook { arguments, .. }) => {
            Shown { arguments: Some(body(Payload::json(new.unwrap_or(arguments)))), ..nothing }
        }
        (Decision::PreRequest(PreRequestDecision::Send(new)), HookInput::PreRequest { request: seen }) => {
            let sent = match new {
                Some(new) => new.over(&seen),
                None => seen,
            };
            Shown { request: Some(request(sent)), ..nothing }
        }
        (Decision::PreHook(PreHookDecision::Respond(made)) | Decision::PreRequest(PreRequestDecision::Respond(made)), _) => {
            Shown { response: Some(response(made)), ..nothing }
        }
        (
            Decision::PostRequest(PostRequestDecision::None(new) | PostRequestDecision::Proceed(new)),
            HookInput::PostRequest { payload, payload_type, headers, .. },
        ) => {
            let kept = || received(payload, payload_type, &headers);
            Shown { payload: Some(body(new.unwrap_or_else(kept))), ..nothing }
        }
        (Decision::PostHook(PostHookDecision::Keep), HookInput::PostHook { payload, payload_type, headers, .. }) => {
            Shown { payload: Some(body(received(payload, payload_type, &headers))), ..nothing }
        }
        (Decision::PostHook(PostHookDecision::Replace(new)) | Decision::PostFail(PostFailDecision::Recover(new)), _) => {
            Shown { payload: Some(body(new)), ..nothing }
        }
        (Decision::Step(StepDecision(new)), HookInput::Step { payload }) => {
            Shown { payload: Some(body(new.unwrap_or(payload))), ..nothing }
        }
        (Decision::Trigger(TriggerDecision { payload, response }), HookInput::Trigger { request }) => {
            let kept = || received(request.body, None, &request.headers);
            Shown { payload: Some(body(payload.unwrap_or_else(kept))), response: response.map(trigger_response), ..nothing }
        }
        _ => nothing,
    }
}

/// What stands in a response's body's place as a payload: by its own media type, else by the header's. Without either it is shown as JSON where
/// it is JSON.
fn received(bytes: bytes::Bytes, own_type: Option<String>, headers: &Headers) -> Payload {
    let content_type = own_type.unwrap_or_else(|| headers.get("content-type").unwrap_or("application/json").to_owned());
    Payload { bytes, content_type }
}

pub(crate) fn body(payload: Payload) -> Body {
    let json = payload.is_json().then(|| serde_json::from_slice(&payload.bytes).ok()).flatten();
    json.map_or_else(|| Body::Other(BodyText(payload.bytes)), Body::Json)
}

pub(crate) fn request(request: HttpRequest) -> ShownRequest {
    let HttpRequest { method, url, headers, body } = request;
    ShownRequest { method, url, headers: map(headers), body: BodyText(body) }
}

fn response(made: NewResponse) -> ShownResponse {
    let NewResponse { status, headers, body } = made;
    ShownResponse { status, headers: map(headers), body: Some(BodyText(body)) }
}

fn trigger_response(made: TriggerResponse) -> ShownResponse {
    let TriggerResponse { status, headers, body } = made;
    ShownResponse { status, headers: map(headers), body: body.map(BodyText) }
}

pub(crate) fn map(headers: Headers) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in headers.0 {
        match map.get_mut(&name) {
            None => {
                map.insert(name, value.into());
            }
            Some(Value::Array(list)) => list.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    map
}
