//! How two JSON values, or two texts, differ line by line, for people.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// Lines around a change, so that one sees where it is.
const CONTEXT: usize = 2;

/// Lines of one difference; who wants all of a large one asks for JSON.
const MAX_LINES: usize = 40;

/// Longest line; a body without line breaks is one.
const MAX_CHARS: usize = 200;

/// The lines that differ, marked `-` and `+`, each behind `indent`.
pub(crate) fn lines(before: &Value, after: &Value, indent: &str) -> String {
    let (before, after) = (pretty(before), pretty(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut out = String::new();
    let mut left = MAX_LINES;
    for (nth, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if nth > 0 && left > 0 {
            out += &format!("{indent}…\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if left == 0 {
                out += &format!("{indent}… and more; --json shows all of it\n");
                return out;
            }
            left -= 1;
            let mark = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let line = change.value().trim_end_matches('\n');
            out += format!("{indent}{mark} {}", cut(line)).trim_end();
            out.push('\n');
        }
    }
    out
}

/// The difference of two texts in the unified form that `patch` reads; empty when there is none.
pub(crate) fn unified(before: &str, after: &str, names: [&str; 2]) -> String {
    let diff = TextDiff::from_lines(before, after);
    if before == after { String::new() } else { diff.unified_diff().header(names[0], names[1]).to_string() }
}

/// A unified difference in colours, which the stream takes out where they are not wanted.
pub(crate) fn coloured(unified: &str) -> String {
    let mut out = String::new();
    for line in unified.lines() {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Style::new().bold(),
            [b'@', ..] => AnsiColor::Cyan.on_default(),
            [b'+', ..] => AnsiColor::Green.on_default(),
            [b'-', ..] => AnsiColor::Red.on_default(),
            _ => Style::new(),
        };
        out += &format!("{style}{line}{style:#}\n");
    }
    out
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

fn pretty(value: &Value) -> String {
    let mut text = match value {
        // The text itself is easier to read than its escapes.
        Value::String(text) => text.clone(),
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    };
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{coloured, lines, unified};

    #[test]
    fn what_differs_is_marked_where_it_stands() {
        let before = json!({"a": 1, "list": [1, 2, 3, 4, 5, 6, 7], "z": "x"});
        let after = json!({"a": 2, "list": [1, 2, 3, 4, 5, 6, 7], "z": "y"});
        let expected = ">  {\n>-   \"a\": 1,\n>+   \"a\": 2,\n>    \"list\": [\n>      1,\n>…\n>      7\n>    ],\n>-   \"z\": \"x\"\n>+   \"z\": \"y\"\n>  }\n";
        assert_eq!(lines(&before, &after, ">"), expected);
        assert_eq!(lines(&before, &before, ">"), "");
        let many = |first: u32| json!((first..first + 100).collect::<Vec<_>>());
        assert!(lines(&many(0), &many(1000), "").ends_with("and more; --json shows all of it\n"));
    }

    #[test]
    fn texts_differ_as_patch_reads_it() {
        let plain = unified("a\nb\n", "a\nc\n", ["old", "new"]);
        assert_eq!(plain, "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert_eq!(unified("a", "a", ["old", "new"]), "");
        let seen = coloured(&plain);
        assert!(seen.contains("\u{1b}[32m+c\u{1b}[0m") && seen.contains("\u{1b}[31m-b\u{1b}[0m"), "{seen:?}");
        assert_eq!(anstream::adapter::strip_str(&seen).to_string(), plain);
    }
}
