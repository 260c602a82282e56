//! What a node looks at when it saves a flow, asked of a flow that no node has seen yet.

use serde_json::Value;
use snaphook_flow::Runner;
use snaphook_model::{Fault, Flow, Invalid};

/// A node names one fault at a time. Who has as many as this mends these first.
const MOST: usize = 100;

/// Everything for which a node would refuse a flow that is one by its form, in the order in which it would find it.
pub(super) fn faults(flow: &Value) -> Vec<Invalid> {
    let mut left = flow.clone();
    let mut faults: Vec<Invalid> = Vec::new();
    while faults.len() < MOST {
        let Err(fault) = check(&left) else { break };
        let path = fault.path.unwrap_or_default();
        let known = faults.iter().any(|known| known.path == path);
        if !known {
            faults.push(Invalid::new(path.clone(), fault.detail));
        }
        // The next one shows once this one is gone; one that stays hides what is behind it.
        match without(&left, &path) {
            Some(rest) if !known => left = rest,
            _ => break,
        }
    }
    faults
}

fn check(flow: &Value) -> Result<(), Fault> {
    Runner::check_flow(&Flow::parse(flow.clone())?)
}

/// The flow without a value, or with another in its place where it must have one; none where it would be no flow then.
fn without(flow: &Value, path: &str) -> Option<Value> {
    let in_its_place: [Option<Value>; 3] = [None, Some("".into()), Some("https://a.example/".into())];
    in_its_place.into_iter().find_map(|other| {
        let mut rest = flow.clone();
        put(&mut rest, path, other)?;
        Flow::parse(rest.clone()).ok().map(|_| rest)
    })
}

/// Puts a value to where a path leads, or takes away what is there. An item of a list stays one, since others are named by their position.
fn put(value: &mut Value, path: &str, other: Option<Value>) -> Option<()> {
    match value {
        Value::Object(map) => {
            // A key may have dots itself, so that a path can begin with several.
            let rest_of = |key: &String| {
                let rest = path.strip_prefix(key.as_str())?;
                let rest = rest.strip_prefix('.').or_else(|| (rest.is_empty() || rest.starts_with('[')).then_some(rest))?;
                Some((key.clone(), rest))
            };
            let begun: Vec<_> = map.keys().filter_map(rest_of).collect();
            begun.into_iter().find_map(|(key, rest)| match &other {
                other if !rest.is_empty() => put(map.get_mut(&key)?, rest, other.clone()),
                Some(other) => map.insert(key, other.clone()).map(drop),
                None => map.shift_remove(&key).map(drop),
            })
        }
        Value::Array(list) => {
            let (position, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = list.get_mut(position.parse::<usize>().ok()?)?;
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            if !rest.is_empty() {
                return put(item, rest, other);
            }
            *item = other.unwrap_or_default();
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_faults_of_a_flow_are_found() {
        let flow = json!({"headers": {"x-a": "{{ a"}, "steps": [
            {"name": "Ask it", "url": "https://{{ b | nope }}/", "method": "GET", "headers": {"x.y": "{{", "x-z": "{% no %}"}},
            {"name": "ask-it", "url": "https://a.example/", "method": "POST", "data": {"a": [1, "{{ c | nope }}", {"k": "{{ d"}]}},
            {"url": "https://a.example/", "method": "POST", "files": {"f": "{{ e", "g": "fine.png"}},
            {"url": "https://a.example/", "method": "GET", "save_as_file": "{{ f",
                "continue_if": {"response_notation": "a", "value": "{{ g"}},
            {"url": "https://a.example/{{ fine }}", "method": "GET", "save_as_file": "../{{ fine }}"},
        ]});
        let found: Vec<String> = faults(&flow).into_iter().map(|fault| fault.path).collect();
        for path in [
            "steps[1].name",
            "headers.x-a",
            "steps[0].url",
            "steps[0].headers.x.y",
            "steps[0].headers.x-z",
            "steps[1].data.a[1]",
            "steps[1].data.a[2].k",
            "steps[2].files.f",
            "steps[3].save_as_file",
        ] {
            assert!(found.iter().any(|found| found == path), "{path} is not in {found:?}");
        }
        assert!(!found.iter().any(|path| path.contains("g") && path.contains("files")), "{found:?}");
    }

    #[test]
    fn keys_may_have_dots() {
        let mut value = json!({"a": {"b": 1}, "a.b": {"c": [1, {"d": 2}]}});
        assert_eq!(put(&mut value, "a.b.c[1].d", Some("x".into())), Some(()));
        assert_eq!(put(&mut value, "a.b.c[0]", None), Some(()));
        assert_eq!(put(&mut value, "a.b.c[5].d", None), None);
        assert_eq!(value, json!({"a": {"b": 1}, "a.b": {"c": [null, {"d": "x"}]}}));
        assert_eq!((put(&mut value, "a.b", None), value), (Some(()), json!({"a": {}, "a.b": {"c": [null, {"d": "x"}]}})));
    }

    #[test]
    fn a_flow_without_faults_has_none() {
        let flow = json!({"steps": [{"url": "https://a.example/{{ b }}", "method": "POST", "data": {"{{ k }}": "{{ v }}"}}]});
        assert_eq!(faults(&flow), []);
        let many = json!({"steps": [{"url": "https://a.example/", "method": "POST", "data": vec!["{{ v }}"; 2002]}]});
        let found: Vec<String> = faults(&many).into_iter().map(|fault| fault.path).collect();
        assert_eq!(found.first().map(String::as_str), Some("steps[0].data[2000]"));
    }
}
