//! `snaphook promote`: shows what a version of a script would have done with recorded runs, and binds it where an older one is bound.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use serde_json::{Map, Value, json};

use crate::bound::{Bound, Kind, Stored};
use crate::cli::PromoteArgs;
use crate::client::{Client, segment};
use crate::problem::CliError;
use crate::progress;
use crate::replay::{self, Recorded, Report};
use crate::runs::query;

/// So many times as many runs are looked through for those that came to the script: others of the same flow may have ended before it.
const LOOKED_THROUGH: usize = 10;

pub(crate) async fn run(args: PromoteArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let (script, version) = (args.script.0.as_str(), args.script.1);
    // Refused here where there is no such version.
    client.get(&format!("/v1/scripts/{}/versions/{version}", segment(script))).await?.checked()?;
    let documents = Stored::all(&client).await?;
    let changes = changes(&documents, script, version);
    if changes.is_empty() {
        return nothing_older(&args, &documents);
    }
    let scripts = Map::from_iter([(script.to_owned(), version.into())]);
    let runs = recorded(&client, &args, &documents, &changes).await?;
    let report = if runs.is_empty() { Report::new(&scripts) } else { replay::each(&client, runs, &scripts).await? };
    if !args.output.json {
        match report.is_empty() {
            true => println!("no recorded run came to {script}, so there is nothing to replay"),
            false => print!("{}", report.text()),
        }
        println!("{script}@{version} would be bound here:");
        for (stored, bounds) in &changes {
            bounds.iter().for_each(|bound| println!("  {}", line(stored, bound, version)));
        }
    }
    let confirmed = confirmed(&args, &report);
    if confirmed.is_ok() {
        for (stored, bounds) in &changes {
            rebind(&client, stored, bounds, version).await?;
            if !args.output.json {
                println!("{script}@{version} is bound in {} {}", stored.kind.word(), stored.name);
            }
        }
    }
    if args.output.json {
        println!("{:#}", as_document(&args, &report, &changes, confirmed.is_ok()));
    }
    confirmed
}

/// That is fine where the version is bound already, and a slip where the script is bound nowhere.
fn nothing_older(args: &PromoteArgs, documents: &[Stored]) -> Result<(), CliError> {
    let (script, version) = &args.script;
    let bound = documents.iter().flat_map(Stored::bindings).any(|bound| bound.script == *script);
    if !bound {
        return Err(CliError::Usage(format!("script `{script}` is bound nowhere; bind it with `snaphook bind`")));
    }
    if args.output.json {
        println!("{:#}", as_document(args, &Report::new(&Map::new()), &[], false));
    } else {
        println!("nothing older than {script}@{version} is bound");
    }
    Ok(())
}

/// The documents that bind an older version, each with those bindings.
fn changes(documents: &[Stored], script: &str, version: u32) -> Vec<(Stored, Vec<Bound>)> {
    let is_older = |bound: &Bound| bound.script == script && bound.version.is_some_and(|bound| bound < u64::from(version));
    let of = |stored: &Stored| (stored.clone(), stored.bindings().into_iter().filter(is_older).collect::<Vec<_>>());
    documents.iter().map(of).filter(|(_, bounds)| !bounds.is_empty()).collect()
}

fn line(stored: &Stored, bound: &Bound, version: u32) -> String {
    let before = bound.version.unwrap_or_default();
    format!("{}: {}@{before} → @{version}", stored.place(bound.part.as_deref(), &bound.hook), bound.script)
}

/// The newest runs that came to the script, of all that would use the new version.
async fn recorded(
    client: &Client,
    args: &PromoteArgs,
    documents: &[Stored],
    changes: &[(Stored, Vec<Bound>)],
) -> Result<Vec<Recorded>, CliError> {
    let mut runs: Vec<Recorded> = Vec::new();
    for (kind, name) in sources(documents, changes) {
        let filter = match kind {
            Kind::Flow => query([("flow", &Some(name))]),
            Kind::Connector => query([("call", &Some(name))]),
        };
        let mut found = Vec::new();
        let take = |run: Value| found.extend(Some(Recorded::of(&run)).filter(|run| run.has_used(&args.script.0)));
        let most = args.last.saturating_mul(LOOKED_THROUGH);
        progress::while_longer("looking for runs", client.each(&format!("/v1/runs?{filter}"), most, take)).await?;
        found.truncate(args.last);
        runs.append(&mut found);
    }
    // Ids begin with the time.
    runs.sort_by(|a, b| b.id().cmp(a.id()));
    runs.truncate(args.last);
    Ok(runs)
}

/// Flows and endpoints whose runs go through what is about to change. A flow does when it calls such an endpoint as well.
fn sources(documents: &[Stored], changes: &[(Stored, Vec<Bound>)]) -> BTreeSet<(Kind, String)> {
    let mut sources = BTreeSet::new();
    for (stored, bounds) in changes {
        match stored.kind {
            Kind::Flow => sources.extend([(Kind::Flow, stored.name.clone())]),
            Kind::Connector => {
                let all = stored.document["endpoints"].as_object().into_iter().flatten().map(|(endpoint, _)| endpoint);
                let changed = all.filter(|endpoint| bounds.iter().any(|bound| bound.part.as_ref().is_none_or(|part| part == *endpoint)));
                sources.extend(changed.map(|endpoint| (Kind::Connector, format!("{}/{endpoint}", stored.name))));
            }
        }
    }
    let calls = |flow: &Stored, sources: &BTreeSet<(Kind, String)>| {
        let steps = flow.document["steps"].as_array().into_iter().flatten();
        steps.filter_map(|step| step["call"].as_str()).any(|call| sources.contains(&(Kind::Connector, call.to_owned())))
    };
    let flows = documents.iter().filter(|stored| stored.kind == Kind::Flow);
    let callers: Vec<_> = flows.filter(|flow| calls(flow, &sources)).map(|flow| (Kind::Flow, flow.name.clone())).collect();
    sources.extend(callers);
    sources
}

/// Whether to go on: by `--yes`, else by who sits there.
fn confirmed(args: &PromoteArgs, report: &Report) -> Result<(), CliError> {
    let refused = |detail: &str| CliError::NotAsExpected(format!("{detail}; nothing was changed"));
    if args.yes {
        return Ok(());
    }
    // Who reads JSON has not seen what the question is about.
    if args.output.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused("there is nobody to ask, and no --yes"));
    }
    let advice = report.verdict().err().map(|error| format!("{error}. ")).unwrap_or_default();
    eprint!("{advice}Bind it? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(refused("it was not confirmed")),
    }
}

/// Puts the version into the document as it is now, unless somebody changed these bindings meanwhile.
async fn rebind(client: &Client, stored: &Stored, bounds: &[Bound], version: u32) -> Result<(), CliError> {
    let now = Stored::get(client, stored.kind, &stored.name).await?;
    let changed =
        || CliError::NotAsExpected(format!("{} {} was changed meanwhile; give the command again", stored.kind.word(), stored.name));
    let mut now = now.ok_or_else(changed)?;
    let there = now.bindings();
    for bound in bounds {
        if !there.contains(bound) {
            return Err(changed());
        }
        if let Some(value) = now.document.pointer_mut(&bound.pointer) {
            value["version"] = version.into();
        }
    }
    now.put(client).await.map(drop)
}

fn as_document(args: &PromoteArgs, report: &Report, changes: &[(Stored, Vec<Bound>)], bound: bool) -> Value {
    let places = changes.iter().flat_map(|(stored, bounds)| bounds.iter().map(move |bound| (stored, bound)));
    let places = places.map(|(stored, bound)| {
        json!({"kind": stored.kind.word(), "name": stored.name, "part": bound.part, "hook": bound.hook, "before": bound.version})
    });
    json!({"script": args.script.0, "version": args.script.1, "bound": bound, "places": places.collect::<Vec<_>>(), "replays": report.json()})
}
