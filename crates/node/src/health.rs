//! `snaphook health`: whether a node may be used, for what watches containers and services.

use std::time::Duration;

use serde_json::json;

use crate::cli::HealthArgs;
use crate::client::Client;
use crate::problem::CliError;

/// Who watches has little patience.
const PATIENCE: Duration = Duration::from_secs(4);

pub(crate) async fn run(args: HealthArgs) -> Result<(), CliError> {
    let client = Client::new(&args.url, "");
    let asked = tokio::time::timeout(PATIENCE, client.get("/readyz")).await;
    let reason = || format!("no answer within {} s", PATIENCE.as_secs());
    let answer = asked.map_err(|_| CliError::Unreachable { url: args.url.clone(), reason: reason() })??;
    let is_ready = answer.status == 200;
    if args.output.json {
        println!("{:#}", json!({"ready": is_ready, "status": answer.status}));
    } else if is_ready {
        println!("{} may be used", args.url);
    }
    answer.checked().map(drop)
}
