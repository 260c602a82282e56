//! Commands about runs and other records: what happened on a node.

use clap::Args;
use snaphook_model::LogLevel;

use super::client::Target;

/// The exit code is 0 when everything decided the same, 3 when something did not.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["run", "flow", "call"]))]
pub(crate) struct ReplayArgs {
    /// The run, as `x-run-id` named it.
    pub(crate) run: Option<String>,
    /// The newest runs of this flow.
    #[arg(long)]
    pub(crate) flow: Option<String>,
    /// The newest direct calls of this `connector/endpoint`.
    #[arg(long, value_name = "CONNECTOR/ENDPOINT")]
    pub(crate) call: Option<String>,
    /// How many of them.
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "run", value_parser = at_least_one)]
    pub(crate) last: usize,
    /// Version of a script to take in place of the one that ran; may be repeated.
    #[arg(long = "script", value_name = "NAME=VERSION", value_parser = name_version)]
    pub(crate) scripts: Vec<(String, u32)>,
    /// Print what came of it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only runs of this flow.
    #[arg(long)]
    pub(crate) flow: Option<String>,
    /// Only direct calls of this `connector/endpoint`.
    #[arg(long, value_name = "CONNECTOR/ENDPOINT")]
    pub(crate) call: Option<String>,
    /// Only runs in this state, such as `failed` or `waiting`.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only runs that began at this time or later, as RFC 3339 writes it, such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value = "20", value_parser = at_least_one)]
    pub(crate) last: usize,
    /// Print them as JSON, one on each line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run, as `x-run-id` or `snaphook runs` named it.
    pub(crate) run: String,
    /// Print the whole record as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with the logs of runs that come, until it is interrupted. A node that is away meanwhile is waited for.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only runs of this flow.
    #[arg(long, conflicts_with = "run")]
    pub(crate) flow: Option<String>,
    /// Only direct calls of this `connector/endpoint`.
    #[arg(long, value_name = "CONNECTOR/ENDPOINT", conflicts_with_all = ["run", "flow"])]
    pub(crate) call: Option<String>,
    /// Only this run, as `x-run-id` or `snaphook runs` named it. With `-f`, until it has ended.
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// Only from this level on: metric, trace, debug, info, log, warn or error. A script that failed is an error.
    #[arg(long, default_value = "metric", value_parser = level)]
    pub(crate) level: LogLevel,
    /// From how many of the newest runs.
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one, conflicts_with = "run")]
    pub(crate) last: usize,
    /// Print them as JSON, one on each line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only changes of this kind, such as `flow.put` or `secret.delete`.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only changes made at this time or later, as RFC 3339 writes it, such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value = "20", value_parser = at_least_one)]
    pub(crate) last: usize,
    /// Print them as JSON, one on each line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(super) fn name_version(text: &str) -> Result<(String, u32), String> {
    let wrong = || "must be NAME=VERSION, such as sign=3".to_owned();
    let (name, version) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), version.parse().map_err(|_| wrong())?))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a number from 1".to_owned())
}

fn level(text: &str) -> Result<LogLevel, String> {
    serde_json::from_value(text.into()).map_err(|_| "there are metric, trace, debug, info, log, warn and error".to_owned())
}
