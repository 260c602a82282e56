//! Sample input, from the documents of a test run to what a hook is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use snaphook_model::{BodyText, Fault, Headers, Hook, HookInput, HttpRequest, Invalid, Payload, TriggerRequest, VariableScope, Variables};
use snaphook_sandbox::{GuestState, StateFuture};

use super::TestRun;
use crate::problem::Problem;

/// A request as `pre-request` and `trigger` see it, and what a response answers.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SampleRequest {
    method: String,
    url: String,
    /// Below the trigger's address; empty, or beginning with `/`.
    path: String,
    /// Name to text, or to a list of texts.
    headers: Map<String, Value>,
    body: Value,
}

/// A response as `post-request` and `post-hook` see it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SampleResponse {
    status: u16,
    headers: Map<String, Value>,
    body: Value,
}

/// A failure as `post-fail` sees it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SampleFailure {
    /// 0: there was no response.
    status: u16,
    code: String,
    message: String,
}

/// State as it is kept when a hook begins, by key.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SampleState {
    /// Of the flow.
    flow: Map<String, Value>,
    /// Of the tenant.
    tenant: Map<String, Value>,
}

impl Default for SampleRequest {
    fn default() -> Self {
        // A name that never resolves (RFC 6761): a script that passes it on by mistake reaches nobody.
        let (method, url) = ("GET".to_owned(), "https://upstream.invalid/".to_owned());
        Self { method, url, path: String::new(), headers: Map::new(), body: Value::default() }
    }
}

impl Default for SampleResponse {
    fn default() -> Self {
        Self { status: 200, headers: Map::new(), body: Value::default() }
    }
}

impl Default for SampleFailure {
    fn default() -> Self {
        Self { status: 0, code: "connect".to_owned(), message: "could not connect".to_owned() }
    }
}

/// What the hook is given.
pub(super) fn hook_input(test: &TestRun) -> Result<HookInput, Problem> {
    let arguments = || Bytes::from(test.arguments.to_string());
    let place = || (Arc::<str>::from(test.connector.as_str()), Arc::<str>::from(test.endpoint.as_str()));
    Ok(match test.hook {
        Hook::PreHook => HookInput::PreHook {
            connector: test.connector.as_str().into(),
            endpoint: test.endpoint.as_str().into(),
            arguments: arguments(),
        },
        Hook::PreRequest => HookInput::PreRequest {
            request: {
                let (headers, body) = message("request", &test.request.headers, given(&test.request.body))?;
                HttpRequest { method: test.request.method.clone(), url: test.request.url.clone(), headers, body }
            },
        },
        Hook::PostRequest => {
            let (headers, payload, payload_type) = response(test)?;
            let (method, url) = (test.request.method.clone(), test.request.url.clone());
            HookInput::PostRequest { method, url, status: test.response.status, headers, payload, payload_type }
        }
        Hook::PostHook => {
            let (headers, payload, payload_type) = response(test)?;
            let (connector, endpoint) = place();
            HookInput::PostHook {
                connector,
                endpoint,
                status: test.response.status,
                headers,
                payload,
                payload_type,
                arguments: arguments(),
            }
        }
        Hook::PostFail => HookInput::PostFail {
            connector: place().0,
            endpoint: place().1,
            status: test.failure.status,
            code: test.failure.code.clone(),
            message: test.failure.message.clone(),
            arguments: arguments(),
        },
        Hook::Step => HookInput::Step { payload: step_payload(test)? },
        Hook::Trigger => {
            let SampleRequest { method, url, path, headers, body } = &test.request;
            if !path.is_empty() && !path.starts_with('/') {
                return Err(Invalid::new("request.path", "must be empty or begin with `/`").into());
            }
            let (headers, body) = message("request", headers, test.payload.as_ref().or_else(|| given(body)))?;
            HookInput::Trigger { request: TriggerRequest { method: method.clone(), url: url.clone(), path: path.clone(), headers, body } }
        }
    })
}

/// Everything a script may read by key.
pub(super) fn variables(test: &TestRun) -> Variables {
    let texts = |map: &Map<String, Value>| map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    Variables {
        variables: texts(&test.variables),
        meta: test.meta.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()).to_string())).collect(),
        config: texts(&test.config),
        step_results: texts(&test.step_results),
        connection: connection(&test.connection),
        ..Variables::default()
    }
}

/// A connection has a name, by which scripts know that there is one.
fn connection(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<_, _> = fields.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    if !texts.is_empty() {
        texts.entry("name".to_owned()).or_insert_with(|| Value::from("sample").to_string());
    }
    texts
}

/// State that a script is tried out with.
pub(super) struct GivenState {
    flow: BTreeMap<String, String>,
    tenant: BTreeMap<String, String>,
}

impl GivenState {
    pub(super) fn new(sample: &SampleState) -> Self {
        let texts = |map: &Map<String, Value>| map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        Self { flow: texts(&sample.flow), tenant: texts(&sample.tenant) }
    }
}

impl GuestState for GivenState {
    fn read(&self, scope: VariableScope) -> StateFuture<'_> {
        let of = if scope == VariableScope::FlowState { &self.flow } else { &self.tenant };
        Box::pin(std::future::ready(Ok(of.clone())))
    }
}

/// The response with `payload` in its body's place, where one is given, which then has a media type of its own.
fn response(test: &TestRun) -> Result<(Headers, Bytes, Option<String>), Problem> {
    let (headers, body) = message("response", &test.response.headers, test.payload.as_ref().or_else(|| given(&test.response.body)))?;
    let own = test.payload.as_ref().map(|value| payload("payload", value)).transpose()?;
    Ok((headers, body, own.map(|own| own.content_type)))
}

/// Headers and body of a message. A body without a `content-type` gets the one of what it was given as.
fn message(path: &str, map: &Map<String, Value>, body: Option<&Value>) -> Result<(Headers, Bytes), Problem> {
    let mut headers = headers(&format!("{path}.headers"), map)?;
    let Some(body) = body else { return Ok((headers, Bytes::new())) };
    let Payload { bytes, content_type } = payload(&format!("{path}.body"), body)?;
    if headers.get("content-type").is_none() {
        headers.0.push(("content-type".to_owned(), content_type));
    }
    Ok((headers, bytes))
}

fn given(body: &Value) -> Option<&Value> {
    (!body.is_null()).then_some(body)
}

fn step_payload(test: &TestRun) -> Result<Payload, Problem> {
    test.payload.as_ref().map_or_else(|| Ok(Payload::default()), |value| payload("payload", value))
}

/// Text is text, `{"base64": …}` is bytes, and any other value is JSON.
fn payload(path: &str, value: &Value) -> Result<Payload, Problem> {
    let is_bytes = value.as_object().is_some_and(|map| map.len() == 1 && map.get("base64").is_some_and(Value::is_string));
    let content_type = match value {
        Value::String(_) => "text/plain",
        _ if is_bytes => "application/octet-stream",
        _ => "application/json",
    };
    let body = BodyText::deserialize(value).map_err(|error| Invalid::new(path, error.to_string()))?;
    Ok(Payload { bytes: body.0, content_type: content_type.to_owned() })
}

fn headers(path: &str, map: &Map<String, Value>) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    for (name, value) in map {
        let mut add = |value: &Value| match value.as_str() {
            Some(text) => {
                headers.0.push((name.to_ascii_lowercase(), text.to_owned()));
                Ok(())
            }
            None => Err(Fault::from(Invalid::new(format!("{path}.{name}"), "must be a text or a list of texts"))),
        };
        match value {
            Value::Array(list) => list.iter().try_for_each(&mut add)?,
            one => add(one)?,
        }
    }
    Ok(headers)
}
