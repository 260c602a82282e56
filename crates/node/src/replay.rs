//! `snaphook replay`: recorded invocations once more, of one run or of many, and what comes out differently.

mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use crate::cli::ReplayArgs;
use crate::client::{Client, segment};
use crate::problem::{CliError, Problem};
use crate::progress;
use crate::records::{has_ended, invocations};
use crate::runs::query;
use report::Fate;
pub(crate) use report::Report;

/// Replays under way at once. A node answers others meanwhile; more of them only wait for its cores.
const AT_ONCE: usize = 4;

/// How often a run is asked for again where the node is busy, each time after a longer wait.
const BUSY_TRIES: u32 = 6;

pub(crate) async fn run(args: ReplayArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let scripts: Map<String, Value> = args.scripts.iter().map(|(name, version)| (name.clone(), (*version).into())).collect();
    match &args.run {
        Some(run) => one(&client, run, &scripts, args.json).await,
        None => many(&client, &args, &scripts).await,
    }
}

async fn one(client: &Client, run: &str, scripts: &Map<String, Value>, as_json: bool) -> Result<(), CliError> {
    let (path, body) = (format!("/v1/runs/{}/replay", segment(run)), json!({ "scripts": scripts }));
    let answer = progress::while_longer("replaying", client.send_json("POST", &path, &body)).await?.checked()?.json();
    if as_json {
        println!("{}", serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        print!("{}", report::one(run, &answer));
    }
    if answer["same"] == true { Ok(()) } else { Err(CliError::NotAsExpected("the replay differs".to_owned())) }
}

async fn many(client: &Client, args: &ReplayArgs, scripts: &Map<String, Value>) -> Result<(), CliError> {
    let runs = progress::while_longer("looking for runs", newest(client, args)).await?;
    if runs.is_empty() {
        return Err(CliError::Usage("there are no such runs to replay".to_owned()));
    }
    let (report, broken) = collected(client, runs, scripts).await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json()).unwrap_or_default());
    } else {
        print!("{}", report.text());
    }
    broken.map_or_else(|| report.verdict(), Err)
}

/// Replays runs and says what came of it.
///
/// # Errors
/// When no node answers any more.
pub(crate) async fn each(client: &Client, runs: Vec<Recorded>, scripts: &Map<String, Value>) -> Result<Report, CliError> {
    let (report, broken) = collected(client, runs, scripts).await;
    broken.map_or(Ok(report), Err)
}

/// What came of the replays, and why they were broken off where they were.
async fn collected(client: &Client, runs: Vec<Recorded>, scripts: &Map<String, Value>) -> (Report, Option<CliError>) {
    let bar = progress::bar(runs.len());
    let mut report = Report::new(scripts);
    let mut fates = std::pin::pin!(stream::iter(runs).map(|run| replay(client, run, scripts)).buffered(AT_ONCE));
    let mut broken = None;
    while let Some(next) = fates.next().await {
        match next {
            Ok((run, fate)) => report.add(run, fate),
            // Nobody answers, and the rest would wait for nobody; what was found so far is shown.
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    (report, broken)
}

/// What a replay needs to know of a run. Records are large, and runs are many.
pub(crate) struct Recorded {
    id: String,
    ended: bool,
    /// Scripts that it invoked.
    used: BTreeSet<String>,
}

impl Recorded {
    /// Takes it from the record.
    pub(crate) fn of(run: &Value) -> Self {
        let used = invocations(run).filter_map(|invocation| invocation.record["script"].as_str()).map(str::to_owned);
        Self { id: run["id"].as_str().unwrap_or_default().to_owned(), ended: has_ended(run), used: used.collect() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it came to a script.
    pub(crate) fn has_used(&self, script: &str) -> bool {
        self.used.contains(script)
    }
}

/// The newest runs of a flow, or calls of an endpoint.
async fn newest(client: &Client, args: &ReplayArgs) -> Result<Vec<Recorded>, CliError> {
    let mut runs: Vec<Recorded> = Vec::new();
    let filter = query([("flow", &args.flow), ("call", &args.call)]);
    let take = |run: Value| runs.push(Recorded::of(&run));
    client.each(&format!("/v1/runs?{filter}"), args.last, take).await?;
    Ok(runs)
}

/// What becomes of one run; an error when no node answers.
async fn replay(client: &Client, run: Recorded, scripts: &Map<String, Value>) -> Result<(String, Fate), CliError> {
    let Recorded { id, ended, used } = run;
    if !ended {
        return Ok((id, Fate::NotEnded));
    }
    // A version of a script that a run did not come to says nothing about it.
    let of_run: Map<String, Value> =
        scripts.iter().filter(|(name, _)| used.contains(name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect();
    if used.is_empty() || (of_run.is_empty() && !scripts.is_empty()) {
        return Ok((id, Fate::NotUsed));
    }
    let again = async || client.send_json("POST", &format!("/v1/runs/{id}/replay"), &json!({ "scripts": of_run })).await;
    let mut answer = again().await?;
    for tries in 1..=BUSY_TRIES {
        if !matches!(answer.status, 429 | 503) {
            break;
        }
        // A busy node says nothing about the run.
        tokio::time::sleep(Duration::from_millis(500) * tries).await;
        answer = again().await?;
    }
    let fate = match answer.status {
        200..300 => Fate::Replayed(answer.json()),
        409 => Fate::NotRecorded(Problem::read(409, &answer.body).detail),
        status => Fate::Failed(Problem::read(status, &answer.body)),
    };
    Ok((id, fate))
}
