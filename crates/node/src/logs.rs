//! `snaphook logs`: what scripts logged, and why they failed, out of the records of runs.

mod follow;
mod line;

use std::io::Write as _;

use serde_json::Value;

use self::follow::Follow;
use self::line::Line;
use crate::cli::LogsArgs;
use crate::client::Client;
use crate::problem::CliError;
use crate::records::has_ended;
use crate::runs::query;

pub(crate) async fn run(args: LogsArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let mut follow = Follow::new();
    if args.follow && args.run.is_none() {
        // What was there before. Who comes between this and the list is shown with the list.
        drop(follow.look(&client, &filter(&args)).await?);
    }
    let runs = match &args.run {
        Some(run) => vec![one(&client, run).await?],
        None => newest(&client, &args).await?,
    };
    let is_read = show(&args, runs.iter().flat_map(Line::of_run).collect());
    let is_over = args.run.is_some() && runs.iter().all(has_ended);
    if !args.follow || is_over || !is_read {
        return Ok(());
    }
    for run in &runs {
        drop(follow.news(run));
    }
    let stop = crate::serve::stop_signal()?;
    tokio::select! {
        () = stop => Ok(()),
        outcome = go_on(&client, &args, follow) => outcome,
    }
}

/// Shows what comes, until the one run that was asked for has ended, or nobody reads any more.
async fn go_on(client: &Client, args: &LogsArgs, mut follow: Follow) -> Result<(), CliError> {
    loop {
        tokio::time::sleep(follow::EVERY).await;
        let lines = match &args.run {
            Some(run) => {
                let run = one(client, run).await?;
                let lines = follow.news(&run);
                if has_ended(&run) {
                    show(args, lines);
                    return Ok(());
                }
                lines
            }
            None => follow.look(client, &filter(args)).await?,
        };
        if !show(args, lines) {
            return Ok(());
        }
    }
}

async fn one(client: &Client, run: &str) -> Result<Value, CliError> {
    Ok(client.get(&format!("/v1/runs/{run}")).await?.checked()?.json())
}

async fn newest(client: &Client, args: &LogsArgs) -> Result<Vec<Value>, CliError> {
    let mut runs = Vec::new();
    client.each(&format!("/v1/runs?{}", filter(args)), args.last, |run| runs.push(run)).await?;
    Ok(runs)
}

fn filter(args: &LogsArgs) -> String {
    query([("flow", &args.flow), ("call", &args.call)])
}

/// Prints those that are asked for, in the order of time. False when nobody reads any more.
fn show(args: &LogsArgs, mut lines: Vec<Line>) -> bool {
    lines.retain(|line| line.level >= args.level);
    // Stable: what was logged in the same moment stays in its order.
    lines.sort_by_key(|line| line.at);
    let mut out = anstream::stdout();
    let print = |line: &Line| if args.json { writeln!(out, "{}", line.json()) } else { writeln!(out, "{}", line.text()) };
    lines.iter().try_for_each(print).is_ok()
}
