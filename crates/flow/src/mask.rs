//! Hides a run's generated values in what the run leaves behind: they are passwords mostly, and a record is read by more people than may log in.
//! Placeholders of secrets become the names of what they stand for.

use serde_json::Value;
use snaphook_model::{BodyText, Invocation, StepRecord};

use crate::machine::{End, Failure};
use crate::template::RunValues;

/// Shorter values stand in many a text by chance, and whoever tries finds them anyway.
const SHORTEST: usize = 4;

/// What to hide, and what is shown in its place. Generated values are letters and digits, so they read the same in a URL, in JSON and in a form.
pub(crate) struct Masks(Vec<(String, String)>);

impl Masks {
    /// `sealed` are placeholders of secrets with what is shown for them.
    pub(crate) fn of(values: &RunValues, sealed: &[(String, String)]) -> Self {
        let generated = values.generated.iter().map(|(name, json)| (json.trim_matches('"').to_owned(), format!("[{name}]")));
        let generated = generated.filter(|(value, _)| value.len() >= SHORTEST);
        // In a URL and in a form a placeholder is percent-encoded.
        let sealed = sealed
            .iter()
            .flat_map(|(placeholder, shown)| [placeholder.clone(), placeholder.replace(':', "%3A")].map(|form| (form, shown.clone())));
        Self(generated.chain(sealed).collect())
    }

    /// Hides them in a step's requests, responses and failures, and in what its scripts said. What the run goes on with stays as it is.
    pub(crate) fn hide(&self, step: &mut StepRecord, end: &mut End) {
        if self.0.is_empty() {
            return;
        }
        step.hooks.iter_mut().for_each(|hook| self.invocation(hook));
        for attempt in &mut step.attempts {
            attempt.hooks.iter_mut().for_each(|hook| self.invocation(hook));
            if let Some(request) = &mut attempt.request {
                self.text(&mut request.url);
                request.headers.values_mut().for_each(|value| self.value(value));
                self.body(&mut request.body);
            }
            if let Some(response) = &mut attempt.response {
                response.headers.values_mut().for_each(|value| self.value(value));
                self.body(&mut response.body);
            }
            if let Some(fault) = &mut attempt.error {
                self.text(&mut fault.detail);
            }
        }
        match end {
            End::Failed(Failure { fault, .. }) | End::Ignored(Failure { fault, .. }, _) => self.text(&mut fault.detail),
            End::Rejected(rejection) => self.text(&mut rejection.message),
            End::Succeeded(_) | End::Responded(_) => {}
        }
    }

    /// What a script said: its logs, its fault, the message of its decision.
    fn invocation(&self, invocation: &mut Invocation) {
        invocation.logs.iter_mut().for_each(|entry| self.text(&mut entry.message));
        if let Some(fault) = &mut invocation.fault {
            self.text(&mut fault.detail);
        }
        if let Some(message) = invocation.decision.as_mut().and_then(|decision| decision.message.as_mut()) {
            self.text(message);
        }
    }

    fn text(&self, text: &mut String) {
        for (value, shown) in &self.0 {
            if text.contains(value) {
                *text = text.replace(value, shown);
            }
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(value)),
            _ => {}
        }
    }

    fn body(&self, body: &mut BodyText) {
        if let Ok(text) = std::str::from_utf8(&body.0)
            && self.0.iter().any(|(value, _)| text.contains(value))
        {
            let mut text = text.to_owned();
            self.text(&mut text);
            body.0 = text.into();
        }
    }
}
