//! `snaphook test` with files of cases: unit tests of scripts, run on a node before anything is bound.
//!
//! A file is YAML or JSON; `guest-sdk/README.md` has its form. Scripts that stand beside the cases are uploaded first, under the name and in the way
//! of `snaphook deploy`; nothing is bound by it.

mod file;
mod judge;
mod scripts;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::diff;
use crate::problem::{CliError, Problem};
use crate::progress;
use file::{Case, CaseFile};
use judge::Difference;
use scripts::Scripts;

/// What became of one case.
struct Outcome {
    file: String,
    name: String,
    differences: Vec<Difference>,
    /// Of the node.
    answer: Value,
}

/// Runs every case of the files and folders named.
pub(crate) async fn run(client: &Client, named: &[String], as_json: bool) -> Result<(), CliError> {
    // What is wrong in any of them is said before the first case runs.
    let files: Vec<CaseFile> = paths(named)?.iter().map(|path| file::read(path)).collect::<Result<_, _>>()?;
    let total = files.iter().map(|file| file.cases.len()).sum();
    let bar = progress::bar(total);
    let mut scripts = Scripts::new(client);
    let mut outcomes = Vec::with_capacity(total);
    for file in &files {
        for (index, case) in file.cases.iter().enumerate() {
            let outcome = run_case(client, &mut scripts, file, index, case).await?;
            if !as_json {
                bar.suspend(|| print!("{}", shown(&outcome)));
            }
            outcomes.push(outcome);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    if as_json {
        let cases: Vec<Value> = outcomes.iter().map(as_document).collect();
        let document = json!({"cases": cases, "ok": total - failed, "failed": failed});
        println!("{}", serde_json::to_string_pretty(&document).unwrap_or_default());
    } else {
        println!("{total} cases: {} ok, {failed} failed", total - failed);
    }
    if failed > 0 { Err(CliError::NotAsExpected(format!("{failed} of {total} cases failed"))) } else { Ok(()) }
}

async fn run_case(client: &Client, scripts: &mut Scripts<'_>, file: &CaseFile, index: usize, case: &Case) -> Result<Outcome, CliError> {
    let (name, version) = scripts.version(file, index, case).await?;
    let mut input = case.input.clone();
    input.insert("hook".to_owned(), file.hook_of(index, case)?.into());
    let answer = client.send_json("POST", &format!("/v1/scripts/{name}/versions/{version}/test"), &Value::Object(input)).await?;
    if !(200..300).contains(&answer.status) {
        let problem = Problem::read(answer.status, &answer.body);
        // The node names the field of its own request; that is what the case has under `input`.
        let field = match problem.path.as_deref() {
            Some("hook") => "hook".to_owned(),
            Some(path) => format!("input.{path}"),
            None => String::new(),
        };
        return Err(file.in_case(index, &field, problem));
    }
    let answer = answer.json();
    let differences = judge::differences(&case.expect, &answer);
    Ok(Outcome { file: file.shown.clone(), name: case.name.clone(), differences, answer })
}

/// Files as they are, of a folder those in its `tests`, or its own where it has no `tests`.
fn paths(named: &[String]) -> Result<Vec<PathBuf>, CliError> {
    let mut paths = Vec::new();
    for name in named {
        let path = Path::new(name);
        if !path.is_dir() {
            paths.push(path.to_owned());
            continue;
        }
        let inner = path.join("tests");
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let of_folder =
            crate::folder::entries(&folder)?.into_iter().filter(|file| file.is_file() && file::is_case_file(file)).collect::<Vec<_>>();
        if of_folder.is_empty() {
            return Err(CliError::Usage(format!("{} holds no files of cases: .yaml, .yml or .json", folder.display())));
        }
        paths.extend(of_folder);
    }
    Ok(paths)
}

fn shown(outcome: &Outcome) -> String {
    let Outcome { file, name, differences, answer } = outcome;
    if differences.is_empty() {
        return format!("ok      {file}: {name}\n");
    }
    let mut out = format!("failed  {file}: {name}\n");
    for Difference { path, expected, actual } in differences {
        let is_short = |value: &Value| !value.is_object() && !value.is_array() && value.to_string().len() < 80;
        if is_short(expected) && is_short(actual) {
            out += &format!("          {path}: expected {expected}, got {actual}\n");
        } else {
            out += &format!("          {path}: - expected, + got\n");
            out += &diff::lines(expected, actual, "            ");
        }
    }
    let logs = answer["logs"].as_array().into_iter().flatten();
    for log in logs {
        out += &format!("          log {}: {}\n", log["level"].as_str().unwrap_or_default(), log["message"].as_str().unwrap_or_default());
    }
    out
}

fn as_document(outcome: &Outcome) -> Value {
    let Outcome { file, name, differences, answer } = outcome;
    let differences: Vec<Value> = differences
        .iter()
        .map(|Difference { path, expected, actual }| json!({"path": path, "expected": expected, "actual": actual}))
        .collect();
    let mut document = Map::new();
    document.insert("file".to_owned(), file.as_str().into());
    document.insert("name".to_owned(), name.as_str().into());
    document.insert("ok".to_owned(), differences.is_empty().into());
    document.insert("differences".to_owned(), differences.into());
    document.insert("answer".to_owned(), answer.clone());
    document.into()
}
