//! The page `docs/cli.md`.

use clap::Arg;

use super::cell;
use crate::cli::{self, examples_of};
use crate::exit::Exit;

/// The page `docs/cli.md`.
pub(super) fn page() -> String {
    let mut out = include_str!("cli.md").trim_end().to_owned();
    out += "\n\n## Exit codes\n\n| code | when |\n| --- | --- |\n";
    for exit in Exit::ALL {
        out += &format!("| {} | {} |\n", exit.code(), exit.meaning());
    }
    out += "\n## All commands\n\n| command | does |\n| --- | --- |\n";
    let commands = cli::commands();
    for (words, command) in &commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        out += &format!("| [`{words}`](#snaphook-{}) | {} |\n", words.replace(' ', "-"), cell(&about));
    }
    for (words, mut command) in commands {
        out += &format!("\n## snaphook {words}\n\n");
        out += &sentence(&command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default());
        let usage = command.clone().bin_name(format!("snaphook {words}")).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").lines().map(|line| format!("`{}`", line.trim())).collect::<Vec<_>>();
        out += &format!("\n\n{}\n", usage.join("  \n"));
        // Their names are each reader's own; that they are understood is a test of `cli/examples.rs`.
        out += &format!("\n```sh skip=placeholder\n{}\n```\n", examples_of(&words).join("\n"));
        command.build();
        out += &arguments(&command);
    }
    out
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// Arguments and flags of a command, but for those that every command has.
fn arguments(command: &clap::Command) -> String {
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version", "color"].contains(&arg.get_id().as_str()))
        .collect();
    if own.is_empty() {
        return String::new();
    }
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) = own.into_iter().partition(|arg| arg.is_positional());
    let rows = positional.into_iter().chain(flags).map(row).collect::<String>();
    format!("\n| argument | environment | default | meaning |\n| --- | --- | --- | --- |\n{rows}")
}

fn row(arg: &Arg) -> String {
    let values = if arg.get_action().takes_values() { arg.get_value_names().unwrap_or_default().join(" ") } else { String::new() };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let flag = [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let name = format!("{flag} {values}").trim().replace('|', "\\|");
    let environment = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // A flag without a value is `false` where it is not given, which says nothing.
    let default = if defaults.is_empty() || values.is_empty() { String::new() } else { format!("`{defaults}`") };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    format!("| `{name}` | {environment} | {default} | {} |\n", cell(&help))
}
