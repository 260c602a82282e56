//! The binary `snaphook`: command line, configuration, assembly and lifecycle of a node.
//!
//! Exit codes: 0 success, 1 the command failed, 2 wrong usage or configuration, 3 what came of it is not as it should be: a replay differs, a test
//! case failed, an import left something out.

#![forbid(unsafe_code)]

mod admin;
mod agree;
mod audit;
mod bundle;
mod call;
mod cases;
mod cli;
mod client;
mod config;
mod database;
mod deploy;
mod dev;
mod diff;
mod doctor;
mod folder;
mod import;
mod node;
mod objects;
mod otlp;
mod problem;
mod progress;
mod replay;
mod rotate;
mod runs;
mod scripts;
mod serve;
mod timeline;
mod tls;
mod wall;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command, SecretsCommand};
use crate::problem::CliError;

/// Requests make many small allocations on several threads; glibc's allocator spends a tenth of the time of a call on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if matches!(command, Command::CompileChild) {
        // Before anything else starts: the child gives up what it does not need at once.
        return snaphook_compile::child_main();
    }
    let outcome = match command {
        // While there is one thread: what a process gives up, it gives up for those that come.
        Command::Serve(args) => serve::prepare(&args).and_then(|prepared| on_runtime(serve::run(prepared))),
        command => on_runtime(run(command)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match error {
                CliError::Usage(_) => 2,
                CliError::LeftOut { .. } | CliError::NotAsExpected(_) => 3,
                _ => 1,
            };
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::from(code)
        }
    }
}

fn on_runtime(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| CliError::Start(format!("cannot start the runtime: {error}")))?.block_on(command)
}

async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(serve::prepare(&args)?).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Deploy(args) => deploy::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Call(args) => call::run(args).await,
        Command::Test(args) => call::test(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Runs(args) => runs::list(args).await,
        Command::Run(args) => runs::show(args).await,
        Command::Audit(args) => audit::list(args).await,
        Command::Tenant(command) => admin::tenant(command).await,
        Command::Token(command) => admin::token(command).await,
        Command::Secrets(SecretsCommand::Rotate(args)) => rotate::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::CompileChild => Ok(()),
    }
}
