//! `snaphook tenant` and `snaphook token`.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::call::json_argument;
use crate::cli::{OperatorTarget, Output, TenantCommand, TokenCommand};
use crate::client::{Client, segment};
use crate::problem::CliError;

pub(crate) async fn tenant(command: TenantCommand) -> Result<(), CliError> {
    let at = |target: &OperatorTarget| Client::new(&target.url, &target.token);
    match command {
        // A document is shown as JSON in either case.
        TenantCommand::Put { name, document, target, output: _ } => {
            let answer =
                at(&target).send_json("PUT", &format!("/v1/tenants/{}", segment(&name)), &json_argument(&document)?).await?.checked()?;
            print_json(&answer.json());
        }
        TenantCommand::Show { name, target, output: _ } => {
            print_json(&at(&target).get(&format!("/v1/tenants/{}", segment(&name))).await?.checked()?.json());
        }
        TenantCommand::List { target, output } => print_list(&all(&at(&target), "/v1/tenants").await?, &["name", "updated_at"], output),
        TenantCommand::Delete { name, target, output } => {
            at(&target).delete(&format!("/v1/tenants/{}", segment(&name))).await?.checked()?;
            print_deleted("tenant", &name, output);
        }
    }
    Ok(())
}

pub(crate) async fn token(command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { name, scopes, expires_s, tenant, target, output } => {
            let path = tenant.map_or_else(|| "/v1/tokens".to_owned(), |tenant| format!("/v1/tenants/{}/tokens", segment(&tenant)));
            let mut body = json!({"name": name, "scopes": scopes});
            if let Some(expires_s) = expires_s {
                body["expires_s"] = expires_s.into();
            }
            let answer = Client::new(&target.url, &target.token).send_json("POST", &path, &body).await?.checked()?.json();
            if output.json {
                print_json(&answer);
                return Ok(());
            }
            // The token alone on standard output, so that a script can take it from there.
            eprintln!("token {} ({}); it is shown this once:", answer["id"].as_str().unwrap_or_default(), scopes.join(", "));
            println!("{}", answer["token"].as_str().unwrap_or_default());
        }
        TokenCommand::List { target, output } => {
            let client = Client::new(&target.url, &target.token);
            let tokens = all(&client, "/v1/tokens").await?;
            print_list(&tokens, &["id", "name", "scopes", "created_at", "expires_at", "last_used_at"], output);
        }
        TokenCommand::Delete { id, target, output } => {
            Client::new(&target.url, &target.token).delete(&format!("/v1/tokens/{}", segment(&id))).await?.checked()?;
            print_deleted("token", &id, output);
        }
    }
    Ok(())
}

fn print_deleted(kind: &str, name: &str, output: Output) {
    match output.json {
        true => print_json(&json!({ "deleted": {"kind": kind, "name": name} })),
        false => println!("{kind} {name} is deleted"),
    }
}

/// The whole of a list.
async fn all(client: &Client, path: &str) -> Result<Vec<Value>, CliError> {
    let mut items = Vec::new();
    client.each(path, usize::MAX, |item| items.push(item)).await?;
    Ok(items)
}

fn print_json(value: &Value) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

fn print_list(items: &[Value], columns: &[&str], output: Output) {
    if output.json {
        return items.iter().for_each(|item| println!("{item}"));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().copied());
    for item in items {
        table.add_row(columns.iter().map(|column| match &item[column] {
            Value::Null => "–".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }));
    }
    println!("{table}");
}
