//! The answer of a token's address: a JSON object, most of whose members are secret.

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

/// What a token's address answered, wiped when it is dropped.
#[derive(Default)]
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    pub(super) fn of(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// A member that is a text; empty where it is none.
    pub(super) fn text(&self, member: &str) -> &str {
        self.0.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// Puts what another answer says in place of what this one does.
    pub(super) fn take(&mut self, newer: Map<String, Value>) {
        for (member, value) in newer.into_iter().filter(|(_, value)| !value.is_null()) {
            if let Some(mut before) = self.0.insert(member, value) {
                wipe(&mut before);
            }
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_answer_leaves_out_stays_and_what_it_nulls_too() {
        let mut members = Members::of(r#"{"refresh_token": "r-1", "access_token": "a-1", "expires_in": 60, "more": {"a": ["b"]}}"#);
        let Value::Object(newer) = json!({"access_token": "a-2", "refresh_token": null}) else { unreachable!() };
        members.take(newer);
        assert_eq!((members.text("refresh_token"), members.text("access_token"), members.text("more")), ("r-1", "a-2", ""));
        members.0.values_mut().for_each(wipe);
        assert_eq!(
            Value::Object(members.0.clone()),
            json!({"refresh_token": "", "access_token": "", "expires_in": 60, "more": {"a": [""]}})
        );
        assert!(Members::of("no object").0.is_empty());
    }
}
