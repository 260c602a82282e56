//! `snaphook dev`: a node, a tenant and a token on this machine, and a folder that is deployed again when it changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::DevArgs;
use crate::client::Client;
use crate::config::{Config, LogFormat};
use crate::deploy::{show, upload_all};
use crate::folder;
use crate::node::Node;
use crate::problem::CliError;

/// The one tenant of a development node.
const TENANT: &str = "dev";

/// An editor writes a file in several steps; changes within this time are one.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) async fn run(args: DevArgs) -> Result<(), CliError> {
    let data_dir = args.data_dir.clone().unwrap_or_else(|| args.folder.join(".snaphook"));
    let mut config = Config::defaults(data_dir.clone());
    config.listen = args.listen.parse().map_err(|_| CliError::Usage(format!("--listen: `{}` is no address", args.listen)))?;
    // Nobody else manages tenants here, so the operator's token lives as long as the process.
    let operator_token = random_token()?;
    config.operator_token = Some(operator_token.clone());
    crate::serve::start_log(LogFormat::Text, "warn");
    crate::serve::raise_open_files();
    crate::serve::survive_full_files();
    let node = Node::start(config).await?;
    let url = node.url().to_owned();
    let token = prepare_tenant(&url, &operator_token, &data_dir).await?;
    let client = Client::new(&url, &token);

    println!("node     {url}  (tenant {TENANT}, data in {})", data_dir.display());
    println!("token    {token}");
    println!("try      export SNAPHOOK_URL={url} SNAPHOOK_TOKEN={token}");
    println!("         snaphook call CONNECTOR/ENDPOINT '{{}}'");
    // Watched before it is read, so that no change falls between the two.
    let (changes, changed) = mpsc::channel(1);
    let _watcher = watch(&args.folder, &data_dir, changes)?;
    let stop = crate::serve::stop_signal()?;
    let outcome = tokio::select! {
        () = stop => Ok(()),
        outcome = follow(&client, &args, changed) => outcome,
    };
    node.stop().await;
    outcome
}

/// Deploys the folder, and again after every change, for as long as somebody reports changes.
async fn follow(client: &Client, args: &DevArgs, mut changed: mpsc::Receiver<()>) -> Result<(), CliError> {
    deploy(client, args).await?;
    println!("watching {} — stop with Ctrl-C", args.folder.display());
    while changed.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        while changed.try_recv().is_ok() {}
        deploy(client, args).await?;
    }
    Ok(())
}

/// Deploys the folder; what is wrong in it has been shown, and the next change tries again.
async fn deploy(client: &Client, args: &DevArgs) -> Result<(), CliError> {
    let items = match folder::read(&args.folder, &args.overrides.origins).await {
        Ok(items) => items,
        Err(error) => {
            anstream::eprintln!("{:?}", miette::Report::new(error));
            return Ok(());
        }
    };
    match upload_all(client, items, &mut show).await {
        Err(error @ CliError::Unreachable { .. }) => Err(error),
        Err(error) => {
            eprintln!("{error}; the rest is in use, and the next change tries again");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Makes the tenant, with loopback allowed, and a token that stays the same from one start to the next.
async fn prepare_tenant(url: &str, operator_token: &str, data_dir: &Path) -> Result<String, CliError> {
    let operator = Client::new(url, operator_token);
    // Whoever develops is alone here, and may want to see how fast it goes.
    let quota = json!({"concurrency": 1024, "rate_per_s": 1_000_000});
    let document = json!({"egress": {"allow_private": ["127.0.0.0/8", "::1/128"]}, "grants": {"fetch": true}, "quota": quota});
    operator.send_json("PUT", &format!("/v1/tenants/{TENANT}"), &document).await?.checked()?;
    let file = data_dir.join("dev-token");
    if let Ok(token) = std::fs::read_to_string(&file) {
        let token = token.trim().to_owned();
        if Client::new(url, &token).get("/v1/tokens").await?.status == 200 {
            return Ok(token);
        }
    }
    let body = json!({"name": "dev", "scopes": ["admin"]});
    let answer = operator.send_json("POST", &format!("/v1/tenants/{TENANT}/tokens"), &body).await?.checked()?.json();
    let token = answer["token"].as_str().unwrap_or_default().to_owned();
    write_private(&file, &token).map_err(|source| CliError::File { what: format!("cannot write {}", file.display()), source })?;
    Ok(token)
}

fn random_token() -> Result<String, CliError> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| CliError::Start(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner may read.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}

/// Sends a sign for every change below the folder that is not our own data directory's.
fn watch(folder: &Path, data_dir: &Path, changes: mpsc::Sender<()>) -> Result<notify::RecommendedWatcher, CliError> {
    let failed = |error: notify::Error| CliError::Start(format!("cannot watch {}: {error}", folder.display()));
    let own: PathBuf = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let foreign = |path: &PathBuf| !path.starts_with(&own);
        if !event.kind.is_access() && event.paths.iter().any(foreign) {
            // A full channel means that a change is noted already.
            let _ = changes.try_send(());
        }
    })
    .map_err(failed)?;
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    watcher.watch(&folder, RecursiveMode::Recursive).map_err(failed)?;
    Ok(watcher)
}
