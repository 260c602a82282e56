//! Connectors, endpoints and bindings: the documents of `flow-format`, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{check_files, check_no_script};
use crate::request::{ContinueIf, Encode, check_continue_if, check_store_data, has_template};
use crate::{Hook, Invalid, Name};

/// A third-party API and its operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Absolute; an endpoint's path is appended to it.
    pub base_url: String,
    /// Sent with every request; an endpoint's headers of the same name win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The tenant's credentials for the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Name>,
    /// Of each request, for endpoints that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Run before the endpoint's own.
    #[serde(default, skip_serializing_if = "HookBindings::is_empty")]
    pub hooks: HookBindings,
    /// Operations by name.
    pub endpoints: BTreeMap<Name, Endpoint>,
}

/// One operation of a connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// One of [`METHODS`].
    pub method: String,
    /// Appended to the connector's `base_url`.
    pub path: String,
    /// Added to the URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Sent with the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Sent as the body in place of the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Fields of a form that are sent from saved files, by their names; `data` are text fields beside them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// How `data` is sent; default as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode: Option<Encode>,
    /// Picks the payload out of the response: dotted, list positions as numbers, negative from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_path: Option<String>,
    /// Accepted statuses. Absent: every 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<StatusList>,
    /// What the response must hold; else the call ends blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_if: Option<ContinueIf>,
    /// Name to path into the JSON response: kept for the run, and for its subject for good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub store_data: BTreeMap<String, String>,
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether a request may be sent again when nobody knows what became of it; default for GET, HEAD, PUT and DELETE. With `true`, requests of
    /// runs that outlive their node carry an `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Of each request; default [`DEFAULT_TIMEOUT_S`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Followed for GET and HEAD, 0 to 5; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirects: Option<u8>,
    /// Run after the connector's own.
    #[serde(default, skip_serializing_if = "HookBindings::is_empty")]
    pub hooks: HookBindings,
}

/// Which script version sits at a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// A script of the same tenant.
    pub script: Name,
    /// Filled in with the latest version when the document is stored; never changed afterwards by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Given to the script as `context.parms`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parms: serde_json::Map<String, Value>,
}

/// Lists of bindings by hook. A list runs in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HookBindings(pub BTreeMap<Hook, Vec<Binding>>);

impl HookBindings {
    /// Whether nothing is bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bindings of a hook, in order.
    #[must_use]
    pub fn of(&self, hook: Hook) -> &[Binding] {
        self.0.get(&hook).map_or(&[], Vec::as_slice)
    }

    /// Whether a list is given for a hook, be it empty.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.0.contains_key(&hook)
    }
}

/// Further attempts after a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// After the first, 0 to 10.
    pub attempts: u32,
    /// Seconds before each of them, 0 to 3,600.
    #[serde(default)]
    pub delay_s: u32,
    /// Factor of the delay from one attempt to the next, 1 to 10.
    #[serde(default = "one")]
    pub backoff: u32,
}

impl Retry {
    /// No further attempts.
    pub const NONE: Self = Self { attempts: 0, delay_s: 0, backoff: 1 };

    /// How long to wait before further attempt number `further`, from 1. Delays grow with `backoff`; a month is far beyond any use and keeps
    /// the sums inside the calendar.
    #[must_use]
    pub fn delay(&self, further: u32) -> Duration {
        const MOST_S: u64 = 30 * 24 * 60 * 60;
        let factor = u64::from(self.backoff).saturating_pow(further.saturating_sub(1));
        Duration::from_secs(u64::from(self.delay_s).saturating_mul(factor).min(MOST_S))
    }
}

const fn one() -> u32 {
    1
}

/// Accepted statuses, written as numbers or digit strings. An empty list accepts every status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StatusList(pub Vec<u16>);

impl<'de> Deserialize<'de> for StatusList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = |value: &Value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let values = Vec::<Value>::deserialize(deserializer)?;
        let list = values.iter().map(|value| match status(value) {
            Some(number @ 100..=999) => Ok(u16::try_from(number).unwrap_or_default()),
            _ => Err(serde::de::Error::custom(format!("{value} is no status; write 200 or \"200\""))),
        });
        Ok(Self(list.collect::<Result<_, _>>()?))
    }
}

/// Methods that a request may have.
pub const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// Of a request that sets none, as the manifests have it that people bring along.
pub const DEFAULT_TIMEOUT_S: u32 = 120;

impl Connector {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first field that breaks the format, with its path.
    pub fn parse(document: Value) -> Result<Self, Invalid> {
        let connector: Self = from_document(document)?;
        if has_template(&connector.base_url) {
            return Err(Invalid::new("base_url", "holds no templates; put them into an endpoint's `path`, `query` or `headers`"));
        }
        check_url("base_url", &connector.base_url)?;
        if connector.base_url.contains('#') {
            return Err(Invalid::new("base_url", "holds a `#`: paths of endpoints would stand behind it and never leave for the upstream"));
        }
        check_headers("headers", &connector.headers)?;
        check_timeout("timeout_s", connector.timeout_s)?;
        check_bindings("hooks", &connector.hooks)?;
        for (name, endpoint) in &connector.endpoints {
            endpoint.check(&format!("endpoints.{name}"))?;
            if !endpoint.files.is_empty() {
                check_no_script("hooks", &connector.hooks)?;
            }
        }
        Ok(connector)
    }

    /// Every list of bindings in the document, with its path.
    pub fn bindings_mut(&mut self) -> impl Iterator<Item = (String, Hook, &mut Binding)> {
        let own = bindings_mut("hooks".to_owned(), &mut self.hooks);
        let endpoints =
            self.endpoints.iter_mut().flat_map(|(name, endpoint)| bindings_mut(format!("endpoints.{name}.hooks"), &mut endpoint.hooks));
        own.chain(endpoints)
    }
}

impl Endpoint {
    fn check(&self, path: &str) -> Result<(), Invalid> {
        check_method(&format!("{path}.method"), &self.method)?;
        if !self.path.is_empty() && !self.path.starts_with('/') {
            return Err(Invalid::new(format!("{path}.path"), "must be empty or begin with `/`"));
        }
        check_headers(&format!("{path}.headers"), &self.headers)?;
        check_encode(path, self.encode, self.data.as_ref(), !self.files.is_empty())?;
        check_continue_if(&format!("{path}.continue_if"), self.continue_if.as_ref())?;
        check_store_data(&format!("{path}.store_data"), &self.store_data)?;
        check_retry(&format!("{path}.retry"), self.retry)?;
        check_timeout(&format!("{path}.timeout_s"), self.timeout_s)?;
        if self.redirects.is_some_and(|n| n > 5) {
            return Err(Invalid::new(format!("{path}.redirects"), "must be 0 to 5"));
        }
        check_files(path, &self.files, self.data.as_ref(), &self.hooks)?;
        check_bindings(&format!("{path}.hooks"), &self.hooks)
    }
}

/// Reads a document and names the path of what does not fit.
pub(crate) fn from_document<T: serde::de::DeserializeOwned>(document: Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        Invalid::new(path, error.inner().to_string())
    })
}

pub(crate) fn bindings_mut(path: String, hooks: &mut HookBindings) -> impl Iterator<Item = (String, Hook, &mut Binding)> {
    hooks.0.iter_mut().flat_map(move |(hook, list)| {
        let path = path.clone();
        list.iter_mut().enumerate().map(move |(i, binding)| (format!("{path}.{hook}[{i}]"), *hook, binding))
    })
}

pub(crate) fn check_method(path: &str, method: &str) -> Result<(), Invalid> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    Err(Invalid::new(path, format!("`{method}` is no method; there are {}, in capitals", METHODS.join(", "))))
}

pub(crate) fn check_url(path: &str, url: &str) -> Result<(), Invalid> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(Invalid::new(path, "must be an absolute URL with http:// or https://"))
}

pub(crate) fn check_headers(path: &str, headers: &BTreeMap<String, String>) -> Result<(), Invalid> {
    for (name, value) in headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        // What templates make of it is checked when they are filled in.
        if !has_template(name) && (name.is_empty() || !name.bytes().all(token)) {
            return Err(Invalid::new(format!("{path}.{name}"), "is no header name"));
        }
        if !has_template(value) && value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            return Err(Invalid::new(format!("{path}.{name}"), "holds a control character"));
        }
        if is_framing_header(name) {
            return Err(Invalid::new(format!("{path}.{name}"), "is set by the node itself and cannot be given"));
        }
    }
    Ok(())
}

/// Whether a header frames or routes a request, so that neither documents nor guests may set it (RFC 9110, 7.6.1, and `host`, `content-length`).
#[must_use]
pub fn is_framing_header(name: &str) -> bool {
    const FRAMING: [&str; 10] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "proxy-authorization",
    ];
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

/// A form is made of an object; what a whole template gives is known only later. Where files are sent there is a form in any case.
pub(crate) fn check_encode(path: &str, encode: Option<Encode>, data: Option<&Value>, files: bool) -> Result<(), Invalid> {
    match (encode, data) {
        (Some(Encode::Json | Encode::Form | Encode::Text), _) if files => {
            Err(Invalid::new(format!("{path}.encode"), "must be `multipart` beside `files`, or left out"))
        }
        (Some(_), None) if !files => Err(Invalid::new(format!("{path}.encode"), "says how `data` is sent, and there is none")),
        (None | Some(Encode::Json | Encode::Text), _) | (_, None | Some(Value::Object(_))) => Ok(()),
        (Some(Encode::Form | Encode::Multipart), Some(Value::String(text))) if has_template(text) => Ok(()),
        (Some(Encode::Form | Encode::Multipart), Some(_)) => {
            Err(Invalid::new(format!("{path}.data"), "must be an object to be sent as a form"))
        }
    }
}

pub(crate) fn check_timeout(path: &str, timeout_s: Option<u32>) -> Result<(), Invalid> {
    match timeout_s {
        Some(0 | 3601..) => Err(Invalid::new(path, "must be 1 to 3600")),
        _ => Ok(()),
    }
}

pub(crate) fn check_retry(path: &str, retry: Option<Retry>) -> Result<(), Invalid> {
    let Some(retry) = retry else { return Ok(()) };
    if retry.attempts > 10 {
        return Err(Invalid::new(format!("{path}.attempts"), "must be 0 to 10"));
    }
    if retry.delay_s > 3600 {
        return Err(Invalid::new(format!("{path}.delay_s"), "must be 0 to 3600"));
    }
    if !(1..=10).contains(&retry.backoff) {
        return Err(Invalid::new(format!("{path}.backoff"), "must be 1 to 10"));
    }
    Ok(())
}

/// A list longer than this is a program written as bindings; each binding costs a sandbox per call.
const MAX_BINDINGS: usize = 16;

pub(crate) fn check_bindings(path: &str, hooks: &HookBindings) -> Result<(), Invalid> {
    for (hook, list) in &hooks.0 {
        let elsewhere = match hook {
            Hook::Step => Some("use a step with `script`"),
            Hook::Trigger => Some("use the flow's `trigger`"),
            _ => None,
        };
        if let Some(elsewhere) = elsewhere {
            return Err(Invalid::new(format!("{path}.{hook}"), format!("`{hook}` is no place to bind a script; {elsewhere}")));
        }
        if list.len() > MAX_BINDINGS {
            return Err(Invalid::new(format!("{path}.{hook}"), format!("holds {} bindings; at most {MAX_BINDINGS}", list.len())));
        }
    }
    Ok(())
}
