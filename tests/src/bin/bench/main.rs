//! `cargo xtask bench`: one table of speeds, each beside what was promised and, where that says more, beside something measured in the same run.
//!
//! usage: bench SNAPHOOK-BINARY INVOCATIONS-BINARY RUST-GUEST.wasm [--quick] [--million] [--strict] [PART …]
//!
//! A row that is missed says so. With `--strict`, and where `fairness` alone is asked for, it is a failure of the whole, too: a speed may be that of a
//! slow machine, but both numbers of a quiet tenant are of the same one.

#![forbid(unsafe_code)]

mod calls;
mod fairness;
mod load;
mod nodes;
mod peers;
mod runs;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use table::Table;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    match arguments.first().map(String::as_str) {
        Some("peer") => runtime.block_on(peers::serve(&arguments[1..])),
        Some(binary) if arguments.len() >= 3 => {
            let (flags, parts): (Vec<&str>, Vec<&str>) = arguments[3..].iter().map(String::as_str).partition(|text| text.starts_with("--"));
            let unknown = flags
                .iter()
                .find(|flag| !["--quick", "--million", "--strict"].contains(flag))
                .or_else(|| parts.iter().find(|part| !PARTS.contains(part)));
            if let Some(unknown) = unknown {
                eprintln!("`{unknown}` is no part of the bench; there are {} --quick, --million and --strict", PARTS.join(", "));
                return ExitCode::from(2);
            }
            let paths = Paths {
                snaphook: binary.into(),
                invocations: arguments[1].clone().into(),
                rust_guest: arguments[2].clone().into(),
                quick: flags.contains(&"--quick"),
                million: flags.contains(&"--million"),
            };
            let missed = runtime.block_on(run(&paths, if parts.is_empty() { &PARTS } else { &parts }));
            if missed > 0 && (flags.contains(&"--strict") || parts == ["fairness"]) {
                eprintln!("{missed} rows missed what was promised");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: bench SNAPHOOK-BINARY INVOCATIONS-BINARY RUST-GUEST.wasm [--quick] [--million] [--strict] [PART …]");
            ExitCode::from(2)
        }
    }
}

/// What can be measured alone, in the order of the table.
const PARTS: [&str; 13] = [
    "invocations",
    "templates",
    "calls",
    "recording",
    "upload",
    "disk",
    "start",
    "many",
    "accepted",
    "postgres",
    "due",
    "parked",
    "fairness",
];

/// What is measured, and how long.
pub(crate) struct Paths {
    pub(crate) snaphook: PathBuf,
    pub(crate) invocations: PathBuf,
    pub(crate) rust_guest: PathBuf,
    /// A tenth of the work, to see that everything runs.
    pub(crate) quick: bool,
    /// A million runs that wait rather than a hundred thousand.
    pub(crate) million: bool,
}

/// Measures, prints, and gives the number of rows that were missed.
async fn run(paths: &Paths, parts: &[&str]) -> usize {
    let mut table = Table::new();
    for part in PARTS.into_iter().filter(|part| parts.contains(part)) {
        match part {
            "invocations" => nodes::invocations(paths, &mut table),
            "templates" => nodes::templates(paths, &mut table),
            "calls" => calls::direct(paths, &mut table).await,
            "recording" => calls::recording(paths, &mut table).await,
            "upload" => nodes::upload(paths, &mut table).await,
            "disk" => nodes::from_disk(paths, &mut table).await,
            "start" => nodes::warm_start(paths, &mut table).await,
            "many" => nodes::many_scripts(paths, &mut table).await,
            "accepted" => runs::accepted(paths, &mut table).await,
            "postgres" => runs::on_postgres(paths, &mut table).await,
            "fairness" => fairness::beside_neighbours(paths, &mut table).await,
            "due" => runs::due_at_once(paths, &mut table).await,
            _ => runs::parked(paths, &mut table).await,
        }
    }
    table.print();
    table.missed()
}
