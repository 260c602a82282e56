//! Sizes, headers and words of files.

use std::path::{Path, PathBuf};

use super::text;

/// Production lines per file; trouble in comparable code begins past 600.
const MAX_LINES: usize = 500;
/// Lines of a test module inside a file; past that it becomes a sibling.
const MAX_TEST_LINES: usize = 100;
/// A flat table may be longer when it says why in its first lines.
const EXCUSE: &str = "Longer than the limit:";
/// Built files have no place in the tree.
const BINARIES: [&str; 8] = ["wasm", "cwasm", "so", "a", "o", "exe", "db", "sqlite"];

/// Text that may stand in some places only: what, where, why.
const WORDS: [(&str, &[&str], &str); 4] = [
    (
        "std::env::var",
        &["crates/node/", "crates/xtask/", "tests/", "/build/", "/tests/"],
        "the process environment is read in `node` alone",
    ),
    (
        "StatusCode::",
        &["crates/api/", "crates/egress/", "crates/testkit/", "tests/", "/tests/"],
        "our HTTP status codes are known in `api` alone",
    ),
    ("SystemTime::now", &["crates/node/", "tests/", "/tests/"], "time is handed in"),
    ("#[allow(", &[], "use #[expect(…, reason = \"…\")]"),
];

pub(super) fn check(files: &[PathBuf]) -> Vec<String> {
    files.iter().flat_map(|path| complaints(path)).collect()
}

fn complaints(path: &Path) -> Vec<String> {
    let shown = path.display().to_string();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if BINARIES.contains(&extension) {
        return vec![format!("{shown}: built files are not committed")];
    }
    if !matches!(extension, "rs" | "c" | "h" | "js" | "ts") {
        return Vec::new();
    }
    let text = text(path);
    let mut complaints = Vec::new();
    let (production, tests) = lines(&text);
    let excused = text.lines().take(8).any(|line| line.contains(EXCUSE));
    if production > MAX_LINES && !excused {
        complaints.push(format!("{shown}: {production} lines; at most {MAX_LINES}, or a reason at the top (`{EXCUSE} …`)"));
    }
    if tests > MAX_TEST_LINES {
        complaints.push(format!("{shown}: {tests} lines of tests inside the file; past {MAX_TEST_LINES} they become a sibling"));
    }
    if extension == "rs" && !text.starts_with("//!") && !text.starts_with("#![doc") {
        complaints.push(format!("{shown}: does not begin with `//!` and what it is for"));
    }
    complaints.extend(words(&shown, extension, &text));
    complaints
}

/// Production lines, and lines of the test module at the end of the file.
fn lines(text: &str) -> (usize, usize) {
    let all = text.lines().count();
    let inside =
        text.lines().position(|line| line == "#[cfg(test)]").filter(|at| text.lines().nth(at + 1).is_some_and(|line| line.ends_with('{')));
    match inside {
        Some(at) => (at, all - at),
        None => (all, 0),
    }
}

fn words(shown: &str, extension: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (i, line) in text.lines().enumerate() {
        // Spelled in two halves, so that this file passes its own check.
        if line.contains(concat!("TO", "DO")) || line.contains(concat!("FIX", "ME")) {
            complaints.push(format!("{shown}:{}: later is now", i + 1));
        }
        if extension != "rs" || shown.ends_with("tidy/files.rs") {
            continue;
        }
        for (word, places, why) in WORDS {
            if line.contains(word) && !places.iter().any(|place| shown.contains(place)) {
                complaints.push(format!("{shown}:{}: `{word}`: {why}", i + 1));
            }
        }
    }
    complaints
}
