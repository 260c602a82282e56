//! What a recorded invocation was given, as the body of a test run has it: so that it can be tried again, changed or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use snaphook_model::{BodyText, Context, Headers, HookInput, HttpRequest, Payload, TriggerRequest, Variables};

use super::shown::{Body, body, map};

/// JSON texts as they were recorded, by their names: as values they would take many times the memory, and lose digits.
type Texts = BTreeMap<String, Box<RawValue>>;

/// Input and circumstances; what the hook does not see is absent. A secret is the placeholder that the script saw.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Given {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    connector: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    endpoint: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    arguments: Option<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<GivenRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<GivenResponse>,
    /// Of a step, and what an earlier script put in the place of a response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    payload: Option<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<GivenFailure>,
    /// The binding's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    parms: Option<Box<RawValue>>,
    attempt: u32,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    #[schema(value_type = Object)]
    variables: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    #[schema(value_type = Object)]
    meta: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    #[schema(value_type = Object)]
    config: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    #[schema(value_type = Object)]
    step_results: Texts,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    #[schema(value_type = Object)]
    connection: Texts,
}

#[derive(Serialize, utoipa::ToSchema)]
struct GivenRequest {
    method: String,
    url: String,
    /// Of a trigger's request.
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    body: Option<BodyText>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct GivenResponse {
    status: u16,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    body: Option<BodyText>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct GivenFailure {
    status: u16,
    code: String,
    message: String,
}

/// The body of the test run that repeats this invocation, but for its `hook`.
pub(crate) fn given(input: HookInput, context: &Context, variables: &Variables) -> Given {
    Given {
        parms: (&*context.parms != "{}").then(|| RawValue::from_string(context.parms.to_string()).ok()).flatten(),
        attempt: context.attempt,
        variables: values(&variables.variables),
        meta: values(&variables.meta),
        config: values(&variables.config),
        step_results: values(&variables.step_results),
        connection: values(&variables.connection),
        ..of_input(input)
    }
}

fn of_input(input: HookInput) -> Given {
    let nothing = Given::default();
    match input {
        HookInput::PreHook { connector, endpoint, arguments } => {
            Given { connector: Some(connector), endpoint: Some(endpoint), arguments: Some(body(Payload::json(arguments))), ..nothing }
        }
        HookInput::PreRequest { request: HttpRequest { method, url, headers, body } } => {
            Given { request: Some(request(method, url, String::new(), headers, BodyText(body))), ..nothing }
        }
        HookInput::PostRequest { method, url, status, headers, payload, payload_type } => {
            let request = request(method, url, String::new(), Headers::default(), BodyText::default());
            Given { request: Some(request), ..answered(status, headers, payload, payload_type) }
        }
        HookInput::PostHook { connector, endpoint, status, headers, payload, payload_type, arguments } => Given {
            connector: Some(connector),
            endpoint: Some(endpoint),
            arguments: Some(body(Payload::json(arguments))),
            ..answered(status, headers, payload, payload_type)
        },
        HookInput::PostFail { connector, endpoint, status, code, message, arguments } => Given {
            connector: Some(connector),
            endpoint: Some(endpoint),
            arguments: Some(body(Payload::json(arguments))),
            failure: Some(GivenFailure { status, code, message }),
            ..nothing
        },
        HookInput::Step { payload } => Given { payload: Some(body(payload)), ..nothing },
        HookInput::Trigger { request: TriggerRequest { method, url, path, headers, body } } => {
            Given { request: Some(request(method, url, path, headers, BodyText(body))), ..nothing }
        }
    }
}

/// A response, and the payload that stands in its body's place where an earlier script made one.
fn answered(status: u16, headers: Headers, payload: bytes::Bytes, payload_type: Option<String>) -> Given {
    let response = |body| Some(GivenResponse { status, headers: map(headers), body });
    match payload_type {
        Some(content_type) => {
            Given { response: response(None), payload: Some(body(Payload { bytes: payload, content_type })), ..Given::default() }
        }
        None => Given { response: response(unless_empty(BodyText(payload))), ..Given::default() },
    }
}

fn request(method: String, url: String, path: String, headers: Headers, body: BodyText) -> GivenRequest {
    GivenRequest { method, url, path, headers: map(headers), body: unless_empty(body) }
}

fn unless_empty(body: BodyText) -> Option<BodyText> {
    (!body.0.is_empty()).then_some(body)
}

/// As JSON; what is none is a text.
fn values(texts: &BTreeMap<String, String>) -> Texts {
    let value = |text: &String| RawValue::from_string(text.clone()).or_else(|_| to_raw_value(text)).ok();
    texts.iter().filter_map(|(key, text)| Some((key.clone(), value(text)?))).collect()
}

/// Bytes that [`given`] would show at least, without making it.
pub(crate) fn least_bytes(input: &HookInput, context: &Context, variables: &Variables) -> usize {
    let Variables { variables, meta, config, step_results, connection, .. } = variables;
    let texts = [variables, meta, config, step_results, connection].into_iter().flatten();
    let bodies = match input {
        HookInput::PreHook { arguments, .. } | HookInput::PostFail { arguments, .. } => arguments.len(),
        HookInput::PreRequest { request } => request.body.len(),
        HookInput::PostRequest { payload, .. } => payload.len(),
        HookInput::PostHook { payload, arguments, .. } => payload.len() + arguments.len(),
        HookInput::Step { payload } => payload.bytes.len(),
        HookInput::Trigger { request } => request.body.len(),
    };
    bodies + context.parms.len() + texts.map(|(key, text)| key.len() + text.len()).sum::<usize>()
}
