//! `snaphook audit`: who changed what, and when.

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::cli::AuditArgs;
use crate::client::Client;
use crate::problem::CliError;
use crate::runs::query;

pub(crate) async fn list(args: AuditArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url, &args.target.token);
    let filter = query([("action", &args.action), ("since", &args.since)]);
    let mut changes = Vec::new();
    client.each(&format!("/v1/audit?{filter}"), args.last, |change| changes.push(change)).await?;
    if args.json {
        for change in changes {
            println!("{change}");
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["at", "what", "name", "version", "by", "request"]);
    for change in &changes {
        let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
        let version = change["version"].as_u64().map(|version| version.to_string()).unwrap_or_default();
        table.add_row([text("at"), text("action"), text("name"), version, by(&change["by"]), text("request_id")]);
    }
    println!("{table}");
    Ok(())
}

/// A token by the name that people gave it, and its id, since names may be alike.
fn by(who: &Value) -> String {
    let text = |key: &str| who[key].as_str().unwrap_or_default();
    match text("kind") {
        "token" => format!("token {} ({})", text("name"), text("id")),
        kind => kind.to_owned(),
    }
}
