//! Pages of the documentation that are made from what the API itself says: every code with the texts of `/errors/{code}`, and every route with its
//! line in the description.

use std::fmt::Write as _;

use serde_json::Value;
use snaphook_model::{Blame, Code};

use crate::{openapi, status};

const ERRORS: &str = "\
# Errors

For whoever meets an error of a node: what each code means, and what to do. This page is generated; `GET /errors/CODE` of a node has the same texts.

An error is answered as a problem (RFC 9457, `application/problem+json`). `code` is stable; `detail` is a sentence about this case; `path`, `line`, `column`,
`limit` and `used` are there where they mean something. A failed run has the same `code` in its record.

```json answer
{\"type\": \"/errors/fuel\", \"title\": \"fuel is spent\", \"status\": 422, \"code\": \"fuel\", \"blame\": \"guest\",
 \"detail\": \"…\", \"limit\": 1000000000, \"used\": 1000000000, \"request_id\": \"…\"}
```

`blame` says whose fault it is. \"Again\" says whether the same request may succeed when it is sent again, without a change to it.
";

/// The groups, in the order in which a reader looks for them.
const BLAMES: [(Blame, &str, &str); 5] = [
    (Blame::Caller, "Caller", "The request, or a document that it names, is wrong."),
    (Blame::Guest, "Guest", "A script threw, broke the contract, decided to fail, or spent a budget."),
    (Blame::Upstream, "Upstream", "The API that was called could not be reached, or answered badly."),
    (Blame::Platform, "Platform", "The node has no room, or something failed on our side."),
    (Blame::Nobody, "Nobody", "An end of a run that is no failure."),
];

/// `docs/errors.md`: one section for each code, under whose fault it is.
#[must_use]
pub fn errors_page() -> String {
    let mut page = ERRORS.to_owned();
    for (blame, heading, sentence) in BLAMES {
        page += &format!("\n## {heading}\n\n{sentence}\n");
        for code in Code::ALL.iter().copied().filter(|code| code.blame() == blame) {
            let again = if code.retryable() { "yes" } else { "no" };
            // Writing to a text cannot fail.
            let _ =
                write!(page, "\n### {code}\n\n*{}* · HTTP {} · again: {again}\n\n{}\n", code.title(), status::of(code), shown(code.help()));
        }
    }
    page
}

/// Patterns of names hold what Markdown takes for a link.
fn shown(help: &str) -> String {
    help.split(' ').map(|word| if word.starts_with('[') { code_span(word) } else { word.to_owned() }).collect::<Vec<_>>().join(" ")
}

/// A word as code, without the full stop behind it.
fn code_span(word: &str) -> String {
    match word.strip_suffix('.') {
        Some(word) => format!("`{word}`."),
        None => format!("`{word}`"),
    }
}

const ROUTES: &str = "\
# Routes

For whoever writes a client: every route, with the token that it asks for. This page is generated from the description that a node gives at
`GET /openapi.json`, which has bodies and answers as well. [The HTTP API](http-api.md) says what holds for all of them.

`operator` is the operator's token; any other word is a scope of a tenant's, and `admin` has them all.
";

/// `docs/routes.md`: one table for each tag of the description.
///
/// # Panics
/// Never: the description is JSON of ours.
#[must_use]
pub fn routes_page() -> String {
    let description: Value = serde_json::from_str(&openapi::openapi_json()).expect("it was just written");
    let paths = description["paths"].as_object().into_iter().flatten();
    let operations =
        paths.flat_map(|(path, methods)| methods.as_object().into_iter().flatten().map(move |(method, what)| (method, path, what)));
    let mut tables: Vec<(&str, String)> = Vec::new();
    for (method, path, what) in operations {
        let row = format!("| {} | `{path}` | {} | {} |\n", method.to_uppercase(), token(what), said(what));
        let tag = what["tags"][0].as_str().unwrap_or_default();
        match tables.iter_mut().find(|(found, _)| *found == tag) {
            Some((_, rows)) => rows.push_str(&row),
            None => tables.push((tag, row)),
        }
    }
    tables.sort_by_key(|(tag, _)| *tag);
    tables.iter().fold(ROUTES.to_owned(), |page, (tag, rows)| {
        page + &format!("\n## {tag}\n\n| | path | token | does |\n| --- | --- | --- | --- |\n{rows}")
    })
}

/// Whose token, or which scope of a tenant's.
fn token(operation: &Value) -> String {
    let Some((name, scopes)) = operation["security"][0].as_object().and_then(|needs| needs.iter().next()) else { return "none".to_owned() };
    let scopes: Vec<&str> = scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match scopes.as_slice() {
        [] if name == "token" => "any".to_owned(),
        [] => name.clone(),
        scopes => format!("`{}`", scopes.join("`, `")),
    }
}

/// The heading, and what the description adds to it.
fn said(operation: &Value) -> String {
    let text = |key: &str| operation[key].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    match (text("summary"), text("description")) {
        (summary, description) if description.is_empty() => summary,
        (summary, description) => format!("{summary}. {description}"),
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::Code;

    #[test]
    fn every_code_has_its_section() {
        let page = super::errors_page();
        for code in Code::ALL {
            assert_eq!(page.matches(&format!("\n### {code}\n")).count(), 1, "{code}");
        }
    }

    #[test]
    fn a_pattern_stands_as_code() {
        assert_eq!(super::shown("match [A-Z][a-z]{0,62}. Choose"), "match `[A-Z][a-z]{0,62}`. Choose");
    }

    #[test]
    fn a_route_says_whose_token_it_asks_for() {
        let page = super::routes_page();
        for row in ["| PUT | `/v1/tenants/{tenant}` | operator | ", "| GET | `/v1/runs/{run}` | `read` | ", "| GET | `/healthz` | none | "]
        {
            assert!(page.contains(row), "{row}");
        }
    }
}
