//! What is made of the definition of the command line: completions and manual pages.

use std::path::Path;

use clap::Command;

use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::problem::CliError;

/// Prints completions for a shell, for all commands but those that the node gives itself.
pub(crate) fn completions(args: &CompletionsArgs) {
    let whole = cli::command();
    let shown = whole.get_subcommands().filter(|inner| !inner.is_hide_set()).cloned();
    let mut shown = Command::new("snaphook").version(env!("CARGO_PKG_VERSION")).args(whole.get_arguments().cloned()).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown, "snaphook", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}

/// Writes a manual page for each command.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<(), CliError> {
    let folder = args.folder.as_path();
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(cli::command(), folder));
    written.map_err(|source| CliError::File { what: format!("cannot write manual pages to {}", folder.display()), source })?;
    println!("manual pages are in {}; `man {}` shows the first", folder.display(), shown(folder));
    Ok(())
}

fn shown(folder: &Path) -> String {
    folder.join("snaphook.1").display().to_string()
}
