//! Compares what a test run gave with what a case expects.

use serde_json::{Map, Value};

use super::file::{Expect, Log};

/// Something that is not as expected.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// Where in the answer.
    pub(super) path: String,
    pub(super) expected: Value,
    pub(super) actual: Value,
}

/// All that differs; empty when nothing does.
pub(super) fn differences(expect: &Expect, answer: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    if expect.fault.is_none() && !answer["fault"].is_null() {
        // Everything else differs for this reason alone.
        return vec![different("fault", &Value::Null, &answer["fault"])];
    }
    for (path, members) in [("decision", &expect.decision), ("fault", &expect.fault)] {
        if let Some(members) = members {
            pattern(path, &Value::Object(members.clone()), &answer[path], &mut found);
        }
    }
    for (path, value) in [("payload", &expect.payload), ("arguments", &expect.arguments)] {
        if let Some(value) = value {
            exact(path, value, &answer[path], &mut found);
        }
    }
    for (path, members) in [("request", &expect.request), ("response", &expect.response)] {
        if let Some(members) = members {
            message(path, members, &answer[path], &mut found);
        }
    }
    for (path, members) in [("variables", &expect.variables), ("meta", &expect.meta), ("state", &expect.state)] {
        if let Some(members) = members {
            // What wrote nothing shows nothing.
            let written = if answer[path].is_null() { &Value::Object(Map::new()) } else { &answer[path] };
            exact(path, &Value::Object(members.clone()), written, &mut found);
        }
    }
    if let Some(lines) = &expect.logs {
        logs(lines, &answer["logs"], &mut found);
    }
    found
}

fn different(path: &str, expected: &Value, actual: &Value) -> Difference {
    Difference { path: path.to_owned(), expected: expected.clone(), actual: actual.clone() }
}

fn exact(path: &str, expected: &Value, actual: &Value, found: &mut Vec<Difference>) {
    if !equal(expected, actual) {
        found.push(different(path, expected, actual));
    }
}

/// An object stands for one that has at least its members; anything else for itself.
fn pattern(path: &str, expected: &Value, actual: &Value, found: &mut Vec<Difference>) {
    match (expected, actual) {
        (Value::Object(members), Value::Object(actual)) => {
            for (key, value) in members {
                pattern(&format!("{path}.{key}"), value, actual.get(key).unwrap_or(&Value::Null), found);
            }
        }
        _ => exact(path, expected, actual, found),
    }
}

/// The members that are named, each exactly; names of headers in any case.
fn message(path: &str, expected: &Map<String, Value>, actual: &Value, found: &mut Vec<Difference>) {
    if !actual.is_object() {
        found.push(different(path, &Value::Object(expected.clone()), actual));
        return;
    }
    for (key, value) in expected {
        let lowered = match value {
            Value::Object(headers) if key == "headers" => {
                headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect::<Map<_, _>>().into()
            }
            value => value.clone(),
        };
        let actual = actual.get(key).unwrap_or(&Value::Null);
        // A body is text in an answer; a value stands for its JSON.
        let parsed = match (key.as_str(), actual.as_str()) {
            ("body", Some(text)) if !lowered.is_string() => serde_json::from_str(text).ok(),
            _ => None,
        };
        exact(&format!("{path}.{key}"), &lowered, parsed.as_ref().unwrap_or(actual), found);
    }
}

fn logs(expected: &[Log], actual: &Value, found: &mut Vec<Difference>) {
    let lines = actual.as_array().map(Vec::as_slice).unwrap_or_default();
    let fits = |expected: &Log, actual: &Value| match expected {
        Log::Message(message) => actual["message"] == message.as_str(),
        Log::Entry(entry) => {
            let same = |wanted: &Option<String>, key: &str| wanted.as_ref().is_none_or(|wanted| actual[key] == wanted.as_str());
            same(&entry.level, "level") && same(&entry.message, "message")
        }
    };
    if lines.len() == expected.len() && expected.iter().zip(lines).all(|(expected, actual)| fits(expected, actual)) {
        return;
    }
    let wanted = |log: &Log| match log {
        Log::Message(message) => format!("{message}\n"),
        Log::Entry(entry) => {
            format!("{}: {}\n", entry.level.as_deref().unwrap_or("(any)"), entry.message.as_deref().unwrap_or("(any)"))
        }
    };
    // Written alike, so that the lines which fit do not differ in the picture.
    let got = |(at, line): (usize, &Value)| match expected.get(at) {
        Some(expected) if fits(expected, line) => wanted(expected),
        Some(Log::Message(_)) => format!("{}\n", line["message"].as_str().unwrap_or_default()),
        _ => format!("{}: {}\n", line["level"].as_str().unwrap_or_default(), line["message"].as_str().unwrap_or_default()),
    };
    let wanted: String = expected.iter().map(wanted).collect();
    let got: String = lines.iter().enumerate().map(got).collect();
    found.push(different("logs", &wanted.into(), &got.into()));
}

/// YAML and scripts write whole numbers in more than one way; 1 and 1.0 are one number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(expect: Value, answer: Value) -> Vec<String> {
        let expect: Expect = serde_json::from_value(expect).unwrap();
        let shown = |d: Difference| format!("{}: {} != {}", d.path, d.expected, d.actual);
        differences(&expect, &answer).into_iter().map(shown).collect()
    }

    #[test]
    fn decisions_are_patterns_and_payloads_are_exact() {
        let answer = json!({"decision": {"kind": "reject", "status": 400, "message": "no"}, "payload": {"a": 1.0, "b": [2]}, "logs": []});
        assert_eq!(judged(json!({"decision": {"kind": "reject"}, "payload": {"b": [2], "a": 1}}), answer.clone()), [""; 0]);
        assert_eq!(
            judged(json!({"decision": {"kind": "call", "reason_code": 1}}), answer.clone()),
            [r#"decision.kind: "call" != "reject""#, "decision.reason_code: 1 != null"]
        );
        assert_eq!(judged(json!({"payload": {"a": 1}}), answer.clone()), [r#"payload: {"a":1} != {"a":1.0,"b":[2]}"#]);
        assert_eq!(judged(json!({"arguments": null, "variables": {}, "meta": {"a": "b"}}), answer), [r#"meta: {"a":"b"} != {}"#]);
    }

    #[test]
    fn an_unexpected_fault_is_the_only_difference_and_an_expected_one_must_come() {
        let fault = json!({"code": "script-threw", "detail": "x", "line": 3});
        assert_eq!(judged(json!({"decision": {"kind": "call"}}), json!({"fault": fault})), [format!("fault: null != {fault}")]);
        assert_eq!(judged(json!({"fault": {"code": "script-threw", "line": 3}}), json!({"fault": fault})), [""; 0]);
        assert_eq!(judged(json!({"fault": {"line": 4}}), json!({"fault": fault})), ["fault.line: 4 != 3"]);
        assert_eq!(judged(json!({"fault": {"line": 4}}), json!({"decision": {}})), [r#"fault: {"line":4} != null"#]);
    }

    #[test]
    fn messages_compare_the_members_that_are_named() {
        let request = json!({"method": "POST", "url": "u", "headers": {"x-a": "1"}, "body": "{\"n\": 1}"});
        let answer = json!({"decision": {"kind": "send"}, "request": request});
        assert_eq!(judged(json!({"request": {"headers": {"X-A": "1"}, "body": {"n": 1}}}), answer.clone()), [""; 0]);
        assert_eq!(judged(json!({"request": {"body": "{\"n\": 1}"}}), answer.clone()), [""; 0]);
        assert_eq!(
            judged(json!({"request": {"headers": {}, "method": "GET"}}), answer.clone()),
            [r#"request.headers: {} != {"x-a":"1"}"#, r#"request.method: "GET" != "POST""#]
        );
        assert_eq!(judged(json!({"response": {"status": 1}}), answer), [r#"response: {"status":1} != null"#]);
    }

    #[test]
    fn logs_come_in_order_and_all_of_them() {
        let answer = json!({"decision": {}, "logs": [{"level": "info", "message": "a"}, {"level": "warn", "message": "b"}]});
        assert_eq!(judged(json!({"logs": ["a", {"level": "warn"}]}), answer.clone()), [""; 0]);
        assert_eq!(judged(json!({"logs": ["a"]}), answer.clone()).len(), 1);
        assert_eq!(
            judged(json!({"logs": ["a", {"level": "info", "message": "b"}]}), answer),
            [r#"logs: "a\ninfo: b\n" != "a\nwarn: b\n""#]
        );
    }
}
