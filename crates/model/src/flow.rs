//! Flows and steps: the documents of `flow-format`, checked.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connector::{
    Binding, HookBindings, Retry, StatusList, bindings_mut, check_bindings, check_encode, check_headers, check_method, check_retry,
    check_timeout, check_url, from_document,
};
use crate::files::{check_files, check_saved_name};
use crate::on_error::check_waits;
use crate::request::{ContinueIf, Encode, check_continue_if, check_generate, check_store_data, has_template};
use crate::waiting::{check_async, check_polling};
use crate::{AsyncStep, Hook, Invalid, Name, OnError, Polling, RetentionDocument, Trigger};

/// A definition of steps that run one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// What begins runs from outside. Absent: the flow has no address of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Values that every run begins with; scripts may change them for the rest of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Values that scripts may read, by display name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// Values made by chance anew for each run, by name; their length in characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generate: BTreeMap<String, u32>,
    /// How long what its runs leave behind is kept, where that is not as the tenant says.
    #[serde(default, skip_serializing_if = "RetentionDocument::is_empty")]
    pub record: RetentionDocument,
    /// Of `url` steps that give none of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// New runs after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// At least one, at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
    /// Whether the steps came as `execute`, so that complaints name what was written.
    #[serde(skip)]
    executed: bool,
}

/// One node of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Free text, unique in the flow; `step-1`, `step-2` … where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `connector/endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// A request written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A script with a `step` hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Name>,
    /// Of `script`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of `script`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parms: serde_json::Map<String, Value>,
    /// Of `script`; absent: its failure is the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Of `url`; POST with `data`, else GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Of `url`. Given and not empty, they replace the flow's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Of `url`: the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Of `url`: how `data` is sent; default as JSON, in `execute` see [`Encode::of_execute`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode: Option<Encode>,
    /// Of steps in `execute`: another way to write `encode`, see [`Encode::of_execute`]. Never stored.
    #[serde(default, skip_serializing)]
    cast_data_to_json: Option<bool>,
    /// Of `url`: accepted statuses. Absent or empty: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<StatusList>,
    /// Of `call` and `url`: the response is kept under this name for the rest of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_as_file: Option<String>,
    /// Of `url`: fields of a form that are sent from saved files, by their names; `data` are text fields beside them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Of `call` (in place of the endpoint's) and `url`: what the response must hold; else the run ends blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_if: Option<ContinueIf>,
    /// Of `call` (in place of the endpoint's) and `url`: name to path into the JSON response, kept for the run and for its subject for good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub store_data: BTreeMap<String, String>,
    /// Of `call` and `url`, with `continue_if`: the request is sent again until the response holds what it must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling: Option<Polling>,
    /// Of `call` and `url`: the step ends when the upstream calls back.
    #[serde(rename = "async", default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<AsyncStep>,
    /// Of `url`: as in [`crate::Endpoint::idempotent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Of `url` and `script`: the tenant's credentials for what is asked there. Those of `call` are the connector's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Name>,
    /// Of `call` (in place of the endpoint's) and `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Of `call` (in place of the endpoint's) and `url`, for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Of `call` and `url`. A list for a hook replaces the endpoint's for that hook, and only that one.
    #[serde(default, skip_serializing_if = "HookBindings::is_empty")]
    pub hooks: HookBindings,
}

/// Which of the three kinds a step is.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of `Step` say it")]
pub enum StepAction<'a> {
    Call { connector: Name, endpoint: Name },
    Url(&'a str),
    Script(Binding),
}

/// Beyond this a flow is better split: each step's record is kept with the run.
pub const MAX_STEPS: usize = 200;

impl Flow {
    /// Reads and checks a document. `execute` may stand for `steps`.
    ///
    /// # Errors
    /// The first field that breaks the format, with its path.
    pub fn parse(mut document: Value) -> Result<Self, Invalid> {
        let executed = take_execute(&mut document)?;
        let checked = from_document::<Self>(document).and_then(|mut flow| {
            flow.executed = executed;
            flow.check()?;
            Ok(flow)
        });
        checked.map_err(|Invalid { path, detail }| match path.strip_prefix("steps") {
            Some(rest) if executed => Invalid::new(format!("execute{rest}"), detail),
            _ => Invalid::new(path, detail),
        })
    }

    /// The path of a step in the document as it was written.
    #[must_use]
    pub fn path_of(&self, step: usize) -> String {
        format!("{}[{step}]", if self.executed { "execute" } else { "steps" })
    }

    fn check(&mut self) -> Result<(), Invalid> {
        if self.steps.is_empty() || self.steps.len() > MAX_STEPS {
            return Err(Invalid::new("steps", format!("must hold 1 to {MAX_STEPS} steps")));
        }
        if let Some(trigger) = &self.trigger {
            trigger.check("trigger")?;
        }
        check_headers("headers", &self.headers)?;
        check_generate("generate", &self.generate)?;
        self.record.check("record")?;
        check_retry("retry", self.retry)?;
        let mut names = HashSet::new();
        for (i, step) in self.steps.iter_mut().enumerate() {
            let name = step.name.get_or_insert_with(|| format!("step-{}", i + 1)).clone();
            if name.is_empty() || name.len() > 200 {
                return Err(Invalid::new(format!("steps[{i}].name"), "must be 1 to 200 bytes long"));
            }
            step.settle_execute(self.executed, &format!("steps[{i}]"))?;
            step.check(&format!("steps[{i}]"))?;
            if !names.insert(name) {
                return Err(Invalid::new(format!("steps[{i}].name"), "another step has this name"));
            }
        }
        let waits = |(i, step): (usize, &Step)| step.on_error.map(|on_error| (format!("steps[{i}].on_error"), on_error.waits_s()));
        check_waits(self.steps.iter().enumerate().filter_map(waits))
    }

    /// Every binding in the document with its path; a script step is a binding of `step`.
    pub fn bindings_mut(&mut self) -> impl Iterator<Item = (String, Hook, &mut Binding)> {
        let list = if self.executed { "execute" } else { "steps" };
        self.steps.iter_mut().enumerate().flat_map(move |(i, step)| bindings_mut(format!("{list}[{i}].hooks"), &mut step.hooks))
    }
}

/// Lets the steps stand where they are stored; says whether they came as `execute`.
fn take_execute(document: &mut Value) -> Result<bool, Invalid> {
    let Some(map) = document.as_object_mut() else { return Ok(false) };
    match map.remove("execute") {
        None => Ok(false),
        Some(_) if map.contains_key("steps") => Err(Invalid::new("execute", "stands for `steps`; a flow has one of the two")),
        Some(steps) => {
            map.insert("steps".to_owned(), steps);
            Ok(true)
        }
    }
}

impl Step {
    /// Writes down what is understood of a step in `execute`, whose defaults differ.
    fn settle_execute(&mut self, executed: bool, path: &str) -> Result<(), Invalid> {
        let field = || format!("{path}.cast_data_to_json");
        let cast = self.cast_data_to_json.take();
        if cast.is_some() {
            if !executed {
                return Err(Invalid::new(field(), "belongs to steps in `execute`; here `encode` says how data is sent"));
            }
            if self.encode.is_some() {
                return Err(Invalid::new(field(), "says the same as `encode`; a step has one of the two"));
            }
        }
        if !executed || self.url.is_none() {
            return Ok(());
        }
        self.method.get_or_insert_with(|| "POST".to_owned());
        // Beside files there is one way only, and without data there is nothing to send, which the manifests allow.
        if let (None, Some(data), true) = (self.encode, &self.data, self.files.is_empty()) {
            self.encode = Some(Encode::of_execute(cast, data));
        }
        Ok(())
    }

    /// The step's name; `Flow::parse` has given every step one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Which of the three kinds the step is.
    ///
    /// # Errors
    /// When it is none or several; the path is relative to the step.
    pub fn action(&self) -> Result<StepAction<'_>, Invalid> {
        match (&self.call, &self.url, &self.script) {
            (Some(call), None, None) => {
                let (connector, endpoint) = call.split_once('/').ok_or_else(|| Invalid::new("call", "must be `connector/endpoint`"))?;
                let name = |text| Name::new(text).map_err(|error| Invalid::new("call", error.to_string()));
                Ok(StepAction::Call { connector: name(connector)?, endpoint: name(endpoint)? })
            }
            (None, Some(url), None) => Ok(StepAction::Url(url)),
            (None, None, Some(script)) => {
                Ok(StepAction::Script(Binding { script: script.clone(), version: self.version, parms: self.parms.clone() }))
            }
            _ => Err(Invalid::new("", "a step has exactly one of `call`, `url` and `script`")),
        }
    }

    fn check(&self, path: &str) -> Result<(), Invalid> {
        let within = |error: Invalid| match error.path.as_str() {
            "" => Invalid::new(path, error.detail),
            field => Invalid::new(format!("{path}.{field}"), error.detail),
        };
        match self.action().map_err(within)? {
            StepAction::Call { .. } => self.refuse(path, &["script-only", "url-only", "not-call"])?,
            StepAction::Url(url) => {
                if !has_template(url) {
                    check_url(&format!("{path}.url"), url)?;
                }
                self.refuse(path, &["script-only"])?;
            }
            StepAction::Script(_) => self.refuse(path, &["url-only", "request"])?,
        }
        if let Some(method) = &self.method {
            check_method(&format!("{path}.method"), method)?;
        }
        check_headers(&format!("{path}.headers"), &self.headers)?;
        check_files(path, &self.files, self.data.as_ref(), &self.hooks)?;
        if let Some(name) = &self.save_as_file {
            check_saved_name(&format!("{path}.save_as_file"), name)?;
        }
        check_encode(path, self.encode, self.data.as_ref(), !self.files.is_empty())?;
        check_continue_if(&format!("{path}.continue_if"), self.continue_if.as_ref())?;
        check_store_data(&format!("{path}.store_data"), &self.store_data)?;
        check_polling(&format!("{path}.polling"), self.polling, self.continue_if.is_some())?;
        check_async(&format!("{path}.async"), self.awaits)?;
        check_retry(&format!("{path}.retry"), self.retry)?;
        check_timeout(&format!("{path}.timeout_s"), self.timeout_s)?;
        if let Some(on_error) = &self.on_error {
            on_error.check(&format!("{path}.on_error"))?;
        }
        check_bindings(&format!("{path}.hooks"), &self.hooks)
    }

    /// Refuses fields that would have no effect in a step of this kind.
    fn refuse(&self, path: &str, groups: &[&str]) -> Result<(), Invalid> {
        let fields = [
            ("script-only", "version", self.version.is_some(), "belongs to steps with `script`"),
            ("script-only", "parms", !self.parms.is_empty(), "belongs to steps with `script`"),
            ("script-only", "on_error", self.on_error.is_some(), "belongs to steps with `script`"),
            (
                "not-call",
                "connection",
                self.connection.is_some(),
                "belongs to steps with `url` or `script`; the connector of a `call` names its own",
            ),
            ("url-only", "method", self.method.is_some(), "belongs to steps with `url`"),
            ("url-only", "headers", !self.headers.is_empty(), "belongs to steps with `url`"),
            ("url-only", "data", self.data.is_some(), "belongs to steps with `url`"),
            ("url-only", "files", !self.files.is_empty(), "belongs to steps with `url`, and to endpoints"),
            ("request", "save_as_file", self.save_as_file.is_some(), "belongs to steps with `call` or `url`"),
            ("url-only", "idempotent", self.idempotent.is_some(), "belongs to steps with `url`, and to endpoints"),
            ("url-only", "encode", self.encode.is_some(), "belongs to steps with `url`"),
            ("url-only", "status_code", self.status_code.is_some(), "belongs to steps with `url`"),
            ("request", "continue_if", self.continue_if.is_some(), "belongs to steps with `call` or `url`"),
            ("request", "store_data", !self.store_data.is_empty(), "belongs to steps with `call` or `url`"),
            ("request", "polling", self.polling.is_some(), "belongs to steps with `call` or `url`"),
            ("request", "async", self.awaits.is_some(), "belongs to steps with `call` or `url`"),
            ("request", "retry", self.retry.is_some(), "belongs to steps with `call` or `url`"),
            ("request", "timeout_s", self.timeout_s.is_some(), "belongs to steps with `call` or `url`"),
            ("request", "hooks", !self.hooks.is_empty(), "belongs to steps with `call` or `url`"),
        ];
        match fields.into_iter().find(|(group, _, given, _)| *given && groups.contains(group)) {
            Some((_, field, _, why)) => Err(Invalid::new(format!("{path}.{field}"), why)),
            None => Ok(()),
        }
    }
}
