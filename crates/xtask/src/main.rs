//! Chores: `cargo xtask demo | test | format | tidy | deny | guests | bench | gen | package | setup`.

#![forbid(unsafe_code)]

mod demo;
mod deny;
mod guest;
mod package;
mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [--stay]   install what is missing, build, start a node and an upstream, deploy the examples, call them
  test            everything: unit, contract, black-box and guest tests; ends with one line of counts
  format          the workspace, the guest SDK and the guests; `--check` rewrites nothing
  tidy            arrows, sizes, conformance rows, limits, migrations
  deny            licences, sources and doubled crates as deny.toml has them; advisories too where cargo-deny is installed and can
                  have their database; the last line says whether they were looked at
  guests          lints of the guest SDK and the guests, which are no members of the workspace
  bench [PART …]  build for release and print the table of speeds, or the rows of some parts, such as `calls`; `--quick` does a tenth of the work,
                  `--million` has a million runs wait, and `--strict` fails where a row is missed
  gen             write the generated files that are committed (OpenAPI, pages of the documentation)
  package         build for release and make a Debian package in target/debian, with cargo-deb
  setup           install what is missing on this machine, or say how
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map_or(("", [].as_slice()), |(command, rest)| (command.as_str(), rest));
    let outcome = match command {
        "demo" => demo::demo(rest),
        "test" => test::test(rest),
        "tidy" => tidy::tidy(),
        "deny" => deny::deny(),
        "format" => guest::format(rest),
        "guests" => guest::lint(),
        "bench" => demo::bench(rest),
        "gen" => test::generate(),
        "package" => package::package(),
        "setup" => setup::everything(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {command}: {message}");
            ExitCode::FAILURE
        }
    }
}
