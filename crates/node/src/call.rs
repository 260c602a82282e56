//! `snaphook call`, and `snaphook test` of one hook: run something on a node and show what happened.

use std::io::Read as _;

use serde_json::{Value, json};
use snaphook_model::strict::{self, NotStrict};

use crate::cases;
use crate::cli::{CallArgs, TestArgs};
use crate::client::{Client, segment};
use crate::problem::CliError;
use crate::progress::while_longer;
use crate::timeline;

pub(crate) async fn run(args: CallArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let input = json_argument(&args.input)?;
    let (path, body) = if args.flow {
        (format!("/v1/flows/{}/runs", segment(&args.name)), json!({ "payload": input }))
    } else if let Some((connector, endpoint)) = args.name.split_once('/') {
        (format!("/v1/call/{}/{}", segment(connector), segment(endpoint)), input)
    } else {
        return Err(CliError::Usage(format!("`{}` is no connector/endpoint; for a flow add --flow", args.name)));
    };
    let answer = while_longer(&format!("waiting for {}", args.name), client.send_json("POST", &path, &body)).await?;
    let run = match &answer.run_id {
        Some(id) if !args.quiet => Some(client.get(&format!("/v1/runs/{id}")).await?).filter(|run| run.status == 200).map(|run| run.json()),
        _ => None,
    };
    if args.json {
        println!("{:#}", json!({"status": answer.status, "body": answer.value(), "run": run}));
        return answer.checked().map(drop);
    }
    if let Some(run) = &run {
        print!("{}", timeline::draw(run));
    }
    if !args.quiet {
        println!("answer {}", answer.status);
    }
    println!("{}", String::from_utf8_lossy(&answer.body));
    answer.checked().map(|_| ())
}

pub(crate) async fn test(args: TestArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let Some(hook) = &args.hook else { return cases::run(&client, &args.what, args.json).await };
    let (script, input) = match args.what.as_slice() {
        [script] => (script, "{}"),
        [script, input] => (script, input.as_str()),
        _ => return Err(CliError::Usage("with --hook, name one script and its input".to_owned())),
    };
    let mut input = json_argument(input)?;
    let object = input.as_object_mut().ok_or_else(|| CliError::Usage("the sample input must be a JSON object".to_owned()))?;
    object.insert("hook".to_owned(), hook.as_str().into());
    let (name, version) = match script.split_once('@') {
        Some((name, version)) => (name, version.to_owned()),
        None => (script.as_str(), latest(&client, script).await?),
    };
    let path = format!("/v1/scripts/{}/versions/{}/test", segment(name), segment(&version));
    let answer = while_longer(&format!("running {name}"), client.send_json("POST", &path, &input)).await?.checked()?;
    let document = answer.json();
    println!("{}", serde_json::to_string_pretty(&document).unwrap_or_default());
    match document["fault"]["detail"].as_str() {
        Some(detail) => Err(CliError::Start(format!("the script failed: {detail}"))),
        None => Ok(()),
    }
}

async fn latest(client: &Client, script: &str) -> Result<String, CliError> {
    let document = client.get(&format!("/v1/scripts/{}", segment(script))).await?.checked()?.json();
    let versions = document["versions"].as_array().into_iter().flatten();
    let newest = versions.filter_map(|version| version["version"].as_u64()).max();
    newest.map(|version| version.to_string()).ok_or_else(|| CliError::Usage(format!("script `{script}` has no version")))
}

/// Reads an argument that is JSON text, `@FILE`, or `-` for standard input.
pub(crate) fn json_argument(argument: &str) -> Result<Value, CliError> {
    let text = match argument.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|source| CliError::File { what: format!("cannot read {file}"), source })?,
        None if argument == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|source| CliError::File { what: "cannot read standard input".to_owned(), source })?;
            text
        }
        None => argument.to_owned(),
    };
    strict::from_json(text.as_bytes()).map_err(|NotStrict { path, detail, line, column }| {
        let what = path.map_or_else(|| "the input is no JSON".to_owned(), |path| format!("the input at {path}"));
        CliError::Usage(format!("{what}: {detail} at line {line} column {column}"))
    })
}
