//! Scripts from upload to invocation, with a real interpreter. The binary is also the child process that compiles.

#![expect(clippy::unwrap_used, reason = "what a test relies on, it may unwrap")]

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::FutureExt as _;

mod deploys;
mod engine;
mod ready;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the tests that compile nothing, which use other parts of it")]
mod support;
mod test_runs;

type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        const TESTS: &[Test] = &[$((stringify!($module::$name), || Box::pin($module::$name()))),*];
    };
}
tests! {
    deploys::an_upload_becomes_a_version_and_is_called,
    deploys::what_an_upload_does_wrong_is_placed,
    ready::compiled_code_that_is_gone_is_made_again,
    ready::an_upgrade_of_the_interpreter_makes_scripts_again,
    ready::a_script_made_again_imports_what_it_imported_before,
    test_runs::every_hook_shows_what_it_decided,
    test_runs::a_fault_is_an_answer,
    test_runs::what_a_test_run_may_not_hold_is_named,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(engine::CHILD) {
        return snaphook_compile::child_main();
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let (begun, mut passed, mut failed) = (Instant::now(), 0, 0);
    let runtime = tokio::runtime::Runtime::new().expect("the machine has threads");
    for (name, test) in TESTS {
        let name = name.replace(' ', "");
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        let ok = runtime.block_on(AssertUnwindSafe(test()).catch_unwind()).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *if ok { &mut passed } else { &mut failed } += 1;
    }
    let (result, left_out) = (if failed == 0 { "ok" } else { "FAILED" }, TESTS.len() - passed - failed);
    let seconds = begun.elapsed().as_secs_f32();
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out; finished in {seconds:.2}s"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
