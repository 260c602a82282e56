//! Pages that list what there is list all of it, and nothing else: limits, globals of a script.

use std::collections::BTreeSet;

use serde_json::json;

use crate::docs::file;
use crate::support::node;

/// The rows of a page's tables whose first cell is a code word: that word, and the other cells.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let cells = |line: &str| line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let tables = text.lines().filter(|line| line.starts_with("| `")).map(cells);
    tables.map(|mut cells| (cells.remove(0).trim_matches('`').to_owned(), cells)).collect()
}

/// A number as the page writes it.
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// One part of a page, from its heading to the next.
fn part<'page>(page: &'page str, heading: &str) -> &'page str {
    let rest = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("there is no `{heading}`"));
    rest.split("\n## ").next().unwrap()
}

/// Words in backticks.
fn words(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_of_limits_is_what_a_tenant_gets_and_may_be_given() {
    let (page, operator) = (file("docs/limits.md"), node().operator());
    let name = format!("limits-of-the-page-{}", std::process::id());
    let path = format!("/v1/tenants/{name}");
    let tenant = operator.put(&path, &json!({})).await.expect(201).json();
    for (key, heading) in [("limits", "Limits"), ("quota", "Quotas"), ("retention", "Retention")] {
        let (found, rows) = (tenant[key].as_object().unwrap(), rows(part(&page, heading)));
        let listed: BTreeSet<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(listed, found.keys().map(String::as_str).collect(), "{heading}");
        for (field, cells) in rows {
            let [default, low, high] = [0, 1, 2].map(|i| number(&cells[i]));
            assert_eq!(found[&field], default, "default of {field}");
            for (value, status) in [(low, 200), (high, 200), (high + 1, 400)] {
                let document = json!({key: {&field: value}});
                let answer = operator.put(&path, &document).await;
                assert_eq!(answer.status, status, "{field} = {value}: {}", answer.text());
            }
            if let Some(below) = low.checked_sub(1) {
                let _ = operator.put(&path, &json!({key: {&field: below}})).await.expect(400);
            }
        }
    }
}

#[tokio::test]
async fn the_page_of_the_javascript_surface_names_what_a_script_finds() {
    let page = file("docs/javascript.md");
    let (there, missing) = (part(&page, "Globals"), words(part(&page, "What is not there")));
    let tenant = node().tenant().await;
    let source = "import * as snaphook from 'snaphook';
        export default (names) => ({
            globals: Object.getOwnPropertyNames(globalThis),
            console: Object.keys(console).concat(Object.getOwnPropertyNames(console)),
            subtle: Object.getOwnPropertyNames(Object.getPrototypeOf(crypto.subtle)).filter((name) => name !== 'constructor'),
            helpers: Object.keys(snaphook),
            found: names.filter((name) => name in globalThis),
        });";
    let version = tenant.js("surface", source).await;
    let missing: Vec<&String> = missing.iter().filter(|name| name.chars().all(char::is_alphanumeric)).collect();
    assert!(missing.len() > 20, "{missing:?}");
    let found = tenant.test("surface", version, json!({"hook": "step", "payload": missing})).await["payload"].take();
    let listed =
        |key: &str| -> BTreeSet<String> { found[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect() };
    assert_eq!(found["found"], json!([]), "what the page says is not there");
    let globals = listed("globals");
    let unnamed: Vec<_> = globals.difference(&words(there)).cloned().collect();
    assert!(unnamed.is_empty(), "docs/javascript.md does not name {unnamed:?}");
    // The first paragraph and the first column are names of globals.
    let paragraph = words(there.split("Of the platform").next().unwrap());
    let column =
        there.lines().filter_map(|line| line.strip_prefix("| `")).flat_map(|row| words(&format!("`{}", row.split('|').next().unwrap())));
    let absent: Vec<String> = paragraph.into_iter().chain(column).filter(|name| !globals.contains(name)).collect();
    assert!(absent.is_empty(), "docs/javascript.md names {absent:?}");
    for key in ["console", "subtle"] {
        assert!(listed(key).is_subset(&words(there)), "{key}: {:?}", listed(key));
    }
    let helpers: BTreeSet<String> =
        words(part(&page, "The module `snaphook`")).iter().filter_map(|word| Some(word.split_once('(')?.0.to_owned())).collect();
    assert_eq!(helpers, listed("helpers"));
}
