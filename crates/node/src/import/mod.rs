//! `snaphook import`: makes a flow of a manifest that was written for another product, and says of every key what became of it.
//!
//! [`manifest`] maps and is pure; [`read`] reads the file; [`saving`] asks what a node asks; here is what a person sees and where the flow goes.

mod manifest;
mod places;
mod read;
mod saving;

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use snaphook_model::{Flow, Invalid, Name};

use self::manifest::{Import, Outcome};
use crate::cli::ImportArgs;
use crate::client::Client;
use crate::problem::{CliError, InFile, Problem};

pub(crate) async fn run(args: ImportArgs) -> Result<(), CliError> {
    let name = name(&args)?;
    if args.deploy && args.token.is_none() {
        return Err(CliError::Usage("--deploy needs a token: give --token or SNAPHOOK_TOKEN".to_owned()));
    }
    let source = read::file(&args.file)?;
    let mut import = manifest::import(&source.document).map_err(|invalid| refused(&args.file, &source.text, invalid))?;
    if let Some(note) = source.note {
        import.note_reading(note);
    }
    // What the mapping made is held against the format of flows here, so that nobody finds out at deploy.
    let flow = Flow::parse(import.flow.clone()).map_err(|invalid| refused(&args.file, &source.text, import.in_manifest(invalid)))?;
    for fault in saving::faults(&import.flow) {
        import.not_valid(fault);
    }
    let document = serde_json::to_value(&flow).map_err(|error| CliError::Start(format!("the flow cannot be written as JSON: {error}")))?;
    import.check_size(document.to_string().len());
    print(&args, &name, &import, &document);
    if let Some(folder) = &args.write {
        write(folder, &name, &document)?;
    }
    if let Some(token) = args.token.as_ref().filter(|_| args.deploy) {
        deploy(&Client::new(&args.url, token), &name, &document).await?;
    }
    match import.left() {
        0 => Ok(()),
        left => Err(CliError::LeftOut { left, total: import.findings.len() }),
    }
}

/// The flow's name: as given, else the file's.
fn name(args: &ImportArgs) -> Result<Name, CliError> {
    let stem = || args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = args.name.clone().unwrap_or_else(stem);
    Name::new(&text).map_err(|error| CliError::Usage(format!("{error}; choose a name for the flow with --name")))
}

fn print(args: &ImportArgs, name: &Name, import: &Import, document: &Value) {
    let findings = import.findings.iter();
    if args.json {
        let findings: Vec<Value> = findings
            .map(|finding| json!({"path": finding.path, "outcome": finding.outcome.word(), "note": finding.outcome.note()}))
            .collect();
        let shown = json!({"name": name.as_str(), "complete": import.left() == 0, "findings": findings, "flow": document});
        return println!("{shown:#}");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for finding in findings {
        table.add_row([finding.path.as_str(), finding.outcome.word(), finding.outcome.note()]);
    }
    for line in table.to_string().lines() {
        println!("{}", line.trim_end());
    }
    println!("\nflow {name}:\n{document:#}");
}

fn write(folder: &Path, name: &Name, document: &Value) -> Result<(), CliError> {
    let flows = folder.join("flows");
    let file = flows.join(format!("{name}.json"));
    let failed = |what: &Path, source| CliError::File { what: format!("cannot write {}", what.display()), source };
    std::fs::create_dir_all(&flows).map_err(|error| failed(&flows, error))?;
    // A flow that is there may have been worked on since; it is not overwritten.
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| failed(&file, error))?;
    std::io::Write::write_all(&mut &created, format!("{document:#}\n").as_bytes()).map_err(|error| failed(&file, error))?;
    eprintln!("written to {}", file.display());
    Ok(())
}

async fn deploy(client: &Client, name: &Name, document: &Value) -> Result<(), CliError> {
    let answer = client.send_json("PUT", &format!("/v1/flows/{name}"), document).await?.checked()?;
    eprintln!("deployed as flow {name} version {}", answer.json()["version"]);
    Ok(())
}

fn refused(file: &Path, text: &str, invalid: Invalid) -> CliError {
    let detail = if invalid.path.is_empty() { invalid.detail } else { format!("{}: {}", invalid.path, invalid.detail) };
    let problem = Problem::invalid(detail, Some(invalid.path), None);
    CliError::InFile(Box::new(InFile::new(problem, &file.display().to_string(), text.to_owned())))
}

impl Outcome {
    /// The word that people and programs read.
    const fn word(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Changed(_) => "changed",
            Self::Left(_) => "left out",
        }
    }

    fn note(&self) -> &str {
        match self {
            Self::Taken => "",
            Self::Changed(note) | Self::Left(note) => note,
        }
    }
}
