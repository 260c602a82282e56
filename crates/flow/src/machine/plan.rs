//! What the machine must know of an endpoint or a request step, worked out once per definition.

use std::sync::Arc;

use bytes::Bytes;
use snaphook_model::connector::StatusList;
use snaphook_model::{Headers, Hook, HttpRequest, Payload};

use super::form::FilePlan;
use super::path::PayloadPath;

/// The definition of a call, without the scripts themselves.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// As `pre-hook` sees it; empty for a step with a URL of its own.
    pub connector: Arc<str>,
    /// As `pre-hook` sees it; the step's name for a step with a URL of its own.
    pub endpoint: Arc<str>,
    /// What goes out, but for the body.
    pub request: RequestTemplate,
    /// How long each hook's list is.
    pub bound: BoundHooks,
    /// Attempts after the first.
    pub retries: u32,
    /// Which statuses succeed where no script decides.
    pub accept: Accept,
    /// Picks the payload out of the response.
    pub payload_path: Option<PayloadPath>,
    /// Files of the run that it sends or keeps.
    pub files: FilePlan,
}

/// A request before its arguments are known.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in `HttpRequest`")]
pub struct RequestTemplate {
    pub method: String,
    pub url: String,
    pub headers: Headers,
    pub body: Body,
}

/// Where a request's body comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// No body: a GET or HEAD without `data`, and a step with a URL and no `data`.
    None,
    /// The call's arguments, with their media type.
    Arguments,
    /// `data` of the definition, as JSON text.
    Data(Bytes),
}

/// Statuses that succeed where no script decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// 200 to 299.
    Success,
    /// Every one.
    Any,
    /// These; never empty.
    Listed(Vec<u16>),
}

/// How many scripts are bound to each hook of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoundHooks([u8; 5]);

impl BoundHooks {
    /// The counts, by hook; a list is never longer than a definition may make it.
    pub fn new(count: impl Fn(Hook) -> usize) -> Self {
        Self(std::array::from_fn(|i| u8::try_from(count(Hook::ALL[i])).unwrap_or(u8::MAX)))
    }

    /// How many scripts are bound to a hook.
    #[must_use]
    pub fn of(&self, hook: Hook) -> usize {
        self.0.get(hook as usize).copied().unwrap_or(0).into()
    }

    /// Whether no hook has a script.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 5]
    }
}

impl Accept {
    /// Of an endpoint: absent or empty means every 2xx.
    #[must_use]
    pub fn of_endpoint(list: Option<&StatusList>) -> Self {
        match list {
            Some(list) if !list.0.is_empty() => Self::Listed(list.0.clone()),
            _ => Self::Success,
        }
    }

    /// Of a step with a URL: absent or empty means every status.
    #[must_use]
    pub fn of_url_step(list: Option<&StatusList>) -> Self {
        match list {
            Some(list) if !list.0.is_empty() => Self::Listed(list.0.clone()),
            _ => Self::Any,
        }
    }

    /// Whether a status succeeds.
    #[must_use]
    pub fn allows(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::Any => true,
            Self::Listed(list) => list.contains(&status),
        }
    }

    /// The statuses as a sentence's object.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Success => "2xx".to_owned(),
            Self::Any => "every status".to_owned(),
            Self::Listed(list) => list.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

impl RequestTemplate {
    /// The request for these arguments. A body without a `content-type` gets that of its source.
    pub(super) fn fill(&self, arguments: &Payload) -> HttpRequest {
        let (body, content_type) = match &self.body {
            Body::None => (Bytes::new(), ""),
            Body::Arguments => (arguments.bytes.clone(), arguments.content_type.as_str()),
            Body::Data(data) => (data.clone(), "application/json"),
        };
        let mut headers = Headers(Vec::with_capacity(self.headers.0.len() + 1));
        headers.0.extend(self.headers.0.iter().cloned());
        if !body.is_empty() && headers.get("content-type").is_none() {
            headers.0.push(("content-type".to_owned(), content_type.to_owned()));
        }
        HttpRequest { method: self.method.clone(), url: self.url.clone(), headers, body }
    }
}
