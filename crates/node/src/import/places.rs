//! Templates inside a manifest's texts: what of them means something else here.

use serde_json::Value;

/// What is wrong with a template, and what to do.
pub(super) type Trouble = (String, String);

/// Looks at every text under a path, keys too.
pub(super) fn troubles(path: &str, value: &Value) -> Vec<Trouble> {
    let mut found = Vec::new();
    walk(path, value, &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<Trouble>) {
    match value {
        Value::String(text) => found.extend(of_text(text).map(|trouble| (path.to_owned(), trouble))),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| walk(&format!("{path}[{i}]"), value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                found.extend(of_text(key).map(|trouble| (path.clone(), trouble)));
                walk(&path, value, found);
            }
        }
        _ => {}
    }
}

/// One sentence for each template in a text that does not mean here what it means there.
fn of_text(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let begin = rest.find("{{").into_iter().chain(rest.find("{%")).min()?;
            let tag = rest[begin..].starts_with("{%");
            let inside = &rest[begin + 2..];
            let Some(end) = inside.find(if tag { "%}" } else { "}}" }) else {
                rest = "";
                return Some("a template is not closed; close it, or write the braces as a text in a template".to_owned());
            };
            let expression = inside[..end].trim();
            rest = &inside[end + 2..];
            if let Some(trouble) = if tag { of_tag(expression) } else { of_expression(expression) } {
                return Some(trouble);
            }
        }
    })
}

fn of_tag(expression: &str) -> Option<String> {
    const KNOWN: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
    let tag = expression.split_whitespace().next().unwrap_or_default();
    if !KNOWN.contains(&tag) {
        return Some(format!("the tag `{tag}` does not exist here; write the template without it"));
    }
    of_expression(expression)
}

fn of_expression(expression: &str) -> Option<String> {
    if expression.contains("oauth.") {
        return Some(format!(
            "`{expression}` is a token of `oauth`, which is not taken: it renders empty until a value of that name is there"
        ));
    }
    // `|name:argument`; a colon inside quotes is the argument's own.
    let mut parts = expression.split('|').skip(1);
    let with_argument = parts.find(|filter| filter.trim_start().split(['"', '\'', ' ']).next().is_some_and(|name| name.contains(':')))?;
    let filter = with_argument.split(':').next().unwrap_or_default().trim();
    Some(format!(
        "the filter `{filter}` takes its argument in parentheses here, if it exists: write `{filter}(…)`, or shape the value before"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_that_mean_the_same_pass() {
        let value =
            json!({"{{ K }}": "{{ a }} {{b|upper}} {{ responses.0.id }} {% if a %}x{% else %}y{% endif %}", "n": [1, null, "plain: {x}"]});
        assert_eq!(troubles("data", &value), Vec::<Trouble>::new());
    }

    #[test]
    fn templates_that_do_not_are_found_where_they_stand() {
        let value = json!({
            "date": "{{ start|date:\"Y-m-d\" }}", "list": ["{% load tz %}"], "{{ a": "x", "token": "Bearer {{ oauth.access_token }}", "ok": "{{ a|join(':') }}",
        });
        let found = troubles("data", &value);
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["data.date", "data.list[0]", "data.{{ a", "data.token"]);
        for (trouble, part) in found.iter().zip(["`date`", "`load`", "not closed", "`oauth`"]) {
            assert!(trouble.1.contains(part), "{trouble:?}");
        }
    }
}
