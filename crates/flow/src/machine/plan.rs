//! What the machine must know of an endpoint or a request step, worked out once per definition.

use std::sync::Arc;

use snaphook_model::connector::StatusList;
use snaphook_model::{AsyncStep, Fault, Hook, Payload, Polling, Retry};

use super::path::ResponsePath;
use crate::template::{Condition, FilePlan, Filled, Needs, RequestTemplate, Values};

/// The definition of a call, without the scripts themselves.
#[derive(Debug)]
pub struct CallPlan {
    /// As `pre-hook` sees it; empty for a step with a URL of its own.
    pub connector: Arc<str>,
    /// As `pre-hook` sees it; the step's name for a step with a URL of its own.
    pub endpoint: Arc<str>,
    /// What goes out, but for the body.
    pub request: RequestTemplate,
    /// How long each hook's list is.
    pub bound: BoundHooks,
    /// Attempts after the first; without any where `attempts` is 0.
    pub retry: Retry,
    /// The same request again until the condition is met.
    pub polling: Option<Polling>,
    /// The call ends when the upstream calls back.
    pub awaits: Option<AsyncStep>,
    /// Whether it has a connection, whose token may be renewed.
    pub renewable: bool,
    /// Whether the same request twice does no harm, or the upstream knows it again by its `Idempotency-Key`.
    pub idempotent: bool,
    /// Which statuses succeed where no script decides.
    pub accept: Accept,
    /// Picks the payload out of the response.
    pub payload_path: Option<ResponsePath>,
    /// What the response must hold; else the call ends blocked.
    pub condition: Option<Condition>,
    /// What of the response is kept under which name.
    pub store: Vec<(String, ResponsePath)>,
    /// Files of the run that it sends or keeps.
    pub files: FilePlan,
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

impl CallPlan {
    /// Whether anything of a request is filled in for each one.
    #[must_use]
    pub fn has_templates(&self) -> bool {
        self.request.templates.is_some() || self.files.has_templates() || self.condition.as_ref().is_some_and(Condition::has_template)
    }

    /// What its templates look at.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.request.needs().and(self.files.needs()).and(self.condition.as_ref().map_or_else(Needs::default, Condition::needs))
    }

    /// The request for these values, and what its condition expects. Pure.
    ///
    /// # Errors
    /// `template` and `template-limit`, with the field's path.
    pub fn fill(&self, values: &Values) -> Result<Filled, Fault> {
        let mut request = self.request.render(values)?;
        let files = self.files.fill(&mut request, Some(values))?;
        let expected = self.condition.as_ref().map(|condition| condition.render(values)).transpose()?.flatten();
        Ok(Filled { request, expected, files })
    }

    /// The request of a plan without templates.
    ///
    /// # Errors
    /// `template`, where the arguments are no fields of a form.
    pub(super) fn fill_plain(&self, arguments: &Payload) -> Result<Filled, Fault> {
        let mut request = self.request.fill(arguments);
        let files = self.files.fill(&mut request, None)?;
        Ok(Filled { request, expected: None, files })
    }

    /// Whether anything looks into a response's body: then it is in memory, also where it is kept as a file.
    #[must_use]
    pub fn reads_response(&self) -> bool {
        self.bound.of(Hook::PostRequest) > 0 || self.condition.is_some() || !self.store.is_empty()
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
