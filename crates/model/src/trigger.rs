//! A flow's trigger: what begins its runs from outside, and who may.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Binding, Invalid, Name, SecretName};

/// What begins runs of a flow from outside: a request to the flow's own address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Who may.
    #[serde(default)]
    pub auth: TriggerAuth,
    /// A script with a `trigger` hook. Absent: the request's body is the payload, and the last payload is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Name>,
    /// Of `script`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of `script`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parms: serde_json::Map<String, Value>,
    /// Free text; in camel case, scripts find the run's first payload under it. `trigger` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Who may begin a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TriggerAuth {
    /// Everybody.
    None,
    /// Who has a token of the tenant that may call.
    #[default]
    Token,
    /// Who signs the body as Standard Webhooks has it.
    Signature {
        /// The secret with the key: `whsec_` and base64.
        secret: SecretName,
    },
}

/// The trigger's name where the document gives none.
const DEFAULT_NAME: &str = "trigger";

impl Trigger {
    /// The name under which scripts find the run's first payload, before it is put into camel case.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_NAME)
    }

    /// The script as a binding; none where there is no script.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        self.script.clone().map(|script| Binding { script, version: self.version, parms: self.parms.clone() })
    }

    pub(crate) fn check(&self, path: &str) -> Result<(), Invalid> {
        if self.name.as_ref().is_some_and(|name| name.len() > 200 || !name.chars().any(char::is_alphanumeric)) {
            return Err(Invalid::new(format!("{path}.name"), "must be 1 to 200 bytes long and hold a letter or digit"));
        }
        let of_script = [("version", self.version.is_some()), ("parms", !self.parms.is_empty())];
        match of_script.into_iter().find(|(_, given)| *given && self.script.is_none()) {
            Some((field, _)) => Err(Invalid::new(format!("{path}.{field}"), "belongs to a trigger with `script`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::TriggerAuth;
    use crate::{Flow, Invalid};

    fn parse(trigger: serde_json::Value) -> Result<Flow, Invalid> {
        Flow::parse(json!({"trigger": trigger, "steps": [{"script": "s"}]}))
    }

    #[test]
    fn triggers_say_who_may() {
        let auth = |trigger| parse(trigger).expect("fine").trigger.expect("there is one").auth;
        assert_eq!(auth(json!({})), TriggerAuth::Token);
        assert_eq!(auth(json!({"auth": "none"})), TriggerAuth::None);
        let signature = auth(json!({"auth": {"signature": {"secret": "KEY"}}}));
        assert!(matches!(&signature, TriggerAuth::Signature { secret } if secret.as_str() == "KEY"));
        assert_eq!(serde_json::to_value(&signature).expect("serialises"), json!({"signature": {"secret": "KEY"}}));
        assert_eq!(serde_json::to_value(TriggerAuth::None).expect("serialises"), json!("none"));
    }

    #[test]
    fn what_a_trigger_may_not_hold_is_named() {
        for (trigger, path) in [
            (json!({"auth": "some"}), "trigger.auth"),
            (json!({"auth": {"signature": {"secret": "a-b"}}}), "trigger.auth.signature.secret"),
            (json!({"auth": {"signature": {}}}), "trigger.auth.signature"),
            (json!({"auth": {"signature": {"secret": "A", "scheme": "v1"}}}), "trigger.auth.signature.scheme"),
            (json!({"script": "s", "foo": 1}), "trigger.foo"),
            (json!({"version": 1}), "trigger.version"),
            (json!({"parms": {"a": 1}}), "trigger.parms"),
            (json!({"script": "s", "version": "1"}), "trigger.version"),
            (json!({"script": "s", "name": "--"}), "trigger.name"),
            (json!("none"), "trigger"),
        ] {
            assert_eq!(parse(trigger.clone()).expect_err("is refused").path, path, "{trigger}");
        }
    }
}
