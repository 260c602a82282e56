//! Lists whose every entry must have a test: conformance rows, limits, examples.

use std::collections::BTreeSet;
use std::path::Path;

use super::text;
use crate::run::root;

/// Conformance rows are F1 to F134.
const ROWS: usize = 134;

/// Rows without a test; the number may only fall, and the list in `tests/conformance-open.txt` must match it.
const OPEN_ROWS: usize = 11;

pub(super) fn check() -> Vec<String> {
    let tests = test_names();
    let mut complaints = conformance(&tests);
    complaints.extend(limits(&tests));
    complaints.extend(examples());
    complaints
}

/// Names of all tests in `tests/it`: functions with a test's attribute, and those that a macro makes two tests of.
fn test_names() -> Vec<String> {
    let files = std::fs::read_dir(root().join("tests/it")).into_iter().flatten().flatten();
    let texts = files.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default());
    texts.flat_map(|text| names(&text)).collect()
}

fn names(text: &str) -> Vec<String> {
    let of_function = |line: &str| {
        let rest = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?;
        rest.split(['(', '<']).next().map(str::to_owned)
    };
    let (mut names, mut attributed) = (Vec::new(), false);
    for line in text.lines() {
        if matches!(line.trim(), "#[test]" | "#[tokio::test]") || line.trim().starts_with("#[tokio::test(") {
            attributed = true;
        } else if let Some(name) = of_function(line) {
            names.extend(attributed.then_some(name));
            attributed = false;
        }
    }
    let listed = |rest: &str| rest.trim_start().strip_prefix(['(', '{'])?.split([')', '}']).next().map(str::to_owned);
    let doubled: Vec<String> = text.split("on_both_databases!").skip(1).filter_map(listed).collect();
    names.extend(doubled.iter().flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
    names
}

/// Every row has a test named after it (`f041_…`) or stands in the list of open ones, not both.
fn conformance(tests: &[String]) -> Vec<String> {
    let tested = |row: usize| tests.iter().any(|name| name.starts_with(&format!("f{row:03}_")));
    let open: BTreeSet<usize> =
        text(Path::new("tests/conformance-open.txt")).lines().filter_map(|line| line.trim().strip_prefix('F')?.parse().ok()).collect();
    let mut complaints = Vec::new();
    for row in 1..=ROWS {
        match (tested(row), open.contains(&row)) {
            (false, false) => complaints.push(format!("conformance row F{row} has no test `f{row:03}_…` in tests/it")),
            (true, true) => complaints.push(format!("conformance row F{row} has a test: take it off tests/conformance-open.txt")),
            _ => {}
        }
    }
    if open.len() != OPEN_ROWS {
        complaints.push(format!("tests/conformance-open.txt holds {} rows, xtask says {OPEN_ROWS}; the number may only fall", open.len()));
    }
    complaints
}

/// Every field of `Limits` has a hostile guest or request, a test named `limit_FIELD…`, and one at its last unit, `edge_FIELD…`, as every field of
/// `Quota` has. The other rows of the table of limits are no fields there: what a compile child may use is `edge_compile_FIELD…`, and of tables there
/// is a number of their own.
fn limits(tests: &[String]) -> Vec<String> {
    let of_tenants = "crates/model/src/limits.rs";
    let of_quotas = "crates/model/src/quota.rs";
    let of_children = "crates/compile/src/compiler.rs";
    let [tenants, quotas, children] = [of_tenants, of_quotas, of_children].map(|file| text(Path::new(file)));
    let (tenants, quotas, children) = (fields(&tenants, "Limits"), fields(&quotas, "Quota"), fields(&children, "CompilerConfig"));
    // The others say where things lie, and how long somebody waits.
    let children: Vec<&str> = children.into_iter().filter(|(_, kind)| *kind == "u64").map(|(field, _)| field).collect();
    for (file, is_empty) in [(of_tenants, tenants.is_empty()), (of_quotas, quotas.is_empty()), (of_children, children.is_empty())] {
        if is_empty {
            return vec![format!("{file}: the fields of limits were not found")];
        }
    }
    let wanted = tenants.iter().flat_map(|(field, _)| [format!("limit_{field}"), format!("edge_{field}")]);
    let wanted = wanted.chain(quotas.iter().map(|(field, _)| format!("edge_{field}")));
    let wanted = wanted.chain(children.iter().map(|field| format!("edge_compile_{field}"))).chain(["edge_tables".to_owned()]);
    let untested = wanted.filter(|wanted| !tests.iter().any(|name| name.starts_with(wanted)));
    untested.map(|wanted| format!("a limit has no test `{wanted}…` in tests/it")).collect()
}

/// Public fields of a struct and their types.
fn fields<'t>(source: &'t str, of: &str) -> Vec<(&'t str, &'t str)> {
    let begin = format!("pub struct {of} {{");
    let body = source.split_once(begin.as_str()).and_then(|(_, rest)| rest.split("\n}").next()).unwrap_or_default();
    body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.trim_end_matches(',').split_once(": ")).collect()
}

/// Every folder of `examples` says what is expected of it; the tests run them all.
fn examples() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("examples")).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let silent = folders.filter(|entry| !entry.path().join("example.json").is_file());
    silent.map(|entry| format!("{}: no example.json with what is expected", entry.path().display())).collect()
}

#[cfg(test)]
mod tests {
    use super::{fields, names};

    #[test]
    fn fields_have_names_and_types() {
        let text =
            "pub struct A {\n    /// One.\n    pub a: u64,\n    pub b: Vec<String>,\n    c: u64,\n}\npub struct B {\n    pub d: u8,\n}\n";
        assert_eq!(fields(text, "A"), [("a", "u64"), ("b", "Vec<String>")]);
        assert!(fields(text, "C").is_empty());
    }

    #[test]
    fn only_tests_count() {
        let text = "fn f001_helper() {}\n#[tokio::test]\nasync fn f002_a() {}\nasync fn f003_b() {}\non_both_databases! {\n    f003_b,\n    f004_c\n}\non_both_databases!(f006_e);\n#[test]\nfn f005_d() {}\n";
        assert_eq!(names(text), ["f002_a", "f005_d", "f003_b", "f004_c", "f006_e"]);
    }
}
