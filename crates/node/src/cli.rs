//! The command line: every command, flag and environment variable, with its default.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs users' scripts around HTTP calls, each in a fresh WebAssembly sandbox.
#[derive(Debug, Parser)]
#[command(name = "snaphook", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node.
    Serve(ServeArgs),
    /// Run everything on this machine for a folder of scripts, connectors and flows, and deploy it again when it changes.
    Dev(DevArgs),
    /// Upload a folder's scripts, connectors and flows to a node.
    Deploy(DeployArgs),
    /// Make a flow of a manifest of requests that was written for another product, and show what became of each of its keys.
    Import(ImportArgs),
    /// Call an endpoint or start a flow, and show what ran.
    Call(CallArgs),
    /// Run files of cases, or one hook of a script on sample input; nobody is called.
    Test(TestArgs),
    /// Run recorded invocations again, against the same or other versions of their scripts; nobody is called.
    Replay(ReplayArgs),
    /// Manage tenants (needs the operator's token).
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Manage a tenant's tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check a data directory, a database and this machine.
    Doctor(DoctorArgs),
    /// Compile one upload from standard input; the node starts this itself.
    #[command(hide = true)]
    CompileChild,
}

/// Flags of `serve`; each may stand in the environment or in the file of `--config` as well. Flags win over the environment, which wins over the file.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// TOML file with the same keys, written with underscores.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on [env: SNAPHOOK_LISTEN] [default: 127.0.0.1:7070].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where the outside world reaches this node, such as https://hooks.example.com [env: SNAPHOOK_PUBLIC_URL] [default: as each request says].
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Directory for the database, compiled code and keys [env: SNAPHOOK_DATA_DIR] [default: ./snaphook-data]. No two nodes share one.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,
    /// PostgreSQL that several nodes share, such as postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full [env: SNAPHOOK_DATABASE_URL]
    /// [default: SQLite in the data directory]. In the environment, or in the file, the password is not among the machine's processes to see.
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Connections to PostgreSQL at most, from 2 on; those of all nodes together stay below its `max_connections`
    /// [env: SNAPHOOK_DATABASE_CONNECTIONS] [default: 16].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) database_connections: Option<u32>,
    /// Seconds after which other nodes go on with the runs of a node that does not answer any more, from 2 to 3600 [env: SNAPHOOK_LEASE_S] [default: 30].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) lease_s: Option<u64>,
    /// File with the key of secrets, the same for all nodes on a database [env: SNAPHOOK_SECRETS_KEY_FILE] [default: `secrets.key` in the data directory,
    /// made at the first start]. SNAPHOOK_SECRETS_KEY may hold the key itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
    /// Token that manages tenants [env: SNAPHOOK_OPERATOR_TOKEN] [default: made and printed at the first start].
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub(crate) operator_token: Option<String>,
    /// Memory for sandboxes, in bytes [env: SNAPHOOK_SANDBOX_MEMORY_BYTES] [default: half of the machine's].
    #[arg(long, value_name = "BYTES")]
    pub(crate) sandbox_memory_bytes: Option<u64>,
    /// Memory for the bodies of upstreams' responses, in bytes [env: SNAPHOOK_RESPONSE_MEMORY_BYTES] [default: an eighth of the machine's].
    #[arg(long, value_name = "BYTES")]
    pub(crate) response_memory_bytes: Option<u64>,
    /// Disk for the files of runs, in bytes; one tenant's runs get a quarter of it [env: SNAPHOOK_FILES_BYTES] [default: 4294967296].
    #[arg(long, value_name = "BYTES")]
    pub(crate) files_bytes: Option<u64>,
    /// Format of the node's own log: `text` or `json` [env: SNAPHOOK_LOG_FORMAT] [default: text]. What is logged: RUST_LOG.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder with `scripts/`, `connectors/` and `flows/`.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Directory for the database, compiled code and keys [default: `.snaphook` in the folder].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Where a node is, and who asks.
#[derive(Debug, Args, Clone)]
pub(crate) struct Target {
    /// Address of the node.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// Token of the tenant.
    #[arg(long, env = "SNAPHOOK_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: String,
}

/// Where a node is, for the operator.
#[derive(Debug, Args, Clone)]
pub(crate) struct OperatorTarget {
    /// Address of the node.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// The operator's token.
    #[arg(long, env = "SNAPHOOK_OPERATOR_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: String,
}

/// Values that differ from one place to the next.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Overrides {
    /// Use another origin wherever a document names this one, such as https://api.example.com=http://127.0.0.1:9000; may be repeated.
    #[arg(long = "origin", value_name = "FROM=TO", value_parser = from_to)]
    pub(crate) origins: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Folder with `scripts/`, `connectors/` and `flows/`, or one script file. A script `NAME.patchworks.js` is in that dialect.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every key was understood, 3 some were left out, 1 the file is no manifest or its flow is not valid, 2 wrong usage."
)]
pub(crate) struct ImportArgs {
    /// The manifest: JSON or YAML, an object with `execute` or the list of requests itself.
    pub(crate) file: PathBuf,
    /// Name of the flow [default: the file's name without its ending].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Write the flow into `flows/` of this folder. A file that is there is not overwritten.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) write: Option<PathBuf>,
    /// Deploy the flow to a node.
    #[arg(long)]
    pub(crate) deploy: bool,
    /// Print everything as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Address of the node, for `--deploy`.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// Token of the tenant, for `--deploy`.
    #[arg(long, env = "SNAPHOOK_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// `connector/endpoint`, or a flow's name with `--flow`.
    pub(crate) name: String,
    /// JSON text, `@FILE`, or `-` for standard input.
    #[arg(default_value = "{}")]
    pub(crate) input: String,
    /// Start a flow; the input is its payload.
    #[arg(long)]
    pub(crate) flow: bool,
    /// Print the answer's body alone.
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Files of cases (.yaml, .yml, .json), or folders that have them in `tests/`. With --hook: a script, as `name` (its latest version) or
    /// `name@version`, and the sample input as JSON text, `@FILE`, or `-` for standard input: an object with `arguments`, `request`, `response`,
    /// `payload`, `parms` …
    #[arg(required = true, value_name = "FILE|FOLDER|SCRIPT INPUT")]
    pub(crate) what: Vec<String>,
    /// Run one hook, such as `pre-hook`, instead of files of cases.
    #[arg(long)]
    pub(crate) hook: Option<String>,
    /// Print what came of the cases as JSON. The exit code is 0 when all are as expected, 3 when one is not.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The exit code is 0 when everything decided the same, 3 when something did not.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["run", "flow", "call"]))]
pub(crate) struct ReplayArgs {
    /// The run, as `x-run-id` named it.
    pub(crate) run: Option<String>,
    /// The newest runs of this flow.
    #[arg(long)]
    pub(crate) flow: Option<String>,
    /// The newest direct calls of this `connector/endpoint`.
    #[arg(long, value_name = "CONNECTOR/ENDPOINT")]
    pub(crate) call: Option<String>,
    /// How many of them.
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "run", value_parser = at_least_one)]
    pub(crate) last: usize,
    /// Version of a script to take in place of the one that ran; may be repeated.
    #[arg(long = "script", value_name = "NAME=VERSION", value_parser = name_version)]
    pub(crate) scripts: Vec<(String, u32)>,
    /// Print what came of it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant or change its document.
    Put {
        name: String,
        /// The document as JSON text, `@FILE`, or `-` for standard input.
        #[arg(default_value = "{}")]
        document: String,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// List tenants.
    List {
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Show a tenant with the limits in force.
    Show {
        name: String,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Delete a tenant and everything it owns.
    Delete {
        name: String,
        #[command(flatten)]
        target: OperatorTarget,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once. With `--tenant` the operator's token is needed, else one of the tenant's with the scope `admin`.
    Create {
        /// For people, to tell tokens apart.
        name: String,
        /// deploy, invoke, read, callback or admin; separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "admin")]
        scopes: Vec<String>,
        /// Seconds until it expires; without it, never.
        #[arg(long, value_name = "SECONDS")]
        expires_s: Option<u64>,
        /// The tenant, for the operator.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List the tenant's tokens.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Delete a token; it is unknown from then on.
    Delete {
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Data directory to check.
    #[arg(long, env = "SNAPHOOK_DATA_DIR", default_value = "./snaphook-data", value_name = "DIRECTORY")]
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL to check as well: whether a node can use it, and whether the key of secrets is the one that its secrets are sealed under.
    #[arg(long, env = "SNAPHOOK_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// The key of secrets, where it is not `secrets.key` in the data directory.
    #[arg(long, env = "SNAPHOOK_SECRETS_KEY_FILE", value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
}

fn from_to(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("must be FROM=TO")?;
    Ok((from.trim_end_matches('/').to_owned(), to.trim_end_matches('/').to_owned()))
}

fn name_version(text: &str) -> Result<(String, u32), String> {
    let wrong = || "must be NAME=VERSION, such as sign=3".to_owned();
    let (name, version) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), version.parse().map_err(|_| wrong())?))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a number from 1".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn definitions_are_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
