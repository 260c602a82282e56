//! Changes as they are noted for the tenant: who made which one, and when.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! actions {
    ($($name:ident $text:literal $doc:literal;)*) => {
        /// What a change was.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $(#[doc = $doc] $name,)*
        }

        impl AuditAction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it is written: the kind of thing, a dot, what was done with it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}
actions! {
    TenantPut "tenant.put" "The tenant's document was written.";
    TokenCreate "token.create" "A token was made; it is named by its id.";
    TokenDelete "token.delete" "A token was deleted; it is named by its id.";
    ScriptDeploy "script.deploy" "A version of a script was uploaded.";
    ScriptDelete "script.delete" "A version of a script was deleted.";
    ConnectorPut "connector.put" "A connector was written.";
    ConnectorDelete "connector.delete" "A connector was deleted.";
    FlowPut "flow.put" "A version of a flow was written.";
    FlowDelete "flow.delete" "A flow was deleted with all its versions.";
    ConnectionPut "connection.put" "A connection was written.";
    ConnectionDelete "connection.delete" "A connection was deleted.";
    ConnectionAuthorize "connection.authorize" "Somebody asked for an address that authorizes a connection.";
    ConnectionAuthorized "connection.authorized" "Somebody agreed in a browser, and the connection has a new token.";
    SecretPut "secret.put" "A secret was written.";
    SecretDelete "secret.delete" "A secret was deleted.";
    SubjectPut "subject.put" "The values of a subject were written.";
    SubjectDelete "subject.delete" "A subject was deleted.";
    RunCancel "run.cancel" "A run was cancelled; it is named by its id.";
    RunRetry "run.retry" "A run was queued that repeats another; it is named by its own id.";
}

impl AuditAction {
    /// Reads it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AuditAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AuditAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no action")))
    }
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Who {
    /// Somebody with a token of the tenant.
    Token {
        /// The token's id.
        id: String,
        /// What people call the token.
        name: String,
    },
    /// The operator.
    Operator,
    /// A browser that came back from an authorization; its state was the proof.
    Browser,
}

/// Who makes a change, when, and with which request: what is noted with whatever the change is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub who: Who,
    /// When.
    pub at: Timestamp,
    /// The request that the answer and the log name.
    pub request_id: String,
}

/// A change that was made. It never holds the text of a secret or of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Given by the store; later changes have greater ones.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: AuditAction,
    /// What it was done to.
    pub name: String,
    /// Which version of it, where it has versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Who did it.
    pub by: Who,
    /// With which request.
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use super::{AuditAction, Who};

    #[test]
    fn actions_are_read_as_they_are_written() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::of(action.as_str()), Some(*action));
        }
        assert_eq!(AuditAction::of("tenant.sell"), None);
        let by = Who::Token { id: "1".to_owned(), name: "ci".to_owned() };
        assert_eq!(serde_json::to_string(&by).unwrap(), r#"{"kind":"token","id":"1","name":"ci"}"#);
        assert_eq!(serde_json::to_string(&Who::Operator).unwrap(), r#"{"kind":"operator"}"#);
    }
}
