//! `cargo xtask bench`: one table of speeds, each beside what was promised and, where that says more, beside something measured in the same run.
//!
//! usage: bench SNAPHOOK-BINARY INVOCATIONS-BINARY RUST-GUEST.wasm [--quick]

#![forbid(unsafe_code)]

mod calls;
mod load;
mod nodes;
mod peers;
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
            let quick = arguments.iter().any(|argument| argument == "--quick");
            let paths =
                Paths { snaphook: binary.into(), invocations: arguments[1].clone().into(), rust_guest: arguments[2].clone().into(), quick };
            runtime.block_on(run(&paths));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: bench SNAPHOOK-BINARY INVOCATIONS-BINARY RUST-GUEST.wasm [--quick]");
            ExitCode::from(2)
        }
    }
}

/// What is measured, and how long.
pub(crate) struct Paths {
    pub(crate) snaphook: PathBuf,
    pub(crate) invocations: PathBuf,
    pub(crate) rust_guest: PathBuf,
    /// A tenth of the work, to see that everything runs.
    pub(crate) quick: bool,
}

async fn run(paths: &Paths) {
    let mut table = Table::new();
    nodes::invocations(paths, &mut table);
    nodes::templates(paths, &mut table);
    calls::direct(paths, &mut table).await;
    nodes::upload(paths, &mut table).await;
    nodes::from_disk(paths, &mut table).await;
    nodes::warm_start(paths, &mut table).await;
    nodes::many_scripts(paths, &mut table).await;
    table.print();
}
