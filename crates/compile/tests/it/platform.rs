//! The JavaScript surface beside the platform's own tests. Tables of web-platform-tests and of Unicode come with crates that the workspace
//! locks, and are read where cargo keeps them; what no table covers has checks of our own after the standards. What passes is written in
//! `guest-sdk/README.md`, and has to be what comes out here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use snaphook_model::{Decision, HookInput, Payload, StepDecision};

use crate::support::{invoke, js};

/// Rows that knowingly fail, by what their report holds, and why.
struct Known {
    holds: &'static [&'static str],
    why: &'static str,
}

/// The line of a suite in the guide, which must be there word for word.
struct Line {
    rows: u64,
    passed: usize,
    known: Vec<(usize, &'static str)>,
}

#[tokio::test]
async fn urls_are_parsed_as_the_platform_does() {
    let table = table(&of_crate("url", "tests/urltestdata.json"));
    let newer = [Known { holds: &["%5E"], why: "`^` in a path is encoded, as the standard has it by now; the table is older" }];
    holds("`URL`, parsing", "urltestdata.json", "url.js", table, &newer).await;
}

#[tokio::test]
async fn setters_of_urls_do_what_the_platforms_do() {
    let table = table(&of_crate("url", "tests/setters_tests.json"));
    let newer = [
        Known { holds: &["pathname | a:/", "%5E"], why: "`^` in a path is encoded, as the standard has it by now; the table is older" },
        Known {
            holds: &["space", "%20"],
            why: "a space before `?` or `#` of an opaque path is encoded, as the standard has it by now; the table is older",
        },
    ];
    holds("`URL`, setters", "setters_tests.json", "url-setters.js", table, &newer).await;
}

#[tokio::test]
async fn names_become_what_the_platform_makes_of_them() {
    let text = std::fs::read_to_string(of_crate("idna", "tests/IdnaTestV2.txt")).unwrap();
    // In parts: a script has so much fuel.
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let (mut rows, mut failed) = (0, Vec::new());
    for part in lines.chunks(500) {
        let (part_rows, part_failed) = run("names.js", json!(part)).await;
        rows += part_rows;
        failed.extend(part_failed);
    }
    let known = [
        Known {
            holds: &["accepted | "],
            why: "names that mix directions of writing, or hold what UTS #46 lists one by one, are not refused",
        },
        Known { holds: &["refused | "], why: "names with a joiner are refused, also where their script needs one" },
    ];
    compare("Hosts of `URL`, names", "Unicode's IdnaTestV2.txt", rows, failed, &known);
}

#[tokio::test]
async fn base64_is_decoded_as_the_platform_does() {
    let table = table(&of_crate("data-url", "tests/base64.json"));
    holds("`atob`", "base64.json", "base64.js", table, &[]).await;
}

#[tokio::test]
async fn classes_behave_as_their_standards_say() {
    let none = || Value::Null;
    holds("`URLSearchParams`", "our own", "url-search-params.js", none(), &[]).await;
    let copied = [Known { holds: &["iterates live"], why: "an iterator of `Headers` goes over what was there when it was made" }];
    holds("`Headers`", "our own", "headers.js", none(), &copied).await;
    let other = [
        Known { holds: &["knows other encodings"], why: "`TextDecoder` knows UTF-8 and no other encoding" },
        Known { holds: &["need arguments"], why: "`atob` and `btoa` take no argument for undefined" },
    ];
    holds("`TextEncoder`, `TextDecoder`, `btoa`", "our own", "encoding.js", none(), &other).await;
    holds("`structuredClone`", "our own", "structured-clone.js", none(), &[]).await;
}

async fn holds(what: &str, table_name: &str, suite: &str, table: Value, known: &[Known]) {
    let (rows, failed) = run(suite, table).await;
    compare(what, table_name, rows, failed, known);
}

/// Every failure must be a known one, and the guide must say so.
fn compare(what: &str, table: &str, rows: u64, failed: Vec<String>, known: &[Known]) {
    assert!(rows > 0, "{what}: no row was checked");
    let mut line = Line { rows, passed: usize::try_from(rows).unwrap() - failed.len(), known: known.iter().map(|k| (0, k.why)).collect() };
    let mut unknown = Vec::new();
    for row in &failed {
        match known.iter().position(|known| known.holds.iter().all(|part| row.contains(part))) {
            Some(at) => line.known[at].0 += 1,
            None => unknown.push(row.as_str()),
        }
    }
    assert!(unknown.is_empty(), "{what}: {} of {rows} rows fail:\n{}", unknown.len(), unknown.join("\n"));
    let reasons: Vec<String> = line.known.iter().map(|(count, why)| format!("{count}: {why}")).collect();
    let line = format!("| {what} | {table} | {} | {} | {} |", line.rows, line.passed, reasons.join("; "));
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/README.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    assert!(guide.lines().any(|found| found == line), "guest-sdk/README.md must have this line:\n{line}");
}

/// Runs a suite in the interpreter: how many rows it has, and which failed.
async fn run(suite: &str, table: Value) -> (u64, Vec<String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/interpreter/tests/platform");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let source = if table.is_null() { read("checks.js") + &read(suite) } else { read(suite) };
    let compiled = js(&source).unwrap_or_else(|error| panic!("{suite}: {error:?}"));
    let outcome = invoke(&compiled, HookInput::Step { payload: Payload::json(table.to_string()) }).await;
    let Decision::Step(StepDecision(Some(payload))) = outcome.result.unwrap_or_else(|fault| panic!("{suite}: {fault:?}")) else {
        panic!("{suite} gives nothing");
    };
    let found: Value = serde_json::from_slice(&payload.bytes).unwrap();
    let failed = found["failed"].as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned());
    (found["rows"].as_u64().unwrap(), failed.collect())
}

fn table(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A file that comes with a crate, where cargo has unpacked it.
fn of_crate(name: &str, file: &str) -> PathBuf {
    static PACKAGES: LazyLock<Value> = LazyLock::new(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
            .output()
            .unwrap_or_else(|error| panic!("the tables come with crates, and cargo, which knows where those are, does not run: {error}"));
        assert!(output.status.success(), "cargo does not say where crates are:\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    });
    let packages = PACKAGES["packages"].as_array().unwrap();
    // The newest, should there be several: lists are in the order of versions.
    let package = packages.iter().rfind(|package| package["name"] == name);
    let package = package.unwrap_or_else(|| panic!("crate `{name}`, which has the table, is not among the workspace's"));
    let file = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name(file);
    assert!(file.is_file(), "crate `{name}` does not come with {} any more", file.display());
    file
}

/// Reading an address is what every other script does, so what it costs may not grow unseen: a call of a built-in function is some 2,400
/// units, an expression some 8,500, and an object of eight properties 10,000.
#[tokio::test]
async fn a_url_costs_little() {
    let fuel = async |body: &str| {
        let compiled = js(&format!("export default () => {{ {body} }};")).unwrap();
        let outcome = invoke(&compiled, HookInput::Step { payload: Payload::json("1") }).await;
        assert!(outcome.result.is_ok(), "{body}: {:?}", outcome.result);
        outcome.usage.fuel
    };
    let nothing = fuel("").await;
    for (body, most) in [
        ("new URL('https://api.example.com/v2/contacts?limit=10#top');", 280_000),
        ("new URL('../other?x=1', 'https://api.example.com:8443/v2/contacts/7');", 560_000),
        ("new URL('https://api.example.com/a').searchParams.get('x');", 280_000),
        ("new URLSearchParams('a=1&b=2&c=three+four').get('b');", 200_000),
    ] {
        let spent = fuel(body).await - nothing;
        println!("{spent} for {body}");
        assert!(spent < most, "{body} took {spent} units of fuel, more than {most}");
    }
}
