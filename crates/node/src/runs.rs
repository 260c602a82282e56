//! `snaphook runs` and `snaphook run`: what happened on a node.

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::cli::{RunArgs, RunsArgs};
use crate::client::{Client, segment};
use crate::problem::CliError;
use crate::timeline;

pub(crate) async fn list(args: RunsArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let runs = newest(&client, &args).await?;
    if args.json {
        for run in runs {
            println!("{run}");
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["run", "began", "what", "status", "why"]);
    for run in &runs {
        let what = match (run["flow"].as_str(), run["call"].as_str()) {
            (Some(flow), _) => format!("{flow} version {}", run["flow_version"]),
            (None, call) => call.unwrap_or_default().to_owned(),
        };
        let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        let why = [text("code"), text("message")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        table.add_row([text("id"), text("started_at"), what, text("status"), why]);
    }
    println!("{table}");
    Ok(())
}

pub(crate) async fn show(args: RunArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let run = client.get(&format!("/v1/runs/{}", segment(&args.run))).await?.checked()?.json();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&run).unwrap_or_default());
    } else {
        print!("{}", timeline::draw(&run));
    }
    Ok(())
}

/// As many as are asked for.
async fn newest(client: &Client, args: &RunsArgs) -> Result<Vec<Value>, CliError> {
    let filter = query([("flow", &args.flow), ("call", &args.call), ("status", &args.status), ("since", &args.since)]);
    let mut runs = Vec::new();
    client.each(&format!("/v1/runs?{filter}"), args.last, |run| runs.push(run)).await?;
    Ok(runs)
}

/// A query of those that are given.
pub(crate) fn query<const N: usize>(pairs: [(&str, &Option<String>); N]) -> String {
    let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish()
}
