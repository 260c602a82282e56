//! `snaphook diff`: two versions of a script, or a folder and what is deployed.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};
use snaphook_model::{Connector, Flow, strict};

use crate::bound::{Kind, Stored};
use crate::cli::DiffArgs;
use crate::client::{Client, segment};
use crate::diff;
use crate::folder::{self, Item};
use crate::problem::CliError;

/// What became of one comparison.
struct Compared {
    kind: &'static str,
    name: String,
    /// Absent: it is not there.
    before: Option<String>,
    after: String,
    /// In the unified form; empty where nothing differs.
    difference: String,
}

pub(crate) async fn run(args: DiffArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let compared = match (&args.script, args.before) {
        (Some(script), Some(before)) => vec![versions(&client, script, before, args.after).await?],
        _ => folder_and_node(&client, &args).await?,
    };
    let differing = compared.iter().filter(|compared| !compared.difference.is_empty());
    if args.output.json {
        let documents: Vec<Value> = compared.iter().map(Compared::json).collect();
        println!("{:#}", json!({ "compared": documents }));
    } else {
        for compared in differing.clone() {
            anstream::print!("{}", diff::coloured(&compared.difference));
        }
    }
    match differing.count() {
        0 => Ok(()),
        count => Err(CliError::NotAsExpected(format!("{count} of {} differ", compared.len()))),
    }
}

impl Compared {
    fn of(kind: &'static str, name: &str, before: Option<(String, &[u8])>, after: (String, &[u8])) -> Self {
        let (label, text) = before.as_ref().map_or(("not deployed", [].as_slice()), |(label, text)| (label, *text));
        let difference = match (std::str::from_utf8(text), std::str::from_utf8(after.1)) {
            (Ok(before), Ok(after_text)) => diff::unified(before, after_text, [label, &after.0]),
            _ if text == after.1 => String::new(),
            _ => format!("--- {label}\n+++ {}\nThe bytes differ: {} and {} of them.\n", after.0, text.len(), after.1.len()),
        };
        Self { kind, name: name.to_owned(), before: before.map(|(label, _)| label), after: after.0, difference }
    }

    fn json(&self) -> Value {
        let Self { kind, name, before, after, difference } = self;
        json!({"kind": kind, "name": name, "before": before, "after": after, "same": difference.is_empty(), "diff": difference})
    }
}

/// Two versions that are deployed; without a second one, the latest.
async fn versions(client: &Client, script: &str, before: u32, after: Option<u32>) -> Result<Compared, CliError> {
    let after = match after {
        Some(after) => after,
        None => latest(client, script).await?.ok_or_else(|| CliError::Usage(format!("there is no script `{script}`")))?,
    };
    let label = |version: u32| format!("{script}@{version}");
    let (old, new) = (source(client, script, before).await?, source(client, script, after).await?);
    Ok(Compared::of("script", script, Some((label(before), &old)), (label(after), &new)))
}

/// The latest version; none where there is no script of that name.
async fn latest(client: &Client, script: &str) -> Result<Option<u32>, CliError> {
    let answer = client.get(&format!("/v1/scripts/{}?limit=1", segment(script))).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    Ok(answer.checked()?.json()["version"].as_u64().and_then(|version| u32::try_from(version).ok()))
}

/// What was uploaded.
async fn source(client: &Client, script: &str, version: u32) -> Result<Bytes, CliError> {
    Ok(client.get(&format!("/v1/scripts/{}/versions/{version}/source", segment(script))).await?.checked()?.body)
}

/// What `deploy` would change.
async fn folder_and_node(client: &Client, args: &DiffArgs) -> Result<Vec<Compared>, CliError> {
    let items: Vec<Item> = folder::read(&args.folder, &[]).await?.into_iter().collect::<Result<_, _>>()?;
    let is_wanted = |item: &&Item| args.script.as_ref().is_none_or(|script| item.kind == "script" && item.name.as_str() == script);
    let mut versions = Versions { client, known: HashMap::new() };
    let mut compared = Vec::new();
    for item in items.iter().filter(is_wanted) {
        compared.push(match item.kind {
            "script" => versions.script(item).await?,
            "connector" => versions.document(item, Kind::Connector).await?,
            _ => versions.document(item, Kind::Flow).await?,
        });
    }
    match (&args.script, compared.is_empty()) {
        (Some(script), true) => {
            Err(CliError::Usage(format!("{} has no script `{script}`; name two versions, or --folder", args.folder.display())))
        }
        _ => Ok(compared),
    }
}

/// Versions of scripts as they would be after a deploy: what a binding without a number would be bound to.
struct Versions<'a> {
    client: &'a Client,
    known: HashMap<String, u32>,
}

impl Versions<'_> {
    async fn script(&mut self, item: &Item) -> Result<Compared, CliError> {
        let name = item.name.as_str();
        let latest = latest(self.client, name).await?;
        let deployed = match latest {
            Some(version) => Some((format!("{name}@{version}"), source(self.client, name, version).await?)),
            None => None,
        };
        let before = deployed.as_ref().map(|(label, text)| (label.clone(), &text[..]));
        let compared = Compared::of("script", name, before, (item.file.clone(), &item.body));
        let is_new = latest.is_none() || !compared.difference.is_empty();
        self.known.insert(name.to_owned(), latest.unwrap_or_default() + u32::from(is_new));
        Ok(compared)
    }

    async fn document(&mut self, item: &Item, kind: Kind) -> Result<Compared, CliError> {
        let stored = Stored::get(self.client, kind, item.name.as_str()).await?;
        let label = stored.as_ref().map(|_| format!("{} {}", kind.word(), item.name));
        let before = stored.map(|stored| pretty(&stored.document)).unwrap_or_default();
        let after = pretty(&self.as_stored(item, kind).await?);
        let before = label.map(|label| (label, before.as_bytes()));
        Ok(Compared::of(kind.word(), item.name.as_str(), before, (item.file.clone(), after.as_bytes())))
    }

    /// The file's document as the node would store it.
    async fn as_stored(&mut self, item: &Item, kind: Kind) -> Result<Value, CliError> {
        let wrong = |detail: String| CliError::Script { script: item.file.clone(), detail };
        let read = if item.content_type == "application/json" { strict::from_json(&item.body) } else { strict::from_yaml(&item.body) };
        let document = read.map_err(|error| wrong(format!("{} at line {} column {}", error.detail, error.line, error.column)))?;
        let document = match kind {
            Kind::Connector => Connector::parse(document).map(|connector| serde_json::to_value(&connector)),
            Kind::Flow => Flow::parse(document).map(|flow| serde_json::to_value(&flow)),
        };
        let document = document.map_err(|invalid| wrong(format!("{}: {}", invalid.path, invalid.detail)))?;
        let document = document.map_err(|error| wrong(error.to_string()))?;
        let mut stored = Stored { kind, name: item.name.to_string(), document };
        for bound in stored.bindings().into_iter().filter(|bound| bound.version.is_none()) {
            let version = self.next(&bound.script).await?;
            if let Some(value) = stored.document.pointer_mut(&bound.pointer) {
                value["version"] = version.into();
            }
        }
        Ok(stored.document)
    }

    async fn next(&mut self, script: &str) -> Result<Option<u32>, CliError> {
        if let Some(known) = self.known.get(script) {
            return Ok(Some(*known));
        }
        let latest = latest(self.client, script).await?;
        self.known.extend(latest.map(|version| (script.to_owned(), version)));
        Ok(latest)
    }
}

/// With the keys in order: a document and its file may have them in another one, which means nothing.
fn pretty(document: &Value) -> String {
    let mut sorted = document.clone();
    sorted.sort_all_objects();
    format!("{sorted:#}\n")
}
