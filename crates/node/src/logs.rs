//! `snaphook logs`: what scripts logged, and why they failed, out of the records of runs.

mod follow;
mod line;

use std::io::Write as _;

use serde_json::Value;

use self::follow::Follow;
use self::line::Line;
use crate::cli::LogsArgs;
use crate::client::{Client, segment};
use crate::problem::CliError;
use crate::records::has_ended;
use crate::runs::query;

pub(crate) async fn run(args: LogsArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let mut follow = Follow::new();
    if args.follow && args.run.is_none() {
        // What was there before. Who comes between this and the list is shown with the list.
        follow.look(&client, &filter(&args), &mut Vec::new()).await?;
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

/// Shows what comes, until the one run that was asked for has ended, or nobody reads any more. A node that is away is waited for: it may be restarted.
async fn go_on(client: &Client, args: &LogsArgs, mut follow: Follow) -> Result<(), CliError> {
    let mut away = false;
    loop {
        tokio::time::sleep(follow::EVERY).await;
        // What was read before a failure is shown, since it is not read again.
        let mut lines = Vec::new();
        let looked = look(client, args, &mut follow, &mut lines).await;
        let is_over = match looked {
            Ok(is_over) => {
                away = false;
                is_over
            }
            Err(error) if error.may_pass() => {
                if !away {
                    eprintln!("{error}; waiting for it");
                }
                away = true;
                false
            }
            Err(error) => return Err(error),
        };
        if !show(args, lines) || is_over {
            return Ok(());
        }
    }
}

/// Adds what is new. True: nothing follows.
async fn look(client: &Client, args: &LogsArgs, follow: &mut Follow, lines: &mut Vec<Line>) -> Result<bool, CliError> {
    let Some(run) = &args.run else {
        follow.look(client, &filter(args), lines).await?;
        return Ok(false);
    };
    let run = one(client, run).await?;
    lines.extend(follow.news(&run));
    Ok(has_ended(&run))
}

async fn one(client: &Client, run: &str) -> Result<Value, CliError> {
    Ok(client.get(&format!("/v1/runs/{}", segment(run))).await?.checked()?.json())
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
