//! `snaphook tenant` and `snaphook token`.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::call::json_argument;
use crate::cli::{OperatorTarget, TenantCommand, TokenCommand};
use crate::client::Client;
use crate::problem::CliError;

pub(crate) async fn tenant(command: TenantCommand) -> Result<(), CliError> {
    let at = |target: &OperatorTarget| Client::new(&target.url, &target.token);
    match command {
        TenantCommand::Put { name, document, target } => {
            let answer = at(&target).send_json("PUT", &format!("/v1/tenants/{name}"), &json_argument(&document)?).await?.checked()?;
            print_json(&answer.json());
        }
        TenantCommand::List { target } => print_list(&all(&at(&target), "/v1/tenants").await?, &["name", "updated_at"]),
        TenantCommand::Show { name, target } => print_json(&at(&target).get(&format!("/v1/tenants/{name}")).await?.checked()?.json()),
        TenantCommand::Delete { name, target } => {
            at(&target).delete(&format!("/v1/tenants/{name}")).await?.checked()?;
            println!("tenant {name} is deleted");
        }
    }
    Ok(())
}

pub(crate) async fn token(command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { name, scopes, expires_s, tenant, target } => {
            let path = tenant.map_or_else(|| "/v1/tokens".to_owned(), |tenant| format!("/v1/tenants/{tenant}/tokens"));
            let mut body = json!({"name": name, "scopes": scopes});
            if let Some(expires_s) = expires_s {
                body["expires_s"] = expires_s.into();
            }
            let answer = Client::new(&target.url, &target.token).send_json("POST", &path, &body).await?.checked()?.json();
            // The token alone on standard output, so that a script can take it from there.
            eprintln!("token {} ({}); it is shown this once:", answer["id"].as_str().unwrap_or_default(), scopes.join(", "));
            println!("{}", answer["token"].as_str().unwrap_or_default());
        }
        TokenCommand::List { target } => {
            let client = Client::new(&target.url, &target.token);
            print_list(&all(&client, "/v1/tokens").await?, &["id", "name", "scopes", "created_at", "expires_at", "last_used_at"]);
        }
        TokenCommand::Delete { id, target } => {
            Client::new(&target.url, &target.token).delete(&format!("/v1/tokens/{id}")).await?.checked()?;
            println!("token {id} is deleted");
        }
    }
    Ok(())
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

fn print_list(items: &[Value], columns: &[&str]) {
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
