//! What is made from the tables, or names what stands in them: the page for operators, and the dashboard for Grafana.

#![expect(clippy::unwrap_used, reason = "what a test relies on, it may unwrap")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use snaphook_telemetry::{Kind, METRICS};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

#[test]
fn the_page_is_committed_as_generated() {
    let (file, generated) = (file("docs/telemetry.md"), snaphook_telemetry::document());
    if std::env::var_os("SNAPHOOK_GENERATE").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "docs/telemetry.md is not what the tables say; run `cargo xtask gen`");
}

/// All texts under a key in the dashboard.
fn texts(key: &str) -> Vec<String> {
    fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get(key).and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, key, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, key, found)),
            _ => {}
        }
    }
    let dashboard = std::fs::read_to_string(file("packaging/grafana.json")).unwrap();
    let mut found = Vec::new();
    collect(&serde_json::from_str(&dashboard).unwrap(), key, &mut found);
    found
}

/// Names of metrics in an expression.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("snaphook_") || word.starts_with("process_"))
}

#[test]
fn the_dashboard_shows_metrics_that_there_are_and_all_of_them() {
    let series = METRICS.iter().flat_map(|row| match row.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", row.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![row.name.to_owned()],
    });
    let series: BTreeSet<String> = series.collect();
    let (expressions, queries) = (texts("expr"), texts("query"));
    assert!(expressions.len() >= METRICS.len() && queries.len() == 3, "{} expressions", expressions.len());
    let named: BTreeSet<&str> = expressions.iter().chain(&queries).flat_map(|expression| metrics_in(expression)).collect();
    for name in &named {
        assert!(series.contains(*name), "packaging/grafana.json asks for `{name}`, which is no metric's series");
    }
    for row in METRICS {
        let shown = |name: &&&str| **name == row.name || (row.kind == Kind::Histogram && name.starts_with(row.name));
        assert!(named.iter().any(|name| shown(&name)), "packaging/grafana.json does not show {}", row.name);
    }
}

#[test]
fn the_dashboard_groups_by_labels_that_there_are() {
    let mut groups = 0;
    for expression in texts("expr") {
        let named = metrics_in(&expression).next().unwrap_or_else(|| panic!("`{expression}` names no metric"));
        let row = METRICS.iter().filter(|row| named.starts_with(row.name)).max_by_key(|row| row.name.len()).unwrap();
        for group in expression.split("by (").skip(1) {
            for label in group.split(')').next().unwrap_or_default().split(',').map(str::trim) {
                groups += 1;
                assert!(label == "le" || row.labels.contains(&label), "`{expression}`: {} has no label `{label}`", row.name);
            }
        }
    }
    assert!(groups > 20, "{groups} labels");
}
