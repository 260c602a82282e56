//! Under which keys scripts and templates find the results of a flow's steps.

use std::collections::HashMap;

use crate::{Flow, Invalid};

/// `Get Data from API` becomes `getDataFromApi`: words begin at a capital after a small letter or digit and after whatever is neither letter nor digit.
#[must_use]
pub fn result_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    let (mut begins, mut small_before) = (true, false);
    for c in name.chars() {
        if !c.is_alphanumeric() {
            (begins, small_before) = (true, false);
            continue;
        }
        if begins || (c.is_uppercase() && small_before) {
            if key.is_empty() { key.extend(c.to_lowercase()) } else { key.extend(c.to_uppercase()) }
        } else {
            key.extend(c.to_lowercase());
        }
        (begins, small_before) = (false, !c.is_uppercase());
    }
    key
}

impl Flow {
    /// The key of the run's first payload, whether the flow has a trigger or not.
    #[must_use]
    pub fn trigger_key(&self) -> String {
        self.trigger.as_ref().map_or_else(|| "trigger".to_owned(), |trigger| result_key(trigger.name()))
    }

    /// Checks that every step's result has a key of its own: of two with one key, only the later one could be read. For documents that are
    /// saved; those that were saved before this was checked go on as they did.
    ///
    /// # Errors
    /// The first name that leads to a key of another, or to none.
    pub fn check_result_keys(&self) -> Result<(), Invalid> {
        let mut taken = HashMap::from([(self.trigger_key(), "the trigger".to_owned())]);
        for (i, step) in self.steps.iter().enumerate() {
            let (name, path) = (step.name(), format!("{}.name", self.path_of(i)));
            let key = result_key(name);
            if key.is_empty() {
                let detail = format!("`{name}` has no letter or digit, so nothing could name the step's result; give it a name with one");
                return Err(Invalid::new(path, detail));
            }
            let detail = |other: &String| {
                format!("the result of `{name}` would stand under `steps.{key}`, where that of {other} stands; give the step another name")
            };
            if let Some(other) = taken.get(&key) {
                return Err(Invalid::new(path, detail(other)));
            }
            taken.insert(key, format!("step `{name}`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn step_names_become_keys() {
        let cases = [
            ("Get Data from API", "getDataFromApi"),
            ("step-1", "step1"),
            ("Create order", "createOrder"),
            ("alreadyCamel", "alreadyCamel"),
            ("  ", ""),
            ("über uns", "überUns"),
        ];
        for (name, key) in cases {
            assert_eq!(result_key(name), key, "{name}");
        }
    }

    #[test]
    fn every_result_has_a_key_of_its_own() {
        let check = |trigger: Option<&str>, names: [Option<&str>; 2]| {
            let steps = names.map(|name| name.map_or(json!({"script": "s"}), |name| json!({"script": "s", "name": name})));
            let trigger = trigger.map(|name| json!({ "name": name }));
            let flow = Flow::parse(json!({"trigger": trigger, "steps": steps})).unwrap();
            flow.check_result_keys().map_err(|invalid| invalid.path)
        };
        assert_eq!(check(None, [Some("Get data"), Some("getdata")]), Ok(()));
        assert_eq!(check(Some("start"), [Some("Trigger"), None]), Ok(()));
        assert_eq!(check(None, [Some("Get data"), Some("get-data")]), Err("steps[1].name".to_owned()));
        assert_eq!(check(None, [None, Some("Step 1")]), Err("steps[1].name".to_owned()));
        assert_eq!(check(None, [Some("trigger"), None]), Err("steps[0].name".to_owned()));
        assert_eq!(check(Some("in take"), [None, Some("In take")]), Err("steps[1].name".to_owned()));
        assert_eq!(check(None, [None, Some("--")]), Err("steps[1].name".to_owned()));
    }
}
