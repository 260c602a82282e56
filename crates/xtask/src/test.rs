//! `test` and `gen`: the whole suite, with one line of counts at the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::run::{cargo, root, run};
use crate::{guest, setup};

/// Sums of cargo's `test result:` lines.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs everything. Arguments go to `cargo test` of the workspace, such as a test's name.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    setup::everything()?;
    guest::build_all()?;
    let mut counts = Counts::default();
    let workspace = run_counted(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments), &mut counts);
    let sdk = match arguments {
        [] => guest::native_tests().into_iter().try_for_each(|mut command| run_counted(&mut command, &mut counts)),
        _ => Ok(()),
    };
    println!("\n{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    workspace.and(sdk)?;
    if counts.passed == 0 { Err("no test ran".to_owned()) } else { Ok(()) }
}

/// Writes the generated files that are committed; the tests compare them with what would be generated.
pub(crate) fn generate() -> Result<(), String> {
    setup::clang()?;
    let tests: [&[&str]; 3] = [
        &["--package", "snaphook-telemetry", "--test", "generated"],
        &["--package", "snaphook-api", "openapi"],
        &["--package", "snaphook", "--bin", "snaphook", "generated"],
    ];
    let write = |test: &&[&str]| run(cargo().arg("test").args(*test).env("SNAPHOOK_GENERATE", "1").current_dir(root()));
    tests.iter().try_for_each(write)
}

/// Runs `cargo test`, shows what it prints, and adds up its result lines.
fn run_counted(command: &mut Command, counts: &mut Counts) -> Result<(), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let stdout = child.stdout.take().ok_or("the child has no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| error.to_string())?;
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            counts.passed += number_before(result, " passed");
            counts.failed += number_before(result, " failed");
            counts.skipped += number_before(result, " ignored");
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

fn number_before(text: &str, word: &str) -> u64 {
    let front = text.split(word).next().unwrap_or_default();
    front.rsplit([' ', '.']).next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
