//! Commands about versions of scripts: what differs, which is bound where.

use std::path::PathBuf;

use clap::Args;
use snaphook_model::{Hook, Name};

use super::Output;
use super::client::Target;
use super::records::{at_least_one, name_version};

/// Without a script: all that is in the folder. The exit code is 0 when nothing differs, 3 when something does.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A script.
    pub(crate) script: Option<String>,
    /// One version of it; without, the latest one is compared with the folder.
    #[arg(value_name = "A")]
    pub(crate) before: Option<u32>,
    /// Another version; without, the latest.
    #[arg(value_name = "B")]
    pub(crate) after: Option<u32>,
    /// The folder, as for `deploy`.
    #[arg(long, default_value = ".", value_name = "FOLDER", conflicts_with = "before")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A script that is bound there already keeps its place and parms, and gets the version; another one is put behind those that are there.
#[derive(Debug, Args)]
pub(crate) struct BindArgs {
    /// `connector/endpoint`, a connector (for all of its endpoints), `flow/step`, or a flow (for its trigger).
    #[arg(value_name = "CONNECTOR[/ENDPOINT]|FLOW[/STEP]")]
    pub(crate) place: String,
    /// pre-hook, pre-request, post-request, post-hook or post-fail; step for a step's own script; trigger for a flow's.
    pub(crate) hook: Hook,
    /// The script, and its version [default: the latest].
    #[arg(value_name = "SCRIPT[=VERSION]", value_parser = script_at)]
    pub(crate) script: ScriptAt,
    /// Parms for the script as a JSON object, in the place of those that are there: JSON text, `@FILE`, or `-` for standard input.
    #[arg(long, value_name = "JSON")]
    pub(crate) parms: Option<String>,
    /// Take the script off the hook.
    #[arg(long, conflicts_with = "parms")]
    pub(crate) remove: bool,
    /// The name is a flow's, where there is a connector of that name as well.
    #[arg(long)]
    pub(crate) flow: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A script, and the version that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct ScriptAt {
    pub(crate) name: Name,
    /// Absent: the latest.
    pub(crate) version: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The script and the version to bind.
    #[arg(value_name = "SCRIPT=VERSION", value_parser = name_version)]
    pub(crate) script: (String, u32),
    /// How many of the newest runs with the script to replay.
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
    pub(crate) last: usize,
    /// Bind it without asking, whatever the replays show.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) target: Target,
}

fn script_at(text: &str) -> Result<ScriptAt, String> {
    let (name, version) = match text.split_once('=') {
        Some(_) => name_version(text).map(|(name, version)| (name, Some(version)))?,
        None => (text.to_owned(), None),
    };
    Ok(ScriptAt { name: Name::new(&name).map_err(|error| error.to_string())?, version })
}
