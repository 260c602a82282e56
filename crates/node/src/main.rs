//! The binary `snaphook`: command line, configuration, assembly and lifecycle of a node.

#![forbid(unsafe_code)]

mod admin;
mod agree;
mod audit;
mod bind;
mod bound;
mod bundle;
mod call;
mod cases;
mod cli;
mod client;
mod colour;
mod compare;
mod config;
mod database;
mod deploy;
mod dev;
mod diff;
mod doctor;
mod exit;
mod folder;
mod health;
mod import;
mod logs;
mod node;
mod objects;
mod otlp;
mod pages;
mod problem;
mod progress;
mod promote;
mod records;
#[cfg(test)]
mod reference;
mod replay;
mod rotate;
mod runs;
mod scripts;
mod serve;
mod timeline;
mod tls;
mod wall;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::cli::{Cli, Command, SecretsCommand};
use crate::exit::Exit;
use crate::problem::CliError;

/// Requests make many small allocations on several threads; glibc's allocator spends a tenth of the time of a call on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    colour::choose(std::env::args_os());
    let command = match Cli::from_arg_matches(&cli::command().get_matches()) {
        Ok(cli) => cli.command,
        Err(error) => error.exit(),
    };
    if matches!(command, Command::CompileChild) {
        // Before anything else starts: the child gives up what it does not need at once.
        return snaphook_compile::child_main();
    }
    end_when_nobody_reads();
    let outcome = match command {
        // While there is one thread: what a process gives up, it gives up for those that come.
        Command::Serve(args) => serve::prepare(&args).and_then(|prepared| on_runtime(serve::run(prepared))),
        command => on_runtime(run(command)),
    };
    match outcome {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            let exit = error.exit();
            anstream::eprintln!("{:?}", miette::Report::new(error));
            exit.into()
        }
    }
}

/// Ends a command whose output nobody reads any more, as `head` stops when it has its lines: printing then fails, for which the standard library knows
/// a panic alone.
fn end_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_ours = |text: &String| text.starts_with("failed printing to stdout: Broken pipe");
        if panic.payload().downcast_ref::<String>().is_some_and(is_ours) {
            std::process::exit(Exit::Success.code().into());
        }
        usual(panic);
    }));
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
        Command::Logs(args) => logs::run(args).await,
        Command::Diff(args) => compare::run(args).await,
        Command::Bind(args) => bind::run(args).await,
        Command::Promote(args) => promote::run(args).await,
        Command::Audit(args) => audit::list(args).await,
        Command::Tenant(command) => admin::tenant(command).await,
        Command::Token(command) => admin::token(command).await,
        Command::Secrets(SecretsCommand::Rotate(args)) => rotate::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Completions(args) => {
            pages::completions(&args);
            Ok(())
        }
        Command::Man(args) => pages::man(&args),
        Command::CompileChild => Ok(()),
    }
}
