//! `snaphook deploy`: uploads a folder and says for each thing what became of it.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use snaphook_model::{Name, Origin};

use crate::cli::DeployArgs;
use crate::client::Client;
use crate::folder::{self, Item};
use crate::problem::{CliError, InFile, Problem};
use crate::scripts::Files;

pub(crate) async fn run(args: DeployArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let items = folder::read(&args.folder, &args.overrides.origins).await?;
    if !args.output.json {
        return upload_all(&client, items, &mut show).await;
    }
    let mut outcomes = Vec::new();
    let uploaded = upload_all(&client, items, &mut |outcome| outcomes.push(as_document(outcome))).await;
    println!("{:#}", json!({"ok": uploaded.is_ok(), "items": outcomes}));
    uploaded
}

/// Something that was uploaded.
pub(crate) struct Deployed {
    item: Item,
    status: u16,
    /// The node's answer.
    document: Value,
}

/// Uploads everything, tells of each, and fails at the end when one failed: what is right is deployed all the same.
pub(crate) async fn upload_all(
    client: &Client,
    items: Vec<Result<Item, CliError>>,
    tell: &mut dyn FnMut(Result<Deployed, CliError>),
) -> Result<(), CliError> {
    let total = items.len();
    let mut failed = 0;
    let progress = Progress::new(total);
    let files = Files::of(&items);
    // Scripts that the node does not have as the folder has them.
    let mut missing: Vec<Name> = Vec::new();
    for item in items {
        let outcome = match item {
            Ok(mut item) => {
                let outcome = match item.problem.take().or_else(|| blocked(&item, &missing)) {
                    Some(error) => Err(error),
                    None => progress.through(&item, put(client, &item, &files)).await,
                };
                if outcome.is_err() {
                    missing.push(item.name.clone());
                }
                outcome.map(|(status, document)| Deployed { item, status, document })
            }
            Err(error) => Err(error),
        };
        if let Err(error @ CliError::Unreachable { .. }) = outcome {
            return Err(error);
        }
        failed += usize::from(outcome.is_err());
        progress.bar.suspend(|| tell(outcome));
    }
    progress.done();
    if failed > 0 { Err(CliError::Deploy { failed, total }) } else { Ok(()) }
}

/// For people.
pub(crate) fn show(outcome: Result<Deployed, CliError>) {
    match outcome {
        Ok(Deployed { item, status, document }) => println!("{}", describe(&item, status, &document)),
        Err(error) => anstream::println!("{:?}", miette::Report::new(error)),
    }
}

/// For programs.
fn as_document(outcome: Result<Deployed, CliError>) -> Value {
    match outcome {
        Ok(Deployed { item, status, document }) => {
            json!({"kind": item.kind, "name": item.name, "file": item.file, "new": status == 201, "document": document, "problem": null})
        }
        Err(error) => json!({"problem": error.json()}),
    }
}

/// A script that imports one which was not deployed would take an older version of it.
fn blocked(item: &Item, missing: &[Name]) -> Option<CliError> {
    let import = item.imports.iter().find(|import| !import.pinned && missing.contains(&import.script))?;
    let detail = format!("not deployed, since it imports `{}`, which was not", import.script);
    Some(CliError::Script { script: item.file.clone(), detail })
}

/// Uploads one thing and gives the status and document of the node's answer.
pub(crate) async fn put(client: &Client, item: &Item, files: &Files) -> Result<(u16, Value), CliError> {
    let answer = client.send("PUT", &item.path, Some(item.content_type), item.body.clone()).await?;
    if !(200..300).contains(&answer.status) {
        let problem = Problem::read(answer.status, &answer.body);
        if let Some(origin) = &problem.origin
            && let Some(path) = files.find(&item.name, origin)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let origin = origin.clone();
            return Err(CliError::InFile(Box::new(InFile::in_origin(problem, &origin, &path.display().to_string(), text, &item.file))));
        }
        // A source file can be shown with the place marked; of a component there is nothing to show.
        return Err(match (&item.written, std::str::from_utf8(&item.body)) {
            (Some(written), _) => CliError::InFile(Box::new(InFile::by_path(problem, &item.file, written.clone()))),
            (None, Ok(text)) => {
                // What the map of a bundle does not know has its place in the bundle, which is not the file.
                let shown = if item.sources.is_some() { format!("{} (bundled)", item.file) } else { item.file.clone() };
                CliError::InFile(Box::new(InFile::new(problem, &shown, text.to_owned())))
            }
            (None, Err(_)) => CliError::Node(Box::new(problem)),
        });
    }
    Ok((answer.status, answer.json()))
}

fn describe(item: &Item, status: u16, document: &Value) -> String {
    let news = if status == 201 { "new" } else { "same" };
    let mut line = format!("{:9} {}", item.kind, item.name);
    if let Some(version) = document["version"].as_u64() {
        line += &format!(" version {version}");
    }
    if item.kind == "script" {
        let hooks: Vec<&str> = document["hooks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let hooks = if hooks.is_empty() { "no hooks".to_owned() } else { hooks.join(", ") };
        line += &format!(" ({news}; {hooks}; {} ms)", document["deploy_ms"]);
        for import in document["imports"].as_array().into_iter().flatten() {
            line += &format!("\n  imports {} version {}", import["script"].as_str().unwrap_or_default(), import["version"]);
        }
        for warning in document["warnings"].as_array().into_iter().flatten() {
            let own = || warning["line"].as_u64().map(|line| format!("{}:{line}: ", item.file));
            let origin = serde_json::from_value::<Origin>(warning["origin"].clone()).ok();
            let place = origin.map(|origin| format!("{}:{}: ", origin.file, origin.line)).or_else(own).unwrap_or_default();
            line += &format!("\n  warning: {place}{}", warning["message"].as_str().unwrap_or_default());
        }
    }
    line
}

/// A bar that appears only when the work takes longer than a second, so that quick deploys print lines alone.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    fn new(total: usize) -> Self {
        let bar = ProgressBar::hidden();
        bar.set_length(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now() }
    }

    /// Waits for one item's work. The bar appears in the middle of it when that is when the second is over.
    async fn through<T>(&self, item: &Item, work: impl Future<Output = T>) -> T {
        self.bar.set_message(format!("{} {}", item.kind, item.name));
        self.bar.inc(1);
        let mut work = std::pin::pin!(work);
        if self.bar.is_hidden() {
            let left = Duration::from_secs(1).saturating_sub(self.begun.elapsed());
            if let Ok(done) = tokio::time::timeout(left, work.as_mut()).await {
                return done;
            }
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(100));
        }
        work.await
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }
}
